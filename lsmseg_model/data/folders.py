"""Benchmarks in folders: pictures and label maps with equal stems (layouts.py, label_maps.py)."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from lsmseg_model.data.groups import FILE, groups_of
from lsmseg_model.data.images import (
    SUFFIXES,
    Size,
    as_picture,
    by_suffix,
    open_picture,
    upright_size,
)
from lsmseg_model.data.label_maps import (
    IGNORE,
    OUTSIDE,
    label_table,
    proves_182_ids,
    read_label_map,
    to_classes,
)
from lsmseg_model.data.layouts import LAYOUTS, OWN, Layout, Place, check_root, must_be_folder
from lsmseg_model.data.listing import by_stem, ends, files_of, list_names
from lsmseg_model.errors import DataError, LsmsegModelError, UsageError

UNFINISHED = ".unfinished"  # stands among label maps while they are made
TURNED = ", turned upright by its EXIF orientation, and the label map is not"


@dataclass(frozen=True)
class Split:
    """A benchmark's split as it lies on disk."""

    name: str
    layout: Layout
    place: Place
    base: Path
    split: str
    pictures: Path
    labels: Path

    def files(self) -> "Files":
        """The files of the split.

        Raises DataError where they are not all made yet, or the list of names cannot be read.
        """
        if (self.labels / UNFINISHED).exists():
            raise DataError(
                f"{self.labels} is unfinished: data pull or data prepare was interrupted; run it "
                "again."
            )
        place = self.place
        pictures, no_pictures = by_stem(
            self.pictures, place.picture_endings or SUFFIXES, place.nested
        )
        labels, no_labels = by_stem(self.labels, place.endings, place.nested)
        if self.place.names is None:
            wanted = sorted(labels)
        else:
            wanted = list_names(self.base / self.place.names.format(split=self.split))
        return Files(
            [(pictures[w], labels[w]) for w in wanted if w in pictures and w in labels],
            [labels[w].name if w in labels else w for w in wanted if w not in pictures],
            [w for w in wanted if w not in labels],
            len(pictures.keys() - labels.keys()) if self.place.names is None else 0,
            [*no_pictures, *no_labels],
        )

    def groups(self, files: "Files") -> tuple[str, ...] | None:
        """The group of each picture, see `groups_of`."""
        all_splits = self.base / self.place.pictures.partition("{split}")[0]
        names = [picture.relative_to(all_splits) for picture, _ in files.pairs]
        return groups_of(names, self.base / FILE, all_splits, self.layout.group)


@dataclass(frozen=True)
class Files:
    """Pictures with their label maps; names without the one or the other; pictures left out.

    skipped: what else lies in the two folders.
    """

    pairs: list[tuple[Path, Path]]
    without_picture: list[str]
    without_labels: list[str]
    left_out: int
    skipped: list[Path]


def open_split(
    data: str, root: str | Path | None, split: str | None, class_count: int | None
) -> Split:
    """A split of a benchmark, of which nothing is read yet.

    Args:
        data: A name of LAYOUTS, or the path of a folder of one's own.
        root: The benchmark's folder or one above it.
        split: Its name; the first there is if None.
        class_count: How many prompts the vocabulary has; None: not compared.

    Raises:
        UsageError: For an unknown name, a benchmark without its folder, and a folder too many.
        DataError: For folders that do not fit, and another number of prompts.
    """
    check_root(data, root)
    layout = LAYOUTS.get(data)
    if layout is None:
        must_be_folder(data)
        return find_split(Path(data).name, OWN, Path(data), split)
    if root is None:
        raise UsageError(
            f"The pictures of {data} are read from your disk: fetch them from {layout.source}, lay "
            f"them out as docs/benchmarks.md shows, and say where with --data-root DIR."
        )
    if class_count is not None and class_count != layout.prompts:
        raise DataError(
            f"{data} has {layout.prompts} classes but the vocabulary has {class_count}; "
            f"use --vocab {layout.vocabulary} or data that fits your vocabulary."
        )
    return find_split(data, layout, Path(root), split)


