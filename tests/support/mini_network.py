"""Settings of a network small enough to train in tests, and pictures to train it on."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from support.small_clip import SMALL

CLIP: dict[str, Any] = copy.deepcopy(SMALL)
CLIP["clip"]["vision_cfg"] |= {"image_size": 32, "patch_size": 8, "layers": 3}

NETWORK: dict[str, Any] = {
    "name": "small",
    "title": "A network for tests",
    "clip": CLIP,
    "crop": 32,
    "network": {
        "blocks": [0, 1],
        "hidden": 16,
        "guidance": [16, 16],
        "projected": [8, 8],
        "decoder": [16, 16],
        "layers": 1,
        "heads": 2,
        "window": 2,
        "resolution": 4,
        "pooling": [2, 1],
        "k": 4,
        "encoder": "sam-tiny",
        "encoder_size": 32,
        "fusion": "weight_generator",
    },
    "test": {"side": 48, "crop": 32, "stride": 16},
    "train": {
        "iterations": 6,
        "batch_size": 4,
        "lr": 0.003,
        "warmup": 2,
        "clip": "qv",
        "clip_lr_factor": 0.1,
        "clip_grad": 1.0,
        "short_side": 32,
        "evaluate_every": 3,
        "checkpoint_every": 2,
    },
}

TEXTS = [["a blue thing", "the sky"], ["a gray block"], *[[f"thing number {i}"] for i in range(9)]]


def make_pictures(root: Path) -> Path:
    """Pictures like camvid's: blue above (0), gray below (1), in train and val."""
    rng = np.random.default_rng(0)
    for split, names in (("train", "abcde"), ("val", "xy")):
        for folder in ("images", "annotations"):
            (root / folder / split).mkdir(parents=True)
        for name in names:
            cut = rng.integers(10, 30)
            picture = np.full((40, 48, 3), 120, np.uint8)
            picture[:cut] = (60, 90, 230)
            label = np.ones((40, 48), np.uint8)
            label[:cut] = 0
            label[-1] = 255
            Image.fromarray(picture).save(root / f"images/{split}/{name}.png")
            Image.fromarray(label).save(root / f"annotations/{split}/{name}.png")
    return root
