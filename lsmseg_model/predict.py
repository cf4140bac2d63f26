"""Pictures in, masks out: segment files and folders with any class names, no data set needed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lsmseg_model.data.images import SUFFIXES, as_picture, by_suffix, entries
from lsmseg_model.data.label_maps import check_count, write_classes
from lsmseg_model.data.parallel import OnProgress
from lsmseg_model.errors import DataError, LsmsegModelError, UsageError
from lsmseg_model.files import check_folder, check_free, new_folder, write_whole
from lsmseg_model.inference.class_prompts import ClassPrompts, Decoded, Encoded, Model, Texts
from lsmseg_model.inference.options import Augmentation, ModelOptions, RunOptions
from lsmseg_model.inference.prediction import (
    LargeArray,
    Prediction,
    check_picture_format,
    write_arrays,
)
from lsmseg_model.processes import Processes, processes

RUNTIMES = ("torch", "onnx")
Tokenize = Callable[[str], Sequence[int]]
OVERLAYS, LABELS, CLASSES = "overlays", "labels", "classes.json"
MAPS_AT_ONCE = 8  # cost maps that are enlarged together


@dataclass(frozen=True, kw_only=True)
class PredictRequest(ModelOptions, RunOptions):
    """Picture files and folders to segment, with a model of `ModelOptions`; see `RunOptions`.

    runtime: "torch", or "onnx": ``model`` is then a folder that `export_model` wrote, and torch is
    not loaded.
    pictures: files, and folders of pictures. classes, texts, background, threshold: see
    `Segmenter.predict`. out: for one file the overlay's; for more, or where it ends in "/", a
    folder that takes overlays/, labels/ and classes.json, with ``cost_maps`` also cost_maps/ with
    a heat map for every class, with ``npz`` also npz/ with the label map, the scores and the cost
    maps as numbers. flip, scales: views of each picture whose scores are averaged, see
    `Augmentation`. force: replace files that are there, but never what is read.
    """

    pictures: Sequence[str | Path]
    runtime: str = "torch"
    classes: Sequence[str] | None = None
    texts: Texts | None = None
    background: str | Sequence[str] | None = None
    threshold: float | None = None
    out: str | Path | None = None
    cost_maps: bool = False
    npz: bool = False
    flip: bool = False
    scales: Sequence[float] = (1.0,)
    force: bool = False

    def __post_init__(self) -> None:
        ModelOptions.__post_init__(self)
        RunOptions.__post_init__(self)
        _check_runtime(self)
        if isinstance(self.pictures, str | Path):
            object.__setattr__(self, "pictures", (self.pictures,))


@dataclass
class PredictedPicture:
    """One picture of `predict`: its shares, the files written, or why there are none."""

    picture: Path
    shares: dict[str, float] = field(default_factory=dict)
    overlay: Path | None = None
    labels: Path | None = None
    error: str | None = None


@dataclass
class PredictResult:
    """What `predict` did, picture by picture.

    ``keys``: what became of those of a CAT-Seg checkpoint. ``skipped``: what lies in the folders
    and is no picture. ``note``: see `drawings_only`.
    """

    classes: tuple[str, ...]
    pictures: list[PredictedPicture]
    keys: str | None
    skipped: list[Path] = field(default_factory=list)
    note: str | None = None

    @property
    def failed(self) -> list[PredictedPicture]:
        return [one for one in self.pictures if one.error is not None]


def predict(
    request: PredictRequest,
    *,
    tokenize: Tokenize | None = None,
    on_progress: OnProgress | None = None,
    on_ready: Callable[[], None] | None = None,
) -> PredictResult:
    """Segment picture files and all pictures of folders.

    Of several processes, as torchrun starts them, each takes a part of the pictures.

    A picture among several that cannot be read has its error in its row, and the rest is done; a
    single one raises DataError, and so does a place that holds other files.

    Args:
        request: Pictures, classes and model.
        tokenize: Of an exported model, CLIP's tokens of a text, without start and end (default:
            open_clip's tokenizer, which loads torch).
        on_progress: Called after each picture.
        on_ready: Called once, before the first picture, when nothing more can be refused.

    Raises:
        UsageError: For no picture and for two that would be written to the same file.
        DataError: See above.
    """
    with processes(request.device) as team:
        here = replace(request, device=team.device)
        return _predict(here, team, tokenize, on_progress, on_ready)


def _predict(
    request: PredictRequest,
    team: Processes,
    tokenize: Tokenize | None,
    on_progress: OnProgress | None,
    on_ready: Callable[[], None] | None,
) -> PredictResult:
    files, skipped = find_pictures(request.pictures)
    folder = _folder(request, files)
    names = [file.stem for file in files] if folder is None else file_names(files)
    if team.first:  # before another one writes
        _check_free(request, files, folder, names)
    if len(files) == 1:
        as_picture(files[0])  # before a model is loaded for nothing
    model, keys, note = _load(request, tokenize)
    prompts = ClassPrompts(
        model, request.classes, request.texts, request.background, request.threshold
    )
    result = PredictResult(prompts.classes, [], keys, skipped, note)
    if on_ready and team.first:
        on_ready()
    team.wait()
    with nullcontext() if folder is None else new_folder(folder):
        if folder is not None and team.first:
            write_classes(folder / CLASSES, prompts.classes)
        names_of = dict(zip(files, names, strict=True))
        mine, rows = files[team.rank :: team.count], {}
        for done, seen in enumerate(_predictions(request, prompts, mine), 1):
            rows[seen.file] = _written(request, prompts, seen, folder, names_of[seen.file])
            if on_progress and team.first:
                on_progress(done, len(mine))
        for some in team.gather(rows):
            rows |= some
    result.pictures += [rows[file] for file in files]
    return result


def _check_runtime(request: PredictRequest) -> None:
    """Raise UsageError for an unknown runtime, and for options that it does not have."""
    if request.runtime not in RUNTIMES:
        raise UsageError(f"There is no runtime {request.runtime!r}; choose torch or onnx.")
    if request.runtime == "onnx":
        own = {f.name: f.default for f in fields(ModelOptions) if f.name not in ("model", "device")}
        for option, default in {**own, "batch_size": None, "workers": None}.items():
            if getattr(request, option) != default:
                raise UsageError(
                    f"--{option.replace('_', '-')} has no effect with --runtime onnx: what `model "
                    "export` wrote into the folder --model has its weights; leave it out."
                )
        if not Augmentation(request.flip, tuple(request.scales)).plain:
            raise UsageError("--flip and --scales need --runtime torch: leave them out.")
        if request.device != "cpu":
            raise UsageError("--runtime onnx computes on the CPU: leave out --device.")


def _load(
    request: PredictRequest, tokenize: Tokenize | None
) -> tuple[Model, str | None, str | None]:
    """The model; what became of a checkpoint's keys; the note about drawings."""
    if request.runtime == "onnx":
        from lsmseg_model.deploy.runtime import OnnxModel

        exported = OnnxModel(request.model, tokenize)
        return exported, None, exported.note
    from lsmseg_model.segmenter import Segmenter, drawings_only, load_model

    segmenter = Segmenter.of(load_model(request))
    segmenter.tell(request.captions)
    segmenter.augmentation = Augmentation(request.flip, tuple(request.scales))
    keys = None if segmenter.loaded is None else str(segmenter.loaded)
    note = drawings_only(request.model, request.pretrained, request.checkpoint)
    return segmenter, keys, note


