"""Second encoders of timm: the features in between, other sizes, names."""

from __future__ import annotations

import pytest
import timm
import torch
from torch.nn import functional as F

from lsmseg_model.encoders.registry import second_encoder
from lsmseg_model.encoders.timm_encoder import TimmEncoder
from lsmseg_model.errors import UsageError


@pytest.fixture
def dino() -> TimmEncoder:
    torch.manual_seed(0)
    made = second_encoder("dinov2-tiny")
    assert isinstance(made, TimmEncoder)
    for parameter in made.parameters():  # its layer scale begins at nothing nearly
        torch.nn.init.normal_(parameter, std=0.1)
    return made


@torch.inference_mode()
def test_the_features_are_those_of_timms_forward(dino: TimmEncoder) -> None:
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
def test_positions_are_resized_for_other_sizes(dino: TimmEncoder) -> None:
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
    assert isinstance(made, TimmEncoder)
    assert made.blocks == ([5, 8, 11] if ours.startswith("dinov2-b") else [11, 17, 23])


def test_registers_are_left_out() -> None:
    small = TimmEncoder(
        "small",
        {
            "timm": "vit_base_patch14_reg4_dinov2",
            "options": {"img_size": 56, "embed_dim": 48, "depth": 4, "num_heads": 3},
        },
    )
    assert small.encoder.num_prefix_tokens == 5
    assert small(torch.rand(1, 3, 56, 56))[0].shape == (1, 48, 4, 4)


def test_it_is_frozen(dino: TimmEncoder) -> None:
    assert not any(p.requires_grad for p in dino.parameters())
    assert not dino.train().training
    with pytest.raises(UsageError, match="no second encoder 'dinov4'"):
        second_encoder("dinov4")


@pytest.mark.parametrize("name", ["dinov3-tiny", "radiov3-tiny", "pe-spatial-tiny"])
@torch.inference_mode()
def test_the_last_features_are_timms_own_output(name: str) -> None:
    torch.manual_seed(0)
    made = second_encoder(name)
    images = torch.rand(2, 3, 64, 96)
    features = made(images)
    assert [f.shape for f in features] == [(2, 48, 4, 6)] * 3
    output = made.encoder.forward_features((images - made.mean) / made.std)
    prefix = made.encoder.num_prefix_tokens
    torch.testing.assert_close(features[-1].flatten(2).mT, output[:, prefix:])


@torch.inference_mode()
def test_of_hiera_the_last_blocks_that_attend_globally() -> None:
    torch.manual_seed(0)
    made = second_encoder("sam2-tiny")
    assert isinstance(made, TimmEncoder)
    seen: dict[int, torch.Tensor] = {}
    for index, block in enumerate(made.encoder.blocks):
        block.register_forward_hook(lambda _m, _i, out, index=index: seen.__setitem__(index, out))
    features = made(torch.rand(1, 3, 64, 96))
    assert made.blocks == [5, 7, 9]
    assert [f.shape for f in features] == [(1, made.width, 4, 6)] * 3
    for index, feature in zip(made.blocks, features, strict=True):
        torch.testing.assert_close(feature, seen[index].permute(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("name", "width", "patch", "size", "blocks"),
    [
        ("dinov3-b", 768, 16, 256, [5, 8, 11]),
        ("dinov3-l", 1024, 16, 256, [11, 17, 23]),
        ("radiov3-b", 768, 16, 512, [5, 8, 11]),
        ("pe-spatial-b", 768, 16, 512, [5, 8, 11]),
        ("pe-spatial-l", 1024, 14, 448, [11, 17, 23]),
        ("sam2-b-plus", 448, 16, 896, [12, 16, 20]),
        ("sam2-l", 576, 16, 1024, [23, 33, 43]),
        ("vit_base_patch14_reg1_tipsv2.webli", 768, 14, 448, [5, 8, 11]),
        ("naflexvit_base_patch16_radio_v3.c_radio", 768, 16, 512, [5, 8, 11]),
    ],
)
def test_the_sizes_of_the_published_ones(
    name: str, width: int, patch: int, size: int, blocks: list[int]
) -> None:
    with torch.device("meta"):
        made = second_encoder(name)
    assert isinstance(made, TimmEncoder)
    assert (made.width, made.patch, made.size, made.blocks) == (width, patch, size, blocks)


def test_other_models_of_timm_say_why_not() -> None:
    with pytest.raises(UsageError, match="timm has no model 'vit_bose_patch16_dinov3'; did you"):
        second_encoder("vit_bose_patch16_dinov3")
    with torch.device("meta"), pytest.raises(UsageError, match="features of one size"):
        second_encoder("convnext_base.dinov3_lvd1689m")


def test_the_colours_are_those_it_was_trained_with() -> None:
    assert second_encoder("pe-spatial-tiny").mean.flatten().tolist() == [0.5] * 3
    radio = second_encoder("radiov3-tiny").std.flatten().tolist()
    assert radio == pytest.approx([0.26862954, 0.26130258, 0.27577711])