def find_split(name: str, layout: Layout, root: Path, split: str | None = None) -> Split:
    """Where the split of a benchmark lies.

    Args:
        name: What the benchmark is called.
        layout: Its places; of those that overlap, such as SegmentationClassAug and
            SegmentationClass, the first that has every label map is taken.
        root: The benchmark's folder or one above it.
        split: Its name; the first there is if None.

    Raises:
        UsageError: For a split that is not there beside others.
        DataError: With what was looked for.
    """
    if not root.is_dir():
        where = f" (from {layout.source})" if layout.source else ""
        raise DataError(
            f"{root} is not a folder; --data-root must hold the pictures of {name}{where}."
        )
    bases = [base for base in (root, *(root / f for f in layout.folders)) if base.is_dir()]
    usual = layout.on_disk()
    if split is None:
        others = [s for base in bases for s in _subfolders(base / "images") if s not in usual]
        wanted = [*usual, *others, ""]
    else:
        # One set of pictures without splits is a training set too.
        wanted = [*layout.on_disk(split), split, *([""] if split == "train" else [])]
    for on_disk in dict.fromkeys(wanted):
        splits = list(_places(name, layout, bases, on_disk))
        if len(splits) > 1:
            return next((s for s in splits if not s.files().without_labels), splits[0])
        if splits:
            return splits[0]
    raise _missing(name, layout, root, bases, split)


def _places(name: str, layout: Layout, bases: list[Path], split: str) -> Iterator[Split]:
    for base in bases:
        for place in layout.places:
            if not split and ("{split}" not in place.pictures or _subfolders(base / "images")):
                continue  # without a split's name: only a folder that has no splits
            pictures = base / place.pictures.format(split=split)
            labels = base / place.labels.format(split=split)
            names = base / place.names.format(split=split) if place.names else base
            if pictures.is_dir() and names.exists() and _has(labels, place):
                yield Split(name, layout, place, base, split, pictures, labels)


