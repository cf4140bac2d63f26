"""Outlines of invented objects: plain geometric and simple natural shapes."""

from __future__ import annotations

import numpy as np

from lsmseg_model.data.ministuff.drawing import Array, Colour, Pen, Point, Rng, band, lumpy, oval


def panel(pen: Pen, form: str, r: float) -> None:
    """A flat plate of that form and radius, into the current part."""
    x, y = 0.53, 0.36
    if form == "octagon":
        pen.polygon(oval(x, y, r, r, np.pi / 8, 8))
    elif form == "round":
        pen.polygon(oval(x, y, r, r))
    elif form == "square":
        pen.box(x - r, y - r, x + r, y + r)
    elif form == "diamond":
        pen.polygon(oval(x, y, r, r, 0, 4))
    else:
        pen.polygon(oval(x, y + 0.2 * r, r * 1.1, r * 1.1, -np.pi / 2, 3))


def letters(rng: Rng, pen: Pen, ink: Colour) -> None:
    """A few letter-like marks across a plate."""
    for x in np.linspace(0.36, 0.66, int(rng.integers(3, 5))):
        if rng.random() < 0.5:
            pen.box(x, 0.3, x + 0.03, 0.44, ink)
            pen.box(x, 0.3, x + 0.07, 0.33, ink)
        else:
            pen.ellipse(x + 0.03, 0.37, 0.04, 0.07, ink)
            pen.box(x, 0.41, x + 0.07, 0.44, ink)


def trace(rng: Rng, pen: Pen, shape: str, texture: str) -> None:
    """Draws the outline of a shape into the pen's current part."""
    c, r = 0.53, 0.49
    if shape in ("round", "ring"):
        squash = float(rng.uniform(0.9, 1.0))
        woolly = texture == "fuzzy"
        pen.polygon(lumpy(rng, c, c, r, r, 16, 0.05) if woolly else oval(c, c, r, r * squash))
    elif shape == "oblong":
        thin = float(rng.uniform(0.13, 0.24))
        if rng.random() < 0.5:
            pen.polygon(oval(c, c, r, thin))
        else:
            pen.polygon(
                band([(0.04, c), (0.3, c), (0.75, c), (1.02, c)], [thin, 2 * thin, 2 * thin, thin])
            )
    elif shape == "crescent":
        reach, fat = rng.uniform(0.1, 0.2), rng.uniform(0.13, 0.28)
        a = np.linspace(reach * np.pi, (1 - reach) * np.pi, 13)
        path = [(c - 0.48 * float(np.cos(t)), 0.2 + 0.5 * float(np.sin(t))) for t in a]
        pen.polygon(band(path, list(0.03 + fat * np.sin(np.linspace(0, np.pi, 13)) ** 0.7)))
    elif shape in ("triangle", "square", "hexagon", "octagon", "diamond"):
        n = {"triangle": 3, "square": 4, "hexagon": 6, "octagon": 8, "diamond": 4}[shape]
        tilt = {"triangle": -np.pi / 2, "square": np.pi / 4, "octagon": np.pi / 8}.get(shape, 0.0)
        slim = 0.7 if shape == "diamond" else 1.0
        pen.polygon(oval(c, c, r * slim, r, tilt, n))
    elif shape == "box":
        half = float(rng.uniform(0.2, 0.32))
        if rng.random() < 0.6:
            pen.box(0.04, c - half, 1.02, c + half)
        else:
            pen.box(c - half, 0.04, c + half, 1.02)
    elif shape == "star":
        n = int(rng.integers(5, 8))
        a = np.arange(2 * n) * np.pi / n
        d = np.where(np.arange(2 * n) % 2, 0.21, r)
        pen.polygon(_radial(c, d, a))
    elif shape == "dome":
        a = np.linspace(np.pi, 2 * np.pi, 19)
        pen.polygon([(c + r * float(np.cos(t)), 0.78 + 0.55 * float(np.sin(t))) for t in a])
    elif shape == "cone":
        half = float(rng.uniform(0.12, 0.24))
        pen.polygon(
            band([(c, 0.9), (c, 0.7), (c, 0.35), (c, 0.03)], [2 * half, 1.8 * half, half, 0.03])
        )
    elif shape == "cross":
        t = float(rng.uniform(0.1, 0.17))
        pen.box(c - t, 0.05, c + t, 1.01)
        pen.box(0.05, c - t, 1.01, c + t)
    elif shape == "bell":
        side = [(0.44, 0.06), (0.36, 0.15), (0.28, 0.55), (0.14, 0.85), (0.06, 0.95)]
        pen.polygon(side + [(2 * c - px, py) for px, py in reversed(side)])
    elif shape == "hull":
        pen.polygon([(0.03, 0.4), (1.03, 0.4), (0.86, 0.76), (0.22, 0.76)])
    elif shape == "heap":
        for x, y in ((0.32, 0.7), (0.74, 0.7), (0.53, 0.72)):
            pen.polygon(oval(x, y, 0.26, 0.26))
        pen.polygon(oval(0.53, 0.45, 0.28, 0.28))
    else:
        around = np.arange(40) * (np.pi / 20)
        wave = 0.75 + 0.2 * np.sin(2 * around + rng.uniform(0, 6)) + 0.08 * np.sin(5 * around)
        reach = r * wave / wave.max()
        pen.polygon(_radial(c, reach, around))


def _radial(c: float, reach: Array, turn: Array) -> list[Point]:
    """The points at distances from (c, c), each at its angle."""
    pairs = zip(reach, turn, strict=True)
    return [(c + s * float(np.cos(t)), c + s * float(np.sin(t))) for s, t in pairs]
