"""A small world in which ablations run in seconds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lsmseg_model.encoders.checkpoints import save_weights
from lsmseg_model.networks.backbones.clip import build_clip, read_config

CLASSES = ("zebra", "grass", "stop sign", "sky")


FILES = {
    "best_prompts.json",
    "single.csv",
    "combinations.csv",
    "candidates.csv",
    "confusions.csv",
    "per_class.csv",
    "lengths.csv",
    "run.json",
    "report.html",
    *(
        f"{figure}.{kind}"
        for figure in (
            *("single", "combinations", "per_class", "lengths", "cost_maps", "segmentations"),
        )
        for kind in ("png", "pdf")
    ),
    *(f"{t}.tex" for t in ("single", "combinations", "per_class", "confusions", "lengths")),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network with random weights, a vocabulary file and a folder of eight pictures."""
    top = tmp_path_factory.mktemp("world")
    config = read_config("lsmseg-tiny")
    config["name"] = "atom"
    config["clip"] |= {
        "embed_dim": 8,
        "vision_cfg": {
            "image_size": 32,
            "layers": 1,
            "width": 16,
            "head_width": 8,
            "patch_size": 8,
        },
        "text_cfg": {
            "context_length": 77,
            "vocab_size": 49408,
            "width": 8,
            "heads": 2,
            "layers": 1,
        },
    }
    config["view"] = {"short_side": 32, "window": 32, "stride": 16}
    (top / "atom.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    save_weights(top / "atom.safetensors", build_clip(config).model.state_dict(), {})
    (top / "four.txt").write_text("\n".join(CLASSES))
    for kind in ("images", "annotations"):
        (top / "pictures" / kind / "val").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(8):
        labels = np.full((32, 40), i % 4, dtype=np.uint8)
        labels[:, 20:] = (i + 1) % 4
        labels[:2] = 255
        picture = (labels[..., None] % 4 * 60 + rng.integers(0, 40, (32, 40, 3))).astype(np.uint8)
        Image.fromarray(picture).save(top / "pictures" / "images" / "val" / f"p{i}.png")
        Image.fromarray(labels).save(top / "pictures" / "annotations" / "val" / f"p{i}.png")
    return top


def options(world: Path, **more: Any) -> dict[str, Any]:
    return {
        "data": [str(world / "pictures")],
        "vocab": str(world / "four.txt"),
        "model": str(world / "atom.json"),
        "pretrained": str(world / "atom.safetensors"),
        "attributes": ["color", "shape", "size"],
        "samples": 60,
        "progress": False,
        **more,
    }
