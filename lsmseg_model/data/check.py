"""`data check`: is a benchmark's folder whole, before hours are spent on it?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lsmseg_model.data.benchmark import scored_names
from lsmseg_model.data.folders import Files, LabelReader, Split, open_split
from lsmseg_model.data.groups import FILE
from lsmseg_model.data.images import Size, by_suffix, open_picture, upright_size
from lsmseg_model.data.label_maps import IGNORE, VALUES, read_label_map
from lsmseg_model.data.layouts import OWN
from lsmseg_model.data.parallel import OnProgress, in_parallel
from lsmseg_model.errors import DataError, UsageError


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be; ``stops``: a run over all pictures would fail."""

    kind: str
    file: str
    what: str
    stops: bool = True


@dataclass(frozen=True)
class Report:
    """What was found in a split; ``pixels`` int64 [C]: how often each scored class is labelled."""

    summary: dict[str, Any]
    findings: list[Finding]
    pixels: np.ndarray

    @property
    def stops(self) -> bool:
        """Whether anything would stop a run."""
        return any(finding.stops for finding in self.findings)


@dataclass(frozen=True, kw_only=True)
class DataCheckRequest:
    """A split to check, or its first ``limit`` pictures, ``workers`` at a time.

    data, data_root, split: see `load_benchmark`. class_names: those of the vocabulary's prompts.
    """

    data: str
    class_names: Sequence[str]
    data_root: str | Path | None = None
    split: str | None = None
    limit: int | None = None
    workers: int = 1


def data_check(request: DataCheckRequest, *, on_progress: OnProgress | None = None) -> Report:
    """Read every picture and label map of a split, and list all findings.

    Raises DataError where there is nothing that could be checked, UsageError for a benchmark that
    is not on disk.
    """
    class_names, limit = request.class_names, request.limit
    if request.data == "ministuff":
        raise UsageError("MiniStuff is drawn, not read: there is nothing to check.")
    split = open_split(request.data, request.data_root, request.split, len(class_names))
    files = split.files()
    findings = _about_files(split, files)
    groups = None
    try:
        groups = split.groups(files)
    except DataError as error:
        findings.append(Finding("groups", FILE, str(error)))
    own = split.layout is OWN
    classes = len(class_names) if own else split.layout.classes
    names = list(class_names) if own else scored_names(split.layout, class_names)
    reader = LabelReader(split, files, classes)
    pixels, ignored = np.zeros(classes, np.int64), 0
    pairs = files.pairs[:limit] if limit else files.pairs
    for part, void, problems in in_parallel(
        lambda pair: _about_pair(reader, *pair), pairs, request.workers, on_progress
    ):
        pixels += part
        ignored += void
        findings += problems
    never = [names[i] for i in np.flatnonzero(pixels == 0)]
    if pairs and len(never) == classes:
        what = f"no pixel has a class; the label maps hold only {reader.found(p for _, p in pairs)}"
        findings.append(Finding("labels", "", what))
    elif never and not limit:
        what = f"never labelled: {', '.join(never)}"
        findings.append(Finding("classes", "", what, stops=False))
    total = int(pixels.sum()) + ignored
    published = split.layout.published.get(split.split)
    summary = {
        "benchmark": split.name,
        "split": split.split,
        "pictures_in": str(split.pictures),
        "labels_in": str(split.labels),
        "values": VALUES[reader.values],
        "pictures": len(files.pairs),
        "published": published[0] if published else None,
        "groups": None if groups is None else len(set(groups)),
        "checked": len(pairs),
        "classes": classes,
        "classes_labelled": classes - len(never),
        "ignored": ignored / total if total else None,
        "findings": len(findings),
        "would_stop_a_run": any(finding.stops for finding in findings),
    }
    return Report(summary, findings, pixels)


def _about_files(split: Split, files: Files) -> list[Finding]:
    """Stems without a partner, and a number of pictures that is not the published one."""
    findings = [
        Finding("no picture", name, f"has no picture in {split.pictures}")
        for name in files.without_picture
    ]
    findings += [
        Finding("no labels", name, f"stands in {split.place.names} but not in {split.labels}")
        for name in files.without_labels
    ]
    published = split.layout.published.get(split.split)
    if published and len(files.pairs) not in published:
        what = (
            f"{len(files.pairs)} pictures with label maps, {published[0]} are published: "
            "scores cannot be compared"
        )
        findings.append(Finding("count", "", what, stops=False))
    if files.left_out:
        what = f"{files.left_out} pictures have no label map and are left out"
        findings.append(Finding("left out", "", what, stops=False))
    if files.skipped:
        what = f"not read as pictures or label maps: {by_suffix(files.skipped)}"
        findings.append(Finding("skipped", "", what, stops=False))
    if not files.pairs:
        findings.append(Finding("count", "", "no picture has a label map"))
    return findings


def _about_pair(
    reader: LabelReader, picture: Path, path: Path
) -> tuple[np.ndarray, int, list[Finding]]:
    """Pixels of each class, ignored pixels, and what is wrong with a picture or its label map."""
    findings: list[Finding] = []
    size = None
    try:
        size = _decode(picture)
    except DataError as error:
        findings.append(Finding("unreadable", picture.name, str(error)))
    pixels = np.zeros(reader.classes, np.int64)
    try:
        raw = read_label_map(path)
    except DataError as error:
        return pixels, 0, [*findings, Finding("unreadable", path.name, str(error))]
    labels, problems = reader.judge(raw, path, size)
    findings += [Finding(kind, path.name, what) for kind, what in problems.items()]
    pixels += np.bincount(labels[labels >= 0], minlength=reader.classes)
    return pixels, int((labels == IGNORE).sum()), findings


def _decode(picture: Path) -> Size:
    """The size of a picture whose data are whole; JPEG is decoded small, which is faster."""
    with open_picture(picture) as opened:
        size = upright_size(opened)
        opened.draft("RGB", (max(1, opened.width // 8), max(1, opened.height // 8)))
        opened.load()
    return size
