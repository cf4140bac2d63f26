"""Planted truth for refinement: worlds in which it is known what each class gains by.

    python -m benchmarks.planted_refine --seeds 100 --first 1000

As in `benchmarks.planted`, features and text embeddings are drawn and all else is the real way: the
start is the best one set for all that stage 4 finds, the loop looks, proposes by the proposers
`attributes`, `names` and `contrast`, tries and keeps on the selection split, and the claim is made
on the report split. Three kinds of world, of ten classes:

- per class: of nine attributes two are planted for each class, other ones for each, two harm it,
  and the rest is noise;
- contrast: two classes have nearly the same name and the same attributes, of which three are
  planted for all classes alike; what tells the two apart is one direction that pixels of the one
  have and of the other have reversed, and only their pair cells mention it. Other pair cells are
  noise, or lie in the direction of another class's name;
- nothing: every attribute and pair cell is noise, weak enough to look harmless.

What is found is written in docs/statistics.md.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from ablations.refinement.evaluation import Evaluation, with_texts
from ablations.refinement.loop import Refinement, Refiner
from ablations.refinement.options import RULES, RefineOptions
from ablations.refinement.proposers import named
from ablations.refinement.texts import TextStore
from ablations.search.combine import search
from ablations.search.options import SearchOptions
from ablations.search.statistics import Interval
from benchmarks.planted import (
    DESCRIPTIONS,
    NAMES,
    NINE,
    VOCABULARY,
    PlantedScorer,
    Texts,
    World,
    board,
    paired_difference,
)
from lsmseg_model.metrics import miou
from lsmseg_prompts.prompts.prompt_set import PromptSet, build_prompt_set

PROPOSERS = ("attributes", "names", "contrast")
PAIRS = 3  # pair cells of each class
CLASSES = range(len(NAMES))


@dataclass(frozen=True)
class RefineWorld(World):
    """A world of one of the kinds "per class", "contrast" and "nothing".

    planted, harmful: of per class, how many attributes are for each class. likeness: of contrast,
    the cosine of the two names. mark: the strength of the contrast in the pixels of the two.
    """

    kind: str = "per class"
    planted: int = 2
    likeness: float = 0.95
    mark: float = 0.5

    def roles(self) -> list[dict[str, str]]:
        """What each attribute is to each class."""
        rng = np.random.default_rng([self.seed, 1])
        if self.kind == "nothing":
            return [dict.fromkeys(NINE, "noise") for _ in CLASSES]
        if self.kind == "contrast":
            kinds = replace(self, planted=3).kinds()
            return [kinds for _ in CLASSES]
        shares = ["planted"] * self.planted + ["harmful"] * self.harmful
        shares += ["noise"] * (len(NINE) - len(shares))
        orders = [rng.permutation(len(NINE)) for _ in CLASSES]
        return [{NINE[i]: kind for i, kind in zip(o, shares, strict=True)} for o in orders]

    @cached_property
    def alike(self) -> tuple[int, int] | None:
        """The two classes that look alike."""
        if self.kind != "contrast":
            return None
        first, second = np.random.default_rng([self.seed, 6]).choice(CLASSES, 2, replace=False)
        return int(first), int(second)

    @cached_property
    def others(self) -> list[list[int]]:
        """The classes that each has pair cells with."""
        rng = np.random.default_rng([self.seed, 7])
        found = []
        for index in CLASSES:
            some = rng.permutation([other for other in CLASSES if other != index]).tolist()
            if self.alike and index in self.alike:
                twin = self.alike[1 - self.alike.index(index)]
                some = [twin, *(other for other in some if other != twin)]
            found.append(some[:PAIRS])
        return found

    def directions(self) -> np.ndarray:
        """[1 + attributes + pair cells, classes, D]: of the names, the attributes, the pairs."""
        rows = (1 + len(NINE) + PAIRS) * len(NAMES)
        rng = np.random.default_rng([self.seed, 2])
        basis, _ = np.linalg.qr(rng.standard_normal((rows + 28, rows)))
        found = basis.T.reshape(-1, len(NAMES), rows + 28).astype(np.float32)
        if self.alike:
            one, other = self.alike
            own = np.sqrt(1 - self.likeness**2) * found[0, other]
            found[0, other] = self.likeness * found[0, one] + own
            found[1 : 1 + len(NINE), other] = found[1 : 1 + len(NINE), one]
        return found

    def texts(self) -> "RefineTexts":
        return self._tower

    @cached_property
    def _tower(self) -> "RefineTexts":
        return RefineTexts(self)

    def pairs(self) -> dict[tuple[int, int], str]:
        """The pair cells."""
        return {
            (index, other): f"A {NAMES[index]} has mark{other} {index}."
            for index in CLASSES
            for other in self.others[index]
        }


class RefineTexts(Texts):
    """Texts whose attributes have a role for each class, and pair cells."""

    world: RefineWorld

    def __init__(self, world: RefineWorld) -> None:
        super().__init__(world)
        self.roles = world.roles()
        self.embedded: dict[str, torch.Tensor] = {}

    def embed(self, text: str) -> torch.Tensor:
        if text not in self.embedded:
            self.embedded[text] = super().embed(text)
        return self.embedded[text]

    def signal(self) -> np.ndarray:
        world, found = self.world, self.world.name * self.directions[0]
        for index, roles in enumerate(self.roles):
            for place, attribute in enumerate(NINE, 1):
                if roles[attribute] == "planted":
                    found[index] += world.signal * self.directions[place, index]
        if world.alike:
            for index, sign in zip(world.alike, (1, -1), strict=True):
                found[index] += sign * world.mark * self._contrast()
        return found

    def _contrast(self) -> np.ndarray:
        assert self.world.alike is not None
        found: np.ndarray = self.directions[-1, self.world.alike[0]]
        return found

    def direction(self, attribute: str, kind: int) -> np.ndarray:
        if attribute.startswith("mark"):
            return self._mark(kind, int(attribute.removeprefix("mark")))
        world, roles = self.world, self.roles[kind]
        place = [a for a in NINE if roles[a] == roles[attribute]].index(attribute)
        if roles[attribute] == "harmful":  # what is planted for another class
            kind = (kind + 1 + place) % len(NAMES)
            if world.alike and kind == world.alike[1]:
                kind = world.alike[0]
            planted = [a for a in NINE if self.roles[kind][a] == "planted"]
            attribute = planted[place % len(planted)]
        strength = world.words
        if roles[attribute] == "noise" and roles is self.roles[kind]:
            strength = self._idle(place, list(roles.values()).count("noise"))
        found: np.ndarray = self.directions[1 + NINE.index(attribute), kind] * strength
        return found

    def _idle(self, place: int, number: int) -> float:
        return float(np.geomspace(*self.world.idle, number)[place])

    def _mark(self, kind: int, other: int) -> np.ndarray:
        """Of the words of a pair cell."""
        world, place = self.world, self.world.others[kind].index(other)
        if world.alike and {kind, other} == set(world.alike):
            return self._contrast() * world.words * (1 if kind == world.alike[0] else -1)
        found: np.ndarray
        if world.kind != "nothing" and place == 1:  # looks like yet another class
            found = self.directions[0, other] * world.words
        else:
            found = self.directions[-1 - place, kind] * self._idle(kind, len(NAMES))
        return found


@dataclass(frozen=True)
class Start:
    """A world with its best one set for all; counts are kept, whatever rule goes on from here."""

    world: RefineWorld
    scorer: PlantedScorer
    store: TextStore
    prompts: PromptSet

    @property
    def ideal(self) -> PromptSet:
        """What is planted: the start, where that knows of it nothing, with what it lacks."""
        world, changes = self.world, {}
        if world.kind == "per class":
            for index, roles in enumerate(world.roles()):
                planted = [a for a in NINE if roles[a] == "planted"]
                changes[index] = tuple(DESCRIPTIONS[index, a] for a in planted)
        if world.alike:
            for index, other in (world.alike, world.alike[::-1]):
                text = self.store.pairs[index, other]
                changes[index] = (*self.prompts.texts[index], text)
        return with_texts(self.prompts, changes)

    def found(self, prompts: PromptSet) -> int:
        """How many classes have in their texts what is planted for them and nothing harmful.

        Of contrast only the two that are alike can.
        """
        if self.world.alike:
            alike = self.world.alike
            cells = [self.store.pairs[pair] for pair in (alike, alike[::-1])]
            return sum(
                any(cell.rstrip(".") in text for text in prompts.texts[index])
                for index, cell in zip(alike, cells, strict=True)
            )
        return sum(
            {"planted"} <= (said := self._said(prompts.texts[index], roles))
            and "harmful" not in said
            for index, roles in enumerate(self.world.roles())
        )

    def right(self, prompts: PromptSet) -> bool:
        """Whether what is planted is found: in nine classes of ten, in both that are alike."""
        least = {"per class": len(NAMES) - 1, "contrast": 2}.get(self.world.kind)
        return least is not None and self.found(prompts) >= least

    @staticmethod
    def _said(texts: Sequence[str], roles: dict[str, str]) -> set[str]:
        return {roles[a] for a in NINE if any(f" {a} " in text for text in texts)}


def start(world: RefineWorld, samples: int = 1000) -> Start:
    """Stage 4 where anything is planted, the plain name where nothing is."""
    store = TextStore(VOCABULARY, "bundled", DESCRIPTIONS, world.pairs())
    if world.kind == "nothing":
        scorer = PlantedScorer(world, "selection", world.pictures)
        return Start(world, scorer, store, build_prompt_set(DESCRIPTIONS, VOCABULARY, ("name",)))
    here = board(world, samples)
    best = search(here, NINE, SearchOptions()).best
    scorer = here.benches[0].scorers["selection"]
    assert isinstance(scorer, PlantedScorer)
    return Start(world, scorer, store, here.prompt_set(here.benches[0], best))


@dataclass(frozen=True)
class Outcome:
    """What refinement made of a world.

    found, before: see `Start.found`, in the end and at the start. changed: classes. Gains are of
    mIoU over the start: claim on the report split, with its interval, true in the population,
    ideal of what is planted, in the population. held: of the intervals of other report splits the
    part that holds the true gain; nan where nothing was kept.
    """

    right: bool
    found: int
    before: int
    changed: int
    claim: Interval
    true: float
    ideal: float
    held: float
    tried: int
    rounds: int
    seconds: float

    @property
    def claims(self) -> bool:
        return self.claim.low > 0


def refine(begin: Start, rule: str, samples: int = 1000) -> Refinement:
    """Run the loop."""
    options = RefineOptions(rule=rule, proposers=PROPOSERS)
    evaluation = Evaluation(begin.scorer, samples, begin.world.seed)
    refiner = Refiner(evaluation, begin.store, named(PROPOSERS, PROPOSERS), options)
    recipes = dict.fromkeys(CLASSES, begin.prompts.name)
    return refiner.run(Refinement(begin.prompts, begin.prompts, recipes))


def outcomes(
    world: RefineWorld,
    rules: Sequence[str],
    samples: int = 1000,
    population: int = 2000,
    splits: int = 5,
) -> Iterator[Outcome]:
    """What each rule makes of a world.

    Args:
        world: With its seed.
        rules: Of `RULES`.
        samples: Resamples.
        population: Pictures beyond those of the report split that tell what is true.
        splits: How many report splits are drawn from them, for the coverage.
    """
    begin, own = start(world, samples), world.pictures
    report = PlantedScorer(world, "report", own + population)
    for rule in rules:
        began = time.monotonic()
        done = refine(begin, rule, samples)
        seconds = time.monotonic() - began
        claim, true, ideal, held = Interval(0.0, 0.0, 0.0), 0.0, 0.0, []
        if done.changed:
            before, after, best = report.score([begin.prompts, done.prompts, begin.ideal])
            claim = paired_difference(after[:own], before[:own], samples=samples, seed=world.seed)
            before, after, best = (counts[own:] for counts in (before, after, best))
            true, ideal = miou(after) - miou(before), miou(best) - miou(before)
            rng = np.random.default_rng([world.seed, 8])
            for number in range(splits):
                drawn = rng.integers(0, population, own)
                other = paired_difference(after[drawn], before[drawn], samples=samples, seed=number)
                held.append(other.low <= true <= other.high)
        yield Outcome(
            right=begin.right(done.prompts),
            found=begin.found(done.prompts),
            before=begin.found(begin.prompts),
            changed=len(done.changed),
            claim=claim,
            true=true,
            ideal=ideal,
            held=float(np.mean(held)) if held else float("nan"),
            tried=done.tried,
            rounds=len(done.rounds),
            seconds=seconds,
        )


WORLDS = {
    "per class": RefineWorld(),
    "contrast": RefineWorld(kind="contrast"),
    "nothing": RefineWorld(kind="nothing", idle=(0.01, 0.12)),
}


def told(kind: str, rule: str, some: Sequence[Outcome]) -> str:
    """A line about the seeds of a kind of world under a rule."""

    def mean(name: str, factor: float = 1) -> float:
        return factor * float(np.mean([getattr(one, name) for one in some]))

    kept = [one for one in some if one.changed]
    own = sum(one.claim.low <= one.true <= one.claim.high for one in kept)
    anew = float(np.mean([one.held for one in kept])) if kept else float("nan")
    return (
        f"{kind}, {rule}, {len(some)} seeds: what is planted found in "
        f"{sum(one.right for one in some)} ({mean('found'):.2f} classes, {mean('before'):.2f} at "
        f"the start), anything kept in {len(kept)} ({mean('changed'):.1f} classes), claimed in "
        f"{sum(one.claims for one in some)}; true gain {mean('true', 100):+.2f} points of "
        f"{mean('ideal', 100):+.2f}, below 0 in {sum(one.true < 0 for one in some)}; the interval "
        f"holds it in {own} of {len(kept)}, of splits drawn anew in {anew:.1%}; "
        f"{mean('tried'):.0f} candidates, {mean('rounds'):.1f} rounds, {mean('seconds'):.1f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=1000, help="the first of the seeds")
    parser.add_argument("--kind", action="append", choices=tuple(WORLDS), help="by default all")
    parser.add_argument("--rule", action="append", choices=RULES, help="by default all")
    parser.add_argument("--population", type=int, default=2000, help="pictures")
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    seeds, samples, population = options.seeds, 1000, options.population
    rules = options.rule or RULES
    if options.small:
        seeds, samples, population, rules = 1, 200, 200, ("set",)
    for kind in options.kind or WORLDS:
        table: list[list[Outcome]] = []
        for seed in range(options.first, options.first + seeds):
            world = replace(WORLDS[kind], seed=seed)
            table.append(list(outcomes(world, rules, samples, population)))
        for rule, some in zip(rules, zip(*table, strict=True), strict=True):
            print(told(kind, rule, some), flush=True)


if __name__ == "__main__":
    main()
