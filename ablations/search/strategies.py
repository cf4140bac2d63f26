"""How stage 4 goes through the combinations of attributes, on the selection split alone.

`Searcher` has the strategies, `try_orders` the orders of a set's clauses. What decides:

- rule "interval": the gain over the set before has a lower end above 0, in intervals that hold
  for all candidates of the round at once (`statistics.simultaneous`). Where sets of all sizes are
  there (chain, exhaustive), the smallest that is not surely worse than any other is taken
  (`statistics.surely_worse`: multiple comparisons with the best).
- rule "paper": any gain; of all sizes the highest mIoU.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice, permutations
from math import factorial
from typing import Any

from ablations.search.options import SearchOptions
from ablations.search.scoreboard import Candidate, Progress, Score, Scoreboard, fields, number
from ablations.search.single import best_single
from ablations.search.statistics import Interval, simultaneous, surely_worse

ORDER = "another order"  # what the step of `try_orders` adds
UNKNOWN = Interval(float("nan"), float("nan"), float("nan"))
ORDERS = 120  # clause orders tried at most: all of five clauses


@dataclass(frozen=True)
class Step:
    """One round of the search: the candidates tried, and the one taken or turned down."""

    candidate: Candidate
    added: str
    status: str  # start, accepted or rejected
    gain: Interval | None  # over the step before, on the selection split
    tried: tuple[Candidate, ...]


@dataclass(frozen=True)
class Certificate:
    """Greedy search measured by all combinations, on the selection split.

    optimum: the highest mIoU of all. greedy: what greedy search takes under the same rule, and
    how far it lies ``behind`` the optimum (paired). ranks: every combination's place, 1 the best.
    """

    optimum: Candidate
    greedy: Candidate
    behind: Interval
    ranks: dict[Candidate, int] = field(repr=False)
    report: Interval | None = None  # the same on the report split, once the path is reported

    @property
    def rank(self) -> int:
        return self.ranks[self.greedy]


@dataclass
class Search:
    """The path of the search; ``best`` is its last step that was not turned down.

    candidates: the rows of candidates.csv. certificate: of an exhaustive search. orders: how many
    clause orders of the best set were compared, of how many there are.
    """

    rule: str
    strategy: str = "greedy"
    width: int | None = None
    steps: list[Step] = field(default_factory=list)
    candidates: list[dict[str, Any]] = field(default_factory=list)
    certificate: Certificate | None = None
    orders: tuple[int, int] | None = None

    @property
    def best(self) -> Candidate:
        return next(s.candidate for s in reversed(self.steps) if s.status != "rejected")

    def previous(self, step: int) -> Candidate:
        """What the gain of a step is over: the last set before it that was not turned down; in a
        chain or a list of the best of each size, the one before it."""
        earlier = self.steps[:step]
        if self.strategy in ("chain", "exhaustive") and self.steps[step].added != ORDER:
            return earlier[-1].candidate
        return next(s.candidate for s in reversed(earlier) if s.status != "rejected")

    @property
    def tried(self) -> int:
        """How many different candidates were compared on the selection split."""
        return len({row["prompts"] for row in self.candidates})

    def note(self) -> str:
        """The search in words."""
        how = {
            "greedy": "Greedy forward search on the selection split from the best single attribute",
            "beam": f"Beam search on the selection split, keeping {self.width} sets at each size",
            "chain": "The attributes added on the selection split in the order of their single "
            "scores, the paper's fixed chain",
            "exhaustive": "All combinations, compared on the selection split",
        }[self.strategy]
        sizes = self.strategy in ("chain", "exhaustive")
        decided = {
            ("interval", False): "a step is taken only if the 95 % interval of its gain, made wide "
            "enough for all candidates of the step, lies above 0",
            ("paper", False): "any gain is taken, as in the paper",
            ("interval", True): "the smallest set that is not surely worse than any other is taken",
            ("paper", True): "the highest mIoU is taken, as in the paper",
        }[self.rule, sizes]
        candidates = "candidate was" if self.tried == 1 else "candidates were"
        text = (
            f"{how}: {decided}. {self.tried} {candidates} tried; the best of many looks better "
            "than it is, so the scores below come from the report split."
        )
        if not sizes:
            last = next(s for s in reversed(self.steps) if s.added != ORDER)
            text += (
                f" It ended because adding {last.added}, the best of the rest, did not qualify."
                if last.status == "rejected"
                else " It ended because no attribute was left."
            )
        if self.certificate:
            text += " " + self._certified(self.certificate)
        if self.orders:
            tried, all_of_them = self.orders
            taken = self.steps[-1].added == ORDER and self.steps[-1].status == "accepted"
            text += (
                f" {tried} of the {all_of_them} orders of its clauses were compared: "
                + ("another order was taken." if taken else "none qualified to replace this one.")
                if all_of_them > 1
                else " A single clause has no other order."
            )
        return text

    def _certified(self, certificate: Certificate) -> str:
        among = len(certificate.ranks)
        if certificate.rank == 1:
            return f"Greedy search finds the optimum of all {among} combinations."
        text = (
            f"Greedy search takes {certificate.greedy.name}, number {certificate.rank} of all "
            f"{among} combinations: {_points(certificate.behind)} behind the optimum, "
            f"{certificate.optimum.name}, on the selection split"
        )
        if certificate.report is None:
            return text + "."
        return text + f", and {_points(certificate.report)} on the report split."

    def record(self) -> dict[str, Any]:
        """For run.json: how the search went, and how greedy search compares."""
        certificate = self.certificate
        return {
            "strategy": self.strategy,
            "beam_width": self.width,
            "rule": self.rule,
            "tried": self.tried,
            "orders": None
            if self.orders is None
            else {"tried": self.orders[0], "all": self.orders[1]},
            "certificate": None
            if certificate is None
            else {
                "combinations": len(certificate.ranks),
                "optimum": certificate.optimum.name,
                "greedy": certificate.greedy.name,
                "rank": certificate.rank,
                "selection": fields("behind", certificate.behind),
                "report": fields("behind", certificate.report or UNKNOWN),
            },
        }


def _points(gap: Interval) -> str:
    return f"{100 * gap.value:.2f} points [{100 * gap.low:.2f}, {100 * gap.high:.2f}]"


class Searcher:
    """The strategies. Attributes are put in the order of their single scores."""

    def __init__(
        self,
        board: Scoreboard,
        attributes: Sequence[str],
        options: SearchOptions,
        on_progress: Progress | None,
    ) -> None:
        self.board, self.on_progress, self.width = board, on_progress, options.beam_width
        width = options.beam_width if options.strategy == "beam" else None
        self.result = Search(options.rule, options.strategy, width)
        self.start = best_single(board, attributes, on_progress)
        alone = board.score("selection", [Candidate((a,)) for a in attributes])
        # Of equals the one named first: sorting is stable.
        self.ranked = sorted(alone, key=lambda score: -score.miou.value)
        self.order = [score.candidate.attributes[0] for score in self.ranked]
        self.named = list(attributes)  # at equal mIoU the one named first is taken
        self.alone = alone

    def run(self) -> Search:
        strategies: dict[str, Callable[[], None]] = {
            "greedy": self._greedy,
            "beam": self._beam,
            "chain": self._chain,
            "exhaustive": self._exhaustive,
        }
        strategies[self.result.strategy]()
        return self.result

    def candidate(self, attributes: Sequence[str]) -> Candidate:
        return Candidate(tuple(sorted(attributes, key=self.order.index)))

    def _begin(self, chosen: Sequence[Score]) -> None:
        first = self.start.candidate
        alone = tuple(score.candidate for score in self.alone)
        self.result.steps.append(Step(first, first.attributes[0], "start", None, alone))
        self._record(0, self.alone, [None] * len(self.alone), chosen)

    def _record(
        self,
        step: int,
        scores: Sequence[Score],
        gains: Sequence[Interval | None],
        chosen: Sequence[Score],
    ) -> None:
        self.result.candidates += [
            candidate_row(step, score, gain, score in chosen)
            for score, gain in zip(scores, gains, strict=True)
        ]

    def _greedy(self) -> None:
        self._begin([self.start])
        self._widen([self.start], 1)

    def _beam(self) -> None:
        self._begin(self.ranked[: self.width])
        self._widen(self.ranked[: self.width], self.width)

    def _widen(self, kept: list[Score], width: int) -> None:
        """Add attributes to the ``kept`` sets as long as that helps; a width of 1 is greedy.

        A set stays if it qualifies over the best of those it was made from, and is the best from
        then on if it qualifies over the best so far too.
        """
        current = kept[0]
        while True:
            parents: dict[Candidate, Score] = {}
            for parent in kept:  # best first
                for attribute in self.named:
                    if attribute not in parent.candidate.attributes:
                        grown = self.candidate((*parent.candidate.attributes, attribute))
                        parents.setdefault(grown, parent)
            if not parents:
                return
            trial = list(parents)
            scores = self.board.score("selection", trial, self.on_progress)
            gains = simultaneous([s.miou - parents[s.candidate].miou for s in scores])
            over = gains
            if any(parent is not current for parent in parents.values()):
                over = simultaneous([s.miou - current.miou for s in scores])
            fit = [i for i, gain in enumerate(gains) if self._accepts(gain)]
            best = [i for i in fit if self._accepts(over[i])]
            taken = max(best or range(len(trial)), key=lambda i: scores[i].miou.value)
            kept = [scores[i] for i in sorted(fit, key=lambda i: -scores[i].miou.value)[:width]]
            if best and scores[taken] not in kept:
                kept[-1] = scores[taken]
            self._record(len(self.result.steps), scores, gains, kept)
            added = [
                a
                for a in scores[taken].candidate.attributes
                if a not in current.candidate.attributes
            ]
            if best or not kept:
                status = "accepted" if best else "rejected"
                self.result.steps.append(
                    Step(trial[taken], "+".join(added), status, over[taken], tuple(trial))
                )
            if not kept:
                return
            if best:
                current = scores[taken]

    def _accepts(self, gain: Interval) -> bool:
        return gain.low > 0 if self.result.rule == "interval" else gain.value > 0

    def _chain(self) -> None:
        prefixes = [self.candidate(self.order[: size + 1]) for size in range(1, len(self.order))]
        self._begin([self.start])
        self._sizes([self.start, *self.board.score("selection", prefixes, self.on_progress)])

    def _exhaustive(self) -> None:
        together = [
            self.candidate(some)
            for size in range(2, len(self.order) + 1)
            for some in combinations(self.order, size)
        ]
        self._begin([self.start])
        scores = [*self.ranked, *self.board.score("selection", together, self.on_progress)]
        self._sizes(scores)
        self.result.certificate = self._certify(scores)

    def _sizes(self, scores: Sequence[Score]) -> None:
        """The path is the best of each size, up to the one that is taken and beyond."""
        best: dict[int, Score] = {}
        for score in scores:
            size = len(score.candidate.attributes)
            if size not in best or score.miou.value > best[size].miou.value:
                best[size] = score
        path = [best[size] for size in sorted(best)]
        taken = self._smallest(path, scores)
        for place, score in enumerate(path[1:], 1):
            before = path[place - 1]
            size = len(score.candidate.attributes)
            same = [s for s in scores if len(s.candidate.attributes) == size]
            gains = simultaneous([s.miou - before.miou for s in same])
            gain = gains[same.index(score)]
            had = before.candidate.attributes
            added = "+".join(a for a in score.candidate.attributes if a not in had)
            status = "accepted" if place <= taken else "rejected"
            tried = tuple(s.candidate for s in same)
            self.result.steps.append(Step(score.candidate, added, status, gain, tried))
            self._record(place, same, gains, [score] if place <= taken else [])

    def _smallest(self, path: Sequence[Score], scores: Sequence[Score]) -> int:
        """Where in ``path`` (one set a size) the one to take is."""
        if self.result.rule == "paper":
            return max(range(len(path)), key=lambda i: path[i].miou.value)
        draws = [score.miou for score in scores]
        return next(i for i, one in enumerate(path) if not surely_worse(one.miou, draws))

    def _certify(self, scores: Sequence[Score]) -> Certificate:
        ranked = sorted(scores, key=lambda s: (-s.miou.value, len(s.candidate.attributes)))
        options = SearchOptions(self.result.rule)
        greedy = Searcher(self.board, self.named, options, self.on_progress).run()
        (taken,) = self.board.score("selection", [greedy.best])
        return Certificate(
            ranked[0].candidate,
            greedy.best,
            (ranked[0].miou - taken.miou).interval(),
            # Equal scores share a place.
            {
                s.candidate: 1 + sum(other.miou.value > s.miou.value for other in ranked)
                for s in ranked
            },
        )


def try_orders(board: Scoreboard, searched: Search, on_progress: Progress | None = None) -> None:
    """Compare the clause orders of the best set on the selection split, at most `ORDERS` of them.

    All, if there are no more; else a seeded choice. Another order is taken if it qualifies over
    the one that was taken, by the rule of the search. It becomes the last step.
    """
    best = searched.best
    everything = factorial(len(best.attributes))
    if everything <= ORDERS:
        others = list(islice(permutations(best.attributes), 1, None))  # the first is its own
    else:
        generator = random.Random(f"orders {best.name} {board.seed}")
        drawn: dict[tuple[str, ...], None] = {}
        while len(drawn) < ORDERS - 1:
            one = tuple(generator.sample(best.attributes, len(best.attributes)))
            if one != best.attributes:
                drawn[one] = None
        others = list(drawn)
    searched.orders = (len(others) + 1, everything)
    if not others:
        return
    trial = [Candidate(order) for order in others]
    (start,) = board.score("selection", [best])
    scores = board.score("selection", trial, on_progress)
    gains = simultaneous([score.miou - start.miou for score in scores])
    fit = [
        i
        for i, gain in enumerate(gains)
        if (gain.low if searched.rule == "interval" else gain.value) > 0
    ]
    taken = max(fit or range(len(trial)), key=lambda i: scores[i].miou.value)
    step = len(searched.steps)
    searched.steps.append(
        Step(trial[taken], ORDER, "accepted" if fit else "rejected", gains[taken], tuple(trial))
    )
    searched.candidates += [
        candidate_row(step, score, gain, bool(fit) and i == taken)
        for i, (score, gain) in enumerate(zip(scores, gains, strict=True))
    ]


def _parts(score: Score) -> dict[str, float | None]:
    """The mIoU of each of several benchmarks, which the mean is never shown without."""
    if len(score.parts) == 1:
        return {}
    return {f"miou ({name})": number(p["miou"].value) for name, p in score.parts.items()}


def candidate_row(step: int, score: Score, gain: Interval | None, chosen: bool) -> dict[str, Any]:
    """A row of candidates.csv: scores on the selection split."""
    return {
        "step": step,
        "prompts": score.candidate.name,
        "split": score.split,
        **fields("miou", score.miou.interval()),
        **{c: number(score.mean[c].value) for c in ("seen", "unseen") if c in score.mean},
        **_parts(score),
        **fields("gain", gain or UNKNOWN),
        "chosen": chosen,
    }