class _Predicted(NamedTuple):
    """A file with its prediction and scores, or the error instead."""

    file: Path
    image: np.ndarray | None = None
    error: str | None = None
    prediction: Prediction | None = None
    decoded: Decoded | None = None


def _read(file: Path) -> _Predicted:
    try:
        return _Predicted(file, as_picture(file))
    except LsmsegModelError as error:
        return _Predicted(file, error=str(error))


def _predictions(
    request: PredictRequest, prompts: ClassPrompts, files: Sequence[Path]
) -> Iterator[_Predicted]:
    """The files one by one; torch is at the next while one is written."""

    def segment(seen: _Predicted, encoded: Encoded) -> _Predicted:
        assert seen.image is not None
        decoded = encoded.decode(prompts.text)
        return seen._replace(prediction=prompts.predict(seen.image, decoded), decoded=decoded)

    if request.runtime == "onnx":
        for seen in map(_read, files):
            if seen.image is None:
                yield seen
            else:
                yield segment(seen, prompts.model.encode(seen.image, f"picture {seen.file}"))
        return
    from lsmseg_model.inference.pipeline import Picture, Pipeline

    def read(file: Path) -> Picture:
        seen = _read(file)
        return Picture(seen.image, f"picture {file}", seen)

    def work(picture: Picture, encoded: Encoded | None) -> _Predicted:
        return picture.about if encoded is None else segment(picture.about, encoded)

    segmenter: Any = prompts.model
    views = Augmentation(request.flip, tuple(request.scales))
    pipeline = Pipeline(segmenter.model, read, request, alone=True, augmentation=views)
    yield from pipeline.run(files, work)


def _folder(request: PredictRequest, files: Sequence[Path]) -> Path | None:
    """The folder that takes the results; None where there is none, but one file at most.

    Raises UsageError for options that need a folder, and for a place that cannot take results.
    """
    out = request.out
    single = len(files) == 1 and not Path(request.pictures[0]).is_dir()
    folder = None if out is None or (single and not str(out).endswith("/")) else Path(out)
    if folder is None:
        if request.cost_maps or request.npz:
            raise UsageError("Cost maps and npz files need a folder: give -o DIR/, with the slash.")
        if out is not None:
            check_picture_format(Path(out))
        return None
    check_count(len(request.classes or ()) + 1)
    if any(folder.resolve() == Path(given).resolve() for given in request.pictures):
        raise UsageError(f"{out} holds the pictures themselves; name another folder with -o.")
    return folder


