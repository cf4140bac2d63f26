"""Fusion of two encoders' features (Eq. 6) and the category filter (Eq. 2 to 5)."""

from __future__ import annotations

import pytest
import torch
from support.cost_maps import DROPPED, scatter
from torch import Tensor

from lsmseg_model.encoders.base import resized
from lsmseg_model.errors import ConfigError
from lsmseg_model.networks.category_filter import gather, keep, respond
from lsmseg_model.networks.config import NetworkConfig
from lsmseg_model.networks.fields import read_fields
from lsmseg_model.networks.fusion import (
    FUSIONS,
    Adapter,
    Fusion,
    Mean,
    Scalar,
    WeightGenerator,
)


@pytest.fixture
def two() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(2, 16, 6, 5), torch.randn(2, 16, 6, 5)


@pytest.mark.parametrize("kind", FUSIONS)
def test_shapes_and_gradients(kind: str) -> None:
    fusion = Fusion(kind, [16, 8], [12, 12])
    clip = [torch.randn(2, 16, 6, 5), torch.randn(2, 8, 6, 5)]
    other = [torch.randn(2, 12, 9, 9), torch.randn(2, 12, 9, 9)]
    fused = fusion(clip, other)
    assert [f.shape for f in fused] == [c.shape for c in clip]
    sum(f.square().sum() for f in fused).backward()
    lazy = {n for n, p in fusion.named_parameters() if p.grad is None}
    assert lazy == set()


@pytest.mark.parametrize("kind", ["weight_generator", "scalar", "mean", "concat"])
def test_the_average_at_the_start(kind: str, two: tuple[Tensor, Tensor]) -> None:
    torch.testing.assert_close(FUSIONS[kind](16)(*two), (two[0] + two[1]) / 2)


def test_weight_one_is_clip_alone(two: tuple[Tensor, Tensor]) -> None:
    scalar = Scalar(16)
    scalar.w.data.fill_(1.0)
    torch.testing.assert_close(scalar(*two), two[0])
    generator = WeightGenerator(16)
    generator.local[-1].bias.data.fill_(100.0)
    torch.testing.assert_close(generator(*two), two[0])


def test_the_weight_generator_by_hand() -> None:
    """One channel: a = sigmoid(local + whole), E = a c + (1 - a) s."""
    generator = WeightGenerator(1)
    for branch, factor in ((generator.local, 1.0), (generator.whole, 2.0)):
        branch[0].weight.data.zero_()
        branch[0].bias.data.zero_()
        branch[0].weight.data[0, 0] = 1.0  # the first hidden channel is CLIP's feature
        branch[2].weight.data.zero_()
        branch[2].weight.data[0, 0] = factor
        branch[2].bias.data.zero_()
    clip = torch.tensor([1.0, 3.0]).view(1, 1, 1, 2)
    other = torch.tensor([-1.0, 0.0]).view(1, 1, 1, 2)
    a = torch.sigmoid(torch.tensor([1.0 + 2 * 2.0, 3.0 + 2 * 2.0]))  # the mean of 1 and 3 is 2
    expected = a * clip.flatten() + (1 - a) * other.flatten()
    torch.testing.assert_close(generator(clip, other).flatten(), expected)


def test_features_resized_before_are_the_same_to_the_adapter() -> None:
    x, adapter = torch.randn(1, 3, 8, 8), Adapter(3, 4)
    assert torch.equal(adapter(resized(x, (4, 4)), (4, 4)), adapter(x, (4, 4)))
    line = torch.arange(8.0).expand(1, 1, 8, 8)
    inner = resized(line, (4, 4))[0, 0, 0, 1:3]  # weights 1 3 3 1: around 2.5 and 4.5
    torch.testing.assert_close(inner, torch.tensor([2.5, 4.5]))


def test_unknown_fusion() -> None:
    with pytest.raises(ConfigError, match=r"fusion is 'sum'; .*weight_generator"):
        read_fields(NetworkConfig, {"fusion": "sum"}, "mine")
    assert Mean(4)(torch.ones(1, 4, 1, 1), torch.zeros(1, 4, 1, 1)).mean() == 0.5


# -- the category filter -----------------------------------------------------------------


def test_the_best_responding_classes_are_kept() -> None:
    cost = torch.tensor([[0.1, 0.9], [0.5, 0.4], [0.2, 0.3], [0.8, 0.0]]).view(1, 4, 1, 2)
    features = torch.eye(2).view(1, 2, 1, 2)  # so that the cosines are the texts themselves
    response = respond(features, cost[:, :, 0])
    assert response[0].tolist() == pytest.approx([0.9, 0.5, 0.3, 0.8])
    assert set(keep(response, 2)[0].tolist()) == {0, 3}  # by their best position


def test_classes_of_the_labels_are_forced_in() -> None:
    cost = torch.tensor([0.9, 0.5, -0.9, 0.8]).view(1, 4, 1, 1)
    wanted = torch.tensor([[False, False, True, False]])
    assert set(keep(cost[:, :, 0, 0], 2, wanted)[0].tolist()) == {0, 2}


def test_keeping_all_changes_nothing_but_the_order() -> None:
    texts, cost = torch.randn(2, 5, 3), torch.randn(2, 5, 4, 4)
    kept = keep(cost.amax(dim=(2, 3)), 9)
    assert sorted(kept[0].tolist()) == list(range(5))
    logits = torch.randn(2, 5, 4, 4)
    index = kept[:, :, None, None].expand_as(logits)
    assert torch.equal(scatter(logits.gather(1, index), kept, 5), logits)
    assert torch.equal(gather(texts, kept)[1, 0], texts[1, kept[1, 0]])


def test_dropped_classes_never_win() -> None:
    logits = torch.full((1, 1, 2, 2), -50.0)
    full = scatter(logits, torch.tensor([[3]]), 5)
    assert full.argmax(dim=1).unique().tolist() == [3]
    assert (full[:, [0, 1, 2, 4]] == DROPPED).all()
