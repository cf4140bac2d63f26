"""Planted truth: benchmarks in which it is known which attributes help, to test the search with.

    python -m benchmarks.planted --seeds 100 --first 1000

Features and text embeddings are drawn; all else is the real way: descriptions are composed to
prompt sets, a `FrozenScorer` compares them with the features pixel by pixel, the `Scoreboard`
counts and resamples, `search` chooses on the selection split, and the claim is made on the report
split, as in a run.

A world has classes, directions that are orthogonal, and nine attributes of which some are

- planted: their words lie in a direction that pixels of the class have too;
- harmful: their words lie in a planted direction of another class;
- noise: their words lie in a direction that pixels have by chance alone. They change the
  predictions, and on average they help nothing: that is the case that is easily mistaken.

What is found is written in docs/statistics.md.
"""

import argparse
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from ablations.scoring.frozen import FrozenScorer
from ablations.scoring.options import SPLITS
from ablations.search.combine import search
from ablations.search.options import SearchOptions
from ablations.search.path import Search
from ablations.search.scoreboard import NAME, Bench, Candidate, Scoreboard
from ablations.search.statistics import Draws, Interval, Subset, bootstrap
from lsmseg_model.inference.counting import Features
from lsmseg_model.metrics import miou
from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary

NAMES = ("zebra", "sky", "orange", "boat", "grass", "train", "pizza", "clock", "road", "wall")
NINE = tuple(ATTRIBUTES)
GRID, PIXELS = 8, 16  # positions and pixels of a picture's side


@dataclass(frozen=True)
class World:
    """What is planted. Strengths are lengths, where a pixel's noise has ``noise`` in all.

    planted: how many attributes help, harmful: how many harm; the rest of the nine are noise.
    pictures: of each split. rare: whether classes are as unequally frequent as 1/1, 1/2, 1/3 ...
    """

    seed: int = 0
    planted: int = 3
    harmful: int = 2
    pictures: int = 100
    name: float = 1.0  # of the class's name in its pixels
    signal: float = 0.4  # of a planted attribute in the pixels of its class
    words: float = 0.7  # of an attribute's own direction in its text, where the name has 1
    idle: tuple[float, float] = (0.02, 0.35)  # of the noise attributes', from almost nothing on
    noise: float = 5.0
    rare: bool = False
    group: int = 1  # pictures that follow one another with the same classes and a noise in common

    def kinds(self) -> dict[str, str]:
        """What each attribute is; which are planted, the seed decides."""
        order = np.random.default_rng([self.seed, 1]).permutation(len(NINE))
        shares = ["planted"] * self.planted + ["harmful"] * self.harmful
        shares += ["noise"] * (len(NINE) - len(shares))
        return {NINE[i]: kind for i, kind in zip(order, shares, strict=True)}

    def directions(self) -> np.ndarray:
        """float32 [1 + attributes, classes, D], orthonormal: of the names and of each attribute."""
        rows = (1 + len(NINE)) * len(NAMES)
        rng = np.random.default_rng([self.seed, 2])
        basis, _ = np.linalg.qr(rng.standard_normal((rows + 28, rows)))
        return basis.T.reshape(1 + len(NINE), len(NAMES), -1).astype(np.float32)

    def texts(self) -> "Texts":
        """The text tower."""
        return Texts(self)


VOCABULARY = Vocabulary(
    "planted", "Planted", tuple(ClassEntry(i, name, name) for i, name in enumerate(NAMES))
)
DESCRIPTIONS = {
    (i, attribute): f"A {name} has {attribute} {i}."
    for i, name in enumerate(NAMES)
    for attribute in NINE
}
_MENTION = re.compile(r"\bhas (\w+) (\d+)")
_NAMED = re.compile(rf"\b({'|'.join(NAMES)})\b", re.IGNORECASE)


