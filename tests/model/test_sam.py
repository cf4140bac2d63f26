"""SAM's picture encoder: the features in between, other sizes, half precision."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lsmseg_model.encoders.registry import ENCODERS, second_encoder
from lsmseg_model.encoders.sam import Sam
from lsmseg_model.errors import UsageError


@pytest.fixture
def sam() -> Sam:
    torch.manual_seed(0)
    made = second_encoder("sam-tiny")
    assert isinstance(made, Sam)
    for parameter in made.parameters():  # segment-anything begins its positions at zero
        torch.nn.init.normal_(parameter, std=0.1)
    return made.eval()


@torch.inference_mode()
def test_the_features_are_those_of_segment_anythings_forward(sam: Sam) -> None:
    """Its neck on our last feature is its output; hooks see the same in between."""
    images = torch.rand(2, 3, 128, 128)
    seen: dict[int, torch.Tensor] = {}
    for index, block in enumerate(sam.encoder.blocks):
        block.register_forward_hook(lambda _m, _i, out, index=index: seen.__setitem__(index, out))
    output = sam.encoder((images - sam.mean) / sam.std)
    theirs = dict(seen)
    features = sam(images)
    assert [f.shape for f in features] == [(2, 96, 16, 16)] * 3
    for index, feature in zip(sam.sizes["global_attn_indexes"][-3:], features, strict=True):
        torch.testing.assert_close(feature.permute(0, 2, 3, 1), theirs[index])
    torch.testing.assert_close(sam.encoder.neck(features[-1]), output)


@torch.inference_mode()
@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_other_sizes(sam: Sam, size: tuple[int, int]) -> None:
    assert sam(torch.rand(1, 3, *size))[0].shape == (1, 96, size[0] // 8, size[1] // 8)


@torch.inference_mode()
def test_a_smaller_picture_is_seen_as_by_a_smaller_sam(sam: Sam) -> None:
    """segment-anything's forward at half the size, its tables resized by hand, is ours."""
    small = Sam.build(**{**sam.sizes, "img_size": 64}).eval()
    state = sam.encoder.state_dict()
    for name, wanted in small.state_dict().items():
        value = state[name]
        if name == "pos_embed":
            rows = F.interpolate(value.permute(0, 3, 1, 2), (8, 8), mode="bicubic")
            value = rows.permute(0, 2, 3, 1)
        elif value.shape != wanted.shape:  # relative positions of the global blocks: 31 to 15
            assert (value.shape[0], wanted.shape[0]) == (31, 15)
            value = F.interpolate(value.T[None], 15, mode="linear")[0].T
        state[name] = value
    small.load_state_dict(state)
    images = torch.rand(1, 3, 64, 64)
    expected = small((images - sam.mean) / sam.std)
    torch.testing.assert_close(sam.encoder.neck(sam(images)[-1]), expected)


@torch.inference_mode()
@pytest.mark.parametrize(("precision", "off"), [("bf16", 0.05), ("fp16", 0.01)])
def test_half_precision(sam: Sam, precision: str, off: float) -> None:
    images = torch.rand(1, 3, 128, 128)
    full = sam(images)
    halved = sam.set_precision(precision)(images)
    assert next(sam.encoder.parameters()).dtype != torch.float32
    for a, b in zip(full, halved, strict=True):
        assert b.dtype == torch.float32  # as the pictures, so as the network
        assert 0 < (a - b).norm() / a.norm() < off


def test_other_sides_and_names_are_refused(sam: Sam) -> None:
    with pytest.raises(UsageError, match="multiples of 8 pixels, not 100 x 128"):
        sam(torch.rand(1, 3, 100, 128))
    with pytest.raises(UsageError, match="no precision 'int8'; there are fp32, bf16, fp16"):
        sam.set_precision("int8")
    with pytest.raises(UsageError, match="no second encoder 'sam-x'"):
        second_encoder("sam-x")


def test_it_is_frozen(sam: Sam) -> None:
    assert not any(p.requires_grad for p in sam.parameters())
    assert not sam.train().training
    assert not sam(torch.rand(1, 3, 64, 64))[0].requires_grad


def test_the_published_sizes() -> None:
    """Of the paper: the last three global-attention blocks."""
    last = {
        name: sizes["global_attn_indexes"][-3:]
        for name, (kind, sizes) in ENCODERS.items()
        if kind is Sam
    }
    assert last["sam-b"] == [5, 8, 11] and last["sam-l"] == [11, 17, 23]
    assert last["sam-h"] == [15, 23, 31]
