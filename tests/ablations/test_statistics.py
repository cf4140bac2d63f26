"""The paired bootstrap: exactness of a draw, pairing, coverage, and what it must not depend on."""

import math
import tracemalloc
from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablations.search import statistics
from ablations.search.statistics import (
    BLOCK,
    Draws,
    Subset,
    average,
    bootstrap,
    by_group,
    resample_weights,
)
from benchmarks.planted import bootstrap_miou, paired_difference
from lsmseg_model.metrics import miou


def random_counts(
    seed: int, pictures: int = 12, classes: int = 5, skill: float = 0.6
) -> np.ndarray:
    """int64 [P, C, 3] as a segmentation of that skill would give; class 0 in few pictures."""
    rng = np.random.default_rng(seed)
    labelled = rng.integers(1, 400, (pictures, classes)) * (rng.random((pictures, classes)) < 0.6)
    labelled[:, 0] *= np.arange(pictures) < 2
    hit = rng.binomial(labelled, skill)
    return np.stack([hit, hit + rng.integers(0, 60, labelled.shape), labelled], axis=-1)


def test_weights_are_resamples() -> None:
    blocks = list(resample_weights(7, 2 * BLOCK + 30, seed=3))
    assert [len(b) for b in blocks] == [BLOCK, BLOCK, 30]
    weights = np.concatenate(blocks)
    assert (weights.sum(axis=1) == 7).all() and weights.min() >= 0
    # each picture is drawn once on average, with the variance of a binomial of 7 draws
    assert weights.mean(axis=0) == pytest.approx(np.ones(7), abs=0.25)
    assert weights.var() == pytest.approx(6 / 7, abs=0.15)


def test_a_draw_is_the_miou_of_repeated_pictures() -> None:
    """Every draw equals miou() of the pictures written out as often as they were drawn."""
    counts = random_counts(0)
    subsets = {
        "all": Subset(),
        "union": Subset(definition="union"),
        "some": Subset((0, 3)),
        "none": Subset((0,)),
    }
    (scores,) = bootstrap([counts], subsets, samples=40, seed=5)
    (weights,) = resample_weights(len(counts), 40, seed=5)
    for key, subset in subsets.items():
        expected = [
            miou(np.repeat(counts, w, axis=0), subset.classes, subset.definition) for w in weights
        ]
        np.testing.assert_allclose(scores[key].draws, expected, rtol=1e-12)
        assert scores[key].value == miou(counts, subset.classes, subset.definition)
    assert np.isnan(scores["none"].draws).any()  # class 0 lives in two pictures only


def test_draws_do_not_depend_on_the_other_sets_or_on_the_block_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, b = random_counts(1), random_counts(2)
    subsets = {"all": Subset()}
    alone = bootstrap([b], subsets, 250)[0]["all"].draws
    np.testing.assert_array_equal(bootstrap([a, b], subsets, 250)[1]["all"].draws, alone)
    np.testing.assert_array_equal(bootstrap([b], subsets, 130)[0]["all"].draws, alone[:130])
    assert not np.array_equal(bootstrap([b], subsets, 250, seed=1)[0]["all"].draws, alone)
    assert not np.array_equal(bootstrap([b], subsets, 250, stream=1)[0]["all"].draws, alone)