def _check_free(
    request: PredictRequest, files: Sequence[Path], folder: Path | None, names: Sequence[str]
) -> None:
    """Raise DataError for what may not be written, see `check_free` and `check_folder`."""
    read = (*files, request.pretrained, request.checkpoint, request.sam)
    if folder is not None:
        check_folder(folder, "predict", is_prediction, request.force)
        results = [folder / kind / f"{name}.png" for kind in (OVERLAYS, LABELS) for name in names]
        check_free([folder / CLASSES, *results], True, read)
    elif request.out is not None:
        if Path(request.out).is_dir():
            raise DataError(
                f"{request.out} is a folder: give -o {request.out}/, with the slash, to write into "
                "it, or name a file."
            )
        check_free([Path(request.out)], request.force, read)


def is_prediction(folder: Path) -> bool:
    """Whether a folder holds what `predict` left there."""
    return (folder / CLASSES).is_file() and (folder / OVERLAYS).is_dir()


def find_pictures(given: Sequence[str | Path]) -> tuple[list[Path], list[Path]]:
    """The files that are named, and the pictures in folders that are, each folder in order.

    And what else lies in the folders, hidden files apart. Raises UsageError for none at all,
    DataError for a folder without pictures.
    """
    files: list[Path] = []
    skipped: list[Path] = []
    for path in map(Path, given):
        if not path.is_dir():
            files.append(path)
            continue
        inside = entries(path)
        pictures = [p for p in inside if p.suffix.lower() in SUFFIXES and p.is_file()]
        others = [p for p in inside if p not in pictures]
        if not pictures:
            there = f"; not read there: {by_suffix(others)}" if others else ""
            raise DataError(f"{path} holds no pictures ({', '.join(SUFFIXES)}){there}.")
        files += pictures
        skipped += others
    if not files:
        raise UsageError("Name at least one picture or folder.")
    return list(dict.fromkeys(files)), list(dict.fromkeys(skipped))


def file_names(files: Sequence[Path]) -> list[str]:
    """A name for each file's results: its stem, or all of its name where two have that stem.

    Raises UsageError where two files have the same name.
    """
    stems = Counter(file.stem for file in files)
    names = [file.stem if stems[file.stem] == 1 else file.name for file in files]
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise UsageError(f"{count} pictures are called {name}: segment their folders one by one.")
    return names


def _written(
    request: PredictRequest, prompts: ClassPrompts, seen: _Predicted, folder: Path | None, name: str
) -> PredictedPicture:
    """One file's row, once what is wanted of it is written."""
    row = PredictedPicture(seen.file, error=seen.error)
    prediction, decoded = seen.prediction, seen.decoded
    if prediction is None or decoded is None:
        return row
    row.shares = prediction.shares
    if folder is None:
        row.overlay = None if request.out is None else Path(request.out)
    else:
        row.overlay, row.labels = folder / OVERLAYS / f"{name}.png", folder / LABELS / f"{name}.png"
        prediction.save_labels(row.labels)
        if request.cost_maps:
            write_heat_maps(folder / "cost_maps" / name, prompts.names, decoded)
        if request.npz:
            size = prediction.masks.shape
            parts = (maps for _, maps in _cost_maps(prompts.names, decoded))
            arrays: dict[str, np.ndarray | LargeArray] = {
                **prediction.arrays(),
                "cost_maps": LargeArray((len(prompts.names), *size), parts),
            }
            write_arrays(folder / "npz" / f"{name}.npz", arrays)
    if row.overlay is not None:
        prediction.save_overlay(row.overlay)
    return row


def write_heat_maps(folder: Path, names: Sequence[str], decoded: Decoded) -> None:
    """A PNG for every text: dark where its score is the lowest of all, bright where the highest.

    All share one scale: a CLIP's from the lowest to the highest cosine in the picture, a
    network's from 0 to 1; it stands in the files as the text "scale".
    """
    from matplotlib import colormaps
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    low, high = decoded.range
    viridis = (np.asarray(colormaps["viridis"].colors) * 255).round().astype(np.uint8)  # type: ignore[attr-defined]
    about = PngInfo()
    about.add_text("scale", f"{low:.6g} to {high:.6g}")
    digits = len(str(len(names) - 1))
    for start, maps in _cost_maps(names, decoded):
        for index, cost in enumerate(maps, start):
            level = (cost - low) * (255 / max(high - low, 1e-12))
            image = Image.fromarray(np.rint(level).clip(0, 255).astype(np.uint8))
            image.putpalette(viridis.tobytes())
            path = folder / f"{index:0{digits}}-{slug(names[index])}.png"
            write_whole(path, lambda temporary: image.save(temporary, "PNG", pnginfo=about))  # noqa: B023


def slug(name: str) -> str:
    """A class name as part of a file name."""
    return re.sub(r"[^\w]+", "-", name).strip("-")[:60]


def _cost_maps(names: Sequence[str], decoded: Decoded) -> Iterator[tuple[int, np.ndarray]]:
    """A few at a time: the first one's position, and float32 [w, H, W]."""
    for start in range(0, len(names), MAPS_AT_ONCE):
        yield start, decoded.scores(range(start, min(start + MAPS_AT_ONCE, len(names))))
