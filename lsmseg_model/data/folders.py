"""Benchmarks in folders: ``images/[split]/*.jpg|png`` and ``annotations/[split]/*.png``."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..errors import DataError
from .benchmark import IGNORE

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
# The 182-id convention of COCO-Stuff's raw label maps (value = id - 1) skips 11 thing ids that
# COCO never annotated; without them the 171 classes of the benchmark remain.
COCO_UNUSED_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)


def coco_stuff_table() -> np.ndarray:
    """int64 [256]: raw 182-id label value -> index among the 171 classes, or IGNORE."""
    table = np.full(256, IGNORE, dtype=np.int64)
    used = [i for i in range(1, 183) if i not in COCO_UNUSED_IDS]
    table[[i - 1 for i in used]] = np.arange(len(used))
    return table


def uses_182_ids(root: Path, split: str) -> bool:
    """Whether COCO-Stuff label maps keep the raw 182 ids rather than 0..170.

    Decided by the first label map that proves one or the other: only raw maps hold 171..181, only
    converted maps hold the values of the unused ids. Without proof they count as converted.
    """
    for _, path in _pairs(root, split):
        values = np.unique(_read_labels(path))
        if ((values >= 171) & (values < 182)).any():
            return True
        if np.isin(values, [i - 1 for i in COCO_UNUSED_IDS]).any():
            return False
    return False


@dataclass(frozen=True)
class Layout:
    """What a named benchmark has on disk."""

    vocabulary: str
    class_count: int
    splits: tuple[str, ...]  # the first that exists is the default
    raw_182: bool = False  # label maps may use COCO-Stuff's 182 ids
    void: tuple[int, ...] = ()  # label values that mean "no class", beside 255


LAYOUTS = {
    "coco-stuff": Layout("coco-stuff", 171, ("val2017", "train2017"), raw_182=True),
    "camvid": Layout("camvid", 11, ("val", "test", "train"), void=(11,)),
}


class FolderBenchmark:
    """Pictures and label maps with equal stems, found when opened, read when asked for."""

    seen: frozenset[int] | None = None
    owners: tuple[int, ...] | None = None

    def __init__(
        self,
        name: str,
        root: Path,
        layout: Layout | None,
        split: str | None,
        limit: int | None,
        class_count: int | None,
        vocabulary: str | None,
    ) -> None:
        if layout and class_count is not None and class_count != layout.class_count:
            raise DataError(
                f"{name} has {layout.class_count} classes but the vocabulary has {class_count}; "
                f"use --vocab {layout.vocabulary} or data that fits your vocabulary."
            )
        count = layout.class_count if layout else class_count
        if count is None:
            raise DataError(f"say which classes the labels of {root} mean with --vocab.")
        if not root.is_dir():
            raise DataError(f"{root} is not a folder; --data-root must hold images/, annotations/.")
        self.name, self.root = name, root
        self.vocabulary = vocabulary or (layout.vocabulary if layout else name)
        self.class_indices = tuple(range(count))
        self._void = layout.void if layout else ()
        self.split = _pick_split(root, split, layout)
        self._pairs = _pairs(root, self.split)
        self._pairs = self._pairs[:limit] if limit else self._pairs
        self._raw_182 = bool(layout and layout.raw_182 and uses_182_ids(root, self.split))

    def __len__(self) -> int:
        return len(self._pairs)

    def key(self, index: int) -> str:
        return self._pairs[index][0].stem

    def picture(self, index: int) -> np.ndarray:
        return read_picture(self._pairs[index][0])

    def labels(self, index: int) -> np.ndarray:
        picture, path = self._pairs[index]
        raw = _read_labels(path)
        with Image.open(picture) as opened:
            width, height = opened.size
        if raw.shape != (height, width):
            raise DataError(
                f"{path} is {raw.shape[1]}x{raw.shape[0]} but its picture {picture.name} is "
                f"{width}x{height}; label maps must have the size of their picture."
            )
        if self._raw_182:
            return coco_stuff_table()[raw]
        labels = raw.astype(np.int64)
        labels[np.isin(raw, (255, *self._void))] = IGNORE
        if labels.max(initial=0) >= len(self.class_indices):
            raise DataError(
                f"{path} holds label {labels.max()}, outside the vocabulary's "
                f"{len(self.class_indices)} classes (0 to {len(self.class_indices) - 1}); "
                "unlabelled pixels are 255."
                + (
                    " COCO-Stuff's raw 182-id label maps are read with --data coco-stuff."
                    if self.vocabulary == "coco-stuff"
                    else ""
                )
            )
        return labels


def _pick_split(root: Path, split: str | None, layout: Layout | None) -> str:
    folder = root / "images"
    if not folder.is_dir() or not (root / "annotations").is_dir():
        raise DataError(f"{root} needs the folders images/ and annotations/.")
    there = sorted(p.name for p in folder.iterdir() if p.is_dir())
    if split == "train" and split not in there:  # COCO's name for it; or one set of pictures
        split = "train2017" if "train2017" in there else (None if not there else split)
    if split is not None:
        if split not in there:
            raise DataError(
                f"{folder} has no split {split!r}"
                + (f"; it has {', '.join(there)}." if there else ".")
            )
        return split
    preferred = [s for s in (layout.splits if layout else ("val", "test", "train")) if s in there]
    return preferred[0] if preferred else (there[0] if there else "")


def _pairs(root: Path, split: str) -> list[tuple[Path, Path]]:
    pictures_in, labels_in = root / "images" / split, root / "annotations" / split
    if not labels_in.is_dir():
        raise DataError(f"{labels_in} does not exist; every split needs its label maps.")
    pictures = {p.stem: p for p in sorted(pictures_in.iterdir()) if p.suffix.lower() in PICTURES}
    labels = {p.stem: p for p in sorted(labels_in.iterdir()) if p.suffix.lower() == ".png"}
    lonely = sorted(labels.keys() - pictures.keys())
    if lonely:
        raise DataError(
            f"{len(lonely)} label map(s) in {labels_in} have no picture, for example "
            f"{lonely[0]}.png; add the picture or remove the label map."
        )
    if not labels:
        raise DataError(f"{labels_in} holds no PNG label maps.")
    return [(pictures[stem], labels[stem]) for stem in sorted(labels)]


def read_picture(path: Path) -> np.ndarray:
    """uint8 [H, W, 3] RGB. Raises DataError for a file that is missing or no picture."""
    try:
        with Image.open(path) as opened:
            return np.asarray(opened.convert("RGB"))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path} cannot be read as a picture; it may be corrupt.") from error


def _read_labels(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as opened:
            labels = np.asarray(opened)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path} cannot be read as a label map; it may be corrupt.") from error
    if labels.ndim != 2:
        raise DataError(
            f"{path} is a colour picture, not a label map; it needs one class index a pixel."
        )
    return labels
