"""Label maps: reading them, what their values mean, writing them.

A table of 65,536 entries turns label values into classes; each benchmark has its own.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lsmseg_model.data.images import open_picture
from lsmseg_model.data.palette import palette
from lsmseg_model.errors import DataError, UsageError
from lsmseg_model.files import write_whole

# Pillow spreads greys of 2 and 4 bits over 0 to 255.
SPREAD = {"L;2": 85, "L;4": 17}
MOST_CLASSES = 1 << 16  # that 16 bits tell apart
IGNORE = -1  # a pixel without a label
OUTSIDE = -2  # in a table: a value that the vocabulary has no class for
# The 182-id convention of COCO-Stuff's raw label maps (value = id - 1) skips 11 thing ids that
# COCO never annotated; without them the 171 classes of the benchmark remain.
COCO_UNUSED_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)
# Of Cityscapes' 34 ids those of the 19 classes that are scored, in their order.
CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
COCO_USED = [i - 1 for i in range(1, 183) if i not in COCO_UNUSED_IDS]
VALUES = {
    "index": "0 is the first class",
    "from 1": "1 is the first class, 0 is ignored",
    "background 0": "1 is the first class, 0 is background, the last class",
    "coco 182": "COCO-Stuff's 182 ids, value = id - 1",
    "objects": "0 is the first class, stuff and what is unlabelled are background, the last class",
    "coco 182 objects": "COCO-Stuff's 182 ids, stuff and what is unlabelled are background",
    "cityscapes 34": "Cityscapes' 34 ids, of which 19 are classes",
}


def label_table(values: str, classes: int, void: Iterable[int] = ()) -> np.ndarray:
    """int64 [65536]: label value -> class, IGNORE or OUTSIDE, under a meaning of VALUES.

    65535 and ``void`` are ignored, and 255 where all classes fit below it.
    """
    table = np.full(65536, OUTSIDE, dtype=np.int64)
    if values == "index":
        table[:classes] = np.arange(classes)
    elif values == "from 1":
        table[: classes + 1] = np.arange(-1, classes)
        table[0] = IGNORE
    elif values == "background 0":
        table[0] = classes - 1
        table[1:classes] = np.arange(classes - 1)
    elif values == "cityscapes 34":
        table[:34] = IGNORE
        table[list(CITYSCAPES_IDS)] = np.arange(classes)
    elif values == "coco 182":
        table[:182] = IGNORE
        table[COCO_USED] = np.arange(len(COCO_USED))
    elif values == "objects":
        table[: len(COCO_USED)] = np.minimum(np.arange(len(COCO_USED)), classes - 1)
    elif values == "coco 182 objects":
        table[:182] = classes - 1
        table[COCO_USED[: classes - 1]] = np.arange(classes - 1)
    else:
        raise ValueError(f"values must be one of {', '.join(VALUES)}, not {values!r}")
    table[[65535, *([255] if classes <= 255 else []), *void]] = IGNORE
    if values.endswith("objects"):
        table[255] = classes - 1
    return table


def to_classes(raw: np.ndarray, table: np.ndarray) -> np.ndarray:
    """raw: whole numbers [H, W] -> int64 [H, W] classes, IGNORE or OUTSIDE."""
    if raw.dtype.itemsize <= 2 and raw.dtype.kind == "u":
        return table[raw]
    kept = np.clip(raw, 0, len(table) - 1)
    return np.where(raw == kept, table[kept], OUTSIDE)


def proves_182_ids(values: np.ndarray) -> bool | None:
    """Whether these label values of COCO-Stuff are raw ids (True), converted (False) or either.

    Only raw maps hold 171..181; only converted ones hold the values of the unused ids.
    """
    if ((values >= 171) & (values < 182)).any():
        return True
    return False if np.isin(values, [i - 1 for i in COCO_UNUSED_IDS]).any() else None


def read_label_map(path: Path) -> np.ndarray:
    """Whole numbers [H, W] as they stand in the file: uint8, uint16 or int32."""
    with open_picture(path, "a label map") as opened:
        if opened.format in ("JPEG", "MPO"):
            raise DataError(
                f"{path} is a JPEG, which changes the class indices; write label maps as PNG."
            )
        raw = _raw_mode(opened)
        labels = np.asarray(opened)
    if labels.ndim != 2:
        raise DataError(
            f"{path} is a colour picture, not a label map; it needs one class index a pixel."
        )
    if labels.dtype.kind not in "uib" or raw.endswith("I"):
        how = "with black and white swapped" if raw.endswith("I") else "as fractions"
        raise DataError(f"{path} holds its numbers {how}; write label maps as PNG.")
    if raw in SPREAD:
        labels = labels // SPREAD[raw]
    return labels.astype(np.uint8) if labels.dtype == bool else labels


def _raw_mode(opened: Any) -> str:
    """How pixels lie in the file, in Pillow's words."""
    how = opened.tile[0].args if opened.tile else ""
    return str(how[0] if isinstance(how, tuple) and how else how)


def check_count(classes: int) -> None:
    """Raise UsageError for more classes than a label map can hold."""
    if classes > MOST_CLASSES:
        raise UsageError(
            f"A label map holds at most {MOST_CLASSES} classes, not {classes}; name fewer, or use "
            "Python."
        )


def write_label_map(
    path: Path, labels: np.ndarray, classes: int, names: Sequence[str] | None = None
) -> None:
    """Write a label map: 8 bits a pixel, or 16 where the classes need them.

    Args:
        path: A .png or .tif file.
        labels: int [H, W] classes below ``classes``, or IGNORE.
        classes: How many there are.
        names: Give 8 bits the colours of these classes, and use all 256 values for classes;
            otherwise the highest value, 255 or 65535, is left for IGNORE, as `label_table` reads
            it.

    Raises:
        UsageError: For more classes than 16 bits tell apart.
        DataError: Where the file cannot be written.
    """
    check_count(classes)
    wide = classes > (255 if names is None else 256)
    void, kind = (65535, np.uint16) if wide else (255, np.uint8)
    image = Image.fromarray(np.where(labels < 0, void, labels).astype(kind))
    if names is not None and not wide:
        image.putpalette(palette(names).tobytes())
    more = {"compression": "tiff_lzw"} if path.suffix == ".tif" else {}
    write_whole(path, lambda temporary: image.save(temporary, **more))


def write_classes(path: Path, names: Sequence[str]) -> None:
    """Names by index as JSON, with the colours that label maps of up to 256 classes have."""
    colours = palette(names).tolist() if len(names) <= 256 else None
    classes = [
        {"index": index, "name": name, **({"color": colours[index]} if colours else {})}
        for index, name in enumerate(names)
    ]
    text = json.dumps({"classes": classes}, indent=1, ensure_ascii=False) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
