"""The exact argmax of enlarged cost maps equals enlarging everything and comparing."""

from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.cost_maps import lifelike, plain

from lsmseg_model.kernels import argmax
from lsmseg_model.kernels.argmax import best_class
from lsmseg_model.networks.cost_map import cost_map, upsample


@given(
    st.integers(1, 40),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(0, 99),
)
def test_equal_in_double(
    classes: int, grid: tuple[int, int], size: tuple[int, int], seed: int
) -> None:
    """Whatever the sizes: enlarged, as large, or made smaller."""
    cost = torch.randn(classes, *grid, generator=torch.Generator().manual_seed(seed)).double()
    with patch.object(argmax, "FEW", 0):  # else few classes are not chosen among
        where, best = best_class(cost.permute(1, 2, 0), torch.eye(classes).double(), size)
    wanted, value = plain(cost, size)
    assert torch.equal(where, wanted)
    torch.testing.assert_close(best, value, rtol=0, atol=1e-12)


@pytest.mark.parametrize("band", [1 << 24, 200])
def test_features_and_texts(band: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bands of rows or at once: the same map; in 32 bits but for near ties."""
    monkeypatch.setattr(argmax, "BAND", band)
    features, texts = lifelike(50, 12, 9)
    cost = cost_map(features[None], texts)[0]
    where, best = best_class(features, texts, (100, 77))
    wanted, value = plain(cost, (100, 77))
    assert torch.equal(where, wanted)
    torch.testing.assert_close(best, value, rtol=0, atol=1e-12)
    single, _ = best_class(features.float(), texts.float(), (100, 77))
    two = upsample(cost[None], (100, 77))[0].topk(2, dim=0).values
    assert not ((single != wanted) & (two[0] - two[1] > 1e-6)).any()


def test_the_first_of_equals_wins() -> None:
    features, texts = lifelike(20, 4, 4)
    where, _ = best_class(features, torch.cat([texts, texts]), (16, 16))
    assert int(where.max()) < 20


def test_few_classes_are_visited() -> None:
    """What the time depends on: how many (class, cell) pairs can win."""
    features, texts = lifelike(300, 16, 16)
    cost = cost_map(features[None], texts)[0]
    corners = torch.stack(
        [cost[:, :-1, :-1], cost[:, :-1, 1:], cost[:, 1:, :-1], cost[:, 1:, 1:]], dim=-1
    )
    able = corners.amax(dim=-1) >= corners.amin(dim=-1).amax(dim=0)
    assert able.sum() < 0.1 * able.numel()
