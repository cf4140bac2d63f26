"""How sure a score is: intervals from a bootstrap over pictures, paired between prompt sets.

mIoU is not a mean over pictures, so pictures are resampled and every resample's counts are added
up before the IoU is formed. All prompt sets are scored on the same resamples; the difference of
two sets is the difference of their draws, which is what makes the comparison paired. Pictures of
one group, such as the frames of a video, are not independent: whole groups are resampled (Davison
and Hinkley 1997, section 3.8; Field and Welsh 2007).
"""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from statistics import NormalDist

import numpy as np

from ablations.search.enough import too_few
from lsmseg_model.metrics import DEFINITIONS, miou

BLOCK = 100  # resamples drawn with one generator; fixed, because the draws depend on it
MEMORY = 64 << 20  # bytes of each of the matrices that are worked on at once
MOST = 0.7  # met in more of the pictures, a class is multiplied with all of them
LEVEL = 0.95
NORMAL = NormalDist()
FARTHEST = 1.0  # the largest bias that is corrected, in spreads: what is beyond, nothing mends
TINY = 1e-12  # below this, scores differ by rounding only


@dataclass(frozen=True)
class Interval:
    """A score with the ends of its 95 % interval.

    nan where the score is undefined; of too few pictures, as ``missing`` says, the ends are nan.
    """

    value: float
    low: float
    high: float
    missing: str | None = None


@dataclass(frozen=True)
class Draws:
    """A score on the pictures as they are, and on every resample of them: ``draws`` [R].

    Two of them may be subtracted if they come from the same resamples: then draw r of both was
    made from the same pictures. units: how many pictures, or groups of them where they are
    ``grouped``, were drawn from.
    """

    value: float
    draws: np.ndarray
    units: int
    grouped: bool = False

    def __sub__(self, other: "Draws") -> "Draws":
        if self.draws.shape != other.draws.shape:
            raise ValueError("scores of different resamples cannot be paired")
        fewer = min(self, other, key=lambda one: one.units)
        return replace(fewer, value=self.value - other.value, draws=self.draws - other.draws)

    @property
    def missing(self) -> str | None:
        """Why there is no interval, see `too_few`."""
        return too_few(self.units, self.grouped)

    def interval(self, level: float = LEVEL) -> Interval:
        """The interval of `ends`, where there are enough units for one."""
        missing = self.missing
        low, high = (float("nan"), float("nan")) if missing else self.ends(level)
        return Interval(self.value, low, high, missing)

    def ends(self, level: float = LEVEL) -> tuple[float, float]:
        """The bias-corrected percentile interval (Efron 1981); it holds the value.

        mIoU of few pictures is too low on average, and of resamples of them too low once more:
        plain percentiles would be off by twice that. The part of the draws below the value tells
        how far. Draws without any class of the subset are left out.
        """
        defined = self.draws[~np.isnan(self.draws)]
        if not len(defined) or np.isnan(self.value):
            return float("nan"), float("nan")
        below = (defined < self.value).mean() + (defined == self.value).mean() / 2
        reach = NORMAL.inv_cdf((1 + level) / 2)
        farthest = NORMAL.cdf(FARTHEST)
        shift = NORMAL.inv_cdf(float(np.clip(below, 1 - farthest, farthest)))
        ends = [100 * NORMAL.cdf(2 * shift + side * reach) for side in (-1, 1)]
        low, high = np.percentile(defined, ends)
        return min(float(low), self.value), max(float(high), self.value)


def average(parts: Sequence[Draws]) -> Draws:
    """The mean of several benchmarks' scores, draw by draw; of too few pictures if a part is."""
    fewest = min(parts, key=lambda part: part.units)
    draws = np.mean([p.draws for p in parts], axis=0)
    return replace(fewest, value=float(np.mean([p.value for p in parts])), draws=draws)


def simultaneous(gains: Sequence[Draws], level: float = LEVEL) -> list[Interval]:
    """Intervals that all hold at once, for gains of which the best is going to be picked.

    The resamples' largest deviation among the gains, each in units of its own spread, takes the
    place of a single gain's (bootstrap max-t; Romano and Wolf 2005). They are never narrower than
    `interval`.
    """
    values, draws = _together(gains)
    spread, deviation = _studentised(draws - values[:, None])
    largest = np.abs(deviation).max(axis=0, initial=0.0)
    reach = spread * (np.quantile(largest, level) if len(largest) else np.nan)
    intervals = []
    for gain, width in zip(gains, reach, strict=True):
        plain = gain.interval(level)
        low, high = plain.value - float(width), plain.value + float(width)
        wide = Interval(plain.value, min(plain.low, low), max(plain.high, high))
        intervals.append(plain if math.isnan(plain.low) else wide)
    return intervals


