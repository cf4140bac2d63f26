"""Pictures and maps resized as torch does it, with numpy and Pillow alone."""

from __future__ import annotations

import numpy as np
from PIL import Image


def smoothed(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 [H, W, 3] -> float32 [3, *size] in 0..1; bilinear, averaging where it gets smaller."""
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)
    if planes.shape[1:] == size:
        return planes
    shape = (size[1], size[0])
    resized = [
        np.asarray(Image.fromarray(plane).resize(shape, Image.Resampling.BILINEAR))
        for plane in planes
    ]
    return np.stack(resized).clip(0, 1)


def bilinear(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """float32 [N, h, w] -> [N, *size]: torch's bilinear with align_corners=False."""
    for axis, length in zip((1, 2), size, strict=True):
        if maps.shape[axis] != length:
            first, share = places(maps.shape[axis], length)
            second = np.minimum(first + 1, maps.shape[axis] - 1)
            shape = [-1 if at == axis else 1 for at in range(3)]
            share = share.reshape(shape)
            maps = maps.take(first, axis) * (1 - share) + maps.take(second, axis) * share
    return maps


def places(few: int, many: int) -> tuple[np.ndarray, np.ndarray]:
    """For each pixel of `many` the position of `few` before it, and how far it is from there."""
    at = np.maximum((np.arange(many) + 0.5) * (few / many) - 0.5, 0)
    first = np.minimum(at.astype(np.int64), few - 1)
    return first, (at - first).astype(np.float32)
