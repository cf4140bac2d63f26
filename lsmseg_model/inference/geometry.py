"""How large a picture is shown to a model, and where its windows lie."""

from __future__ import annotations

import numpy as np
from PIL import Image

LONGEST = 16  # times the short side; longer pictures are squashed to it


def window_picture_size(
    size: tuple[int, int], short_side: int, window: int, patch: int
) -> tuple[int, int]:
    """The height and width at which a picture is seen through windows: multiples of the patch.

    Args:
        size: Its height and width.
        short_side: What its short side becomes.
        window: The side of a window, which both sides reach at least.
        patch: Pixels a position.
    """
    scale, most = short_side / min(size), LONGEST * short_side
    height, width = (max(window, round(min(side * scale, most) / patch) * patch) for side in size)
    return height, width


def offsets(side: int, window: int, stride: int) -> list[int]:
    """Window starts that cover ``side``; the last one ends at the border."""
    starts = list(range(0, side - window, stride))
    return [*starts, side - window]


def resized_for_views(image: np.ndarray, side: int) -> np.ndarray:
    """uint8 [h, w, 3], as CAT-Seg's loader resizes pictures before they are squashed.

    The short side to ``side``, the long one to at most four times that, bilinear and smoothed.
    """
    height, width = image.shape[:2]
    scale = min(side / min(height, width), 4 * side / max(height, width))
    size = (max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5)))
    if size == (width, height):
        return image
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def neighbours(few: int, many: int, pixel: int) -> tuple[int, int, float]:
    """The two of ``few`` positions around one of ``many`` pixels, and the second one's share.

    Bilinear with align_corners=False, as maps are enlarged everywhere here.
    """
    at = max((pixel + 0.5) * few / many - 0.5, 0.0)
    first = min(int(at), few - 1)
    return first, min(first + 1, few - 1), at - first
