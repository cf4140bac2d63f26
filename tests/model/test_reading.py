"""How several texts of a class are read: numbers made by hand, and one reading against another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from lsmseg_model.errors import UsageError
from lsmseg_model.inference.counting import Features, count_prompt_sets
from lsmseg_model.inference.embeddings import ClassEmbeddings, embed
from lsmseg_model.inference.pictures import CostMaps
from lsmseg_model.inference.reading import MEAN, Groups, Reading, some_texts

DIRECTIONS = {"east": (1.0, 0.0), "north": (0.0, 1.0), "three": (0.6, 0.8), "four": (0.8, 0.6)}


class Compass:
    """A text tower that knows four words, unit vectors of the plane."""

    device = torch.device("cpu")

    def encode_texts(self, groups: Groups) -> Tensor:
        means = [torch.tensor([DIRECTIONS[text] for text in group]).mean(dim=0) for group in groups]
        return F.normalize(torch.stack(means), dim=-1)


@dataclass
class Prompts:
    texts: tuple[tuple[str, ...], ...]
    composition: str = "ensemble"
    weights: tuple[tuple[float, ...], ...] | None = None
    temperature: float | None = None


def read(groups: Groups, reading: Reading, features: Sequence[Sequence[float]] = ()) -> list[float]:
    """The rows, flat; of a picture of these features in a line."""
    seen = torch.tensor(features or [(1.0, 0.0)])[None]
    rows: Tensor = embed(Compass(), [(groups, reading)])[0].of(seen)
    return [round(value, 5) for value in rows.flatten().tolist()]


def test_mean_is_of_length_1_and_weighted() -> None:
    assert read([["east", "north"]], MEAN) == [0.70711, 0.70711]
    # (3, 1) / 4, of length 0.79057
    assert read([["east", "north"]], Reading(weights=((3.0, 1.0),))) == [0.94868, 0.31623]
    # (1, 0) - (0, 1)
    assert read([["east", "north"]], Reading(weights=((0.5, -0.5),))) == [0.70711, -0.70711]
    with pytest.raises(UsageError, match="The weights of 'east' and the other texts"):
        read([["east", "east"]], Reading(weights=((1.0, -1.0),)))


def test_mean_score_is_the_mean_of_cosines() -> None:
    reading = Reading("mean-score")
    assert read([["east", "north"], ["three"]], reading) == [0.5, 0.5, 0.6, 0.8]
    assert read([["east", "north"]], Reading("mean-score", ((3.0, -1.0),))) == [0.75, -0.25]
    feature = torch.tensor([[[0.28, 0.96]]])
    cosines = [0.28 * x + 0.96 * y for x, y in (DIRECTIONS["east"], DIRECTIONS["four"])]
    text = embed(Compass(), [([["east", "four"]], reading)])[0]
    score = CostMaps(feature, text, (1, 1)).scores([0])[0, 0, 0]
    assert score == pytest.approx(sum(cosines) / 2)


def test_max_takes_the_best_text_of_a_class() -> None:
    groups = [["east", "north"], ["three"]]
    text = embed(Compass(), [(groups, Reading("max"))])[0]
    assert text.owners == (0, 0, 1) and len(text) == 2
    features = torch.tensor([[(1.0, 0.0), (0.0, 1.0), (0.6, 0.8)]])
    maps = CostMaps(features, text, (1, 3))
    labels, scores = maps.label()
    assert labels.tolist() == [[0, 0, 1]] and scores.tolist() == [[1, 1, 1]]
    assert maps.label([5, 9])[0].tolist() == [[5, 5, 9]]  # what the classes stand for in turn
    np.testing.assert_allclose(maps.scores([1, 0])[:, 0], [[0.6, 0.8, 1], [1, 1, 0.8]], atol=1e-6)


def test_adaptive_weighs_texts_by_how_well_they_fit_the_picture() -> None:
    groups = [["east", "north"], ["three"]]
    # pooled (0.6, 0.8): cosines 0.6 and 0.8, weights 1 and e at a temperature of 0.2
    found = read(groups, Reading("adaptive", temperature=0.2), [(0.6, 0.8)] * 3)
    e = np.e
    assert found[:2] == pytest.approx([1 / np.hypot(1, e), e / np.hypot(1, e)], abs=1e-5)
    assert found[2:] == [0.6, 0.8]
    # Features are pooled, then brought to length 1: (3, 4) / 2 is (0.6, 0.8) again.
    assert read(groups, Reading("adaptive", temperature=0.2), [(3.0, 0.0), (0.0, 4.0)]) == found
    assert read(groups, Reading("adaptive", temperature=1e-300), [(0.6, 0.8)])[:2] == [0, 1]


@given(
    st.lists(
        st.lists(st.sampled_from(list(DIRECTIONS)), min_size=1, max_size=4), min_size=1, max_size=4
    ),
    st.sampled_from([(1.0, 0.2), (0.3, 0.7), (0.7, 0.5)]),  # no two words fit equally well
)
def test_readings_agree_where_they_must(
    groups: list[list[str]], feature: tuple[float, float]
) -> None:
    mean = read(groups, MEAN)
    assert read(groups, Reading("adaptive", temperature=1e9), [feature]) == pytest.approx(
        mean, abs=1e-4
    )
    ones = tuple((2.0,) * len(group) for group in groups)
    assert read(groups, Reading(weights=ones)) == pytest.approx(mean, abs=1e-4)
    # The mean of cosines is never above the best one, which is what the coldest adaptive takes.
    features = F.normalize(torch.tensor([[feature]]), dim=-1)
    kinds = (Reading("mean-score"), Reading("max"), Reading("adaptive", temperature=1e-9))
    average, best, coldest = (
        CostMaps(features, embed(Compass(), [(groups, kind)])[0], (1, 1)).scores(range(len(groups)))
        for kind in kinds
    )
    assert (average <= best + 1e-6).all()
    one = [len(set(group)) == 1 for group in groups]
    np.testing.assert_allclose(average[one], best[one], atol=1e-6)
    np.testing.assert_allclose(coldest, best, atol=1e-6)


def some_features(owners: Sequence[int]) -> Features:
    rng = np.random.default_rng(0)
    maps = [F.normalize(torch.from_numpy(rng.normal(size=(4, 5, 2))).float(), dim=-1)] * 2
    labels = [rng.integers(-1, max(owners) + 1, (16, 20)) for _ in maps]
    return Features(maps, labels, np.array(owners))


def test_max_counts_as_a_benchmark_with_owners_does() -> None:
    """Several prompts that stand for one class (voc-21's background) and several texts of one."""
    texts = [["east", "north"], ["three"], ["four"]]
    apart = [["east"], ["north"], ["three"], ["four"]]
    counts = count_prompt_sets(
        Compass(),  # type: ignore[arg-type]
        some_features((0, 1, 2)),
        [texts, texts],
        readings=[Reading("max"), MEAN],
    )
    owned = count_prompt_sets(Compass(), some_features((0, 0, 1, 2)), [apart])  # type: ignore[arg-type]
    np.testing.assert_array_equal(counts[0], owned[0])
    assert (counts[1] != owned[0]).any()


def test_sets_of_all_readings_are_counted_together_as_alone() -> None:
    features = some_features((0, 1, 0))
    groups = [["east", "three"], ["north"], ["four"]]
    others = [["east"], ["north", "four"], ["three"]]
    kinds = [MEAN, Reading("max"), Reading("mean-score"), Reading("adaptive", temperature=0.3)]
    kinds.append(Reading(weights=((1.0, -0.5), (1.0,), (2.0,))))
    sets = [(groups, kind) for kind in kinds] + [(others, kind) for kind in kinds[:4]]
    texts, readings = [one[0] for one in sets], [one[1] for one in sets]
    together = count_prompt_sets(Compass(), features, texts, readings=readings)  # type: ignore[arg-type]
    for at, (one, kind) in enumerate(sets):
        text = embed(Compass(), [(one, kind)])[0]
        alone = count_prompt_sets(Compass(), features, [one], readings=[kind])[0]  # type: ignore[arg-type]
        np.testing.assert_array_equal(together[at], alone)
        owners = features.stands_for.tolist()
        labels, _ = CostMaps(features.maps[0], text, (16, 20)).label(owners)
        found = features.labels[0]
        hits = [((labels == c) & (found == c)).sum() for c in (0, 1)]
        np.testing.assert_array_equal(together[at, 0, :, 0], hits)


def test_the_reading_of_a_prompt_set() -> None:
    two = (("east", "north"), ("three",))
    assert some_texts(Prompts(two), [0]) == ((("east", "north"),), MEAN)
    for composition in ("concat", "ensemble", "sentence", "refined"):
        assert some_texts(Prompts(two, composition), [1, 0])[1] == MEAN
    assert some_texts(Prompts(two, "max"), [0, 1])[1] == Reading("max")
    assert some_texts(Prompts(two, "max"), [1])[1] == MEAN  # one text a class: all the same
    assert some_texts(Prompts(two, "adaptive", None, 0.1), [0])[1] == Reading("adaptive", None, 0.1)
    weighted = Prompts(two, "refined", ((1.0, -2.0), (3.0,)))
    assert some_texts(weighted, [1])[1] == Reading("mean", ((3.0,),))
    reading = some_texts(weighted, [0])[1].followed_by([["four"], ["a", "b"]])
    assert reading.weights == ((1.0, -2.0), (1.0,), (1.0, 1.0))
    assert MEAN.followed_by([["four"]]) == MEAN == MEAN.for_network()
    with pytest.raises(UsageError, match="A whole network compares one embedding"):
        Reading("max").for_network()


def test_the_tower_is_asked_once_for_each_text() -> None:
    asked: list[Groups] = []

    class Counting(Compass):
        def encode_texts(self, groups: Groups) -> Tensor:
            asked.append(groups)
            return super().encode_texts(groups)

    groups = [["east", "north"], ["north"]]
    made = embed(Counting(), [(groups, MEAN), (groups, Reading("max")), (groups, MEAN)])
    assert asked == [[("east", "north"), ("north",), ("east",)]]
    assert isinstance(made[0], ClassEmbeddings) and torch.equal(made[0].rows, made[2].rows)
