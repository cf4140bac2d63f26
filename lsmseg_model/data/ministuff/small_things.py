"""MiniStuff's small things: how its toys, its clock and its food look.

Each function takes a generator and a size in pixels (the longest dimension) and returns a Sprite.
"""

from __future__ import annotations

import numpy as np

from lsmseg_model.data.ministuff.drawing import (
    Pen,
    Rng,
    Sprite,
    band,
    clouded,
    colour,
    lumpy,
    mix,
    noise,
    oval,
    pick,
    shade,
    step,
)
from lsmseg_model.data.ministuff.figures import coat_field


def umbrella(rng: Rng, size: float) -> Sprite:
    pen = Pen(1.0, 0.98, size)
    pen.line([(0.5, 0.06), (0.5, 0.88), (0.56, 0.93), (0.61, 0.88)], 0.035, (70, 60, 54))
    first = pick(rng, ["red", "blue", "black", "yellow", "green", "pink", "purple"])
    a = np.linspace(np.pi, 2 * np.pi, 19)
    rim = [(0.5 + 0.48 * np.cos(t), 0.5 + 0.45 * np.sin(t)) for t in a]
    scallop = [(0.98 - 0.96 * t / 24, 0.5 - 0.05 * abs(np.sin(np.pi * t / 6))) for t in range(25)]
    pen.polygon(rim + scallop)
    x, y = pen.grid()
    panel = np.floor((np.arctan2(x - 0.5, 0.55 - y) / np.pi + 0.5) * 6) % 2
    second = colour(rng, "white") if rng.random() < 0.4 else shade(first, 0.75)
    pen.ink(mix(first, second, panel.astype(np.float32)))
    return pen.finish(rng, volume=0.12)


def kite(rng: Rng, size: float) -> Sprite:
    pen = Pen(0.8, 1.3, size / 1.3, rng.uniform(-0.5, 0.5))
    names = rng.permutation(["red", "yellow", "blue", "green", "orange", "purple", "pink"])
    first, second = colour(rng, str(names[0])), colour(rng, str(names[1]))
    pen.polygon([(0.4, 0.06), (0.12, 0.36), (0.4, 0.36)], first)
    pen.polygon([(0.4, 0.06), (0.68, 0.36), (0.4, 0.36)], second)
    pen.polygon([(0.4, 0.36), (0.12, 0.36), (0.4, 0.86)], second)
    pen.polygon([(0.4, 0.36), (0.68, 0.36), (0.4, 0.86)], first)
    path = [(0.4, 0.86), (0.46, 0.98), (0.36, 1.1), (0.42, 1.22)]
    pen.line(path, 0.03, (240, 240, 236))
    for x, y in path[1:3]:
        pen.ellipse(x, y, 0.05, 0.03, first)
    return pen.finish(rng, volume=0.06)


def sports_ball(rng: Rng, size: float) -> Sprite:
    pen = Pen(1.0, 1.0, size, rng.uniform(0, 3))
    kind = rng.random()
    pen.polygon(oval(0.5, 0.5, 0.47, 0.47))
    if kind < 0.5:  # soccer: white with dark patches
        pen.ink(colour(rng, "white"))
        dark = (28, 28, 32)
        pen.polygon(oval(0.5, 0.5, 0.15, 0.15, 0.3, 5), dark)
        for k in range(5):
            a = 0.3 + k * 2 * np.pi / 5
            pen.ellipse(0.5 + 0.37 * np.cos(a), 0.5 + 0.37 * np.sin(a), 0.1, 0.09, dark)
    elif kind < 0.8:  # basketball: brown-orange with dark seams
        pen.ink(shade(colour(rng, "orange"), 0.82))
        for path in ([(0.5, 0.03), (0.5, 0.97)], [(0.03, 0.5), (0.97, 0.5)]):
            pen.line(path, 0.03, (40, 26, 20))
        for s in (-1, 1):
            arc = [
                (0.5 + s * (0.36 - 0.2 * (1 - t * t)), 0.5 + 0.36 * t)
                for t in np.linspace(-1, 1, 9)
            ]
            pen.line(arc, 0.03, (40, 26, 20))
    else:  # tennis: yellow-green with a pale seam
        pen.ink((206, 226, 62))
        arc = [(0.24 + 0.14 * (1 - t * t), 0.5 + 0.38 * t) for t in np.linspace(-1, 1, 9)]
        pen.line(arc, 0.04, (240, 244, 220))
    return pen.finish(rng, volume=0.22)


