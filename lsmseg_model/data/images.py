"""Pictures as people have them into uint8 RGB arrays: any mode, depth and orientation."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps

from lsmseg_model.data.formats import RAW, not_read, unreadable
from lsmseg_model.errors import DataError, UsageError

# What Pillow raises for damaged files.
DAMAGED = (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error, zlib.error)
# Their first frame is the picture: a phone's or stereo camera's, or all layers together.
ONE_OF_SEVERAL = ("MPO", "PSD", "ICNS")
NEW_SUBFILE_TYPE, REDUCED, MASK = 254, 1, 4  # of a TIFF's pages: a tag and two of its bits
MOST_REDUCED = 16  # smaller copies and masks of a TIFF that is sent
SENT = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")  # names of Pillow's
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def as_picture(picture: str | Path | Image.Image | np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] RGB of a path, a PIL image or an array.

    A path or PIL image may have any mode: greyscale, palette, CMYK, 16 bits; it is turned as its
    EXIF orientation says, and what is transparent shows white. An array is [H, W], [H, W, 1],
    [H, W, 3] or [H, W, 4] (alpha), uint8, uint16 or of floats in 0..1.

    Raises DataError for a file that is missing or is not a picture, and for numbers that cannot be
    greys; UsageError for an array of another kind.
    """
    if isinstance(picture, np.ndarray):
        return _from_array(picture)
    if isinstance(picture, Image.Image):
        return _from_image(picture, "The picture")
    with open_picture(picture) as opened:
        return _from_image(opened, str(picture))


def entries(folder: Path) -> list[Path]:
    """What lies in a folder, in order, without hidden files."""
    return sorted(p for p in folder.iterdir() if not p.name.startswith("."))


def by_suffix(skipped: Iterable[Path]) -> str:
    """Files of a folder that are no pictures, counted: "2 .heic, 1 folder"."""
    kinds = Counter("folder" if p.is_dir() else p.suffix.lower() or p.name for p in skipped)
    counted = [f"{count} {kind}" for kind, count in kinds.most_common()]
    return ", ".join([*counted[:5], *(["others"] if len(counted) > 5 else [])])


@contextmanager
def open_picture(path: str | Path | bytes, kind: str = "a picture") -> Iterator[Image.Image]:
    """A file, or the bytes of one, opened with Pillow.

    Bytes come from anyone: of these only the formats that are usual in browsers are read.
    Raises DataError, with the reason, for a file that is missing, damaged, too large or of a
    format that is not read, and for one of several frames or pages.
    """
    name: str | Path = "The picture" if isinstance(path, bytes) else Path(path)
    if isinstance(name, Path) and name.suffix.lower() in RAW:
        raise DataError(not_read(name, "raw", kind))
    if isinstance(name, Path) and name.exists() and not (name.is_file() or name.is_dir()):
        # It might never end.
        raise DataError(f"{name} is a pipe or a device, not a file; save {kind} as a file.")
    try:
        with warnings.catch_warnings():  # of large pictures; too large ones are refused
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(
                *((BytesIO(path), "r", SENT) if isinstance(path, bytes) else (path,))
            )
        with opened:
            frames = _frames_sent(opened) if isinstance(path, bytes) else _frames(opened)
            if frames != 1:
                raise DataError(
                    f"{name} has {frames} frames or pages and is not read as {kind}; save those "
                    "that are wanted as files of their own."
                )
            yield opened
    except FileNotFoundError as error:
        raise DataError(f"{name} does not exist.") from error
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{name} is too large for {kind}: it has more than "
            f"{2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels; cut it up or make it smaller."
        ) from error
    except DAMAGED as error:
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"{name} cannot be read: {error.strerror}.") from error
        raise DataError(unreadable(name, kind, _start(path))) from error


def _start(path: str | Path | bytes) -> bytes:
    if isinstance(path, bytes):
        return path[:1024]
    with suppress(OSError), Path(path).open("rb") as file:
        return file.read(1024)
    return b"unknown"


def _frames(opened: Any) -> int:
    """How many pictures a file holds; smaller copies and masks in a TIFF are none."""
    count: int = getattr(opened, "n_frames", 1)
    if count == 1 or opened.format in ONE_OF_SEVERAL:
        return 1
    if opened.format == "TIFF":
        for index in range(count):
            opened.seek(index)
            count -= bool(opened.tag_v2.get(NEW_SUBFILE_TYPE, 0) & (REDUCED | MASK))
        opened.seek(0)
    return count


def _frames_sent(opened: Any) -> int | str:
    """`_frames` of bytes that anyone sends: to count all takes hours where there are very many."""
    if opened.format in ONE_OF_SEVERAL or opened.format != "TIFF":
        several = opened.format not in ONE_OF_SEVERAL and getattr(opened, "is_animated", False)
        return "several" if several else 1
    for index in range(1, MOST_REDUCED + 1):
        try:
            opened.seek(index)
        except EOFError:
            opened.seek(0)
            return 1
        if not opened.tag_v2.get(NEW_SUBFILE_TYPE, 0) & (REDUCED | MASK):
            break
    return "several"


class Size(NamedTuple):
    """Of a picture as it is shown; ``turned``: its EXIF orientation has swapped the sides."""

    height: int
    width: int
    turned: bool = False


def upright_size(image: Image.Image) -> Size:
    """The size that `as_picture` gives it, from its header."""
    if image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8):
        return Size(image.width, image.height, turned=True)
    return Size(image.height, image.width)


def _from_image(image: Any, name: str) -> np.ndarray:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":  # Pillow would clip these at 255
        return _from_array(_scaled(np.asarray(image), name))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def _scaled(values: np.ndarray, name: str) -> np.ndarray:
    """Greyscale of 16 or 32 bits, or of floats, as uint8 or uint16."""
    if values.dtype == np.uint16 or values.size == 0:
        return values
    low, high = values.min(), values.max()  # NaN where one value is
    whole = values.dtype.kind != "f" or not (values % 1).any()
    if not (low >= 0 and high <= (65535 if whole else 1)):
        raise DataError(
            f"{name} holds numbers from {low:g} to {high:g}, and nothing tells black and white; "
            "save it with 8 or 16 bits, or as fractions from 0 to 1."
        )
    if values.dtype.kind == "f" and high <= 1:
        return np.rint(values * 255).astype(np.uint8)
    return values.astype(np.uint8 if high < 256 else np.uint16)


def _from_array(array: np.ndarray) -> np.ndarray:
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise UsageError(
            f"An array of shape {array.shape} is not a picture; give [H, W], [H, W, 3] or "
            "[H, W, 4]."
        )
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    elif array.dtype.kind == "f" and array.min() >= 0 and array.max() <= 1:
        array = np.rint(array * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise UsageError(
            f"An array of {array.dtype} is not a picture; give uint8 (0 to 255), uint16, or floats "
            "from 0 to 1."
        )
    if array.shape[2] == 4:
        alpha = array[..., 3:].astype(np.uint32)
        shown = array[..., :3] * alpha + 255 * (255 - alpha)
        return ((shown + 127) // 255).astype(np.uint8)
    return np.broadcast_to(array, (*array.shape[:2], 3)) if array.shape[2] == 1 else array
