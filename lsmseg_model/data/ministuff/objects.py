"""MiniStuff's objects: how the 26 countable classes look (the small ones: small_things.py).

Each function takes a generator and a size in pixels (the longest dimension) and returns a Sprite.
Colours, shapes, patterns and surfaces follow the real things and vary as they do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lsmseg_model.data.ministuff import small_things as small
from lsmseg_model.data.ministuff.drawing import Pen, Rng, Sprite, colour, oval, pick, shade
from lsmseg_model.data.ministuff.figures import BODIES, perched, quadruped, vehicle
from lsmseg_model.data.ministuff.tables import read_table


def car(rng: Rng, size: float) -> Sprite:
    body = pick(rng, ["white", "black", "gray", "gray", "red", "blue", "navy", "maroon"])
    cabin = (rng.uniform(0.16, 0.24), rng.uniform(0.72, 0.86))
    return vehicle(rng, size, length=rng.uniform(2.1, 2.5), body=body, cabin=cabin)


def bus(rng: Rng, size: float) -> Sprite:
    body = pick(rng, ["yellow", "red", "white", "blue", "green", "orange"])
    stripe = pick(rng, ["black", "white", "red", "blue"]) if rng.random() < 0.5 else None
    count = int(rng.integers(5, 8))
    return vehicle(
        rng, size, length=rng.uniform(2.3, 2.9), body=body, windows=count, stripe=stripe, tall=True
    )


def truck(rng: Rng, size: float) -> Sprite:
    cab = pick(rng, ["white", "red", "blue", "green", "gray", "yellow"])
    load = pick(rng, ["white", "white", "gray", "tan", "blue"])
    return vehicle(rng, size, length=rng.uniform(2.0, 2.4), body=cab, load=load)


def boat(rng: Rng, size: float) -> Sprite:
    hull = pick(rng, ["white", "white", "blue", "red", "brown", "navy"])
    if rng.random() < 0.6:  # with a sail
        pen = Pen(1.0, 1.12, size / 1.12)
        pen.line([(0.5, 0.04), (0.5, 0.9)], 0.03, (110, 84, 60))
        pen.polygon(
            [(0.53, 0.05), (0.53, 0.78), (0.94, 0.78)], pick(rng, ["white", "white", "red", "tan"])
        )
        pen.polygon([(0.47, 0.15), (0.47, 0.78), (0.14, 0.78)], colour(rng, "white"))
        deck, low = 0.84, 1.08
    else:
        pen = Pen(1.0, 0.62, size)
        pen.polygon([(0.35, 0.38), (0.38, 0.12), (0.7, 0.12), (0.76, 0.38)], colour(rng, "white"))
        pen.box(0.42, 0.18, 0.52, 0.28, (60, 74, 88))
        pen.box(0.56, 0.18, 0.66, 0.28, (60, 74, 88))
        deck, low = 0.36, 0.6
    pen.polygon([(0.01, deck), (0.99, deck), (0.84, low), (0.18, low)], hull)
    pen.box(0.03, deck, 0.96, deck + 0.05, shade(hull, 0.6))
    return pen.finish(rng)


def traffic_light(rng: Rng, size: float) -> Sprite:
    pen = Pen(0.42, 1.02, size)
    pen.box(0.18, 0.5, 0.24, 1.0, (76, 78, 80))
    case = pick(rng, ["black", "black", "yellow", "dark green"])
    pen.box(0.07, 0.02, 0.35, 0.72, case)
    on = int(rng.integers(3))
    for i, lamp in enumerate(((240, 36, 30), (250, 190, 30), (40, 220, 90))):
        pen.ellipse(0.21, 0.14 + 0.23 * i, 0.09, 0.09, lamp if i == on else shade(lamp, 0.35))
    return pen.finish(rng, volume=0.08)


def fire_hydrant(rng: Rng, size: float) -> Sprite:
    paint = pick(rng, ["red", "red", "red", "yellow", "yellow", "blue"])
    cap = paint if rng.random() < 0.6 else pick(rng, ["white", "gray", "yellow"])
    pen = Pen(0.64, 1.02, size)
    pen.box(0.2, 0.25, 0.44, 0.95)
    pen.box(0.04, 0.42, 0.6, 0.56)
    pen.box(0.13, 0.9, 0.51, 1.0)
    pen.ink(paint)
    pen.polygon(oval(0.32, 0.25, 0.17, 0.17), cap)
    pen.box(0.27, 0.03, 0.37, 0.12, cap)
    pen.box(0.13, 0.24, 0.51, 0.3, shade(cap, 0.8))
    pen.box(0.02, 0.4, 0.1, 0.58, shade(cap, 0.85))
    pen.box(0.54, 0.4, 0.62, 0.58, shade(cap, 0.85))
    pen.ellipse(0.32, 0.49, 0.08, 0.08, shade(paint, 0.7))
    return pen.finish(rng, volume=0.15)


STOP = (
    [[(2, 0.26), (0, 0.26), (0, 0.33), (2, 0.33), (2, 0.4), (0, 0.4)]],
    [[(0, 0.26), (2, 0.26)], [(1, 0.26), (1, 0.41)]],
    [[(0, 0.26), (2, 0.26), (2, 0.4), (0, 0.4), (0, 0.26)]],
    [[(0, 0.41), (0, 0.26), (2, 0.26), (2, 0.34), (0, 0.34)]],
)
"""The strokes of four letters: (left, middle or right, height)."""


def stop_sign(rng: Rng, size: float) -> Sprite:
    pen = Pen(0.66, 1.02, size)
    pen.box(0.3, 0.5, 0.36, 1.0, (128, 130, 132))
    white = (246, 244, 240)
    for r, ink in ((0.32, white), (0.285, colour(rng, "red"))):
        pen.polygon(oval(0.33, 0.33, r, r, np.pi / 8, 8), ink)
    for place, strokes in enumerate(STOP):
        start = 0.125 + place * 0.107
        columns = (start, start + 0.04, start + 0.08)
        for stroke in strokes:
            pen.line([(columns[c], y) for c, y in stroke], 0.034, white)
    return pen.finish(rng, flip=False, volume=0.08)


def bird(rng: Rng, size: float) -> Sprite:
    coat = pick(rng, ["brown", "gray", "white", "black", "blue", "brown", "red"])
    belly = pick(rng, ["white", "tan", "gray", "orange"])
    beak = pick(rng, ["yellow", "orange", "gray", "black"])
    return perched(rng, size, coat, belly, beak, flying=rng.random() < 0.25)


def horse(rng: Rng, size: float) -> Sprite:
    coat = pick(rng, ["brown", "brown", "brown", "black", "white", "gray", "tan"])
    dark = shade(coat, 0.4) if rng.random() < 0.8 else colour(rng, "tan")
    return quadruped(rng, size, BODIES["horse"], coat, dark=dark, rough=0.03)


def sheep(rng: Rng, size: float) -> Sprite:
    coat = pick(rng, ["white", "white", "white", "tan", "tan", "gray"])
    face = pick(rng, ["black", "black", "white", "tan", "brown"])
    return quadruped(rng, size, BODIES["sheep"], coat, face=face, feet=shade(face, 0.9), rough=0.12)


def cow(rng: Rng, size: float) -> Sprite:
    body = replace(BODIES["cow"], horns=0.1 if rng.random() < 0.6 else 0.0)
    coat = pick(rng, ["white", "white", "white", "brown", "brown", "black", "tan"])
    if sum(coat) > 640 or rng.random() < 0.35:
        patch = pick(rng, ["black", "black", "brown"]) if sum(coat) > 640 else colour(rng, "white")
        return quadruped(rng, size, body, coat, "blotches", patch, pitch=0.42, rough=0.03)
    return quadruped(rng, size, body, coat, rough=0.03)


def elephant(rng: Rng, size: float) -> Sprite:
    base = rng.uniform(98, 150)
    coat = (int(base + 4), int(base), int(base - rng.uniform(0, 10)))
    return quadruped(rng, size, BODIES["elephant"], coat, dark=(70, 66, 62), rough=0.05)


def bear(rng: Rng, size: float) -> Sprite:
    coat = pick(rng, ["brown", "brown", "black", "black", "white"])
    body = replace(BODIES["bear"], woolly=rng.random() < 0.3 and sum(coat) < 500)
    return quadruped(rng, size, body, coat, dark=(24, 20, 18), rough=0.13)


def zebra(rng: Rng, size: float) -> Sprite:
    white, black = colour(rng, "white"), (22, 20, 22)
    body, pitch = BODIES["zebra"], rng.uniform(0.12, 0.155)
    return quadruped(rng, size, body, white, "upright stripes", black, pitch=pitch, rough=0.02)


def giraffe(rng: Rng, size: float) -> Sprite:
    patch = shade(pick(rng, ["brown", "golden"]), rng.uniform(0.85, 1.0))
    tan, face, body = colour(rng, "tan"), colour(rng, "tan"), BODIES["giraffe"]
    return quadruped(rng, size, body, patch, "patches", tan, pitch=0.2, face=face, rough=0.02)


_DRAWINGS = {
    drawing.__name__: drawing
    for drawing in (
        car, bus, truck, boat, traffic_light, fire_hydrant, stop_sign, bird, horse, sheep, cow,
        elephant, bear, zebra, giraffe, small.umbrella, small.sports_ball, small.kite, small.banana,
        small.apple, small.orange, small.broccoli, small.carrot, small.pizza, small.donut,
        small.clock,
    )
}  # fmt: skip
OBJECTS: dict[int, tuple[Callable[[Rng, float], Sprite], float, float]] = {
    row["index"]: (_DRAWINGS[row["drawing"]], *row["size"])
    for row in read_table("classes")
    if "size" in row
}
"""Class index -> how to draw it, smallest and largest size in pixels near the viewer."""
