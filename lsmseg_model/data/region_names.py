"""The names of classes written into a label map, each inside its region.

A name stands where its region is deepest: in the middle of the largest rectangle of the name's
shape that lies in it, as large as that allows. A name that fits nowhere is not written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import combinations, pairwise
from math import dist
from typing import Any, NamedTuple

import numpy as np

from lsmseg_model.data.palette import cielab

GRID = (160, 320)  # pixels of the longer side that regions are looked at in
SPECK = 0.003  # a region covers more of the picture to be named
OUTSIDE = 0.06  # part of a name's rectangle that may be other classes' pixels
MARGIN = 0.25  # ems around a name
AGAIN = 4  # of the largest ems to the next region that has the same name written in it
LINE = 1.15  # ems from line to line
WRONG = "\u2717\u00a0"  # before a wrong name: a cross, and a space that no line breaks at


class RegionName(NamedTuple):
    """A class's name, its middle at (x, y), its em; all in pixels of the label map."""

    class_index: int
    text: str
    x: float
    y: float
    size: float
    upright: bool
    """Turned by a quarter, to be read from below."""


def region_names(
    labels: np.ndarray,
    names: Mapping[int, str],
    width: Callable[[str], float],
    sizes: tuple[float, float],
    truth: np.ndarray | None = None,
) -> list[RegionName]:
    """Where to write the name of each region, the largest regions first.

    Args:
        labels: int [H, W] classes.
        names: What to write; classes that are not there are not named.
        width: How wide a line of text is, in ems (a text of size 10 has an em of 10).
        sizes: The smallest and the largest em, in pixels of ``labels``.
        truth: int [H, W], negative where it does not say: where it says otherwise for most of a
            region, the name is marked as wrong.
    """
    longest = max(labels.shape)
    step, times = -(-longest // GRID[1]), max(1, GRID[0] // longest)
    scale = times / step
    labels = labels[::step, ::step].repeat(times, 0).repeat(times, 1)
    if truth is not None:
        truth = truth[::step, ::step].repeat(times, 0).repeat(times, 1)
    taken = np.zeros(labels.shape, bool)
    found: list[RegionName] = []
    places = defaultdict[str, list[tuple[float, float]]](list)
    for index, (top, left), region in _regions(labels, names):
        here = np.s_[top : top + region.shape[0], left : left + region.shape[1]]
        text = names[index]
        if truth is not None and (true := truth[here][region & (truth[here] >= 0)]).size:
            text = (WRONG if (true == index).mean() < 0.5 else "") + text
        cost = np.where(taken[here], np.inf, ~region)
        fit = _fit(cost, text, width, (sizes[0] * scale, sizes[1] * scale))
        if fit is None:
            continue
        lines, x, y, size, upright = fit
        place = (left + x) / scale, (top + y) / scale
        if any(dist(place, other) < AGAIN * sizes[1] for other in places[text]):
            continue
        places[text].append(place)
        found.append(RegionName(index, "\n".join(lines), *place, size / scale, upright))
        high, wide = _box(lines, width, size, upright)
        rows = slice(max(0, int(y - high / 2)), int(y + high / 2) + 1)
        columns = slice(max(0, int(x - wide / 2)), int(x + wide / 2) + 1)
        taken[here][rows, columns] = True
    return found


def _regions(
    labels: np.ndarray, names: Mapping[int, str]
) -> Iterator[tuple[int, tuple[int, int], np.ndarray]]:
    """Connected regions, the largest first: class, top left corner, bool [h, w] from there."""
    ids = connected(labels)
    roots, sizes = np.unique(ids, return_counts=True)
    for at in np.argsort(-sizes, kind="stable"):
        index = int(labels.flat[roots[at]])
        if sizes[at] > SPECK * labels.size and index in names:
            region = ids == roots[at]
            rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
            top, left = int(rows[0]), int(columns[0])
            yield index, (top, left), region[top : rows[-1] + 1, left : columns[-1] + 1]


def connected(labels: np.ndarray) -> np.ndarray:
    """labels: int [H, W] -> int [H, W]: of each connected region its first pixel, row by row."""
    ids = np.arange(labels.size).reshape(labels.shape)
    down, right = labels[1:] == labels[:-1], labels[:, 1:] == labels[:, :-1]
    while True:
        before = ids.copy()
        for same, one, other in ((down, ids[1:], ids[:-1]), (right, ids[:, 1:], ids[:, :-1])):
            least = np.minimum(one, other)
            one[same] = least[same]
            other[same] = np.minimum(other, least)[same]
        ids = ids.ravel()[ids]  # what a pixel's pixel belongs to
        if (ids == before).all():
            return ids


def _fit(
    cost: np.ndarray, text: str, width: Callable[[str], float], sizes: tuple[float, float]
) -> tuple[tuple[str, ...], float, float, float, bool] | None:
    """(lines, x, y, size, upright) of a text in a region, level if it is readable so.

    cost: [h, w] 0 inside, 1 outside, infinite where another text is.
    """
    cost = np.where(np.isinf(cost), cost.size, cost)
    sums = np.pad(cost.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    best = None
    for upright in (False, True):
        for lines in broken_lines(text, width):
            high, wide = _box(lines, width, 1.0, upright)
            least = sizes[0] if best is None else 1.3 * best[3]
            if least < sizes[1] and (spot := _deepest(sums, high, wide, least)):
                best = (lines, spot[0], spot[1], min(spot[2], sizes[1]), upright)
        if best is not None:
            break
    return best


def _box(
    lines: tuple[str, ...], width: Callable[[str], float], size: float, upright: bool
) -> tuple[float, float]:
    """Height and width of a text's rectangle."""
    box = size * (LINE * len(lines) + MARGIN), size * (max(map(width, lines)) + 2 * MARGIN)
    return box[::-1] if upright else box


def broken_lines(text: str, width: Callable[[str], float]) -> Iterator[tuple[str, ...]]:
    """A text in one line and, broken at spaces into as equal ones as can be, in two to four."""
    words = text.split(" ")
    for count in range(1, min(4, len(words)) + 1):
        cuts = [(0, *cut, len(words)) for cut in combinations(range(1, len(words)), count - 1)]
        ways = [tuple(" ".join(words[a:b]) for a, b in pairwise(c)) for c in cuts]
        yield min(ways, key=lambda way: max(map(width, way)))


def _deepest(
    sums: np.ndarray, high: float, wide: float, least: float
) -> tuple[float, float, float] | None:
    """(x, y, size) of the largest rectangle of a shape that is free, if it has the least size.

    sums: [h + 1, w + 1] of the cost above and to the left. high, wide: of size 1.
    """

    def spots(size: float) -> tuple[np.ndarray, np.ndarray, int, int]:
        h, w = max(1, round(size * high)), max(1, round(size * wide))
        if h >= sums.shape[0] or w >= sums.shape[1]:
            return np.array([]), np.array([]), h, w
        inside = sums[h:, w:] - sums[:-h, w:] - sums[h:, :-w] + sums[:-h, :-w]
        y, x = np.nonzero(inside <= OUTSIDE * h * w)
        return y, x, h, w

    low, top = least, min((sums.shape[0] - 1) / high, (sums.shape[1] - 1) / wide)
    best = spots(low)
    if not len(best[0]):
        return None
    for _ in range(6):
        middle = (low + top) / 2
        if top > low and len((here := spots(middle))[0]):
            low, best = middle, here
        else:
            top = middle
    y, x, h, w = best
    nearest = int(np.hypot(y - y.mean(), x - x.mean()).argmin())
    return float(x[nearest] + w / 2), float(y[nearest] + h / 2), low


@cache
def ems(text: str) -> float:
    """How wide matplotlib draws a text, in ems."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    return float(
        text_to_path.get_text_width_height_descent(text, FontProperties(size=100.0), False)[0] / 100
    )


def ink(colour: np.ndarray) -> tuple[str, str]:
    """Letters and their halo on a colour: uint8 [3]."""
    return ("black", "white") if cielab(colour)[0] > 58 else ("white", "black")


def write_names(
    axis: Any,
    labels: np.ndarray,
    names: Mapping[int, str],
    colours: np.ndarray,
    sizes: tuple[float, float],
    truth: np.ndarray | None = None,
) -> set[int]:
    """Write names onto matplotlib's picture of a label map; returns the classes that got theirs.

    Args:
        axis: Has the picture, and its final place in its figure.
        labels: int [H, W] classes.
        names: What to write; classes that are not there are not named.
        colours: uint8 [C, 3] of the classes, for letters that stand out.
        sizes: The smallest and the largest letters, in points.
        truth: See `region_names`.
    """
    from matplotlib.patheffects import withStroke

    axis.apply_aspect()
    wide = axis.get_position().width * axis.figure.get_figwidth() * 72 / labels.shape[1]  # a pixel
    pixels = sizes[0] / wide, sizes[1] / wide
    written = region_names(labels, names, ems, pixels, truth)
    for one in written:
        letters, halo = ink(colours[one.class_index])
        axis.text(
            one.x - 0.5,
            one.y - 0.5,
            one.text,
            fontsize=one.size * wide,
            rotation=90 * one.upright,
            ha="center",
            va="center",
            linespacing=1.0,
            color=letters,
            parse_math=False,
            path_effects=[withStroke(linewidth=0.12 * one.size * wide, foreground=halo)],
        )
    return {one.class_index for one in written}
