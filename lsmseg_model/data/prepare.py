"""`data prepare`: label maps as `load_benchmark` reads them, from the original downloads."""

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np

from lsmseg_model.data.folders import UNFINISHED, LabelReader, find_split
from lsmseg_model.data.label_maps import write_label_map
from lsmseg_model.data.layouts import LAYOUTS, Layout
from lsmseg_model.data.listing import list_names
from lsmseg_model.data.originals import (
    merge_objects,
    read_ade_indices,
    read_context_indices,
    read_context_names,
    read_objects,
    save_small_picture,
    small_labels,
    table_by_name,
    through,
)
from lsmseg_model.data.parallel import OnProgress, in_parallel
from lsmseg_model.errors import DataError, UsageError
from lsmseg_model.files import check_free, write_whole

CONTEXT_LISTS = (
    "pascalcontext_{split}.txt",
    "ImageSets/SegmentationContext/{split}.txt",
    "ImageSets/Main/{split}.txt",
)
MADE_ALREADY = ("camvid", "coco-stuff10k")  # what one downloads, or converts, is read as it is
SHOWN = 10  # failures that an error names


@dataclass(frozen=True)
class Job:
    """One picture: its label map is read and written, the picture made or linked.

    ``read`` makes classes [H, W] of the originals of picture and label map; without
    ``save_picture`` the picture is linked or copied.
    """

    picture: Path
    labels: Path
    picture_to: Path
    labels_to: Path
    read: Callable[[Path, Path], np.ndarray]
    save_picture: Callable[[Path, Path], None] | None = None


@dataclass(frozen=True)
class Prepared:
    """What was made of one split."""

    split: str
    labels_in: str
    label_maps: int
    made: int
    kept: int


@dataclass(frozen=True, kw_only=True)
class DataPrepareRequest:
    """Label maps to make of a benchmark's splits (all there are, or ``split``).

    source: the download's folder or one above it; out: the benchmark's folder to fill, by default
    the download's own. class_names: the vocabulary's prompts by the benchmark's own names.
    redo: make anew what is there already. missing_ok: go on where no object has the name of a
    class. workers: files at a time.
    """

    data: str
    source: str | Path
    class_names: Sequence[str]
    out: str | Path | None = None
    split: str | None = None
    redo: bool = False
    missing_ok: bool = False
    workers: int = 1


def data_prepare(
    request: DataPrepareRequest, *, on_progress: OnProgress | None = None
) -> list[Prepared]:
    """Make the label maps of a benchmark's splits, each picture beside them.

    Raises DataError, after everything else is done, for originals that cannot be read, and before
    anything is written for names that do not fit; UsageError for a benchmark without originals.
    """
    data = request.data
    layout = LAYOUTS.get(data)
    if layout is None or data in MADE_ALREADY:
        able = ", ".join(name for name in LAYOUTS if name not in MADE_ALREADY)
        raise UsageError(f"Data prepare makes label maps of {able}, not of {data}.")
    source = Path(request.source)
    if not source.is_dir():
        raise DataError(f"{source} is not a folder; --from must hold the download of {data}.")
    if data == "ade20k-847":
        plans = _ade_full(layout, request, on_progress)
    else:
        plans = (_context if data in ("pc-59", "pc-459") else _plain)(layout, request)
    every = [job for _, jobs in plans for job in jobs]
    _keep_originals(every)
    total = len(every)
    done = count(1)

    def advance(*_: int) -> None:
        if on_progress:
            on_progress(next(done), total)

    return [_run(split, jobs, layout.classes, request, advance) for split, jobs in plans]


def _keep_originals(jobs: Sequence[Job]) -> None:
    """Raise DataError where a label map or a smaller picture would take an original's place."""
    made = [job.labels_to for job in jobs] + [job.picture_to for job in jobs if job.save_picture]
    check_free(made, True, [path for job in jobs for path in (job.picture, job.labels)])


