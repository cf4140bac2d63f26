"""Equations 1 to 9 of the paper, each with numbers worked out by hand, in the modules as they run.

Eq. 6 is in test_fusion.py too. LayerNorm of two different numbers gives 1 and -1, which keeps the
arithmetic short.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from support.small_network import WITH_SAM, network
from torch import Tensor, nn

from lsmseg_model.networks.config import NetworkConfig
from lsmseg_model.networks.decoder import Decoder
from lsmseg_model.networks.head import Aggregator
from lsmseg_model.networks.refinement import ClassRefinement, SpatialRefinement
from lsmseg_model.training.step import Step


def zeros(module: Any) -> Any:
    """All weights zero, but those of LayerNorm and GroupNorm."""
    for part in module.modules():
        if not isinstance(part, nn.LayerNorm | nn.GroupNorm):
            for parameter in part.parameters(recurse=False):
                nn.init.zeros_(parameter)
    return module


def identity(layer: Any) -> None:
    """What comes in, or its first channels, comes out; of 3x3 convolutions the middle."""
    weight = layer.weight.data[:, :, 1, 1] if layer.weight.ndim == 4 else layer.weight.data
    weight.copy_(torch.eye(*weight.shape))


def cost_maps(k: int, texts: Tensor) -> tuple[Tensor, Tensor | None]:
    """What reaches the 7x7 convolution of two positions, (3, 4) and (4, -3); the kept classes."""
    head = Aggregator(NetworkConfig(guidance=(4, 4), projected=(16, 16), hidden=32,
                                    decoder=(32, 16), layers=0, k=k), 2)  # fmt: skip
    seen: list[Tensor] = []
    head.conv1.register_forward_pre_hook(lambda _m, given: seen.append(given[0]))
    features = torch.tensor([[3.0, 4.0], [4.0, -3.0]]).view(1, 2, 1, 2)
    guidance = [torch.zeros(1, 4, 2, 4), torch.zeros(1, 4, 4, 8)]
    _, kept = head(features, texts[None], features, guidance)
    return seen[0][:, 0, 0], kept


TEXTS = torch.tensor([[1.0, 0.0], [0.0, -5.0], [6.0, 8.0]])
COSINES = [[0.6, 0.8], [-0.8, 0.6], [1.0, 0.0]]


def test_equation_1_cost_map() -> None:
    """Cosines: lengths of features and texts do not matter."""
    cost, kept = cost_maps(3, TEXTS)
    assert kept is None
    torch.testing.assert_close(cost, torch.tensor(COSINES))


@pytest.mark.parametrize(("k", "classes"), [(1, [2]), (2, [0, 2])])
def test_equations_2_to_5_category_filter(k: int, classes: list[int]) -> None:
    """A = (0.8, 0.6, 1), the best position of each; of the best k the cosines once more."""
    cost, kept = cost_maps(k, TEXTS)
    assert kept is not None and sorted(kept[0].tolist()) == classes
    torch.testing.assert_close(cost, torch.tensor([COSINES[c] for c in kept[0].tolist()]))


def test_equation_6_weight_one_is_clip_alone() -> None:
    """In the whole network, cost map from the fused features as well."""
    alone = network().eval()
    fused: Any = network(**{**WITH_SAM, "fusion": "scalar", "cost_map": "fused"}).eval()
    missing, unexpected = fused.load_state_dict(alone.state_dict(), strict=False)
    assert not unexpected and all(name.startswith(("sam.", "fusion.")) for name in missing)
    images, texts = torch.rand(1, 3, 16, 16), torch.randn(3, 8)
    with torch.no_grad():
        half = fused(images, texts)[0]
        for one in fused.fusion.fusions:
            one.w.fill_(1.0)
        expected = alone(images, texts)[0]
        torch.testing.assert_close(fused(images, texts)[0], expected)
        assert not torch.allclose(half, expected, atol=1e-3)


def test_equation_7_spatial_refinement() -> None:
    """Four positions; guidance (1, 0) at two of them, (0, 1) at the others.

    Queries and keys are the normed guidance, (1, -1) or (-1, 1): their products over sqrt(2) are
    sqrt(2) where it is alike and -sqrt(2) where not. Values are the normed x.
    """
    part: Any = zeros(SpatialRefinement(2, 2, 1, 2, 2)).eval()
    attention: Any = part.block_1.attn
    for layer in (attention.q, attention.k):
        layer.weight.data[:, 2:] = torch.eye(2)
    identity(attention.v)
    identity(attention.proj)
    x = torch.tensor([[5.0, 3.0], [0.0, 4.0], [2.0, 1.0], [1.0, 0.0]])  # normed: +, -, +, +
    guidance = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    found = part(x.view(1, 1, 2, 2, 2), guidance.view(1, 2, 2, 2)).view(4, 2)
    alike = 1 / (2 + 2 * math.exp(-2 * math.sqrt(2)))  # each of two alike; the others 0.5 - alike
    first = 0 * alike + 2 * (0.5 - alike)  # + and - cancel; the other two are both +
    last = 2 * alike + 0 * (0.5 - alike)
    added = torch.tensor([first, first, last, last])
    torch.testing.assert_close(found, x + torch.stack([added, -added], dim=1), atol=1e-4, rtol=0)


def test_equation_8_class_refinement() -> None:
    """Two classes with text guidance (0, 0) and (1, 0), which are queries and keys.

    elu + 1 makes them (1, 1) and (2, 1): products 2, 3 and 3, 5. So class 0 attends with 2/5 and
    3/5, class 1 with 3/8 and 5/8, to the normed values (1, -1) and (-1, 1). The whole is added to
    x once more.
    """
    part: Any = zeros(ClassRefinement(2, 2, 1)).eval()
    for layer in (part.attention.q, part.attention.k):
        layer.weight.data[:, 2:] = torch.eye(2)
    identity(part.attention.v)
    x = torch.tensor([[4.0, 2.0], [1.0, 7.0]])
    found = part(x.view(1, 2, 1, 1, 2), torch.tensor([[[0.0, 0.0], [1.0, 0.0]]])).view(2, 2)
    added = torch.tensor([[2 / 5 - 3 / 5, 3 / 5 - 2 / 5], [3 / 8 - 5 / 8, 5 / 8 - 3 / 8]])
    torch.testing.assert_close(found, 2 * x + added, atol=1e-4, rtol=0)


@pytest.mark.parametrize("by", ["cost map", "guidance"])
def test_equation_9_up_sampling(by: str) -> None:
    """One position becomes 2 x 2, then 4 x 4; half of the places are up, half are down.

    GroupNorm makes of any two such values 1 and -1, ReLU 1 and 0. What is up comes from the
    transposed convolution of the cost map, or from the guidance alone.
    """
    part: Any = zeros(Decoder(17, (16, 16), (1, 1), (1, 1))).eval()
    pattern = torch.tensor([[3.0, -3.0], [-3.0, 3.0]])
    guide = torch.zeros(1, 1, 2, 2)
    if by == "cost map":
        part.decoder1.up.weight.data[0, :16] = pattern
        identity(part.decoder1.conv.double_conv[0])
    else:
        guide[0, 0] = pattern
        identity(part.decoder_guidance_projection[0][0])
        part.decoder1.conv.double_conv[0].weight.data[:, 16, 1, 1] = 1.0
    part.decoder2.up.weight.data[torch.arange(15), torch.arange(15)] = 1.0  # each to all four
    part.decoder2.conv.double_conv[0].weight.data[:, 0, 1, 1] = 1.0
    for up in (part.decoder1, part.decoder2):
        identity(up.conv.double_conv[3])
    part.head.weight.data[0, 0, 1, 1] = 7.0
    part.head.bias.data[0] = -2.0
    x = torch.zeros(1, 1, 1, 1, 17)
    x[..., 0] = 1.0
    found = part(x, [guide, torch.zeros(1, 1, 4, 4)])[0, 0]
    up = (pattern > 0).float().repeat_interleave(2, 0).repeat_interleave(2, 1)
    torch.testing.assert_close(found, 7 * up - 2, atol=1e-3, rtol=0)


def test_the_filter_is_the_network_of_the_kept_classes() -> None:
    """Dropped classes leave no trace: logits are those of the kept texts alone."""
    net = network(k=3).eval()
    images, texts = torch.rand(1, 3, 16, 16), torch.randn(7, 8)
    with torch.no_grad():
        logits, kept = net(images, texts)
        assert kept is not None
        torch.testing.assert_close(net(images, texts[kept[0]])[0], logits)


def test_gradients_reach_classes_that_the_filter_would_drop() -> None:
    """The labelled class responds least of all; without the labels its text learns nothing."""
    net = network(k=2).train()
    images = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        dense, _ = net.clip.encode_layers(images, net.config.blocks)
        away = -dense.mean(dim=(2, 3))[0]
    texts = torch.cat([away[None], -away + 0.3 * torch.randn(4, 8)]).requires_grad_()
    Step(net, "leave")(images, torch.zeros(1, 16, 16, dtype=torch.int64), texts).backward()
    assert texts.grad is not None
    moved = texts.grad.abs().sum(dim=1) > 0
    assert moved[0] and int(moved.sum()) == 2
    _, kept = net.eval()(images, texts)
    assert kept is not None and 0 not in kept[0].tolist()
