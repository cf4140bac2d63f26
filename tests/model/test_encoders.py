"""Second encoders by name, and their weights from the files that people have."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lsmseg_model.encoders.registry import ENCODERS, load_second_encoder, second_encoder
from lsmseg_model.errors import CheckpointError, UsageError

TINY = [name for name in ENCODERS if name.endswith("-tiny")]


def weights(name: str) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {k: torch.randn_like(v) for k, v in second_encoder(name).encoder.state_dict().items()}


def published(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names of Meta's files."""
    if name.startswith("sam-"):
        return {
            **{f"image_encoder.{k}": v for k, v in state.items()},
            "mask_decoder.x": torch.zeros(1),
        }
    if name.startswith("dinov2"):
        return {**state, "mask_token": torch.zeros(1, state["pos_embed"].shape[2])}
    return state


@pytest.mark.parametrize("name", TINY)
def test_files(name: str, tmp_path: Path) -> None:
    state = weights(name)
    torch.save(published(name, state), tmp_path / "meta.pth")
    save_file(state, tmp_path / "timm.safetensors")
    for file in ("meta.pth", "timm.safetensors"):
        for given in (name, None):  # without a name: the one that fits
            loaded = load_second_encoder(given, tmp_path / file)
            assert loaded.name == name
            assert all(torch.equal(v, state[k]) for k, v in loaded.encoder.state_dict().items())
    for half, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16), (True, torch.bfloat16)):
        loaded = load_second_encoder(name, tmp_path / "meta.pth", half=half)
        assert next(loaded.encoder.parameters()).dtype == dtype


def test_meta_keeps_the_place_of_the_class_token_apart_with_registers(tmp_path: Path) -> None:
    """timm adds the class token's position to the token itself."""
    from timm.models.vision_transformer import VisionTransformer

    from lsmseg_model.encoders.timm_encoder import TimmEncoder

    encoder = VisionTransformer(
        56, 14, num_classes=0, embed_dim=8, depth=1, num_heads=1, reg_tokens=4, no_embed_class=True
    )
    place = torch.randn(1, 17, 8)
    given = {"mask_token": torch.zeros(1, 8), "register_tokens": torch.ones(1, 4, 8),
             "cls_token": torch.ones(1, 1, 8), "pos_embed": place}  # fmt: skip
    found = TimmEncoder.translate(given, encoder)
    assert found.keys() == {"reg_token", "cls_token", "pos_embed"}
    assert torch.equal(found["cls_token"][0], 1 + place[0, :1])
    assert torch.equal(found["pos_embed"], place[:, 1:])


def test_wrong_files_are_one_sentence(tmp_path: Path) -> None:
    state = weights("sam-tiny")
    save_file(state, tmp_path / "sam.safetensors")
    with pytest.raises(CheckpointError, match=r"of dinov2-tiny: .* they are those of sam-tiny"):
        load_second_encoder("dinov2-tiny", tmp_path / "sam.safetensors")
    state.popitem()
    torch.save(published("sam-tiny", state), tmp_path / "short.pth")
    with pytest.raises(CheckpointError, match="1 keys differ, for example"):
        load_second_encoder("sam-tiny", tmp_path / "short.pth")
    with pytest.raises(CheckpointError, match="not a second encoder's weights; there are sam-b"):
        load_second_encoder(None, tmp_path / "short.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "short.pth").read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="truncated"):
        load_second_encoder("sam-tiny", tmp_path / "cut.pth")
    with pytest.raises(CheckpointError, match=r"none\.pth: give --encoder sam-b"):
        load_second_encoder("sam-b", tmp_path / "none.pth")
    with pytest.raises(UsageError, match=r"did you mean dinov[23]-b"):
        second_encoder("dino-b")
