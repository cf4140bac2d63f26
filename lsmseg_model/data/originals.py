"""Label maps of original downloads whose labels are not plain pictures of class indices.

- ADE20K 2021_17_01 in full: beside each picture NAME.jpg a NAME_seg.png whose red and green tell
  the index of the object's name (red // 10 * 256 + green, 0 nothing), and a NAME.json that lists
  the objects with `name_ndx` and `name`. Checked against the pictures that ADE20K's own repository
  shows and the indices that MaskFormer's converter uses.
- PASCAL-Context: trainval/NAME.mat with LabelMap, and labels.txt with "index: name". Checked: in
  the order of these indices lie pc-459, and pc-59 among them, as CAT-Seg and mmsegmentation say.

Classes are matched by name, so neither a pickle of the download nor a table of ours is needed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from lsmseg_model.data.images import as_picture, open_picture
from lsmseg_model.data.label_maps import IGNORE, OUTSIDE, to_classes
from lsmseg_model.errors import DataError

SHORT_SIDE = 512  # of ADE20K-847's pictures: published scores are made on no larger ones
ALIASES = {"diningtable": "table"}  # pc-59's name, and that of labels.txt


# -- names -------------------------------------------------------------------------------


def table_by_name(
    wanted: Sequence[str], there: Mapping[int, str], what: str, missing_ok: bool = False
) -> np.ndarray:
    """int64 [max index + 1]: index of the download -> class, or IGNORE, or OUTSIDE if unnamed.

    Names are equal but for case and spaces; a name that is the same to the letter comes first.

    Args:
        wanted: Class names in order.
        there: The download's names by index.
        what: What holds them, for the message.
        missing_ok: Leave out classes that no index has the name of.

    Raises:
        DataError: With every class that no index, or several, have the name of.
    """
    table = np.full(max(there, default=0) + 1, OUTSIDE, dtype=np.int64)
    exact: dict[str, list[int]] = {}
    loose: dict[str, list[int]] = {}
    for index, name in there.items():
        table[index] = IGNORE
        exact.setdefault(name, []).append(index)
        loose.setdefault(_key(name), []).append(index)
    table[0] = IGNORE
    lacking: list[str] = []
    several: list[str] = []
    for at, name in enumerate(wanted):
        indices = exact.get(name) or loose.get(_key(name)) or exact.get(ALIASES.get(name, ""), [])
        if len(indices) == 1:
            table[indices[0]] = at
        else:
            (several if indices else lacking).append(name)
    if several or (lacking and not missing_ok):
        parts = [
            f"{len(names)} class(es) have {how}: {'; '.join(names)}"
            for names, how in ((lacking, "no name there"), (several, "several indices there"))
            if names
        ]
        raise DataError(f"{what} does not fit the vocabulary: {'. '.join(parts)}.")
    return table


def _key(name: str) -> str:
    return "".join(name.casefold().split())


def through(table: np.ndarray, raw: np.ndarray, path: Path, unnamed_ok: bool = False) -> np.ndarray:
    """Indices of a download to int64 [H, W] classes.

    Args:
        table: See `table_by_name`.
        raw: Indices, int64 [H, W].
        path: Their file, for the message.
        unnamed_ok: Ignore indices without a name.

    Raises:
        DataError: For indices without a name.
    """
    labels = to_classes(raw, table)
    if unnamed_ok:
        return np.maximum(labels, IGNORE)
    if (labels == OUTSIDE).any():
        unnamed = np.unique(raw[labels == OUTSIDE])
        raise DataError(
            f"{path} holds indices that nothing in the download names: "
            f"{', '.join(map(str, unnamed[:20]))}."
        )
    return labels


# -- ADE20K in full ----------------------------------------------------------------------


def read_objects(path: Path) -> dict[int, str]:
    """The `name_ndx` and `name` of a picture's objects, from its JSON."""
    try:
        text = path.read_bytes()
        try:
            decoded = text.decode("utf-8")
        except UnicodeDecodeError:  # some of the files are not
            decoded = text.decode("latin-1")
        objects = json.loads(decoded)["annotation"]["object"]
        return {int(o["name_ndx"]): str(o["name"]).strip() for o in objects}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not ADE20K's list of objects; unpack it anew.") from error


def merge_objects(many: Iterable[tuple[Path, dict[int, str]]]) -> dict[int, str]:
    """All objects of a download. Raises DataError where an index has two names."""
    names: dict[int, str] = {}
    for path, objects in many:
        for index, name in objects.items():
            if names.setdefault(index, name) != name:
                raise DataError(
                    f"{path} calls object {index} {name!r}, another picture "
                    f"{names[index]!r}: this is not a single release of ADE20K."
                )
    return names


def read_ade_indices(path: Path) -> np.ndarray:
    """int64 [H, W]: the index of the object's name at every pixel of a _seg.png, 0 for none."""
    with open_picture(path, "a label map") as opened:
        seg = np.asarray(opened.convert("RGB")).astype(np.int64)
    return seg[..., 0] // 10 * 256 + seg[..., 1]


def small_size(height: int, width: int, short_side: int = SHORT_SIDE) -> tuple[int, int]:
    """(height, width) with the short side at most ``short_side``, in proportion."""
    short, long = sorted((height, width))
    if short <= short_side:
        return height, width
    other = round(long / short * short_side)
    return (short_side, other) if width >= height else (other, short_side)


def small_labels(labels: np.ndarray) -> np.ndarray:
    """Labels [H, W] at `small_size`, by the nearest pixel up and left (OpenCV's INTER_NEAREST)."""
    height, width = labels.shape
    rows, columns = small_size(height, width)
    return labels[np.arange(rows) * height // rows][:, np.arange(columns) * width // columns]


def save_small_picture(source: Path, target: Path) -> None:
    """A JPEG of the picture at `small_size`, bilinear without smoothing, as OpenCV does it."""
    picture = Image.fromarray(as_picture(source))
    rows, columns = small_size(picture.height, picture.width)
    if (rows, columns) != (picture.height, picture.width):
        scale = (picture.width / columns, 0.0, 0.0, 0.0, picture.height / rows, 0.0)
        picture = picture.transform(
            (columns, rows), Image.Transform.AFFINE, scale, Image.Resampling.BILINEAR
        )
    picture.save(target, "JPEG", quality=95)


# -- PASCAL-Context ----------------------------------------------------------------------


def read_context_names(path: Path) -> dict[int, str]:
    """labels.txt of PASCAL-Context, a line "index: name" each."""
    try:
        lines = [line.partition(":") for line in path.read_text("utf-8").splitlines()]
        names = {int(index): name.strip() for index, colon, name in lines if colon}
    except (OSError, ValueError) as error:
        raise DataError(
            f'{path} cannot be read; it must have a line "index: name" for each class.'
        ) from error
    return names


def read_context_indices(path: Path) -> np.ndarray:
    """int64 [H, W]: the LabelMap of a .mat file. Needs scipy."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise DataError(
            "PASCAL-Context's .mat files are read with scipy: pip install 'lsmseg-prompts[data]'."
        ) from error
    try:
        labels = np.asarray(loadmat(path)["LabelMap"])
    except Exception as error:  # loadmat raises nearly anything for a damaged file
        raise DataError(f"{path} cannot be read as a .mat file with LabelMap.") from error
    if labels.ndim != 2 or labels.dtype.kind not in "ui":
        raise DataError(f"{path} has a LabelMap that is not a map of whole numbers.")
    return labels.astype(np.int64)
