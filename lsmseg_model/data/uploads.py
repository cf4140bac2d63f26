"""Pictures that a stranger sends, as bytes: read with bounds on what they may cost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from lsmseg_model.data.images import as_picture, open_picture, upright_size
from lsmseg_model.errors import DataError

MOST_PIXELS = 40_000_000
SIDE = 800  # pixels that the longer side keeps: an edit is seen at once
SMALLEST = 8  # pixels a side that something can be seen in
_SHRINKABLE = ("L", "RGB", "RGBA", "CMYK", "YCbCr")  # modes whose mean of two colours is between


class Sent(NamedTuple):
    """A picture, uint8 [H, W, 3], and the height and width that the file has."""

    image: np.ndarray
    size: tuple[int, int]


def read_sent(data: bytes, side: int = SIDE) -> Sent:
    """The picture in the bytes of a file, reduced so that its longer side has at most ``side``.

    Raises DataError for what is not a picture or has several frames, and, before any pixel is
    decoded, for one of more than 40 megapixels or of next to none.
    """
    with open_picture(data) as opened:
        pixels = opened.width * opened.height
        if pixels > MOST_PIXELS:
            raise DataError(
                f"The picture has {pixels / 1e6:.0f} megapixels, and at most "
                f"{MOST_PIXELS / 1e6:.0f} are taken: make it smaller."
            )
        if min(opened.size) < SMALLEST:
            raise DataError(
                f"The picture has {opened.width} x {opened.height} pixels: give one with at least "
                f"{SMALLEST} on each side."
            )
        size = upright_size(opened)
        if opened.mode in _SHRINKABLE and max(opened.size) > 2 * side:
            opened.thumbnail((2 * side, 2 * side))  # not all of it is decoded, and copied
        image = as_picture(opened)
    return Sent(_reduced(image, side), (size.height, size.width))


def _reduced(image: np.ndarray, side: int) -> np.ndarray:
    height, width = image.shape[:2]
    share = side / max(height, width)
    if share >= 1:
        return np.ascontiguousarray(image)
    small = (max(1, round(width * share)), max(1, round(height * share)))
    return np.asarray(Image.fromarray(image).resize(small, Image.Resampling.BICUBIC))