def surely_worse(one: Draws, others: Sequence[Draws], level: float = LEVEL) -> bool:
    """Whether some of ``others`` is surely better, however many they are.

    Multiple comparisons with the best (Hsu 1981) by the bootstrap: the others' leads, each in
    units of its own spread, against the largest deviation of any of them in the resamples. One
    that is as good as the best is held to be worse at most (1 - level) / 2 of the time.
    """
    leads, draws = _together([other - one for other in others])
    spread, deviation = _studentised(draws - leads[:, None])
    largest = deviation.max(axis=0, initial=0.0)
    if not len(largest):
        return False
    bound = spread * np.quantile(largest, (1 + level) / 2)
    return bool((leads > np.maximum(bound, TINY)).any())


def _together(draws: Sequence[Draws]) -> tuple[np.ndarray, np.ndarray]:
    """Values [K] and draws [K, R], without resamples in which any of them is undefined."""
    stacked = np.stack([one.draws for one in draws])
    defined = ~np.isnan(stacked).any(axis=0)
    return np.array([one.value for one in draws]), stacked[:, defined]


def _studentised(deviation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """deviation: [K, R] -> spread [K] and the deviations in units of it, 0 without any spread."""
    if not deviation.shape[1]:
        return np.full(len(deviation), np.nan), deviation
    spread = deviation.std(axis=1)
    spread[spread < TINY] = 0.0
    units = np.where(spread > 0, spread, 1.0)[:, None]
    return spread, np.where(spread[:, None] > 0, deviation / units, 0.0)


@dataclass(frozen=True)
class Subset:
    """Which mIoU: over which class positions (None: all), in which definition."""

    classes: tuple[int, ...] | None = None
    definition: str = "labelled"

    def __post_init__(self) -> None:
        if self.definition not in DEFINITIONS:
            raise ValueError(f"definition must be one of {DEFINITIONS}, not {self.definition!r}")


def resample_weights(
    pictures: int, samples: int, seed: int = 0, stream: int = 0
) -> Iterator[np.ndarray]:
    """Blocks [<= BLOCK, P] of how often each picture is drawn; every row sums to P.

    Row r depends on (seed, stream, r, P) only.

    Args:
        pictures: P.
        samples: Rows in all.
        seed: Of the run.
        stream: Keeps benchmarks independent.
    """
    for block, start in enumerate(range(0, samples, BLOCK)):
        drawn = np.random.default_rng([seed, stream, block]).integers(
            0, pictures, (BLOCK, pictures)
        )
        drawn = drawn[: samples - start]
        flat = (drawn + pictures * np.arange(len(drawn))[:, None]).ravel()
        yield np.bincount(flat, minlength=drawn.size).reshape(drawn.shape)


def bootstrap(
    counts: Sequence[np.ndarray] | np.ndarray,
    subsets: Mapping[str, Subset],
    samples: int = 2000,
    seed: int = 0,
    stream: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> list[dict[str, Draws]]:
    """Each subset's mIoU with its draws, for S prompt sets on the same resamples.

    Exact: all sums are integers below 2**53, added up as float64.

    Works on a few classes and many resamples at once, in a memory of some `MEMORY` besides counts
    and draws. A class is met in few pictures, and only those are multiplied with the resamples;
    what is labelled, the same for all sets, is added up once; of equal sets one is resampled.

    Args:
        counts: S times [P, C, 3] (see ``lsmseg_model.metrics``).
        subsets: Which mIoUs.
        samples: Resamples.
        seed: See `resample_weights`.
        stream: See `resample_weights`.
        groups: Of every picture, where whole groups are resampled.
    """
    counts = counts if groups is None else by_group(counts, groups)
    totals = [one.sum(axis=0) for one in counts]
    distinct, place = _distinct(counts, totals)
    pictures, classes = counts[0].shape[:2]
    summed = {key: np.zeros((len(distinct), samples)) for key in subsets}  # IoUs
    met = {key: np.zeros((len(distinct), samples), dtype=np.int32) for key in subsets}  # classes
    members = {
        key: frozenset(range(classes) if subset.classes is None else subset.classes)
        for key, subset in subsets.items()
    }
    subsets_of = [[key for key, some in members.items() if c in some] for c in range(classes)]
    start = 0
    for weights in _grouped(resample_weights(pictures, samples, seed, stream), pictures):
        here = slice(start, start + weights.shape[1])
        start += weights.shape[1]
        for c, values in _class_by_class(distinct):
            wanted = subsets_of[c]
            if not wanted:
                continue
            hit, predicted, labelled = (_resampled(one, weights) for one in values)
            union = predicted + labelled - hit
            ious = np.divide(hit, union, out=np.zeros_like(union), where=union > 0)
            occurs = {"labelled": labelled > 0, "union": union > 0}
            for key in wanted:  # a class in predictions alone has an IoU of 0 in either definition
                summed[key][:, here] += ious
                met[key][:, here] += occurs[subsets[key].definition]
    units = pictures, groups is not None
    with np.errstate(invalid="ignore"):  # 0 / 0: no class of the subset in a resample
        drawn = {key: summed[key] / met[key] for key in subsets}
    return [
        {
            key: Draws(miou(total, subset.classes, subset.definition), drawn[key][at], *units)
            for key, subset in subsets.items()
        }
        for total, at in zip(totals, place, strict=True)
    ]


def by_group(
    counts: Sequence[np.ndarray] | np.ndarray, groups: Sequence[Hashable]
) -> Sequence[np.ndarray]:
    """S times int64 [P, C, 3] -> [G, C, 3]: the sums of each group, in order of appearance."""
    place = {group: at for at, group in enumerate(dict.fromkeys(groups))}
    of_picture = np.array([place[group] for group in groups])
    order = np.argsort(of_picture, kind="stable")
    starts = np.searchsorted(of_picture[order], np.arange(len(place)))
    return [np.add.reduceat(one[order], starts, axis=0) for one in counts]


def _distinct(
    counts: Sequence[np.ndarray] | np.ndarray, totals: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], list[int]]:
    """The counts that differ, and for each set which of them is its own."""
    distinct: list[np.ndarray] = []
    places: list[int] = []
    alike: dict[bytes, list[int]] = {}  # by their totals
    for one, total in zip(counts, totals, strict=True):
        near = alike.setdefault(total.tobytes(), [])
        same = [i for i in near if distinct[i] is one or np.array_equal(distinct[i], one)]
        if not same:
            same = [len(distinct)]
            near.append(len(distinct))
            distinct.append(one)
        places.append(same[0])
    return distinct, places


def _grouped(blocks: Iterator[np.ndarray], pictures: int) -> Iterator[np.ndarray]:
    """Blocks of resamples [r, P] together as float64 [P, R], as many as `MEMORY` holds."""
    number = max(1, MEMORY // (BLOCK * pictures * 8))
    while group := list(islice(blocks, number)):
        yield np.ascontiguousarray(np.concatenate(group).T, dtype=np.float64)


Sparse = tuple[np.ndarray, np.ndarray]  # pictures [n], float64 counts [S or 1, n]


def _class_by_class(
    counts: Sequence[np.ndarray],
) -> Iterator[tuple[int, tuple[Sparse, Sparse, Sparse]]]:
    """Each class with its (intersection, predicted, labelled) in the pictures it is met in."""
    pictures, classes = counts[0].shape[:2]
    at_once = max(1, MEMORY // (len(counts) * pictures * 3 * 8))
    for first in range(0, classes, at_once):
        # [c, 3, S, P]: what belongs to a class lies together.
        some = [one[:, first : first + at_once].transpose(1, 2, 0) for one in counts]
        for c, (hit, predicted, labelled) in enumerate(np.stack(some, axis=2), first):
            if (labelled == labelled[0]).all():
                labelled = labelled[:1]
            yield c, (_sparse(hit), _sparse(predicted), _sparse(labelled))


def _sparse(values: np.ndarray) -> Sparse:
    """values: int64 [S, P]; picking pictures from the weights costs more than a few zeros."""
    met = values.any(axis=0)
    where = np.flatnonzero(met | (met.mean() > MOST))
    return where, values[:, where].astype(np.float64)


def _resampled(values: Sparse, weights: np.ndarray) -> np.ndarray:
    """[S or 1, R]: the sum over the pictures of each resample (weights: [P, R])."""
    where, numbers = values
    return numbers @ (weights if len(where) == len(weights) else weights[where])
