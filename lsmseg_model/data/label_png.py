"""Label maps as files: PNG with one class index a pixel, and the names beside it as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lsmseg_model.data.palette import palette
from lsmseg_model.errors import UsageError
from lsmseg_model.files import whole_file, write_whole

MOST = 1 << 16  # classes that 16 bits tell apart


def check_count(classes: int) -> None:
    """Raise UsageError for more classes than a label map can hold."""
    if classes > MOST:
        raise UsageError(
            f"a label map holds at most {MOST} classes, not {classes}; name fewer, or use Python."
        )


def write_label_map(path: Path, labels: np.ndarray, classes: int) -> None:
    """labels: int [H, W] below ``classes`` -> PNG, 8 bits with colours for up to 256 classes,
    else 16 bits grey."""
    from PIL import Image

    check_count(classes)
    if classes > 256:
        image = Image.fromarray(labels.astype(np.uint16))
    else:
        image = Image.fromarray(labels.astype(np.uint8))
        image.putpalette(palette(classes).tobytes())
    write_whole(path, lambda temporary: image.save(temporary, format="PNG"))


def write_classes(path: Path, names: Sequence[str]) -> None:
    """Names by index, with the colours that label maps of up to 256 classes have."""
    colours = palette(len(names)).tolist() if len(names) <= 256 else [None] * len(names)
    classes = [
        {"index": index, "name": name, **({} if colour is None else {"color": colour})}
        for index, (name, colour) in enumerate(zip(names, colours, strict=True))
    ]
    text = json.dumps({"classes": classes}, indent=1, ensure_ascii=False) + "\n"
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
