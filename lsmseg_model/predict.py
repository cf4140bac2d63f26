"""Pictures in, masks out: segment files and folders with any class names, no data set needed."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten

import numpy as np

from lsmseg_model.data.images import SUFFIXES, as_picture
from lsmseg_model.data.label_png import check_count, write_classes, write_label_map
from lsmseg_model.data.palette import palette
from lsmseg_model.data.parallel import OnProgress
from lsmseg_model.errors import DataError, LsmsegModelError, UsageError
from lsmseg_model.files import new_folder, whole_file, write_whole
from lsmseg_model.inference.pictures import CostMaps, Probabilities
from lsmseg_model.segmenter import (
    BACKGROUND,
    DEFAULT,
    ClassPrompts,
    Prediction,
    Segmenter,
)

MAPS_AT_ONCE = 8  # cost maps that are enlarged together
TALL = 1200  # pixels that an overlay shows of a picture's height at most
LEGEND = 20  # classes that a legend names at most


@dataclass
class Segmented:
    """One picture of ``predict``: what was found, the files written, or why there are none."""

    picture: Path
    shares: dict[str, float] = field(default_factory=dict)
    overlay: Path | None = None
    labels: Path | None = None
    error: str | None = None


@dataclass
class Predicted:
    """What ``predict`` did, picture by picture; ``keys``: what became of those of a CAT-Seg
    checkpoint."""

    classes: tuple[str, ...]
    pictures: list[Segmented]
    keys: str | None

    @property
    def failed(self) -> list[Segmented]:
        return [one for one in self.pictures if one.error is not None]


def predict(
    *,
    pictures: Sequence[str | Path],
    classes: Sequence[str],
    texts: Sequence[Sequence[str]] | None = None,
    model: str = DEFAULT,
    pretrained: str | Path | None = None,
    checkpoint: str | Path | None = None,
    format: str = "lsmseg",
    dense: str | None = None,
    sam: str | Path | None = None,
    out: str | Path | None = None,
    background: str | Sequence[str] | None = None,
    threshold: float | None = None,
    cost_maps: bool = False,
    npz: bool = False,
    device: str = "cpu",
    on_progress: OnProgress | None = None,
) -> Predicted:
    """Segment picture files and all pictures of folders.

    classes, texts, background, threshold: see `Segmenter.predict`. out: for one file the
    overlay's; for more, or where it ends in "/", a folder that takes overlays/, labels/ and
    classes.json, with ``cost_maps`` also cost_maps/ with a heat map for every class, with ``npz``
    also npz/ with the label map, the scores and the cost maps as numbers.

    A picture among several that cannot be read is told in its row and the rest is done; a single
    one raises DataError. Raises UsageError for no picture and for two that would be written to
    the same file.
    """
    files = find_pictures(pictures)
    single = len(files) == 1 and not Path(pictures[0]).is_dir() and not str(out or "").endswith("/")
    if out is not None and single:
        _check_format(Path(out))
    if (cost_maps or npz) and (out is None or single):
        raise UsageError("cost maps and npz files need a folder: give -o DIR/, with the slash.")
    if out is not None and not single:
        check_count(len(classes) + 1)
        if any(Path(out).resolve() == Path(given).resolve() for given in pictures):
            raise UsageError(f"{out} holds the pictures themselves; name another folder with -o.")
    if single:
        as_picture(files[0])  # before a model is loaded for nothing
    segmenter = Segmenter(model, pretrained, checkpoint, format, device, dense, sam)
    prompts = ClassPrompts(segmenter, classes, texts, background, threshold)
    loaded = segmenter.loaded
    result = Predicted(prompts.classes, [], None if loaded is None else str(loaded))
    if out is None or single:
        for done, file in enumerate(files, 1):
            overlay = None if out is None else Path(out)
            result.pictures.append(_segment(prompts, file, len(files) == 1, overlay))
            if on_progress:
                on_progress(done, len(files))
        return result
    names = file_names(files)
    with new_folder(Path(out)) as folder:
        write_classes(folder / "classes.json", prompts.classes)
        for done, (file, name) in enumerate(zip(files, names, strict=True), 1):
            overlay, labels = folder / "overlays" / f"{name}.png", folder / "labels" / f"{name}.png"
            maps = folder / "cost_maps" / name if cost_maps else None
            numbers = folder / "npz" / f"{name}.npz" if npz else None
            alone = len(files) == 1
            result.pictures.append(_segment(prompts, file, alone, overlay, labels, maps, numbers))
            if on_progress:
                on_progress(done, len(files))
    return result


def find_pictures(given: Sequence[str | Path]) -> list[Path]:
    """The files that are named, and the pictures in folders that are, each folder in order.

    Raises UsageError for none at all, DataError for a folder without pictures.
    """
    found: list[Path] = []
    for path in map(Path, given):
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
        if not inside:
            raise DataError(f"{path} holds no pictures ({', '.join(SUFFIXES)}).")
        found += inside
    if not found:
        raise UsageError("name at least one picture or folder.")
    return list(dict.fromkeys(found))


def file_names(files: Sequence[Path]) -> list[str]:
    """A name for each file's results: its stem, or all of its name where two have that stem.

    Raises UsageError where two files have the same name.
    """
    stems = Counter(file.stem for file in files)
    names = [file.stem if stems[file.stem] == 1 else file.name for file in files]
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise UsageError(f"{count} pictures are called {name}; segment their folders one by one.")
    return names


def _segment(
    prompts: ClassPrompts,
    file: Path,
    alone: bool,
    overlay: Path | None,
    labels: Path | None = None,
    maps: Path | None = None,
    numbers: Path | None = None,
) -> Segmented:
    """One file: its row, and what is to be written."""
    row = Segmented(file)
    try:
        image = as_picture(file)
    except LsmsegModelError as error:
        if alone:
            raise
        row.error = str(error)
        return row
    decoded = prompts.decode(image)
    prediction = prompts.predict(image, decoded)
    row.shares = prediction.shares
    if overlay is not None:
        write_whole(overlay, lambda path: draw_overlay(path, prediction))
        row.overlay = overlay
    if labels is not None:
        write_label_map(labels, prediction.masks, len(prediction.classes))
        row.labels = labels
    if maps is not None:
        write_heat_maps(maps, prompts.names, decoded)
    if numbers is not None:
        write_npz(numbers, prompts.names, decoded, prediction)
    return row


def _check_format(out: Path) -> None:
    """Raise UsageError for an ending that is no picture format, before the model runs."""
    from matplotlib.figure import Figure

    known = Figure().canvas.get_supported_filetypes()
    if out.suffix and out.suffix.lstrip(".").lower() not in known:
        raise UsageError(f"cannot write {out}: {out.suffix} is no picture format; try .png.")


def draw_overlay(path: Path, prediction: Prediction, alpha: float = 0.6) -> None:
    """Write the picture with class colours over it and a legend beside it; background is grey."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    step = -(-max(prediction.masks.shape) // TALL)
    image, masks = prediction.image[::step, ::step], prediction.masks[::step, ::step]
    colors = palette(len(prediction.classes)).copy()
    blend = (1 - alpha) * image + alpha * colors[masks]
    if BACKGROUND in prediction.classes:
        at = prediction.classes.index(BACKGROUND)
        colors[at] = 190
        grey = image[masks == at].mean(axis=-1, keepdims=True)
        blend[masks == at] = 0.5 * grey + 0.5 * colors[at]
    height, width = image.shape[:2]
    tall = 5.0
    shown = [(name, share) for name, share in prediction.shares.items() if share >= 0.001]
    place = {name: i for i, name in enumerate(prediction.classes)}
    patches = [
        Patch(
            facecolor=colors[place[name]] / 255,
            edgecolor="0.3",
            label=f"{shorten(name, 60, placeholder='...')}  {share:.1%}",
        )
        for name, share in shown[:LEGEND]
    ]
    if len(shown) > LEGEND:
        rest = sum(share for _, share in shown[LEGEND:])
        patches.append(Patch(facecolor="none", label=f"{len(shown) - LEGEND} more  {rest:.1%}"))
    # A strip of a picture would ask for more pixels than a file can hold.
    wide = min(max(tall * width / height, 1.0), 8 * tall)
    letters = max((len(str(patch.get_label())) for patch in patches), default=0)
    total = wide + 0.8 + 0.09 * letters
    figure = Figure(figsize=(total, tall))
    axes = figure.add_axes((0.0, 0.0, wide / total, 1.0))
    axes.imshow(blend.astype(np.uint8), interpolation="nearest")
    axes.set_axis_off()
    axes.legend(handles=patches, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.savefig(path, dpi=120, format=path.suffix.lstrip(".") or "png")


def write_heat_maps(folder: Path, names: Sequence[str], decoded: CostMaps | Probabilities) -> None:
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


def write_npz(
    path: Path, names: Sequence[str], decoded: CostMaps | Probabilities, prediction: Prediction
) -> None:
    """Arrays for numpy.load: ``labels`` [H, W] of ``classes``, the winners' ``scores`` [H, W],
    and ``cost_maps`` float32 [N, H, W] of ``prompts``; these are written a few at a time."""
    height, width = prediction.masks.shape
    with (
        whole_file(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        small = {
            "labels": prediction.masks.astype(np.int32),
            "scores": prediction.scores,
            "classes": np.array(prediction.classes),
            "prompts": np.array(names),
        }
        for name, array in small.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
        header = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)),
            "fortran_order": False,
            "shape": (len(names), height, width),
        }
        with archive.open("cost_maps.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array_header_1_0(file, header)
            for _, maps in _cost_maps(names, decoded):
                file.write(np.ascontiguousarray(maps).tobytes())


def _cost_maps(
    names: Sequence[str], decoded: CostMaps | Probabilities
) -> Iterator[tuple[int, np.ndarray]]:
    """A few at a time: the first one's position, and float32 [w, H, W]."""
    for start in range(0, len(names), MAPS_AT_ONCE):
        yield start, decoded.scores(range(start, min(start + MAPS_AT_ONCE, len(names))))
