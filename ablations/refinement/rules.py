"""Which of a round's proposals are kept, by pictures that had no part in proposing them.

One half of the selection pictures proposes at most one candidate a class, in the order of what they
gain there; the other half decides. docs/statistics.md says what each rule keeps and costs in worlds
where the truth is planted.

- "set": the best proposal, the best two, ... all of them together, each such set against the
  current texts in intervals that hold for all of these sets at once (max-t); kept is the set whose
  lower end is highest, if it lies above 0.
- "single": each proposal by itself, in intervals that hold for all at once (max-t).
- "stepdown": the same, where those that are sure make room for the next (Romano and Wolf 2005).
- "fdr": each by itself, false discoveries at most a twentieth (Benjamini and Hochberg 1995).
- "paper": whatever gains on the half that proposed; nothing decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ablations.search.statistics import LEVEL, TINY, Draws, Interval, simultaneous

Score = Callable[[Sequence[tuple[int, ...]]], list[Draws]]
"""Sets of proposals, by their places, taken together -> mIoU on the half that decides."""


@dataclass(frozen=True)
class Decision:
    """What is kept: the places of the proposals, and the gain of them together where it is known.

    alone: for rules that test each proposal by itself, its interval.
    """

    kept: tuple[int, ...]
    gain: Interval | None
    alone: tuple[Interval, ...] = ()


def decide(rule: str, proposals: int, score: Score) -> Decision:
    """Apply a rule to so many proposals, in their order; `score` has the deciding half's scores."""
    places = tuple(range(proposals))
    if not places:
        return Decision((), None)
    if rule == "paper":
        return Decision(places, None)
    if rule == "set":
        return _largest_lower_end([places[: size + 1] for size in places], score)
    now, *each = score([(), *((place,) for place in places)])
    gains = [one - now for one in each]
    if rule == "single":
        intervals = simultaneous(gains)
        kept = tuple(i for i, interval in enumerate(intervals) if interval.low > 0)
    elif rule == "stepdown":
        intervals = [gain.interval() for gain in gains]
        kept = _step_down(gains)
    else:
        intervals = [gain.interval() for gain in gains]
        kept = _false_discovery(gains)
    if not kept:
        return Decision((), None, tuple(intervals))
    together = score([kept])[0] - now
    return Decision(kept, together.interval(), tuple(intervals))


def _largest_lower_end(sets: Sequence[tuple[int, ...]], score: Score) -> Decision:
    now, *scores = score([(), *sets])
    intervals = simultaneous([one - now for one in scores])
    best = max(range(len(sets)), key=lambda i: intervals[i].low)
    if not intervals[best].low > 0:
        return Decision((), None)
    return Decision(sets[best], intervals[best])


def _step_down(gains: Sequence[Draws]) -> tuple[int, ...]:
    """Those whose intervals lie above 0, then again among the others, until none does."""
    left, kept = list(range(len(gains))), list[int]()
    while left:
        intervals = simultaneous([gains[i] for i in left])
        sure = [i for i, interval in zip(left, intervals, strict=True) if interval.low > 0]
        if not sure:
            break
        kept += sure
        left = [i for i in left if i not in sure]
    return tuple(sorted(kept))


def _false_discovery(gains: Sequence[Draws], level: float = LEVEL) -> tuple[int, ...]:
    """Benjamini and Hochberg on one-sided p-values: how often a resample's gain is that far off."""
    p = np.array([_p_value(gain) for gain in gains])
    order = np.argsort(p, kind="stable")
    bound = (1 - level) * np.arange(1, len(p) + 1) / len(p)
    below = np.flatnonzero(p[order] <= bound)
    return tuple(sorted(order[: below[-1] + 1].tolist())) if len(below) else ()


def _p_value(gain: Draws) -> float:
    """One-sided, of no gain: by the draws around the value itself."""
    draws = gain.draws[~np.isnan(gain.draws)]
    if gain.value <= TINY or not len(draws):
        return 1.0
    return float((1 + (draws - gain.value >= gain.value).sum()) / (1 + len(draws)))
