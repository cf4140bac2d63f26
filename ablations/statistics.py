"""How sure a score is: percentile intervals of a bootstrap over pictures, paired between sets.

mIoU is not a mean over pictures, so pictures are resampled and every resample's counts are added
up before the IoU is formed. All prompt sets are scored on the same resamples; the difference of
two sets is the difference of their draws, which is what makes the comparison paired.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lsmseg_model.metrics import DEFINITIONS, iou, miou

BLOCK = 100  # resamples worked on at once, which bounds the memory; fixed, so it changes no draw
LEVEL = 0.95
TINY = 1e-12  # below this, scores differ by rounding only


@dataclass(frozen=True)
class Interval:
    """A score with the ends of its 95 % interval; nan where it is undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Draws:
    """A score on the pictures as they are, and on every resample of them: ``draws`` [R].

    Two of them may be subtracted if they come from the same resamples: then draw r of both was
    made from the same pictures.
    """

    value: float
    draws: np.ndarray

    def __sub__(self, other: "Draws") -> "Draws":
        if self.draws.shape != other.draws.shape:
            raise ValueError("scores of different resamples cannot be paired")
        return Draws(self.value - other.value, self.draws - other.draws)

    def interval(self, level: float = LEVEL) -> Interval:
        """The percentile interval; draws without any class of the subset are left out."""
        known = self.draws[~np.isnan(self.draws)]
        if not len(known) or np.isnan(self.value):
            return Interval(self.value, float("nan"), float("nan"))
        tail = 50 * (1 - level)
        low, high = np.percentile(known, [tail, 100 - tail])
        return Interval(self.value, float(low), float(high))


def average(parts: Sequence[Draws]) -> Draws:
    """The mean of several benchmarks' scores, draw by draw."""
    return Draws(
        float(np.mean([p.value for p in parts])), np.mean([p.draws for p in parts], axis=0)
    )


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
    found = []
    for gain, width in zip(gains, reach, strict=True):
        alone = gain.interval(level)
        low, high = alone.value - float(width), alone.value + float(width)
        found.append(Interval(alone.value, min(alone.low, low), max(alone.high, high)))
    return found


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
    known = ~np.isnan(stacked).any(axis=0)
    return np.array([one.value for one in draws]), stacked[:, known]


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

    Row r depends on (seed, stream, r, P) only. ``stream`` keeps benchmarks independent.
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
) -> list[dict[str, Draws]]:
    """Score S prompt sets on the same resamples.

    counts: [S, P, C, 3] (see ``lsmseg_model.metrics``). Returns, for every set, each subset's
    mIoU and its draws.
    """
    pictures = len(counts[0])
    draws: list[dict[str, list[np.ndarray]]] = [{key: [] for key in subsets} for _ in counts]
    for weights in resample_weights(pictures, samples, seed, stream):
        exact = weights.astype(np.float64)  # matrix products of integers are slow; below 2**53
        for one, kept in zip(counts, draws, strict=True):
            flat = one.reshape(pictures, -1).astype(np.float64)
            total = (exact @ flat).reshape(len(weights), *one.shape[1:])  # [r, C, 3]
            for key, subset in subsets.items():
                kept[key].append(_resampled_miou(total, subset))
    return [
        {
            key: Draws(miou(one, subset.classes, subset.definition), np.concatenate(kept[key]))
            for key, subset in subsets.items()
        }
        for one, kept in zip(counts, draws, strict=True)
    ]


def _resampled_miou(total: np.ndarray, subset: Subset) -> np.ndarray:
    """total: [r, C, 3] -> mIoU [r], nan where no class of the subset is met."""
    if subset.classes is not None:
        total = total[:, list(subset.classes)]
    met = total[..., 2] > 0
    if subset.definition == "union":
        met |= total[..., 1] > 0
    number = met.sum(axis=1)
    summed = np.where(met, iou(total), 0.0).sum(axis=1)
    return np.where(number > 0, summed / np.maximum(number, 1), np.nan)


def bootstrap_miou(
    counts: np.ndarray,
    classes: Sequence[int] | None = None,
    definition: str = "labelled",
    samples: int = 2000,
    seed: int = 0,
) -> Interval:
    """mIoU of counts [P, C, 3] over ``classes`` with its 95 % interval."""
    subset = Subset(None if classes is None else tuple(classes), definition)
    return bootstrap([counts], {"": subset}, samples, seed)[0][""].interval()


def paired_difference(
    counts_a: np.ndarray,
    counts_b: np.ndarray,
    classes: Sequence[int] | None = None,
    definition: str = "labelled",
    samples: int = 2000,
    seed: int = 0,
) -> Interval:
    """mIoU(a) - mIoU(b), both on the same resamples of the same pictures, with its interval."""
    if counts_a.shape != counts_b.shape:
        raise ValueError(f"counts differ in shape: {counts_a.shape} and {counts_b.shape}")
    subset = Subset(None if classes is None else tuple(classes), definition)
    a, b = bootstrap([counts_a, counts_b], {"": subset}, samples, seed)
    return (a[""] - b[""]).interval()