def banana(rng: Rng, size: float) -> Sprite:
    pen = Pen(1.02, 1.02, size, rng.uniform(-np.pi, np.pi))
    skin = colour(rng, "yellow") if rng.random() < 0.85 else (198, 208, 70)
    a = np.linspace(0.15 * np.pi, 0.85 * np.pi, 13)
    path = [(0.51 - 0.46 * np.cos(t), 0.12 + 0.5 * np.sin(t)) for t in a]
    t = np.linspace(0, 1, 13)
    widths = 0.04 + 0.19 * np.sin(np.pi * t) ** 0.6
    for shift in range(int(rng.integers(1, 3))):
        moved = [(x, y + 0.13 * shift) for x, y in path]
        pen.polygon(band(moved, list(widths)), shade(skin, 1 - 0.08 * shift))
        inner = [(x, y + 0.035) for x, y in moved]
        pen.polygon(band(inner[2:-2], list(widths[2:-2] * 0.25)), shade(skin, 0.84))
        pen.ellipse(*moved[0], 0.035, 0.035, (92, 72, 40))
        pen.ellipse(*moved[-1], 0.03, 0.03, (70, 54, 32))
    return pen.finish(rng, rough=0.02)


def apple(rng: Rng, size: float) -> Sprite:
    pen = Pen(1.0, 1.08, size / 1.08)
    skin = pick(rng, ["red", "red", "red", "maroon", "light green", "green", "yellow"])
    pen.polygon(oval(0.34, 0.57, 0.3, 0.4))
    pen.polygon(oval(0.66, 0.57, 0.3, 0.4))
    pen.polygon(oval(0.5, 0.64, 0.4, 0.38))
    blush = shade(pick(rng, ["red", "yellow"]), 0.95) if rng.random() < 0.35 else shade(skin, 0.85)
    pen.ink(coat_field(rng, pen, "fading", skin, blush, 0.5))
    pen.line([(0.5, 0.28), (0.55, 0.06)], 0.05, (84, 58, 34))
    if rng.random() < 0.5:
        pen.ellipse(0.68, 0.13, 0.13, 0.055, (70, 140, 56), -0.4)
    pen.ellipse(0.3, 0.4, 0.07, 0.1, shade(skin, 1.55))
    return pen.finish(rng, volume=0.22)


def orange(rng: Rng, size: float) -> Sprite:
    pen = Pen(1.0, 1.0, size)
    pen.polygon(oval(0.5, 0.5, 0.47, 0.46))
    peel = shade(colour(rng, "orange"), rng.uniform(0.95, 1.05))
    pores = noise(rng, pen.h, pen.w, 3)
    pen.ink(mix(peel, shade(peel, 0.8), step(pores, 1.0, 0.4)))
    if rng.random() < 0.2:  # cut in half
        pen.ellipse(0.5, 0.5, 0.42, 0.41, (252, 226, 170))
        pen.ellipse(0.5, 0.5, 0.38, 0.37, (250, 160, 50))
        for k in range(4):
            dx, dy = 0.38 * np.cos(k * np.pi / 4), 0.37 * np.sin(k * np.pi / 4)
            pen.line([(0.5 - dx, 0.5 - dy), (0.5 + dx, 0.5 + dy)], 0.025, (252, 226, 170))
    else:
        pen.ellipse(0.5, 0.14, 0.05, 0.035, (90, 130, 50))
        pen.ellipse(0.33, 0.32, 0.09, 0.08, shade(peel, 1.4))
    return pen.finish(rng, volume=0.22)


def broccoli(rng: Rng, size: float) -> Sprite:
    pen = Pen(1.0, 1.05, size / 1.05, rng.uniform(-0.5, 0.5))
    stalk = colour(rng, "light green")
    pen.polygon(
        [(0.4, 1.0), (0.42, 0.6), (0.24, 0.45), (0.76, 0.45), (0.58, 0.6), (0.6, 1.0)], stalk
    )
    for x, y, r in ((0.28, 0.42, 0.22), (0.72, 0.42, 0.22), (0.5, 0.3, 0.27), (0.5, 0.45, 0.22)):
        pen.polygon(lumpy(rng, x, y, r, r * 0.95, 9, 0.12))
    base = shade(pick(rng, ["green", "dark green"]), rng.uniform(0.85, 1.1))
    buds = noise(rng, pen.h, pen.w, 4) + 0.6 * noise(rng, pen.h, pen.w, 2)
    pen.ink(mix(shade(base, 0.6), shade(base, 1.15), np.clip(0.5 + 0.5 * buds, 0, 1)))
    return pen.finish(rng, rough=0.08)


