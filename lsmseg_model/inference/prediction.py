"""What was predicted for a picture: masks and shares, shown as an overlay, saved as files."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from lsmseg_model.data.label_maps import write_classes, write_label_map
from lsmseg_model.data.palette import palette
from lsmseg_model.data.region_names import write_names
from lsmseg_model.errors import UsageError
from lsmseg_model.files import check_free, new_folder, whole_file, write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BACKGROUND = "background"
TALL = 1200  # pixels that an overlay shows of a picture's height at most
TALL_INCHES = 5.0
LETTERS = (8.0, 20.0)  # points of the smallest and the largest names in an overlay
LEGEND = 20  # classes that a legend names at most


@dataclass
class Prediction:
    """The class of every pixel.

    ``classes``: the names, ``background`` the last where there is one; ``masks``: int64 [H, W]
    positions in ``classes``; ``scores``: float32 [H, W], the winners' cosines or probabilities;
    ``shares``: part of the picture per class, largest first; ``image``: uint8 [H, W, 3].
    ``prompts``: the names that competed, ``texts`` the sentences of each, ``owners`` the position
    in ``classes`` that each stands for.
    """

    classes: tuple[str, ...]
    masks: np.ndarray
    scores: np.ndarray
    shares: dict[str, float]
    image: np.ndarray
    prompts: tuple[str, ...] = ()
    texts: tuple[tuple[str, ...], ...] = ()
    owners: tuple[int, ...] = ()

    def overlay(self, legend: bool = True) -> Image.Image:
        """The picture in class colours with the names in it; background is grey.

        A legend beside it lists the classes whose regions are too small for their names.
        """
        buffer = BytesIO()
        _figure(self, legend=legend).savefig(buffer, dpi=120, format="png")
        return Image.open(buffer).convert("RGB")

    def show(self) -> None:
        """Display the overlay: in a notebook below its cell, else in the system's viewer."""
        ipython = sys.modules.get("IPython")
        if ipython is not None and ipython.get_ipython() is not None:
            ipython.display.display(self.overlay())
        else:
            self.overlay().show()

    def save(self, path: str | Path, force: bool = False) -> None:
        """Write the prediction; what is written depends on the ending of ``path``.

        A picture's ending such as .png, .jpg or .pdf: the overlay. ``.npz``: `arrays`, for
        numpy.load. None: a folder with overlay.png, labels.png (the position in ``classes`` of
        every pixel) and classes.json (names, colours). ``force``: replace files that are there.
        Raises UsageError for another ending, DataError where a file is there already or cannot be
        written.
        """
        path = Path(path)
        if path.suffix == ".npz":
            check_free([path], force)
            write_arrays(path, self.arrays())
        elif path.suffix and not path.is_dir():
            check_picture_format(path)
            check_free([path], force)
            self.save_overlay(path)
        else:
            overlay, labels, classes = (
                path / name for name in ("overlay.png", "labels.png", "classes.json")
            )
            check_free([overlay, labels, classes], force)
            with new_folder(path):
                self.save_overlay(overlay)
                self.save_labels(labels)
                write_classes(classes, self.classes)

    def save_overlay(self, path: Path) -> None:
        """Write the overlay in the format of the ending, without one as PNG; replaces a file."""
        figure, kind = _figure(self), path.suffix.lstrip(".") or "png"
        write_whole(path, lambda temporary: figure.savefig(temporary, dpi=120, format=kind))

    def save_labels(self, path: Path) -> None:
        """Write the masks as PNG, see `write_label_map`; replaces a file."""
        write_label_map(path, self.masks, len(self.classes), self.classes)

    def arrays(self) -> dict[str, np.ndarray]:
        """What ``save`` writes into an .npz file.

        labels int32 and scores float32 [H, W]; classes, names [C]; of what `predict` made also
        prompts, names [N], owners int32 [N] and texts [N, S], the sentences of each prompt,
        filled up with "".
        """
        arrays = {"labels": self.masks.astype(np.int32), "scores": self.scores}
        arrays["classes"] = np.array(self.classes)
        if self.prompts:
            most = max(map(len, self.texts))
            texts = [[*some, *[""] * (most - len(some))] for some in self.texts]
            arrays |= {"prompts": np.array(self.prompts), "texts": np.array(texts)}
            arrays["owners"] = np.array(self.owners, np.int32)
        return arrays


def check_picture_format(path: Path) -> None:
    """Raise UsageError for an ending that is not a picture format."""
    from matplotlib.figure import Figure

    formats = Figure().canvas.get_supported_filetypes()
    if path.suffix and path.suffix.lstrip(".").lower() not in formats:
        raise UsageError(f"Cannot write {path}: {path.suffix} is not a picture format; try .png.")


class LargeArray(NamedTuple):
    """A float32 array that may be larger than the memory, in parts along its first dimension."""

    shape: tuple[int, ...]
    parts: Iterable[np.ndarray]


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray | LargeArray]) -> None:
    """Write arrays by name into an .npz file, for numpy.load."""
    with (
        whole_file(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                if isinstance(array, np.ndarray):
                    np.lib.format.write_array(file, array, allow_pickle=False)
                    continue
                descr = np.lib.format.dtype_to_descr(np.dtype(np.float32))
                header = {"descr": descr, "fortran_order": False, "shape": array.shape}
                np.lib.format.write_array_header_1_0(file, header)
                for part in array.parts:
                    file.write(np.ascontiguousarray(part).tobytes())


def _figure(prediction: Prediction, alpha: float = 0.6, legend: bool = True) -> Figure:
    """The grey picture in the colours of its classes, their names inside, a legend of the others.

    Figure without pyplot leaves the caller's backend alone.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    step = -(-max(prediction.masks.shape) // TALL)
    image, masks = prediction.image[::step, ::step], prediction.masks[::step, ::step]
    colors = palette(prediction.classes)
    grey = image.mean(axis=-1, keepdims=True)
    blend = (1 - alpha) * grey + alpha * colors[masks]
    height, width = image.shape[:2]
    # A strip of a picture would ask for more pixels than a file can hold.
    wide = min(max(TALL_INCHES * width / height, 1.0), 8 * TALL_INCHES)
    figure = Figure(figsize=(wide, TALL_INCHES))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.imshow(blend.astype(np.uint8), interpolation="nearest")
    axes.set_axis_off()
    names = {i: shorten(n, 60, placeholder="...") for i, n in enumerate(prediction.classes)}
    written = write_names(axes, masks, names, colors, LETTERS)
    place = {name: i for i, name in enumerate(prediction.classes)}
    rest = [
        (place[name], share)
        for name, share in prediction.shares.items()
        if share >= 0.001 and place[name] not in written
    ]
    patches = [
        Patch(facecolor=colors[i] / 255, edgecolor="0.3", label=f"{names[i]}  {share:.1%}")
        for i, share in rest[:LEGEND]
    ]
    if len(rest) > LEGEND:
        share = sum(share for _, share in rest[LEGEND:])
        patches.append(Patch(facecolor="none", label=f"{len(rest) - LEGEND} more  {share:.1%}"))
    if patches and legend:
        total = wide + 0.8 + 0.09 * max(len(str(patch.get_label())) for patch in patches)
        figure.set_figwidth(total)
        axes.set_position((0.0, 0.0, wide / total, 1.0))
        beside = axes.legend(
            handles=patches, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False
        )
        for text in beside.get_texts():
            text.set_parse_math(False)  # "$" in a name is not a formula
    return figure
