"""SED's and FC-CLIP's checkpoints, in small files of their layout: the towers of CLIP in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from support.small_backbones import KINDS, registered, small_backbone, small_model
from torch import Tensor

from lsmseg_model import Segmenter
from lsmseg_model.errors import CheckpointError, UsageError
from lsmseg_model.networks.published_towers import TOWERS, _size_of, load_towers

CONVNEXT = next(kind for kind in KINDS if kind.name == "convnext_d")
HEADS = {
    "sed": ("sem_seg_head.predictor.transformer.conv1.weight", "sem_seg_head.norm.bias"),
    "fc-clip": ("sem_seg_head.pixel_decoder.input_proj.0.0.weight", "void_embedding.weight"),
}


def published(format: str, folder: Path) -> Path:
    """A detectron2 file: the towers below their prefix, a head beside them."""
    registered(CONVNEXT)
    described = {"model_cfg": CONVNEXT.config, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    towers = {TOWERS[format] + k: v for k, v in small_model(CONVNEXT).state_dict().items()}
    head = {name: torch.zeros(2, 2) for name in HEADS[format]}
    torch.save({"model": {**towers, **head}, "iteration": 80000}, folder / "model.pth")
    return folder / "model.pth"


@pytest.mark.parametrize("format", HEADS)
@torch.no_grad()
def test_the_towers_of_a_checkpoint(format: str, tmp_path: Path) -> None:
    path, name = published(format, tmp_path), f"local-dir:{tmp_path}"
    segmenter = Segmenter(name, checkpoint=path, format=format)
    assert segmenter.score == "cosine"
    loaded: Any = segmenter.loaded
    assert set(loaded.unexpected) == set(HEADS[format]) and loaded.missing == ()
    assert loaded.used == len(small_model(CONVNEXT).state_dict())
    assert str(loaded).startswith(f"{loaded.used} keys used, of {loaded.title}'s picture and text")
    assert segmenter.default_texts(["zebra"]) == [["a photo of a zebra"]]
    own, images = small_backbone(CONVNEXT), torch.rand(1, 3, 64, 96)
    for model in (segmenter.clip, Segmenter(name, path).clip):  # --pretrained takes the file, too
        torch.testing.assert_close(model.encode_dense(images), own.encode_dense(images))
        texts = model.encode_texts([["a zebra"]])
        torch.testing.assert_close(texts, own.encode_texts([["a zebra"]]))
    predicted = segmenter.predict((images[0].permute(1, 2, 0) * 255).byte().numpy(), ["sky", "sea"])
    assert predicted.masks.shape == (64, 96)


def test_what_does_not_go_with_towers(tmp_path: Path) -> None:
    path = published("sed", tmp_path)
    with pytest.raises(CheckpointError, match=r"fetch FC-CLIP's from .*--checkpoint FILE"):
        load_towers(tmp_path / "none.pth", "fc-clip")
    with pytest.raises(CheckpointError, match="is not a checkpoint of FC-CLIP: it has no key"):
        load_towers(path, "fc-clip")
    with pytest.raises(CheckpointError, match="of none of the published sizes"):
        load_towers(path, "sed")
    with pytest.raises(UsageError, match="--cache keeps what --format sed does not read"):
        Segmenter(checkpoint=path, format="sed", cache=tmp_path)


@pytest.mark.parametrize(
    ("first", "channels", "block", "name"),
    [
        ("visual.trunk.stem.0.weight", 128, "visual.trunk.stages.2.blocks.", "convnext_base_w_320"),
        (
            "visual.trunk.stem.0.weight",
            192,
            "visual.trunk.stages.2.blocks.",
            "convnext_large_d_320",
        ),
        ("visual.conv1.weight", 48, "visual.layer3.", "RN50x16-quickgelu"),
    ],
)
def test_the_size_of_a_file(first: str, channels: int, block: str, name: str) -> None:
    """By the names and shapes that open_clip's model of that size has."""
    import open_clip

    with torch.device("meta"):
        model = open_clip.create_model(name, load_weights=False, device="meta")
    state: dict[str, Tensor] = model.state_dict()
    assert len(state[first]) == channels and any(key.startswith(block) for key in state)
    assert _size_of(state, Path("model.pth")) == name