def _subfolders(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []


def _has(folder: Path, place: Place) -> bool:
    return folder.is_dir() and any(
        ends(path.name, place.endings) for path in files_of(folder, place.nested)
    )


def _missing(
    name: str, layout: Layout, root: Path, bases: list[Path], split: str | None
) -> LsmsegModelError:
    """The error for a split that is not there."""
    if layout.original and any((base / layout.original).is_dir() for base in bases):
        return DataError(
            f"{root} holds the original download of {name}, without label maps of "
            f"{split or 'its validation pictures'}; make them with: lsmseg-prompts data prepare "
            f"--data {name} --from {root}."
        )
    usual = layout.on_disk()
    there = sorted(
        s
        for s in {*usual, *(s for base in bases for s in _subfolders(base / "images"))}
        if any(_places(name, layout, bases, s))
    )
    if split is not None and there:
        return UsageError(f"{root} has no split {split!r} of {name}; it has {', '.join(there)}.")
    shown = split or (layout.on_disk()[0] if layout is not OWN else "<split>")
    trees = dict.fromkeys(
        f"{p.pictures} with {p.labels}/*{p.endings[0]}" + (f" and {p.names}" if p.names else "")
        for p in layout.places
    )
    looked = "; or ".join(tree.format(split=shown) for tree in trees)
    inside = f" ({', '.join(layout.folders)} may be inside it)" if layout.folders else ""
    return DataError(
        f"{root} does not hold {name}: it needs {looked}{inside}; see docs/benchmarks.md."
    )


class FolderBenchmark:
    """Pictures and label maps with equal stems, listed when opened, read when asked for.

    ``pairs``: the files.
    """

    def __init__(
        self,
        split: Split,
        class_count: int | None,
        limit: int | None = None,
        vocabulary: str | None = None,
    ) -> None:
        own = split.layout is OWN
        count = class_count if own else split.layout.classes
        if count is None:
            raise DataError(f"Say which classes the labels of {split.base} mean with --vocab.")
        self.name, self.split = split.name, split.split
        self.vocabulary = vocabulary or (split.name if own else split.layout.vocabulary)
        self.class_indices = tuple(range(count))
        self.seen, self.owners = split.layout.seen, split.layout.owners
        files = split.files()
        _check_whole(split, files)
        self._opened, self._files = split, files
        self.pairs = files.pairs[:limit] if limit else files.pairs
        self.reader = LabelReader(split, files, count)

    @cached_property
    def groups(self) -> tuple[str, ...] | None:
        """See `Benchmark`. Raises DataError, see `groups_of`."""
        groups = self._opened.groups(self._files)
        return groups and groups[: len(self)]

    def __len__(self) -> int:
        return len(self.pairs)

    def key(self, index: int) -> str:
        return self.pairs[index][0].stem

    def picture(self, index: int) -> np.ndarray:
        return as_picture(self.pairs[index][0])

    def labels(self, index: int) -> np.ndarray:
        return self.reader.labels(*self.pairs[index])

    def found(self) -> str:
        return self.reader.found(path for _, path in self.pairs)


def _check_whole(split: Split, files: Files) -> None:
    """Raise DataError for label maps without pictures, or none at all."""
    if files.without_picture:
        raise DataError(
            f"{len(files.without_picture)} label map(s) in {split.labels} have no picture, for "
            f"example {files.without_picture[0]}; add the picture or remove "
            f"the label map.{_skipped(files)}"
        )
    if files.without_labels:
        raise DataError(
            f"{len(files.without_labels)} name(s) of {split.place.names} have no label map in "
            f"{split.labels}, for example {files.without_labels[0]}; add it or remove the name."
        )
    if not files.pairs:
        raise DataError(
            f"{split.labels} and {split.pictures} have no picture in common.{_skipped(files)}"
        )


def _skipped(files: Files) -> str:
    return f" Not read there: {by_suffix(files.skipped)}." if files.skipped else ""


class LabelReader:
    """Reads the label maps of a split as classes; refuses what is not a label map."""

    def __init__(self, split: Split, files: Files, classes: int) -> None:
        values = split.place.values
        if values == "coco-stuff":
            values = "coco 182" if _uses_182_ids(files) else "index"
        elif values == "coco-stuff objects":
            values = "coco 182 objects" if _uses_182_ids(files) else "objects"
        self.name, self.classes, self.values = split.name, classes, values
        self.own = split.layout is OWN
        self.table = label_table(values, classes, split.layout.void)

    def labels(self, picture: Path, path: Path) -> np.ndarray:
        """int64 [H, W]: classes or IGNORE. Raises DataError with what is wrong."""
        raw = read_label_map(path)
        with open_picture(picture) as opened:
            size = upright_size(opened)
        labels, problems = self.judge(raw, path, size)
        if problems:
            raise DataError(next(iter(problems.values())))
        return labels

    def judge(
        self, raw: np.ndarray, path: Path, size: Size | None
    ) -> tuple[np.ndarray, dict[str, str]]:
        """Classes, IGNORE or OUTSIDE [H, W], and a sentence about every kind of problem.

        raw: what stands in the file; size: of the picture, None if unknown.
        """
        labels = to_classes(raw, self.table)
        problems = {}
        if size is not None and raw.shape != size[:2]:
            fits = size.turned and raw.shape == size[1::-1]
            problems["size"] = (
                f"{path} is {raw.shape[1]}x{raw.shape[0]} but its picture is {size.width}x"
                f"{size.height}{TURNED if fits else ''}; label maps must have the size of their "
                "picture."
            )
        if self.classes > 255 and raw.dtype.itemsize == 1:
            problems["8 bits"] = (
                f"{path} has 8 bits a pixel, too few for the {self.classes} classes of "
                f"{self.name}: labels above 255 were lost when it was written; {self._anew()}"
            )
        if (labels == OUTSIDE).any():
            valid = np.flatnonzero(self.table >= 0)
            first = 1 if self.values == "background 0" else valid[0]
            problems["outside"] = (
                f"{path} holds label {raw[labels == OUTSIDE].max()}, outside the vocabulary's "
                f"{self.classes} classes ({first} to {valid[-1]}); unlabelled pixels are "
                f"{255 if self.classes <= 255 else 65535}.{self._raw_coco()}"
            )
        return labels, problems

    def found(self, paths: Iterable[Path]) -> str:
        """The values in label maps, such as "0, 255 (ignored)"; those that can be read."""
        values: set[int] = set()
        for path in paths:
            with suppress(DataError):
                values |= set(np.unique(read_label_map(path)).tolist())
        void = [v for v in values if to_classes(np.array([v]), self.table)[0] == IGNORE]
        shown = [f"{v} (ignored)" if v in void else str(v) for v in sorted(values)]
        return ", ".join([*shown[:10], *(["..."] if len(shown) > 10 else [])])

    def _raw_coco(self) -> str:
        if not (self.own and self.classes == 171):
            return ""
        return " COCO-Stuff's raw 182-id label maps are read with --data coco-stuff."

    def _anew(self) -> str:
        if self.own:
            return "write label maps as PNG or TIFF of 16 bits, 65535 for unlabelled."
        return (
            "make 16-bit ones from the original download with: lsmseg-prompts data prepare "
            f"--data {self.name} --from DIR."
        )


def _uses_182_ids(files: Files) -> bool:
    """Decided by the first label map that proves one or the other; without proof: converted."""
    for _, path in files.pairs:
        with suppress(DataError):  # an error when it is its turn
            proof = proves_182_ids(np.unique(read_label_map(path)))
            if proof is not None:
                return proof
    return False
