"""Settings of a whole network small enough for tests, and pictures to train it on."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from small_clip import SMALL

CLIP = copy.deepcopy(SMALL)
CLIP["clip"]["vision_cfg"]["layers"] = 3

NETWORK: dict[str, Any] = {
    "name": "small",
    "title": "A network for tests",
    "clip": CLIP,
    "crop": 32,
    "network": {
        "blocks": [0, 1],
        "encoder": "sam-tiny",
        "encoder_size": 64,
        "fusion": "weight_generator",
        "hidden": 32,
        "guidance": [24, 24],
        "projected": [16, 16],
        "decoder": [32, 16],
        "layers": 1,
        "window": 4,
        "resolution": 8,
        "k": 4,
    },
    "test": {"side": 48, "crop": 32, "stride": 16},
    "train": {
        "iterations": 6,
        "batch_size": 4,
        "lr": 0.003,
        "warmup": 2,
        "clip": "freeze",
        "clip_grad": 1.0,
        "short_side": 32,
        "evaluate_every": 3,
        "checkpoint_every": 2,
    },
}
# Camvid's eleven classes, the first two in the pictures.
TEXTS = [["a blue sky", "the sky"], ["a gray block"], *[[f"thing number {i}"] for i in range(9)]]


def make_pictures(root: Path) -> Path:
    """Folders train and val: the sky above, blocks below, noise in both."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2)):
        for kind in ("images", "annotations"):
            (root / kind / split).mkdir(parents=True)
        for number in range(count):
            labels = np.zeros((40, 48), np.uint8)
            labels[rng.integers(10, 30) :] = 1
            labels[0, 0] = 11  # void
            colours = np.array([[70, 130, 230], [120, 110, 100]] + [[0, 0, 0]] * 10)
            image = colours[labels] + rng.integers(-20, 20, (*labels.shape, 3))
            picture = Image.fromarray(image.clip(0, 255).astype(np.uint8))
            picture.save(root / "images" / split / f"{number}.png")
            Image.fromarray(labels).save(root / "annotations" / split / f"{number}.png")
    return root
