"""Products through oneDNN are PyTorch's but for rounding, and PyTorch's own where they must be."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from support.small_clip import SMALL
from torch import nn
from torch.nn import functional as F

from lsmseg_model.kernels import onednn
from lsmseg_model.networks import decoder, refinement
from lsmseg_model.networks.backbones.load import build_backbone
from lsmseg_model.networks.config import NetworkConfig
from lsmseg_model.networks.fields import read_fields
from lsmseg_model.networks.lsmseg import LsmSeg


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "SMALL", 0)
    monkeypatch.setattr(onednn, "ROWS", 5)


@pytest.mark.parametrize("then", ["none", "relu", "gelu"])
@torch.inference_mode()
def test_a_linear_layer(always: None, then: onednn.Activation) -> None:
    x, weight, bias = torch.randn(2, 3, 4, 8), torch.randn(5, 16), torch.randn(5)
    plain = {"none": lambda y: y, "relu": F.relu, "gelu": F.gelu}[then]
    for w in (weight[:, :8], weight[:, 8:]):
        torch.testing.assert_close(onednn.linear(x, w, bias, then), plain(F.linear(x, w, bias)))
        torch.testing.assert_close(onednn.linear(x, w, None, then), plain(F.linear(x, w)))


def test_gradients_are_pytorchs(always: None) -> None:
    layer = nn.Linear(8, 5)
    onednn.use_onednn(layer)
    assert not onednn.is_supported(torch.ones(1))
    layer(torch.ones(3, 8)).sum().backward()
    assert layer.weight.grad is not None and torch.all(layer.weight.grad == 3)


@pytest.mark.parametrize("activation", [True, False])
def test_both_towers_of_clip(always: None, activation: bool) -> None:
    settings = copy.deepcopy(SMALL)
    settings["clip"]["quick_gelu"] = activation
    torch.manual_seed(0)
    clip = build_backbone(settings).eval()
    images, tokens = torch.rand(2, 3, 16, 16), torch.randint(1, 400, (3, 9))
    plain = clip.encode_dense(images), clip.encode_tokens(tokens)  # with gradients: PyTorch's
    names = list(clip.state_dict())
    onednn.use_onednn(clip)
    assert list(clip.state_dict()) == names
    kinds = {type(part) for part in clip.modules()}
    assert {onednn.Linear, onednn.Attention, onednn.Mlp} <= kinds and nn.Linear not in kinds
    with torch.inference_mode():
        torch.testing.assert_close(clip.encode_dense(images), plain[0])
        torch.testing.assert_close(clip.encode_tokens(tokens), plain[1])


@torch.inference_mode()
def test_other_precisions_are_pytorchs(always: None) -> None:
    assert not onednn.is_supported(torch.ones(1, dtype=torch.bfloat16))
    with torch.autocast("cpu", torch.bfloat16):
        assert not onednn.is_supported(torch.ones(1))
        assert onednn.linear(torch.ones(2, 3), torch.ones(4, 3)).dtype == torch.bfloat16


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_parts_keep_their_order_and_their_mode(threads: int) -> None:
    seen = []

    def twice(x: torch.Tensor) -> torch.Tensor:
        seen.append((torch.is_inference_mode_enabled(), torch.is_grad_enabled()))
        return 2 * x

    with torch.no_grad():
        found = onednn.map_threads(twice, torch.arange(9.0).split(2))
    assert torch.cat(found).tolist() == [2.0 * i for i in range(9)]
    assert set(seen) == {(False, False)}
    with torch.inference_mode():
        onednn.map_threads(twice, torch.arange(9.0).split(2))
    assert seen[-1] == (True, False)
    assert torch.get_num_threads() == threads

    def fail(x: torch.Tensor) -> torch.Tensor:
        raise ValueError("as it was raised")

    with torch.no_grad(), pytest.raises(ValueError, match="as it was raised"):
        onednn.map_threads(fail, torch.arange(9.0).split(2))


@torch.inference_mode()
def test_each_part_is_computed_on_one_core(threads: int) -> None:
    parts = torch.arange(4.0).split(1)
    found = onednn.map_threads(lambda x: x + torch.get_num_threads(), parts)
    assert torch.cat(found).tolist() == [1.0, 2.0, 3.0, 4.0]


@torch.inference_mode()
def test_the_whole_network_computes_the_same(
    always: None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refinement, "ROWS", 32)
    monkeypatch.setattr(decoder, "AT_ONCE", 1)
    torch.manual_seed(0)
    settings = copy.deepcopy(SMALL)
    settings["clip"]["vision_cfg"]["layers"] = 3
    sizes = {
        "blocks": [0, 1], "hidden": 32, "guidance": [24, 24], "projected": [16, 16],
        "decoder": [32, 16], "layers": 2, "window": 2, "resolution": 4, "k": 4, "pad_len": 9,
    }  # fmt: skip
    network = LsmSeg(build_backbone(settings), read_fields(NetworkConfig, sizes, "test")).eval()
    images, texts = torch.rand(3, 3, 16, 16), torch.randn(7, 8)
    logits, kept = network(images, texts)
    with onednn.disabled():
        expected, same = network(images, texts)
        assert not onednn.is_supported(images)
    assert onednn.is_supported(images) and kept is not None and same is not None
    order, other = kept.argsort(dim=1), same.argsort(dim=1)
    assert torch.equal(kept.gather(1, order), same.gather(1, other))
    for i in range(3):
        torch.testing.assert_close(logits[i, order[i]], expected[i, other[i]])


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad])
def test_torch_compile_sees_one_graph(mode: Any) -> None:
    import torch._dynamo as dynamo

    block = refinement.SwinBlock(16, 8, 2, 2, 1, 4)
    x, guidance = torch.randn(1, 3, 4, 4, 16), torch.randn(1, 4, 4, 8)
    dynamo.reset()
    with mode():
        assert dynamo.explain(block)(x, guidance).graph_break_count == 0
