"""Counts with one text replaced equal those of the whole set scored again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.cost_maps import lifelike
from torch import Tensor
from torch.nn import functional as F

from lsmseg_model.kernels import replacing
from lsmseg_model.kernels.counting import count_sets
from lsmseg_model.kernels.replacing import count_replacements


def expected(
    features: Tensor,
    text: Tensor,
    labels: np.ndarray,
    owner: np.ndarray,
    classes: int,
    prompts: np.ndarray,
    new: Tensor,
) -> np.ndarray:
    """Every set scored whole, less the set without a replacement."""
    sets = text.repeat(len(new) + 1, 1, 1)
    sets[torch.arange(1, len(new) + 1), prompts] = new
    counts = count_sets(features, sets, labels, owner, classes)
    return counts[1:, :, :2] - counts[:1, :, :2]


@given(
    classes=st.integers(2, 12),
    grid=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 99),
)
def test_equal_to_every_set_scored_whole(
    classes: int, grid: tuple[int, int], size: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    features, text = lifelike(classes, *grid, seed)
    new = F.normalize(text.roll(1, 0) + 0.4 * text, dim=-1)  # no two cosines as good as equal
    prompts = rng.integers(0, classes, classes)
    labels = rng.integers(-1, classes, size).astype(np.int16)
    owner = np.arange(classes)
    args = features, text, labels, owner, classes, prompts, new
    np.testing.assert_array_equal(count_replacements(*args), expected(*args))


@pytest.mark.parametrize("at_once", [1, 1 << 20])
def test_in_parts_in_32_bits_and_with_owners(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts 7 to 11 all stand for class 7: among them a change of the winner changes nothing."""
    monkeypatch.setattr(replacing, "AT_ONCE", at_once)
    features, text = (made.float() for made in lifelike(30, 9, 8))
    text, new, owner = text[:12], text[12:], np.minimum(np.arange(12), 7)
    prompts = np.random.default_rng(0).integers(0, 12, len(new))
    labels = np.random.default_rng(1).integers(-1, 8, (50, 61))
    args = features, text, labels, owner, 8, prompts, new
    assert expected(*args).any()
    np.testing.assert_array_equal(count_replacements(*args), expected(*args))


def test_of_equal_texts_the_first_prompt_wins() -> None:
    """One position, two prompts: a text equal to the other's wins only in the first place."""
    features = torch.tensor([[[1.0, 0.0]]])
    text = torch.tensor([[0.6, 0.8], [0.8, 0.6]])  # the second wins: 0.8 against 0.6
    labels = np.zeros((2, 3), np.int64)  # six pixels of class 0
    first = count_replacements(
        features, text, labels, np.arange(2), 2, np.array([0]), text[1:].clone()
    )
    assert first.tolist() == [[[6, 6], [0, -6]]]
    worse = count_replacements(
        features, text, labels, np.arange(2), 2, np.array([1]), text[:1].clone()
    )
    assert worse.tolist() == [[[6, 6], [0, -6]]]
    same = count_replacements(
        features, text, labels, np.arange(2), 2, np.array([1]), text[1:].clone()
    )
    assert not same.any()


@pytest.mark.parametrize("seed", range(20))
def test_where_many_prompts_are_equally_good(seed: int) -> None:
    """Whole numbers, so that products are exact, and replacements equal to other prompts."""
    rng = np.random.default_rng(seed)
    features = torch.from_numpy(rng.integers(-1, 2, (4, 5, 3)).astype(np.float32))
    text = torch.from_numpy(rng.integers(-1, 2, (6, 3)).astype(np.float32))
    prompts, new = rng.integers(0, 6, 30), text[rng.integers(0, 6, 30)]
    labels, owner = rng.integers(-1, 5, (13, 17)), np.minimum(np.arange(6), 4)
    args = features, text, labels, owner, 5, prompts, new
    np.testing.assert_array_equal(count_replacements(*args), expected(*args))


def test_a_picture_without_labels_changes_nothing() -> None:
    features, text = lifelike(6, 4, 4)
    labels = np.full((9, 9), -1)
    change = count_replacements(features, text, labels, np.arange(6), 6, np.arange(6), text.flip(0))
    assert change.shape == (6, 6, 2) and not change.any()
