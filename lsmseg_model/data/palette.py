"""Colours for label maps: one fixed, well spread colour for every class index."""

from functools import cache

import numpy as np


@cache
def palette(count: int) -> np.ndarray:
    """RGB colours, uint8 [count, 3]: fewer are the first of more, so a class keeps its colour.

    Each colour is the one farthest, in OKLab, from all before it, among colours that are neither
    near black nor near white nor grey. There are 2,576 of those; then they come again. The array
    is shared: copy it before changing it.
    """
    levels = np.linspace(0, 255, 18).round()
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    lab = oklab(grid)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    kept = (lab[:, 0] > 0.4) & (lab[:, 0] < 0.9) & (chroma > 0.05) & (chroma < 0.17)
    grid, lab = grid[kept], lab[kept]
    chosen = [int(np.linalg.norm(grid - (70, 130, 200), axis=1).argmin())]
    distance = np.full(len(lab), np.inf)
    while len(chosen) < min(count, len(grid)):
        distance = np.minimum(distance, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    colours = grid[np.resize(chosen, count)].astype(np.uint8)
    colours.setflags(write=False)
    return colours


def oklab(rgb: np.ndarray) -> np.ndarray:
    """rgb: [..., 3] sRGB in 0..255 -> [..., 3] OKLab lightness, green-red, blue-yellow."""
    c = np.asarray(rgb, dtype=np.float64) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    cones = linear @ np.array(
        [
            [0.4122214708, 0.2119034982, 0.0883024619],
            [0.5363325363, 0.6806995451, 0.2817188376],
            [0.0514459929, 0.1073969566, 0.6299787005],
        ]
    )
    return np.cbrt(cones) @ np.array(
        [
            [0.2104542553, 1.9779984951, 0.0259040371],
            [0.7936177850, -2.4285922050, 0.7827717662],
            [-0.0040720468, 0.4505937099, -0.8086757660],
        ]
    )


def colour(labels: np.ndarray, count: int, ignored: tuple[int, int, int] = (0, 0, 0)) -> np.ndarray:
    """labels: int [H, W] class indices below ``count``, negative ignored -> uint8 [H, W, 3]."""
    table = np.vstack([palette(count), np.array(ignored, dtype=np.uint8)])
    return table[np.where(labels < 0, count, labels)]
