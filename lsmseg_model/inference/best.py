"""The best text of every pixel where only some texts' scores fit into memory; numpy alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

AT_ONCE = 8  # texts whose scores are enlarged together


def best_of(
    scores: Callable[[Sequence[int]], np.ndarray], texts: Sequence[int], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The text with the highest score, of equals the first, and this score: int64, float32 [H, W].

    Args:
        scores: Gives float32 [W, H, W] of some texts.
        texts: Those that can win.
        size: H and W.
    """
    where, best = np.zeros(size, np.int64), np.full(size, -np.inf, np.float32)
    for start in range(0, len(texts), AT_ONCE):
        some = texts[start : start + AT_ONCE]
        values = scores(some)
        first = values.argmax(axis=0)
        value = np.take_along_axis(values, first[None], axis=0)[0]
        better = value > best
        best, where = (
            np.where(better, value, best),
            np.where(better, np.asarray(some)[first], where),
        )
    return where, best


def at_pixel(
    scores: Callable[[Sequence[int]], np.ndarray], texts: Sequence[int], pixel: tuple[int, int]
) -> np.ndarray:
    """float32 [W]: the scores of texts at one pixel, a row and a column.

    Args:
        scores: Gives float32 [W, H, W] of some texts.
        texts: Those that are asked for.
        pixel: The row and the column.
    """
    parts = [
        scores(texts[start : start + AT_ONCE])[:, pixel[0], pixel[1]].copy()
        for start in range(0, len(texts), AT_ONCE)
    ]
    return np.concatenate(parts)