class Texts:
    """The text tower of a world: reads the class's name and the attributes a sentence mentions."""

    name, dense, device = "planted", "planted", "cpu"

    def __init__(self, world: World) -> None:
        self.weights_hash = f"planted-{world}"
        self.world, self.kinds, self.directions = world, world.kinds(), world.directions()

    def direction(self, attribute: str, kind: int) -> np.ndarray:
        """Of the words "has (attribute) (class)"."""
        world, role = self.world, self.kinds[attribute]
        if role == "harmful":  # what is planted in another class, of one attribute after another
            planted = [a for a, k in self.kinds.items() if k == "planted"]
            if planted:
                place = [a for a, k in self.kinds.items() if k == "harmful"].index(attribute)
                attribute = planted[place % len(planted)]
                kind = (kind + 1 + place) % len(NAMES)
        strength = world.words
        if role == "noise":
            idle = [a for a, k in self.kinds.items() if k == "noise"]
            strength = np.geomspace(*world.idle, len(idle))[idle.index(attribute)]
        along: np.ndarray = self.directions[1 + NINE.index(attribute), kind]
        return along * strength

    def signal(self) -> np.ndarray:
        """[classes, D]: what the pixels of each class have in common."""
        signal = self.world.name * self.directions[0]
        for place, attribute in enumerate(NINE, 1):
            if self.kinds[attribute] == "planted":
                signal = signal + self.world.signal * self.directions[place]
        return signal

    def encode_texts(self, groups: Sequence[Sequence[str]]) -> torch.Tensor:
        """float32 [N, D] of length 1; of a group of sentences the mean."""
        some = {text: self.embed(text) for text in dict.fromkeys(t for g in groups for t in g)}
        means = [torch.stack([some[text] for text in group]).mean(0) for group in groups]
        return F.normalize(torch.stack(means), dim=-1)

    def embed(self, text: str) -> torch.Tensor:
        """float32 [D] of length 1."""
        named = _NAMED.search(text)
        assert named is not None, text
        vector = self.directions[0, NAMES.index(named[1].lower())].copy()
        for attribute, kind in _MENTION.findall(text):
            vector += self.direction(attribute, int(kind))
        return F.normalize(torch.from_numpy(vector), dim=-1)


class Pictures:
    """A split of a world: bands of two to four classes; features of the grid's positions."""

    name, vocabulary, seen, owners = "planted", VOCABULARY.name, None, None
    groups = None
    class_indices = tuple(range(len(NAMES)))

    def __init__(self, world: World, split: str, pictures: int) -> None:
        self.split, self.pictures = split, pictures
        self.rng = np.random.default_rng([world.seed, 3, SPLITS.index(split)])
        often = 1.0 / (1 + np.arange(len(NAMES))) if world.rare else np.ones(len(NAMES))
        self.world, self.often = world, often / often.sum()
        self.drawn: Features | None = None

    def __len__(self) -> int:
        return self.pictures

    def labels(self, index: int) -> np.ndarray:
        return self.features().labels[index]

    def features(self) -> Features:
        if self.drawn is None:
            self.drawn = self._draw()
        return self.drawn

    def _draw(self) -> Features:
        world, rng, signal = self.world, self.rng, self.world.texts().signal()
        length = signal.shape[-1]
        features = Features([], [], np.arange(len(NAMES)))
        for picture in range(self.pictures):
            first = picture % world.group == 0
            if first:
                bands = rng.integers(2, 5)
                classes = rng.choice(len(NAMES), bands, replace=False, p=self.often)
            rows = np.sort(rng.integers(0, bands, GRID))
            grid = np.repeat(classes[rows][:, None], GRID, axis=1)
            # Positions of a picture share a part of their noise: pictures differ, as real ones do.
            if first:
                shared = rng.standard_normal((1, 1, length))
            own = rng.standard_normal((GRID, GRID, length))
            noise = (0.3 * shared + 0.95 * own) * world.noise / np.sqrt(length)
            pixels = torch.from_numpy((signal[grid] + noise).astype(np.float32))
            features.maps.append(F.normalize(pixels, dim=-1))
            step = PIXELS // GRID
            features.labels.append(grid.repeat(step, 0).repeat(step, 1).astype(np.int16))
        return features


class PlantedScorer(FrozenScorer):
    """A `FrozenScorer` whose features are drawn instead of seen."""

    def __init__(self, world: World, split: str, pictures: int) -> None:
        super().__init__(world.texts(), Pictures(world, split, pictures))  # type: ignore[arg-type]

    def identity(self) -> dict[str, Any]:
        return {"kind": "planted", "world": repr(self.benchmark.world)}  # type: ignore[attr-defined]

    def pictures(self) -> str:
        return f"{self.benchmark.split} {len(self.benchmark)}"

    def features(self, progress: Callable[[int, int], None] | None = None) -> Features:
        return self.benchmark.features()  # type: ignore[attr-defined,no-any-return]