def _run(
    split: str,
    jobs: list[Job],
    classes: int,
    request: DataPrepareRequest,
    on_progress: OnProgress,
) -> Prepared:
    """Do the jobs. While it runs, and where it failed, UNFINISHED stands among the label maps."""
    folder = jobs[0].labels_to.parent
    try:
        for path in {folder, jobs[0].picture_to.parent}:
            path.mkdir(parents=True, exist_ok=True)
        (folder / UNFINISHED).touch()
    except OSError as error:
        raise DataError(
            f"Cannot write into {folder}: {error.strerror}; choose a place with --out."
        ) from error
    made, failures = 0, []
    for done in in_parallel(
        lambda job: _do(job, classes, request.redo), jobs, request.workers, on_progress
    ):
        if isinstance(done, str):
            failures.append(done)
        else:
            made += done
    if failures:
        more = f" And {len(failures) - SHOWN} more." if len(failures) > SHOWN else ""
        raise DataError(
            f"{len(failures)} of {len(jobs)} label maps could not be made: "
            f"{' '.join(failures[:SHOWN])}{more}"
        )
    (folder / UNFINISHED).unlink(missing_ok=True)
    return Prepared(split, str(folder), len(jobs), made, len(jobs) - made)


def _do(job: Job, classes: int, redo: bool) -> bool | str:
    """Whether anything was made; or the sentence that says why it could not be."""
    try:
        if (redo and job.save_picture) or not job.picture_to.exists():
            _put_picture(job)
        if job.labels_to.exists() and not redo:
            return False
        write_label_map(job.labels_to, job.read(job.picture, job.labels), classes)
    except DataError as error:
        return str(error)
    return True


def _put_picture(job: Job) -> None:
    if not job.picture.exists():
        raise DataError(f"{job.picture} is missing.")
    if job.save_picture is not None:
        write_whole(job.picture_to, partial(job.save_picture, job.picture))
        return
    with suppress(OSError):  # another disk, or a disk without links
        os.link(job.picture.resolve(), job.picture_to)
        return
    write_whole(job.picture_to, lambda path: shutil.copyfile(job.picture, path))


# -- what there is to do, for each kind of download -----------------------------------------

Plans = list[tuple[str, list[Job]]]  # split on disk, its jobs


def _jobs(
    layout: Layout,
    base: Path,
    split: str,
    originals: Iterable[tuple[Path, Path]],
    read: Callable[[Path, Path], np.ndarray],
    save_picture: Callable[[Path, Path], None] | None = None,
) -> list[Job]:
    """The jobs of pictures with label maps, which go to the layout's first place in ``base``."""
    place = layout.places[0]
    pictures_to = base / place.pictures.format(split=split)
    labels_to = base / place.labels.format(split=split)
    return [
        Job(
            picture,
            labels,
            pictures_to / picture.name,
            labels_to / f"{picture.stem}{place.endings[0]}",
            read,
            save_picture,
        )
        for picture, labels in originals
    ]


def _plain(layout: Layout, request: DataPrepareRequest) -> Plans:
    """Label maps that are pictures already: their values become classes."""
    data, source = request.data, Path(request.source)
    originals = replace(layout, places=layout.places[1:])
    plans: Plans = []
    missing: DataError | None = None
    for on_disk in layout.on_disk(request.split):
        try:
            split = find_split(data, originals, source, on_disk)
        except DataError as error:
            missing = missing or error
            continue
        if split.split != on_disk:
            continue
        files = split.files()
        if files.without_labels or files.without_picture:
            raise DataError(
                f"{split.labels} is not whole: {len(files.without_labels)} label map(s) and "
                f"{len(files.without_picture)} picture(s) are missing, such as "
                f"{(files.without_labels + files.without_picture)[0]}; "
                f"lsmseg-prompts data check --data {data} lists them."
            )
        reader = LabelReader(split, files, layout.classes)
        out = Path(request.out or split.base)
        plans.append((on_disk, _jobs(layout, out, on_disk, files.pairs, reader.labels)))
    if not plans:
        raise missing or DataError(f"{source} holds no label maps of {data}.")
    return plans