def test_draws_do_not_depend_on_what_is_worked_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [random_counts(seed) for seed in range(3)]
    subsets = {"all": Subset(), "union": Subset(definition="union"), "some": Subset((1, 4))}
    usual = bootstrap(sets, subsets, 250)
    monkeypatch.setattr(statistics, "MEMORY", 1)
    for one, other in zip(usual, bootstrap(sets, subsets, 250), strict=True):
        for key in subsets:
            np.testing.assert_array_equal(one[key].draws, other[key].draws)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither all resamples' weights nor the counts of all classes as float64 exist at once."""
    counts = np.stack([random_counts(seed, pictures=1000, classes=60) for seed in range(4)])
    monkeypatch.setattr(statistics, "MEMORY", 1 << 20)
    tracemalloc.start()
    bootstrap(counts, {"": Subset()}, 2000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # weights would take 16 MB, counts 5.8; draws, sums and numbers of classes take 0.3 together
    assert peak < 8 << 20


def test_equal_sets_are_resampled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    products = []
    original = statistics._resampled

    def spy(values: statistics.Sparse, weights: np.ndarray) -> np.ndarray:
        products.append(values[1].shape[0])
        return original(values, weights)

    monkeypatch.setattr(statistics, "_resampled", spy)
    a, b = random_counts(0), random_counts(1)
    b[..., 2] = a[..., 2]
    found = bootstrap([a, b, a.copy(), a], {"": Subset()}, 50)
    # of each of five classes: the intersections and predictions of two sets, the labels once
    assert products == [2, 2, 1] * 5
    np.testing.assert_array_equal(found[0][""].draws, found[2][""].draws)
    assert not np.array_equal(found[0][""].draws, found[1][""].draws)


def test_sums_of_large_counts_are_exact() -> None:
    """Pictures of 2**40 pixels: float32 would have lost the 1 that sets the two apart."""
    a = np.full((4, 1, 3), 2**40, dtype=np.int64)
    b = a.copy()
    b[:, :, 0] -= 1
    for one, hit in zip(bootstrap([a, b], {"": Subset()}, 20), (2**40, 2**40 - 1), strict=True):
        assert (one[""].draws == hit / (2**41 - hit)).all()


def test_the_interval_covers_the_value_and_is_seeded() -> None:
    counts = random_counts(4, pictures=40)
    interval = bootstrap_miou(counts)
    assert interval.low < interval.value < interval.high
    assert interval == bootstrap_miou(counts)
    assert interval != bootstrap_miou(counts, seed=1)
    assert interval.value == miou(counts)
    assert bootstrap_miou(counts, [1, 2]).value == miou(counts, [1, 2])
    assert bootstrap_miou(counts, definition="union").value == miou(counts, definition="union")


def test_pairing_finds_a_small_gain_that_unpaired_intervals_hide() -> None:
    """Pictures differ much, the two sets little: only the difference on equal resamples shows."""
    rng = np.random.default_rng(0)
    labelled = rng.integers(50, 2000, (40, 1))
    quality = rng.uniform(0.1, 0.9, (40, 1))
    low = (labelled * quality).astype(np.int64)
    high = low + labelled // 50
    a, b = (np.stack([hit, hit, labelled], axis=-1) for hit in (high, low))
    gain = paired_difference(a, b)
    assert gain.low > 0 and gain.value == pytest.approx(miou(a) - miou(b))
    assert bootstrap_miou(a).low < bootstrap_miou(b).high


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_a_difference_is_antisymmetric_and_zero_with_itself(one: int, other: int) -> None:
    a, b = random_counts(one), random_counts(other)
    b[..., 2] = a[..., 2]  # the same labels
    forth, back = paired_difference(a, b, samples=60), paired_difference(b, a, samples=60)
    np.testing.assert_allclose(
        [forth.value, forth.low, forth.high], [-back.value, -back.high, -back.low], atol=1e-12
    )
    same = paired_difference(a, a, samples=60)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_coverage_is_near_95_percent() -> None:
    """Of many samples of pictures, about 95 % of the intervals hold the population's mIoU."""
    population = random_counts(9, pictures=4000, classes=3)
    population[:, 0] = population[:, 1]
    truth = miou(population)
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(120):
        interval = bootstrap_miou(population[rng.integers(0, 4000, 60)], samples=200)
        hits += interval.low <= truth <= interval.high
    assert 105 <= hits <= 120


def test_undefined_scores_stay_undefined() -> None:
    counts = np.zeros((3, 2, 3), dtype=np.int64)
    counts[:, 1] = 5
    interval = bootstrap_miou(counts, [0])
    assert all(math.isnan(x) for x in (interval.value, interval.low, interval.high))


def test_one_picture_has_no_spread() -> None:
    interval = bootstrap_miou(random_counts(3, pictures=1))
    assert interval.low == interval.value == interval.high


def test_unequal_pictures_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="shape"):
        paired_difference(random_counts(0, 5), random_counts(0, 6))
    with pytest.raises(ValueError, match="paired"):
        Draws(0.0, np.zeros(3), 20) - Draws(0.0, np.zeros(4), 20)
    with pytest.raises(ValueError, match="definition"):
        Subset(definition="both")


def test_average_is_draw_by_draw() -> None:
    mean = average([Draws(0.2, np.array([0.0, 0.4]), 30), Draws(0.4, np.array([0.2, 0.8]), 20)])
    assert mean.value == pytest.approx(0.3)
    np.testing.assert_allclose(mean.draws, [0.1, 0.6])
    assert mean.units == 20


