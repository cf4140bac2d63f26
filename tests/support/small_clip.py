"""A CLIP small enough for tests, as a configuration."""

from typing import Any

SMALL: dict[str, Any] = {
    "name": "small",
    "clip": {
        "embed_dim": 8,
        "vision_cfg": {
            "image_size": 16,
            "layers": 2,
            "width": 16,
            "head_width": 8,
            "patch_size": 4,
        },
        "text_cfg": {"context_length": 77, "width": 16, "heads": 2, "layers": 2},
    },
    "view": {"short_side": 16, "window": 16, "stride": 8},
    "train": {},
}
