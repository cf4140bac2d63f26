"""How stage 4 searches attributes and compositions as one space, on the selection split only.

A single attribute means the same in each composition and may grow in each; a set grows within its
own. Sets of different compositions compete, and the candidates of a round are compared at once.

- Rule "interval": a step is taken if the gain over the set before has a lower end above 0, in
  intervals that hold for all candidates of the round at once (`statistics.simultaneous`). Where
  sets of all sizes are there (chain, exhaustive), the smallest that is not surely worse than any
  other is taken (`statistics.surely_worse`).
- Rule "paper": any gain; of all sizes the highest mIoU.

With too few pictures (`statistics.MIN_PICTURES`) none goes beyond the best single attribute.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations, islice, permutations
from math import factorial

from ablations.scoring.frozen import OnProgress
from ablations.search.options import SearchOptions
from ablations.search.path import ORDER, UNKNOWN, Certificate, Search, Step
from ablations.search.scoreboard import CONCAT, Candidate, Score, Scoreboard, fields, number
from ablations.search.statistics import Interval, simultaneous, surely_worse

SUBSETS = ("seen", "unseen")
ORDERS = 120  # clause orders tried at most: all of five clauses


class Searcher:
    """The strategies. Attributes are put in the order of their single scores.

    At equal mIoU the composition and the attribute named first are taken.
    """

    def __init__(
        self,
        board: Scoreboard,
        attributes: Sequence[str],
        options: SearchOptions,
        on_progress: OnProgress | None,
    ) -> None:
        self.board, self.on_progress = board, on_progress
        self.options, self.width, self.orders = options, options.beam_width, options.orders
        self.compositions = options.compositions
        width = options.beam_width if options.strategy == "beam" else None
        self.result = Search(options.rule, options.strategy, width, self.compositions)
        candidates = [Candidate((a,)) for a in attributes]
        self.singles = board.score("selection", candidates, on_progress)
        # Of equals the one named first: sorting is stable.
        self.ranked = sorted(self.singles, key=lambda score: -score.miou.value)
        self.start = self.ranked[0]
        self.order = [score.candidate.attributes[0] for score in self.ranked]
        self.named = list(attributes)

    def run(self) -> Search:
        self.result.too_few = self.start.miou.missing
        if self.result.too_few:
            self._begin([self.start])
            return self.result
        strategies: dict[str, Callable[[], None]] = {
            "greedy": self._greedy,
            "beam": self._beam,
            "chain": self._chain,
            "exhaustive": self._exhaustive,
        }
        strategies[self.result.strategy]()
        if self.orders:
            self.try_orders()
        return self.result

    def candidate(self, attributes: Sequence[str], composition: str) -> Candidate:
        ordered = tuple(sorted(attributes, key=self.order.index))
        return Candidate(ordered, composition=composition)

    def grown(self, parent: Candidate) -> list[Candidate]:
        """The parent with each other attribute; one attribute grows in every composition."""
        others = [a for a in self.named if a not in parent.attributes]
        how = [parent.composition] if parent.composition else self.compositions
        return [self.candidate((*parent.attributes, a), c) for c in how for a in others]

    def _begin(self, chosen: Sequence[Score]) -> None:
        first = self.start.candidate
        self.result.steps.append(Step(first, first.attributes[0], "start", None))
        self._record(0, self.singles, [None] * len(self.singles), chosen)

    def _record(
        self,
        step: int,
        scores: Sequence[Score],
        gains: Sequence[Interval | None],
        chosen: Sequence[Score],
    ) -> None:
        """Rows of candidates.csv: scores on the selection split, gains over the round's start."""
        for score, gain in zip(scores, gains, strict=True):
            parts = score.parts if len(score.parts) > 1 else {}
            self.result.candidates.append(
                {
                    "step": step,
                    "prompts": score.candidate.name,
                    "split": score.split,
                    **fields("miou", score.miou.interval()),
                    "no_interval": score.miou.interval().missing,
                    **{c: number(score.mean[c].value) for c in SUBSETS if c in score.mean},
                    # The mean of several benchmarks is never shown without each of them.
                    **{f"miou ({name})": number(p["miou"].value) for name, p in parts.items()},
                    **fields("gain", gain or UNKNOWN),
                    "chosen": score in chosen,
                }
            )

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
                for grown in self.grown(parent.candidate):
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
                self.result.steps.append(Step(trial[taken], "+".join(added), status, over[taken]))
            if not kept:
                return
            if best:
                current = scores[taken]

    def _accepts(self, gain: Interval) -> bool:
        return gain.low > 0 if self.result.rule == "interval" else gain.value > 0

    def _chain(self) -> None:
        prefixes = [
            self.candidate(self.order[:size], composition)
            for composition in self.compositions
            for size in range(2, len(self.order) + 1)
        ]
        self._begin([self.start])
        self._sizes([self.start, *self.board.score("selection", prefixes, self.on_progress)])

    def _exhaustive(self) -> None:
        together = [
            self.candidate(some, composition)
            for composition in self.compositions
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
            self.result.steps.append(Step(score.candidate, added, status, gain))
            self._record(place, same, gains, [score] if place <= taken else [])

    def _smallest(self, path: Sequence[Score], scores: Sequence[Score]) -> int:
        """Where in ``path`` (one set a size) the one to take is."""
        if self.result.rule == "paper":
            return max(range(len(path)), key=lambda i: path[i].miou.value)
        draws = [score.miou for score in scores]
        return next(i for i, one in enumerate(path) if not surely_worse(one.miou, draws))

    def _certify(self, scores: Sequence[Score]) -> Certificate:
        ranked = sorted(scores, key=lambda s: (-s.miou.value, len(s.candidate.attributes)))
        options = replace(self.options, strategy="greedy", orders=False)
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

    def try_orders(self) -> None:
        """Compare the clause orders of the best set on the selection split, at most `ORDERS`.

        All, if there are no more; else a seeded choice. Another order is taken if it qualifies
        over the one that was taken, by the rule of the search. It becomes the last step.
        """
        best = self.result.best
        if best.made_by != CONCAT:  # the mean of texts has no order
            self.result.orders = (1, 1)
            return
        others = _other_orders(best, self.board.seed)
        self.result.orders = (len(others) + 1, factorial(len(best.attributes)))
        if not others:
            return
        (start,) = self.board.score("selection", [best])
        scores = self.board.score("selection", others, self.on_progress)
        gains = simultaneous([score.miou - start.miou for score in scores])
        fit = [i for i, gain in enumerate(gains) if self._accepts(gain)]
        taken = max(fit or range(len(others)), key=lambda i: scores[i].miou.value)
        self._record(len(self.result.steps), scores, gains, [scores[taken]] if fit else [])
        status = "accepted" if fit else "rejected"
        self.result.steps.append(Step(others[taken], ORDER, status, gains[taken]))


def _other_orders(best: Candidate, seed: int) -> list[Candidate]:
    """Other orders of a set's clauses: all, or at random `ORDERS` with its own."""
    if factorial(len(best.attributes)) <= ORDERS:  # the first is its own
        return [Candidate(order) for order in islice(permutations(best.attributes), 1, None)]
    generator = random.Random(f"orders {best.name} {seed}")
    drawn: dict[Candidate, None] = {}
    while len(drawn) < ORDERS - 1:
        one = Candidate(tuple(generator.sample(best.attributes, len(best.attributes))))
        if one != best:
            drawn[one] = None
    return list(drawn)