def board(world: World, samples: int = 1000) -> Scoreboard:
    """The world's scoreboard: a benchmark with both splits."""
    scorers = {split: PlantedScorer(world, split, world.pictures) for split in SPLITS}
    bench = Bench("planted", VOCABULARY, DESCRIPTIONS, scorers)
    return Scoreboard([bench], samples=samples, seed=world.seed)


@dataclass(frozen=True)
class Trial:
    """What a search made of a world. claim: the difference of its choice to the plain name on the
    report split, which a run's summary calls an improvement where the interval lies above 0."""

    planted: frozenset[str]
    found: Search
    claim: Interval

    @property
    def right(self) -> bool:
        return frozenset(self.found.best.attributes) == self.planted

    @property
    def claims(self) -> bool:
        return self.claim.low > 0


def trial(world: World, samples: int = 1000, **options: Any) -> Trial:
    """Search a world; options: those of `search`."""
    here = board(world, samples)
    found = search(here, NINE, SearchOptions(**options))
    best, name = here.score("report", [found.best, NAME])
    planted = frozenset(a for a, kind in world.kinds().items() if kind == "planted")
    return Trial(planted, found, (best.miou - name.miou).interval())


def bootstrap_miou(
    counts: np.ndarray,
    classes: Sequence[int] | None = None,
    definition: str = "labelled",
    samples: int = 2000,
    seed: int = 0,
) -> Interval:
    """mIoU of counts [P, C, 3] over ``classes`` with its 95 % interval, of few pictures too."""
    subset = Subset(None if classes is None else tuple(classes), definition)
    return _interval(bootstrap([counts], {"": subset}, samples, seed)[0][""])


def paired_difference(
    counts_a: np.ndarray,
    counts_b: np.ndarray,
    classes: Sequence[int] | None = None,
    definition: str = "labelled",
    samples: int = 2000,
    seed: int = 0,
) -> Interval:
    """mIoU(a) - mIoU(b), both on the same resamples of the same pictures; as `bootstrap_miou`."""
    if counts_a.shape != counts_b.shape:
        raise ValueError(f"counts differ in shape: {counts_a.shape} and {counts_b.shape}")
    subset = Subset(None if classes is None else tuple(classes), definition)
    a, b = bootstrap([counts_a, counts_b], {"": subset}, samples, seed)
    return _interval(a[""] - b[""])


def _interval(draws: Draws) -> Interval:
    """As `Draws.interval`, but of however few pictures: what it is worth is measured here."""
    return Interval(draws.value, *draws.ends())


def coverage(
    world: World,
    candidate: Candidate,
    pictures: int,
    trials: int,
    samples: int = 1000,
    population: int = 4000,
) -> tuple[float, float]:
    """How often the 95 % intervals of a candidate's mIoU and of its paired difference to the plain
    name hold the value in the population that the pictures were drawn from."""
    mine, plain = _population(world, candidate, population)
    truth, lead = miou(mine), miou(mine) - miou(plain)
    rng = np.random.default_rng([world.seed, 4, pictures])
    hits = np.zeros(2)
    for number in range(trials):
        drawn = rng.integers(0, population, pictures)
        alone = bootstrap_miou(mine[drawn], samples=samples, seed=number)
        paired = paired_difference(mine[drawn], plain[drawn], samples=samples, seed=number)
        hits += (alone.low <= truth <= alone.high, paired.low <= lead <= paired.high)
    return float(hits[0] / trials), float(hits[1] / trials)


def group_coverage(
    world: World,
    candidate: Candidate,
    groups: int,
    trials: int,
    samples: int = 1000,
    population: int = 4000,
) -> np.ndarray:
    """As `coverage`, of ``groups`` of the population's groups: float64 [2, 2], in the first row
    with pictures resampled as if they were independent, in the second with groups."""
    mine, plain = _population(world, candidate, population)
    truth, lead = miou(mine), miou(mine) - miou(plain)
    members = np.arange(population).reshape(-1, world.group)
    of = np.repeat(np.arange(groups), world.group)
    rng = np.random.default_rng([world.seed, 5, groups])
    hits = np.zeros((2, 2))
    for number in range(trials):
        drawn = members[rng.integers(0, len(members), groups)].ravel()
        for row, units in enumerate((None, of.tolist())):
            counts, subsets = [mine[drawn], plain[drawn]], {"": Subset()}
            a, b = bootstrap(counts, subsets, samples, number, groups=units)
            alone, paired = _interval(a[""]), _interval(a[""] - b[""])
            hits[row] += (alone.low <= truth <= alone.high, paired.low <= lead <= paired.high)
    return hits / trials


