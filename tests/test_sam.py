"""SAM's image encoder: the features in between, other sizes, files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lsmseg_model.errors import CheckpointError, UsageError
from lsmseg_model.sam import SIZES, Sam, load_sam


@pytest.fixture
def sam() -> Sam:
    torch.manual_seed(0)
    made = Sam("sam-tiny")
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
    features = sam(images)
    assert [f.shape for f in features] == [(2, 96, 16, 16)] * 3
    for index, feature in zip(sam.sizes.global_blocks[-3:], features, strict=True):
        torch.testing.assert_close(feature.permute(0, 2, 3, 1), seen[index])
    torch.testing.assert_close(sam.encoder.neck(features[-1]), output)


@torch.inference_mode()
@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_other_sizes(sam: Sam, size: tuple[int, int]) -> None:
    assert sam(torch.rand(1, 3, *size))[0].shape == (1, 96, size[0] // 8, size[1] // 8)


def test_it_is_frozen(sam: Sam) -> None:
    assert not any(p.requires_grad for p in sam.parameters())
    assert not sam.train().training
    assert not sam(torch.rand(1, 3, 64, 64))[0].requires_grad


def test_the_published_sizes() -> None:
    """Of the paper: the last three global-attention blocks."""
    last = {name: sizes.global_blocks[-3:] for name, sizes in SIZES.items()}
    assert last["sam-b"] == (5, 8, 11) and last["sam-l"] == (11, 17, 23)
    assert last["sam-h"] == (15, 23, 31)


def test_files(sam: Sam, tmp_path: Path) -> None:
    path = tmp_path / "sam.pth"
    state = {f"image_encoder.{k}": v for k, v in sam.encoder.state_dict().items()}
    torch.save({**state, "mask_decoder.x": torch.zeros(1)}, path)
    loaded = load_sam("sam-tiny", path)
    images = torch.rand(1, 3, 128, 128)
    torch.testing.assert_close(loaded(images)[2], sam(images)[2])
    assert load_sam("sam-tiny", path, half=True)(images)[2].dtype == torch.float16
    state.popitem()
    torch.save(state, path)
    with pytest.raises(CheckpointError, match="1 keys differ"):
        load_sam("sam-tiny", path)
    with pytest.raises(CheckpointError, match="no SAM weights"):
        load_sam("sam-tiny", tmp_path / "none.pth")
    with pytest.raises(UsageError, match="unknown SAM 'sam-x'"):
        Sam("sam-x")
