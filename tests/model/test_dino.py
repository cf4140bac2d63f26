"""DINOv2: the features in between, other sizes."""

from __future__ import annotations

import pytest
import timm
import torch
from torch.nn import functional as F

from lsmseg_model.encoders.dino import Dino
from lsmseg_model.encoders.registry import ENCODERS, second_encoder
from lsmseg_model.errors import UsageError


@pytest.fixture
def dino() -> Dino:
    torch.manual_seed(0)
    made = second_encoder("dinov2-tiny")
    assert isinstance(made, Dino)
    for parameter in made.parameters():  # its layer scale begins at nothing nearly
        torch.nn.init.normal_(parameter, std=0.1)
    return made


@torch.inference_mode()
def test_the_features_are_those_of_timms_forward(dino: Dino) -> None:
    """Hooks see the same in between; the last is timm's own output without the class token."""
    images = torch.rand(2, 3, 56, 56)
    seen: dict[int, torch.Tensor] = {}
    for index, block in enumerate(dino.encoder.blocks):
        block.register_forward_hook(lambda _m, _i, out, index=index: seen.__setitem__(index, out))
    output = dino.encoder.forward_features((images - dino.mean) / dino.std)
    theirs = dict(seen)
    features = dino(images)
    assert [f.shape for f in features] == [(2, 48, 4, 4)] * 3
    for index, feature in zip((1, 2, 3), features, strict=True):
        expected = dino.encoder.norm(theirs[index])[:, 1:]
        torch.testing.assert_close(feature.flatten(2).mT, expected)
    torch.testing.assert_close(features[-1].flatten(2).mT, output[:, 1:])


@torch.inference_mode()
def test_positions_are_resized_for_other_sizes(dino: Dino) -> None:
    assert dino(torch.rand(1, 3, 28, 84))[0].shape == (1, 48, 2, 6)
    table = dino.encoder.pos_embed[:, 1:].unflatten(1, (4, 4)).permute(0, 3, 1, 2)
    resized = F.interpolate(table, (2, 6), mode="bicubic", antialias=True)
    patches = dino.encoder.patch_embed((torch.full((1, 3, 28, 84), 0.5) - dino.mean) / dino.std)
    found = dino.encoder._pos_embed(patches)[:, 1:] - patches.flatten(1, 2)
    torch.testing.assert_close(found, resized.flatten(2).mT, atol=1e-5, rtol=0)
    with pytest.raises(UsageError, match="multiples of 14 pixels, not 64 x 64"):
        dino(torch.rand(1, 3, 64, 64))


@pytest.mark.parametrize(
    ("ours", "timms"),
    [
        ("dinov2-b", "vit_base_patch14_dinov2"),
        ("dinov2-b-reg", "vit_base_patch14_reg4_dinov2"),
        ("dinov2-l", "vit_large_patch14_dinov2"),
        ("dinov2-l-reg", "vit_large_patch14_reg4_dinov2"),
    ],
)
def test_the_published_sizes_are_timms(ours: str, timms: str) -> None:
    with torch.device("meta"):
        made = second_encoder(ours)
        theirs = timm.create_model(timms, pretrained=False, num_classes=0, img_size=518)
    assert {k: v.shape for k, v in made.encoder.state_dict().items()} == {
        k: v.shape for k, v in theirs.state_dict().items()
    }
    assert isinstance(made, Dino)
    assert made.blocks == ([5, 8, 11] if ours.startswith("dinov2-b") else [11, 17, 23])


def test_registers_are_left_out() -> None:
    small = Dino("dinov2-tiny", {**ENCODERS["dinov2-tiny"][1], "reg_tokens": 4})
    assert small(torch.rand(1, 3, 56, 56))[0].shape == (1, 48, 4, 4)


def test_it_is_frozen(dino: Dino) -> None:
    assert not any(p.requires_grad for p in dino.parameters())
    assert not dino.train().training
    with pytest.raises(UsageError, match="no second encoder 'dinov3'"):
        second_encoder("dinov3")