def carrot(rng: Rng, size: float) -> Sprite:
    pen = Pen(1.04, 1.04, size, rng.uniform(-np.pi, np.pi))
    root = colour(rng, "orange")
    path = [(0.3, 0.52), (0.5, 0.52), (0.75, 0.525), (1.0, 0.53)]
    if rng.random() < 0.85:
        leaf = pick(rng, ["green", "dark green"])
        for a in (-0.5, -0.2, 0.1, 0.4):
            tip = (0.3 - 0.27 * np.cos(a), 0.52 + 0.27 * np.sin(a))
            pen.polygon(band([(0.32, 0.52), tip], [0.05, 0.09]), shade(leaf, rng.uniform(0.8, 1.2)))
    pen.ellipse(0.31, 0.52, 0.06, 0.115, root)
    pen.polygon(band(path, [0.23, 0.2, 0.13, 0.025]), root)
    for x in rng.uniform(0.36, 0.8, 5):
        half = 0.1 * (1 - x) + 0.02
        pen.line([(x, 0.52 - half), (x + 0.01, 0.53)], 0.016, shade(root, 0.74))
    return pen.finish(rng, rough=0.03)


def pizza(rng: Rng, size: float) -> Sprite:
    pen = Pen(1.0, 1.0, size, rng.uniform(0, 6))
    pen.polygon(lumpy(rng, 0.5, 0.5, 0.47, 0.47, 14, 0.02))
    whole = rng.random() < 0.75
    crust = shade(colour(rng, "golden"), rng.uniform(0.85, 1.0))
    pen.ink(crust)
    pen.polygon(lumpy(rng, 0.5, 0.5, 0.4, 0.4, 12, 0.03))
    blots = clouded(rng, pen.h, pen.w, 0.16 * pen.scale)
    pen.ink(mix((244, 206, 110), (206, 70, 36), step(blots, 0.5, 0.25)))
    for _ in range(int(rng.integers(6, 10))):
        a, r = rng.uniform(0, 2 * np.pi), 0.33 * np.sqrt(rng.random())
        pen.ellipse(0.5 + r * np.cos(a), 0.5 + r * np.sin(a), 0.06, 0.06, (172, 36, 28))
    for _ in range(int(rng.integers(0, 6))):
        a, r = rng.uniform(0, 2 * np.pi), 0.33 * np.sqrt(rng.random())
        pen.ellipse(0.5 + r * np.cos(a), 0.5 + r * np.sin(a), 0.045, 0.025, (70, 110, 46), a)
    if not whole:  # a slice is missing
        pen.erase([(0.5, 0.5), (1.2, 0.3), (1.2, 0.95)])
    return pen.finish(rng, rough=0.05)


def donut(rng: Rng, size: float) -> Sprite:
    pen = Pen(1.0, 1.0, size)
    pen.polygon(oval(0.5, 0.5, 0.47, 0.46))
    pen.ink(shade(colour(rng, "golden"), 0.85))
    icing = pick(rng, ["pink", "pink", "brown", "white", "golden"])
    pen.polygon(lumpy(rng, 0.5, 0.49, 0.42, 0.41, 11, 0.03))
    pen.ink(icing)
    if rng.random() < 0.6:
        for _ in range(22):
            a, r = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.37)
            dot = pick(rng, ["red", "yellow", "blue", "white", "green"])
            pen.ellipse(0.5 + r * np.cos(a), 0.49 + r * np.sin(a), 0.035, 0.016, dot, a * 3)
    pen.ellipse(0.5, 0.49, 0.185, 0.18, shade(icing, 0.7))
    pen.erase(oval(0.5, 0.5, 0.16, 0.155))
    return pen.finish(rng, volume=0.2)


def clock(rng: Rng, size: float) -> Sprite:
    pen = Pen(1.0, 1.0, size)
    frame = pick(rng, ["black", "black", "brown", "gray", "golden", "red"])
    face = colour(rng, "white")
    if rng.random() < 0.75:
        pen.ellipse(0.5, 0.5, 0.48, 0.48, frame)
    else:
        pen.box(0.03, 0.03, 0.97, 0.97, frame)
    pen.ellipse(0.5, 0.5, 0.4, 0.4, face)
    dark = (30, 30, 34)
    for k in range(12):
        a = k * np.pi / 6
        pen.ellipse(0.5 + 0.33 * np.cos(a), 0.5 + 0.33 * np.sin(a), 0.026, 0.026, dark)
    for length, width in ((0.19, 0.055), (0.29, 0.04)):
        a = rng.uniform(0, 2 * np.pi)
        pen.line([(0.5, 0.5), (0.5 + length * np.cos(a), 0.5 + length * np.sin(a))], width, dark)
    return pen.finish(rng, flip=False, volume=0.06)