def test_the_bias_of_the_resamples_is_taken_out() -> None:
    """Draws that lie too low on average: the interval moves up by twice as much, and is a plain
    percentile interval where there is no bias."""
    noise = np.random.default_rng(0).standard_normal(20_000)
    plain = Draws(0.0, noise, 20).interval()
    assert (plain.low, plain.high) == pytest.approx((-1.96, 1.96), abs=0.05)
    moved = Draws(0.0, noise - 0.5, 20).interval()
    assert (moved.low, moved.high) == pytest.approx((-1.96 + 0.5, 1.96 + 0.5), abs=0.2)
    far = Draws(9.0, noise, 20).interval()  # no correction mends this; the value is inside
    assert far.low == pytest.approx(0.04, abs=0.05) and far.high == 9.0


def test_whole_groups_are_drawn() -> None:
    """Two groups: pictures 0 and 2, (3, 4, 5) pixels together, and picture 1, (4, 5, 6).

    IoU is 3/6 of the first twice, 4/7 of the second twice, and 7/13 of one of each.
    """
    counts = np.array([[[1, 2, 3]], [[4, 5, 6]], [[2, 2, 2]]])
    (score,) = bootstrap([counts], {"": Subset()}, 400, groups=["a", "b", "a"])
    expected = {2: 3 / 6, 1: 7 / 13, 0: 4 / 7}  # by how often the first group is drawn
    drawn = np.concatenate(list(resample_weights(2, 400)))[:, 0]
    np.testing.assert_array_equal(score[""].draws, [expected[int(often)] for often in drawn])
    assert score[""].value == 7 / 13
    shares = [np.mean(score[""].draws == expected[often]) for often in (0, 1, 2)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.08)


def test_three_groups_in_all_their_resamples() -> None:
    """The draws are the 10 multisets of 3 of 3 groups, each as often as it has orders, of 27."""
    counts = random_counts(3, pictures=7, classes=3)
    groups = ["x", "y", "x", "z", "z", "y", "x"]
    (score,) = bootstrap([counts], {"": Subset()}, 6000, groups=groups)
    often: dict[float, int] = {}
    for picked in product("xyz", repeat=3):
        pictures = [p for group in picked for p, own in enumerate(groups) if own == group]
        value = round(miou(counts[pictures]), 12)
        often[value] = often.get(value, 0) + 1
    values, seen = np.unique(score[""].draws.round(12), return_counts=True)
    assert len(often) == 10 and sorted(often) == values.tolist()
    np.testing.assert_allclose(seen / 6000, [often[v] / 27 for v in values], atol=0.02)


@given(st.integers(0, 1000), st.integers(2, 9), st.randoms(use_true_random=False))
def test_of_groups_only_the_sums_count(seed: int, pictures: int, random: Random) -> None:
    counts, subsets = random_counts(seed, pictures), {"": Subset(), "some": Subset((1, 2))}
    names = random.sample(range(100), pictures)
    single = bootstrap([counts], subsets, 130, seed, groups=names)[0]
    plain = bootstrap([counts], subsets, 130, seed)[0]
    groups = [random.choice("abc") for _ in range(pictures)]
    order = list(range(pictures))
    for group in "abc":  # the pictures of each group change places
        places = [at for at in order if groups[at] == group]
        for place, other in zip(places, random.sample(places, len(places)), strict=True):
            order[place] = other
    moved = bootstrap([counts[order]], subsets, 130, seed, groups=groups)[0]
    together = bootstrap([counts], subsets, 130, seed, groups=groups)[0]
    for key in subsets:
        np.testing.assert_array_equal(single[key].draws, plain[key].draws)
        np.testing.assert_array_equal(moved[key].draws, together[key].draws)
        assert together[key].value == plain[key].value or math.isnan(plain[key].value)
    assert by_group([counts], groups)[0].shape[0] == len(set(groups))


def test_alike_pictures_of_a_group_do_not_narrow_the_interval() -> None:
    """Every picture ten times is no more than every picture once, where it is said so."""
    counts = random_counts(4, pictures=30)
    often, groups = counts.repeat(10, axis=0), np.arange(30).repeat(10).tolist()
    once = bootstrap([counts], {"": Subset()}, 300)[0][""]
    same = bootstrap([often], {"": Subset()}, 300, groups=groups)[0][""]
    np.testing.assert_array_equal(same.draws, once.draws)
    assert bootstrap([often], {"": Subset()}, 300)[0][""].draws.std() < once.draws.std() / 2
