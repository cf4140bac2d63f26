"""Colours of classes: natural ones where there are such, all of them apart."""

import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

MOST = 1000  # classes that have colours of their own; then they come again
# A difference in lightness counts half where a natural colour has to give way: a second brown is
# a lighter or darker brown rather than a red.
GIVING_WAY = np.array([0.5, 1.0, 1.0])
START = (70, 130, 200)  # the first strong colour where no other is taken
COLOUR_WORDS: tuple[str, ...] = ("black", "white", "gray", "grey", "red", "yellow", "brown")
COLOUR_WORDS += ("tan", "beige", "green", "blue", "purple", "pink")


@cache
def _natural() -> dict[str, tuple[int, ...]]:
    """What has a colour of its own -> this colour; () of names that end like those but do not."""
    table = json.loads(Path(__file__).with_name("natural_colours.json").read_text("utf-8"))
    return {name: tuple(bytes.fromhex(code[1:])) for code, names in table.items() for name in names}


def natural_colour(name: str) -> tuple[int, ...]:
    """The colour that things of this name have (grass green, sky light blue); () of the others.

    The last words decide ("palm tree", "wall-brick"), up to a "with", "in", "on" or "of"; else the
    first colour word, as in "red car".
    """
    words = re.findall(r"\w+", re.split(r" (?:with|in|on|of) ", name.lower())[0])
    while words and words[-1] in ("other", "stuff"):
        words.pop()
    ends = [" ".join(words[start:]) for start in range(len(words))]
    colours = [word for word in words if word in COLOUR_WORDS]
    known = _natural()
    for phrase in [form for end in ends for form in (end, end.removesuffix("s"))] + colours:
        if phrase in known:
            return known[phrase]
    return ()


def palette(names: Sequence[str]) -> np.ndarray:
    """RGB colours, uint8 [C, 3], of classes that are shown together.

    A class with a natural colour has it, or the nearest that is far enough from those of the
    natural ones before it; the others have strong colours, each the farthest from all that are
    taken. Far is measured in CIELAB. The array is shared: copy it before changing it.
    """
    return _palette(tuple(names))


@cache
def _palette(names: tuple[str, ...]) -> np.ndarray:
    some = names[:MOST]
    wanted = {at: rgb for at, name in enumerate(some) if (rgb := natural_colour(name))}
    # So many fit into what a screen shows, about 820,000 cubic units, without giving way much.
    apart = min(16.0, 50.0 / max(1, len(some)) ** (1 / 3))
    levels = np.linspace(0, 255, 18).round()
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    grid = np.vstack([grid, *wanted.values()]) if wanted else grid
    lab = cielab(grid)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    usable = (lab[:, 0] > 12) & (lab[:, 0] < 99)
    strong = usable & (chroma > 55) & (chroma < 90) & (lab[:, 0] > 30) & (lab[:, 0] < 88)
    free = np.full(len(grid), np.inf)  # distance to the nearest colour that is taken
    chosen: dict[int, int] = {}
    for at in [*wanted, *(at for at in range(len(some)) if at not in wanted)]:
        if at in wanted:
            away = np.linalg.norm((lab - cielab(np.array(wanted[at]))) * GIVING_WAY, axis=1)
            one = int(np.where(usable & (free >= apart), away, np.inf).argmin())
        elif not chosen:
            one = int(np.linalg.norm(grid - START, axis=1).argmin())
        else:
            one = int(np.where(strong, free, -1).argmax())
            if free[one] < apart:
                one = int(np.where(usable, free, -1).argmax())
        chosen[at] = one
        free = np.minimum(free, np.linalg.norm(lab - lab[one], axis=1))
    places = [chosen[at % MOST] for at in range(len(names))]
    colours = grid[places].astype(np.uint8)
    colours.setflags(write=False)
    return colours


def cielab(rgb: np.ndarray) -> np.ndarray:
    """rgb: [..., 3] sRGB in 0..255 -> [..., 3] CIELAB (D65) lightness, green-red, blue-yellow."""
    c = np.asarray(rgb, dtype=np.float64) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array(
        [
            [0.4124564, 0.2126729, 0.0193339],
            [0.3575761, 0.7151522, 0.1191920],
            [0.1804375, 0.0721750, 0.9503041],
        ]
    )
    x, y, z = np.moveaxis(_lightness(xyz / (0.95047, 1.0, 1.08883)), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _lightness(part: np.ndarray) -> np.ndarray:
    return np.where(part > (6 / 29) ** 3, np.cbrt(part), part * (29 / 6) ** 2 / 3 + 4 / 29)


def colour(
    labels: np.ndarray, colours: np.ndarray, ignored: tuple[int, int, int] = (0, 0, 0)
) -> np.ndarray:
    """labels: int [H, W] rows of ``colours``, negative ignored -> uint8 [H, W, 3]."""
    table = np.vstack([colours, np.array(ignored, dtype=np.uint8)])
    return table[np.where(labels < 0, len(colours), labels)]