def _population(world: World, candidate: Candidate, pictures: int) -> np.ndarray:
    """int64 [2, P, C, 3]: the counts of the candidate and of the plain name."""
    scorer = PlantedScorer(world, "report", pictures)
    bench = Bench("planted", VOCABULARY, DESCRIPTIONS, {"report": scorer})
    one = Scoreboard([bench])
    return scorer.score([one.prompt_set(bench, c) for c in (candidate, NAME)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=1000, help="the first of the seeds")
    parser.add_argument("--strategy", action="append", help="by default beam")
    parser.add_argument("--composition", default="both")
    parser.add_argument("--rule", default="interval")
    parser.add_argument("--coverage", action="store_true", help="of the intervals, instead")
    parser.add_argument(
        "--pictures", type=int, action="append", help="of --coverage, default 25, 50, 100 and 400"
    )
    parser.add_argument("--samples", type=int, default=1000, help="resamples of --coverage")
    parser.add_argument("--group", type=int, help="of --coverage: pictures of each group")
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.small:
        options.seeds, options.pictures, options.samples = 1, [25], 200
    if options.coverage and options.group:
        sizes = (2,) if options.small else (2, 3, 5, 10, 20, 40)
        show_group_coverage(options.first, options.seeds, options.group, sizes)
        return
    if options.coverage:
        sizes = options.pictures or (25, 50, 100, 400)
        show_coverage(options.first, options.seeds, sizes, options.samples)
        return
    how = {"rule": options.rule, "composition": options.composition}
    for strategy in options.strategy or ["beam"]:
        for title, world in (
            ("three planted", World()),
            ("nothing planted", World(planted=0, harmful=0)),
        ):
            began = time.monotonic()
            trials = [
                trial(replace(world, seed=seed), strategy=strategy, **how)
                for seed in range(options.first, options.first + options.seeds)
            ]
            right = sum(t.right for t in trials)
            more = sum(t.planted < frozenset(t.found.best.attributes) for t in trials)
            added = sum(len(t.found.best.attributes) > 1 for t in trials)
            lead = 100 * np.mean([t.claim.value for t in trials])
            print(
                f"{strategy}, {options.composition}, {options.rule}, {title}: "
                f"the planted set found {right}, with others "
                f"beside it {more}, an improvement claimed {sum(t.claims for t in trials)}, more "
                f"than one attribute taken {added}, of {len(trials)} seeds; the choice is "
                f"{lead:+.1f} points from the name on average ({time.monotonic() - began:.0f} s)",
                flush=True,
            )


def show_coverage(seed: int, trials: int, sizes: Sequence[int], samples: int) -> None:
    """Print the coverage for several numbers of pictures, classes equally and unequally often."""
    for rare in (False, True):
        world = World(seed, rare=rare)
        kinds = world.kinds()
        best = Candidate(tuple(a for a, kind in kinds.items() if kind == "planted"))
        for pictures in sizes:
            alone, paired = coverage(world, best, pictures, trials, samples)
            often = "unequally" if rare else "equally"
            print(
                f"classes {often} often, {pictures} pictures: mIoU {alone:.1%}, paired difference "
                f"{paired:.1%} of {trials}",
                flush=True,
            )


def show_group_coverage(seed: int, trials: int, group: int, sizes: Sequence[int]) -> None:
    """Print the coverage for several numbers of groups, pictures and groups resampled."""
    world = World(seed, group=group)
    best = Candidate(tuple(a for a, kind in world.kinds().items() if kind == "planted"))
    for groups in sizes:
        found = group_coverage(world, best, groups, trials)
        for what, (alone, paired) in zip(("pictures", "groups"), found, strict=True):
            print(
                f"{groups} groups of {group} pictures, {what} resampled: mIoU {alone:.1%}, paired "
                f"difference {paired:.1%} of {trials}",
                flush=True,
            )


if __name__ == "__main__":
    main()
