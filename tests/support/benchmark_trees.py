"""Folders laid out like the benchmarks."""

from pathlib import Path

import numpy as np
from PIL import Image

VOC_NAMES = "ImageSets/Segmentation"


CONTEXT_NAMES = "ImageSets/SegmentationContext"


def tree(
    root: Path, pictures: str, labels: str, maps: dict[str, list[list[int]]],
    kind: type = np.uint8, ending: str = ".png", picture: str = ".jpg",
) -> None:  # fmt: skip
    """A picture and a label map, in the values of its file, for each name."""
    for folder in (pictures, labels):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, values in maps.items():
        label = np.array(values, kind)
        Image.new("RGB", label.shape[::-1]).save(root / pictures / f"{name}{picture}")
        Image.fromarray(label).save(root / labels / f"{name}{ending}")


def names(root: Path, folder: str, **splits: str) -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for split, listed in splits.items():
        (root / folder / f"{split}.txt").write_text("\n".join(listed.split()) + "\n")
