"""Counts of many prompt sets at once equal those of each set's own label map."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.cost_maps import lifelike, plain
from torch import Tensor

from lsmseg_model.kernels import counting
from lsmseg_model.kernels.counting import count_sets
from lsmseg_model.metrics import confusion_counts
from lsmseg_model.networks.cost_map import cost_map


def expected(
    features: Tensor, text: Tensor, labels: np.ndarray, owner: np.ndarray, classes: int
) -> np.ndarray:
    """Every class enlarged, the best one taken, pixel by pixel."""
    size = (labels.shape[0], labels.shape[1])
    maps = [plain(cost_map(features[None], one)[0], size)[0].numpy() for one in text]
    return np.stack([confusion_counts(owner[found], labels, classes) for found in maps])


@given(
    sets=st.integers(1, 5),
    classes=st.integers(1, 12),
    grid=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 99),
)
def test_equal_to_every_map_counted(
    sets: int, classes: int, grid: tuple[int, int], size: tuple[int, int], seed: int
) -> None:
    """In double, where no two cosines are as good as equal."""
    rng = np.random.default_rng(seed)
    features, text = lifelike(sets * classes, *grid, seed)
    text = text.view(sets, classes, -1)
    labels = rng.integers(-1, classes, size).astype(np.int16)
    owner = np.arange(classes)
    np.testing.assert_array_equal(
        count_sets(features, text, labels, owner, classes),
        expected(features, text, labels, owner, classes),
    )


@pytest.mark.parametrize("at_once", [1, 1 << 21])
def test_in_parts_and_with_owners(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts 7 to 11 all stand for class 7, and no memory is needed for all sets together."""
    monkeypatch.setattr(counting, "AT_ONCE", at_once)
    features, text = lifelike(7 * 12, 9, 8)
    text = text.view(7, 12, -1)
    owner = np.minimum(np.arange(12), 7)
    labels = np.random.default_rng(0).integers(-1, 8, (50, 61))
    np.testing.assert_array_equal(
        count_sets(features, text, labels, owner, 8), expected(features, text, labels, owner, 8)
    )


def test_equal_texts_count_for_the_first() -> None:
    features, text = lifelike(10, 5, 5)
    labels = np.zeros((20, 20), np.int64)
    counts = count_sets(features, torch.cat([text, text])[None], labels, np.arange(20), 20)
    assert counts[0, 10:, 1].sum() == 0 and counts[0, :, 1].sum() == 400


def test_a_picture_without_labels_counts_nothing() -> None:
    features, text = lifelike(6, 4, 4)
    counts = count_sets(features, text[None], np.full((9, 9), -1), np.arange(6), 6)
    assert counts.shape == (1, 6, 3) and not counts.any()