def _base(request: DataPrepareRequest, layout: Layout, needed: str) -> Path:
    """The download's folder: ``source`` or one inside it, with ``needed`` in it."""
    source = Path(request.source)
    for base in (source, *(source / folder for folder in layout.folders)):
        if (base / needed).exists():
            return base
    raise DataError(
        f"{source} does not hold the download of {request.data}: it needs {needed} "
        f"({', '.join(layout.folders)} may be inside it); see docs/benchmarks.md."
    )


def _ade_full(layout: Layout, request: DataPrepareRequest, on_progress: OnProgress | None) -> Plans:
    base = _base(request, layout, "images/ADE")
    maps = {
        on_disk: sorted((base / "images/ADE" / on_disk).rglob("*_seg.png"))
        for on_disk in layout.on_disk(request.split)
    }
    every = [path for paths in maps.values() for path in paths]
    if not every:
        raise DataError(
            f"{base / 'images/ADE'} has no *_seg.png of {', '.join(maps)}; unpack ADE20K there."
        )
    lists = [path.with_name(path.name.replace("_seg.png", ".json")) for path in every]
    names = merge_objects(
        zip(lists, in_parallel(read_objects, lists, request.workers, on_progress), strict=True)
    )
    # A class may be missing in part of a split, not in a whole one.
    part = not any(len(paths) in layout.published.get(s, ()) for s, paths in maps.items())
    table = table_by_name(
        request.class_names, names, str(base / "images/ADE"), request.missing_ok or part
    )
    named = np.unique(table[table >= 0]).size
    if not named:
        raise DataError(f"No object in {base / 'images/ADE'} has the name of a class.")
    # Where every class has its index, an index without a name is none of the classes.
    unnamed_ok = named == len(request.class_names)

    def read(_: Path, path: Path) -> np.ndarray:
        return small_labels(through(table, read_ade_indices(path), path, unnamed_ok))

    out = Path(request.out or base)
    plans: Plans = []
    for on_disk, paths in maps.items():
        originals = [
            (path.with_name(path.name.replace("_seg.png", ".jpg")), path) for path in paths
        ]
        if originals:
            jobs = _jobs(layout, out, on_disk, originals, read, save_small_picture)
            plans.append((on_disk, jobs))
    return plans


def _context(layout: Layout, request: DataPrepareRequest) -> Plans:
    base = _base(request, layout, "trainval")
    places = (base / "labels.txt", base / "trainval/labels.txt")
    names = next((path for path in places if path.exists()), None)
    if names is None:
        raise DataError(
            f"{base / 'labels.txt'} is missing: it comes with PASCAL-Context's trainval."
        )
    table = table_by_name(
        request.class_names, read_context_names(names), str(names), request.missing_ok
    )

    def read(_: Path, path: Path) -> np.ndarray:
        return through(table, read_context_indices(path), path)

    out = Path(request.out or base)
    plans: Plans = []
    for on_disk in layout.on_disk(request.split):
        lists = [base / one.format(split=on_disk) for one in CONTEXT_LISTS]
        listed = next((path for path in lists if path.exists()), None)
        if listed is None:
            if request.split is None and plans:
                continue
            raise DataError(
                f"Nothing tells the {on_disk} pictures of {request.data}: {base} needs one of "
                f"{', '.join(one.format(split=on_disk) for one in CONTEXT_LISTS)}."
            )
        stems = list_names(listed)
        there = {path.stem for path in (base / "trainval").glob("*.mat")}
        lacking = [stem for stem in stems if stem not in there]
        if lacking or not stems:
            raise DataError(
                f"{len(lacking)} of the {len(stems)} names of {listed} have no .mat in "
                f"{base / 'trainval'}: {', '.join(lacking[:SHOWN])}"
                f"{' ...' if len(lacking) > SHOWN else ''}; unpack PASCAL-Context anew."
            )
        originals = [
            (base / "JPEGImages" / f"{stem}.jpg", base / "trainval" / f"{stem}.mat")
            for stem in stems
        ]
        plans.append((on_disk, _jobs(layout, out, on_disk, originals, read)))
    return plans
