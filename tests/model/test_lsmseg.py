"""The whole network at small size: every configuration computes, learns and says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from support.small_network import SIZES, WITH_SAM, network

from lsmseg_model.errors import ConfigError
from lsmseg_model.networks.backbones.text import tokenize
from lsmseg_model.networks.config import CLIP_PARTS, REFINEMENTS, NetworkConfig
from lsmseg_model.networks.fields import read_fields
from lsmseg_model.networks.refinement import shift_mask


@pytest.mark.parametrize(
    "changes",
    [
        {},
        *({"refinement": kind} for kind in REFINEMENTS),
        {"k": 9},
        {"pad_len": 8},
        WITH_SAM,
        {**WITH_SAM, "fusion": "scalar", "cost_map": "fused"},
        {**WITH_SAM, "fusion": "attention"},
        {**WITH_SAM, "encoder": "dinov2-tiny", "encoder_size": 0},
    ],
    ids=str,
)
def test_every_part_computes_and_learns(changes: dict[str, object]) -> None:
    net = network(**changes).train()
    net.trainable("qv")
    images, texts = torch.rand(2, 3, 16, 16), torch.randn(5, 8)
    logits, kept = net(images, texts)
    count = min(5, net.config.k)
    assert logits.shape == (2, count, 16, 16)
    assert (kept is None) == (count == 5)
    logits.square().mean().backward()
    learnt = {n for n, p in net.named_parameters() if p.requires_grad and p.grad is not None}
    still = {n for n, p in net.named_parameters() if p.requires_grad} - learnt
    # The texts are given, so the text tower stays; without its guidance nothing sees E_3.
    assert all(n.startswith("clip.model.transformer") for n in still if "fusion" not in n), still
    with torch.inference_mode():
        assert torch.isfinite(net.eval()(images, texts)[0]).all()


@pytest.mark.parametrize("parts", CLIP_PARTS)
def test_which_of_clips_weights_learn(parts: str) -> None:
    """In every block of both towers."""
    net = network()
    net.trainable(parts)
    logits, _ = net(torch.rand(1, 3, 16, 16), net.clip.encode_tokens(tokenize(["a", "b", "c"])))
    logits.square().mean().backward()
    for tower in (net.clip.model.visual.transformer, net.clip.model.transformer):
        attention = tower.resblocks[0].attn
        if parts == "freeze":
            assert attention.in_proj_weight.grad is None
            continue
        rows = attention.in_proj_weight.grad.abs().sum(dim=1).view(3, -1).amax(dim=1) > 0
        moved = "".join(letter for letter, moves in zip("qkv", rows.tolist(), strict=True) if moves)
        assert moved == ("qkv" if parts == "full" else parts)
        assert (attention.out_proj.weight.grad is not None) == (parts == "full")
        assert all(block.attn.in_proj_weight.requires_grad for block in tower.resblocks)


def test_labels_keep_their_classes_in() -> None:
    net = network().eval()
    wanted = torch.zeros(1, 6, dtype=torch.bool)
    wanted[0, 4] = True
    for seed in range(4):
        torch.manual_seed(seed)
        _, kept = net(torch.rand(1, 3, 16, 16), torch.randn(6, 8), wanted)
        assert kept is not None and 4 in kept[0].tolist()


def test_a_filter_that_keeps_all_changes_nothing() -> None:
    images, texts = torch.rand(1, 3, 16, 16), torch.randn(4, 8)
    with torch.inference_mode():
        a, _ = network(k=4).eval()(images, texts)
        b, _ = network(k=99).eval()(images, texts)
    torch.testing.assert_close(a, b)


@torch.inference_mode()
def test_cosines_stay_exact_in_half_precision() -> None:
    """2 classes whose cosines differ by 0.0001, which bf16 cannot tell apart; the filter can."""
    net = network(k=1).eval()
    seen: list[torch.Tensor] = []
    net.transformer.conv1.register_forward_pre_hook(lambda _m, given: seen.append(given[0]))
    features = torch.zeros(1, 8, 4, 4)
    features[:, 0] = 1.0
    texts = torch.zeros(1, 3, 8)
    texts[0, :, 0] = torch.tensor([0.3, 0.3001, 0.2999])
    texts[0, :, 1] = (1 - texts[0, :, 0] ** 2).sqrt()
    guidance = [torch.zeros(1, 24, 8, 8), torch.zeros(1, 24, 16, 16)]
    with torch.autocast("cpu", torch.bfloat16):
        _, kept = net.transformer(features, texts, features, guidance)
    assert kept is not None and kept.tolist() == [[1]]
    torch.testing.assert_close(seen[0], torch.full((1, 1, 4, 4), 0.3001))


@pytest.mark.parametrize("first", [torch.inference_mode, lambda: torch.device("meta")])
def test_who_asks_first_for_a_mask_changes_nothing(first: Callable[[], Any]) -> None:
    """Prediction or `describe`, then training, in one process; each network has its own buffer."""
    shift_mask.cache_clear()
    with first():
        network()
    net = network(k=9).train()
    net.load_state_dict(net.state_dict())
    net(torch.rand(1, 3, 16, 16), torch.randn(5, 8))[0].sum().backward()
    mask: Any = net.transformer.layers[0].swin_block.block_2.attn_mask
    mask.zero_()
    assert shift_mask(4, 4, 2, 1).min() == -100


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"refinment": "both"}, "did you mean refinement"),
        ({"refinement": "spatail"}, "did you mean spatial"),
        ({"encoder": "sam-x"}, "encoder is 'sam-x'"),
        ({"encoder": "sam-b"}, "go together"),
        ({"cost_map": "fused"}, "needs a fusion"),
    ],
)
def test_wrong_fields_name_the_right_one(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_fields(NetworkConfig, {**SIZES, **changes}, "test")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"blocks": [0, 2]}, "has 3 blocks .* choose from 0 to 1"),
        ({**WITH_SAM, "encoder_size": 60}, "sam-tiny takes multiples of 8"),
    ],
)
def test_what_clip_and_the_encoder_do_not_have(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        network(**changes)


def test_an_encoders_own_size() -> None:
    """Without encoder_size, pictures come to it in the size that it was trained with."""
    net = network(**{**WITH_SAM, "encoder_size": 0}).eval()
    assert net.sam is not None
    seen: list[tuple[int, ...]] = []
    net.sam.register_forward_pre_hook(lambda _m, given: seen.append(given[0].shape))
    net(torch.rand(1, 3, 16, 16), torch.randn(5, 8))
    net(torch.rand(1, 3, 16, 16), torch.randn(5, 8), None, torch.rand(1, 3, 64, 64))
    assert seen == [(1, 3, 128, 128), (1, 3, 64, 64)]


def test_an_unknown_part_of_clip() -> None:
    with pytest.raises(ConfigError, match="choose freeze"):
        network().trainable("qx")


def test_what_learns_can_be_chosen_again() -> None:
    net = network()
    net.trainable("qv")
    net.trainable("full")
    weight = net.clip.model.visual.transformer.resblocks[0].attn.in_proj_weight
    (weight.sum()).backward()
    assert torch.equal(weight.grad, torch.ones_like(weight))
