"""Figures with parameters (a four-legged body, a vehicle, a bird) and patterns to colour them.

MiniStuff's animals and vehicles and the invented ones are made by the same figures, so that long
necks or rows of windows look alike on both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lsmseg_model.data.ministuff.drawing import (
    Array,
    Colour,
    Pen,
    Point,
    Rng,
    Sprite,
    band,
    clouded,
    lumpy,
    mix,
    noise,
    oval,
    shade,
    step,
)
from lsmseg_model.data.ministuff.tables import read_table

GLASS = (60, 74, 88)
Place = Callable[[float, float], Point]


@dataclass(frozen=True)
class Body:
    """Proportions of a four-legged body whose trunk is 1 long (all lengths in trunk lengths)."""

    bulk: float = 0.42  # height of the trunk
    legs: float = 0.5  # legs below the trunk
    leg_width: float = 0.1
    neck: float = 0.35
    neck_width: float = 0.2
    neck_angle: float = 0.8  # radians above level
    head: float = 0.3  # length of the head
    ears: float = 0.07
    round_ears: bool = False
    flap_ears: float = 0.0  # hanging flat ears, e.g. an elephant's
    horns: float = 0.0
    mane: bool = False
    tail: float = 0.4
    trunk: float = 0.0  # hanging nose
    woolly: bool = False


BODIES = {name: Body(**proportions) for name, proportions in read_table("bodies").items()}
"""Those of MiniStuff's animals."""


def quadruped(
    rng: Rng,
    size: float,
    body: Body,
    coat: Colour,
    pattern: str = "plain",
    second: Colour = (255, 255, 255),
    *,
    pitch: float = 0.13,
    face: Colour | None = None,
    feet: Colour | None = None,
    dark: Colour = (40, 34, 30),
    rough: float = 0.05,
) -> Sprite:
    """A four-legged animal from the side, `size` pixels in its longest dimension.

    `pitch` is the period of the pattern in trunk lengths; `face` and `feet` colour head and legs.
    """
    b = body
    hx = 0.06 - b.neck * np.cos(b.neck_angle)
    hy = 0.1 - b.neck * np.sin(b.neck_angle)
    left = min(-0.06, hx - 0.85 * b.head, hx - b.flap_ears) - 0.04
    top = min(-0.06, hy - 0.45 * b.head - max(b.ears, b.horns) - b.flap_ears / 2) - 0.04
    right, low = 1.0 + 0.12 + 0.1 * b.tail, b.bulk + b.legs + 0.03
    width, height = right - left, low - top
    pen = Pen(width, height, size / max(width, height))

    def at(x: float, y: float) -> Point:
        return x - left, y - top

    foot = b.bulk + b.legs
    stride = rng.uniform(-0.06, 0.06)
    w = b.leg_width
    far = shade(coat if feet is None else feet, 0.62)
    for x, s in ((0.2, -stride), (0.78, stride)):  # the legs behind
        pen.polygon(band([at(x, b.bulk * 0.6), at(x + s, foot - 0.01)], [w * 1.1, w * 0.85]), far)
    if b.tail:
        path = [at(0.97, 0.12), at(1.06, 0.2), at(1.08, 0.15 + b.tail)]
        pen.polygon(band(path, [0.07, 0.05, 0.04]), shade(coat, 0.8))
        pen.polygon(oval(*at(1.08, 0.15 + b.tail), 0.035, 0.07), dark)
    # trunk of the body, legs and neck are one part and share the coat's pattern
    if b.woolly:
        pen.polygon(lumpy(rng, *at(0.5, b.bulk / 2), 0.6, b.bulk * 0.62, 13, 0.1))
    else:
        pen.polygon(oval(*at(0.5, b.bulk / 2), 0.52, b.bulk * 0.5))
        pen.polygon(oval(*at(0.2, b.bulk * 0.48), 0.23, b.bulk * 0.5))
        pen.polygon(oval(*at(0.8, b.bulk * 0.48), 0.22, b.bulk * 0.5))
    near = [(0.13, stride), (0.87, -stride)]
    if feet is None:
        _legs(pen, at, near, b.bulk, foot, w)
    neck = [at(0.16, b.bulk * 0.42), at(0.03, 0.06), at(hx + 0.02, hy)]
    pen.polygon(band(neck, [b.neck_width * 1.9, b.neck_width * 1.25, b.neck_width * 0.85]))
    pen.ink(coat_field(rng, pen, pattern, coat, second, pitch))
    if feet is not None:
        _legs(pen, at, near, b.bulk, foot, w)
        pen.ink(feet)
    for x, s in near:  # hooves
        pen.box(*at(x + s - w * 0.45, foot - 0.06), *at(x + s + w * 0.45, foot), dark)
    if b.mane:
        path = [at(0.1, 0.0), at(0.06, hy * 0.5), at(hx + 0.07, hy - 0.1)]
        pen.polygon(band(path, [0.05, 0.1, 0.08]), dark)
    _head(rng, pen, at, hx, hy, b, face or coat, dark)
    return pen.finish(rng, rough=rough)


def _legs(pen: Pen, at: Place, near: Sequence[Point], bulk: float, foot: float, w: float) -> None:
    for x, s in near:
        pen.polygon(band([at(x, bulk * 0.5), at(x + s, foot)], [w * 1.35, w * 0.9]))


def _head(
    rng: Rng, pen: Pen, at: Place, hx: float, hy: float, b: Body, face: Colour, dark: Colour
) -> None:
    h = b.head
    if b.horns:
        pale = (226, 214, 190)
        for s in (-0.05, 0.1):
            path = [at(hx + s, hy - 0.3 * h), at(hx + s + 0.06, hy - 0.4 * h - b.horns)]
            pen.polygon(band(path, [0.06, 0.02]), pale)
    elif b.ears and b.round_ears:
        for s in (-0.02, 0.14):
            pen.ellipse(*at(hx + s, hy - 0.4 * h), b.ears, b.ears, shade(face, 0.8))
    elif b.ears:
        for s in (0.0, 0.1):
            tip = at(hx + s + 0.03, hy - 0.35 * h - b.ears)
            pen.polygon(
                [at(hx + s - 0.05, hy - 0.2 * h), tip, at(hx + s + 0.06, hy)], shade(face, 0.8)
            )
    if b.trunk:
        x0 = hx - 0.5 * h
        path = [at(x0 + 0.08, hy), at(x0 - 0.06, hy + 0.3 * b.trunk), at(x0 - 0.04, hy + b.trunk)]
        pen.polygon(band(path, [0.2, 0.13, 0.08]), face)
        tusk = [at(x0 + 0.06, hy + 0.14), at(x0 - 0.1, hy + 0.3)]
        pen.polygon(band(tusk, [0.06, 0.03]), (236, 230, 214))
        pen.ellipse(*at(hx - 0.1, hy), 0.55 * h, 0.5 * h, face)
    else:
        pen.ellipse(*at(hx - 0.08 * h, hy), 0.42 * h, 0.34 * h, face)
        muzzle = [at(hx - 0.1 * h, hy), at(hx - 0.72 * h, hy + 0.3 * h)]
        pen.polygon(band(muzzle, [0.56 * h, 0.34 * h]), face)
        pen.ellipse(*at(hx - 0.72 * h, hy + 0.3 * h), 0.13 * h, 0.18 * h, shade(face, 0.6))
    if b.flap_ears:
        ear = lumpy(rng, *at(hx + 0.2, hy + 0.1), b.flap_ears * 0.75, b.flap_ears, 3, 0.06)
        pen.polygon(ear, shade(face, 0.8))
    pen.ellipse(*at(hx - 0.2 * h, hy - 0.08 * h), 0.03, 0.035, dark)


def coat_field(
    rng: Rng, pen: Pen, pattern: str, first: Colour, second: Colour, pitch: float
) -> Colour | Array:
    """A pattern over the whole canvas of the pen; `pitch` is its period in the pen's units."""
    if pattern == "plain":
        return first
    x, y = pen.grid()
    x, y = x + float(rng.uniform(0, 1)), y + float(rng.uniform(0, 1))
    wobble = noise(rng, pen.h, pen.w, max(3.0, pitch * pen.scale * 2))
    px = float(np.float32(pitch * pen.scale))  # pixels a period, to keep edges one pixel soft
    soft = 0.5 / px
    stripes = {
        "upright stripes": (x, 0.16),
        "level stripes": (y, 0.1),
        "slanting stripes": ((x + y) * 0.71, 0.06),
    }
    if pattern in stripes:
        across, uneven = stripes[pattern]
        wave = np.sin(2 * np.pi * (across / pitch + uneven * wobble)).astype(np.float32)
        return mix(first, second, step(wave, 0.0, min(0.6, 2.5 / px)))
    if pattern == "checks":
        return mix(
            first, second, step(np.sin(np.pi * x / pitch) * np.sin(np.pi * y / pitch), 0, 0.2)
        )
    if pattern in ("spots", "rings"):
        row = np.floor(y / pitch)
        shifted = x + (row % 2) * pitch / 2
        near = np.hypot(shifted % pitch - pitch / 2, y % pitch - pitch / 2) / pitch
        inner = 1 - step(near.astype(np.float32), 0.3, soft)
        if pattern == "rings":
            inner = inner * step(near.astype(np.float32), 0.14, soft)
        return mix(first, second, inner)
    if pattern == "patches":  # cells of the first colour, thin lines of the second between them
        return mix(second, first, _cells(rng, x, y, pitch))
    if pattern == "blotches":
        lumps = clouded(rng, pen.h, pen.w, px)
        return mix(first, second, step(lumps, rng.uniform(0.0, 0.4), 0.12))
    if pattern == "courses":
        row = np.floor(y / (0.5 * pitch))
        dx = (x + row * pitch / 2) % pitch
        dy = y % (0.5 * pitch)
        edge = np.minimum(np.minimum(dx, pitch - dx), np.minimum(dy, 0.5 * pitch - dy))
        return mix(second, first, step((edge / pitch).astype(np.float32), 0.07, soft))
    if pattern == "speckles":
        dots = noise(rng, pen.h, pen.w, max(2.4, 0.35 * px))
        return mix(first, second, step(dots, 1.15, 0.2))
    if pattern == "two halves":
        return mix(first, second, step(y - float(np.mean(y)), 0.0, 1.5 / pen.scale))
    if pattern == "one band":
        near = np.abs(y - float(np.mean(y)))
        return mix(second, first, step(near, 0.35 * pitch, 1.0 / pen.scale))
    if pattern == "fading":
        t = (y - float(y.min())) / max(1e-6, float(np.ptp(y)))
        return mix(first, second, step(t, 0.5, 0.35))
    raise ValueError(f"no pattern is called {pattern!r}")


def _cells(rng: Rng, x: Array, y: Array, pitch: float) -> Array:
    """1 inside irregular cells about one pitch wide, 0 on the thin lines between them."""
    jitter = rng.uniform(-0.33, 0.33, (2, 4096)).astype(np.float32)
    gx, gy = np.floor(x / pitch), np.floor(y / pitch)
    fx, fy = x / pitch, y / pitch
    near = np.full(x.shape, 9, np.float32)
    second = near.copy()
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            cell = ((gx + i) * 57 + (gy + j) * 131).astype(np.int64) % 4096
            d = np.hypot(gx + i + 0.5 + jitter[0][cell] - fx, gy + j + 0.5 + jitter[1][cell] - fy)
            second = np.minimum(second, np.maximum(near, d))
            near = np.minimum(near, d)
    return step(second - near, 0.16, 0.08)


def vehicle(
    rng: Rng,
    size: float,
    *,
    length: float = 2.0,
    body: Colour,
    cabin: tuple[float, float] | None = None,
    windows: int = 2,
    load: Colour | None = None,
    stripe: Colour | None = None,
    tall: bool = False,
    pattern: str = "plain",
    second: Colour = (255, 255, 255),
) -> Sprite:
    """A vehicle from the side, `size` pixels long; its height is 1 / `length` of that.

    tall: a box with a row of windows (a bus). load: a cab and a separate box (a truck).
    Otherwise a low body with a rounded cabin over the part `cabin` of its length (a car).
    """
    pen = Pen(length, 1.02, size / length)
    wheel = 0.17 if tall or load else 0.2
    base = 1 - wheel * 0.9
    pitch = 0.32
    if tall:
        _rounded(pen, 0.02, 0.04, length - 0.02, base, 0.08)
        pen.ink(coat_field(rng, pen, pattern, body, second, pitch))
        if stripe:
            pen.box(0.02, 0.62, length - 0.02, 0.72, stripe)
        gap = (length - 0.2) / windows
        for i in range(windows):
            x = 0.1 + i * gap
            tint = shade(GLASS, rng.uniform(0.9, 1.25))
            pen.box(x + 0.05 * gap, 0.16, x + 0.85 * gap, 0.48, tint)
    elif load:
        cut = 0.3 * length
        _rounded(pen, cut + 0.03, 0.03, length - 0.02, base - 0.08, 0.02)
        pen.ink(coat_field(rng, pen, pattern, load, second, pitch))
        pen.box(0.1, base - 0.12, length - 0.04, base - 0.02, (48, 48, 52))
        pen.polygon([(0.03, base), (0.03, 0.55), (0.16, 0.22), (cut, 0.2), (cut, base)], body)
        pen.polygon([(0.1, 0.52), (0.19, 0.28), (cut - 0.08, 0.28), (cut - 0.08, 0.52)], GLASS)
    else:
        a, b = cabin or (0.2, 0.75)
        a, b = a * length, b * length
        slope = 0.14 * length
        _rounded(pen, 0.02, 0.44, length - 0.02, base, 0.13)
        pen.polygon([(a, 0.5), (a + slope, 0.1), (b - slope * 0.7, 0.1), (b, 0.5)])
        pen.ink(coat_field(rng, pen, pattern, body, second, pitch))
        pane = [(a + 0.1, 0.46), (a + slope + 0.03, 0.17), (b - slope * 0.7 - 0.03, 0.17)]
        pen.polygon([*pane, (b - 0.1, 0.46)], GLASS)
        mid = (a + b) / 2
        pen.box(mid - 0.03, 0.15, mid + 0.03, 0.46, body)
    pen.ellipse(0.06, base - 0.12, 0.05, 0.06, (250, 236, 170))
    for x in (0.2 * length, 0.8 * length, *([0.66 * length] if load else [])):
        pen.ellipse(x, 1 - wheel, wheel, wheel, (26, 26, 28))
        pen.ellipse(x, 1 - wheel, wheel * 0.5, wheel * 0.5, (150, 152, 156))
    return pen.finish(rng, volume=0.14)


def _rounded(pen: Pen, x0: float, y0: float, x1: float, y1: float, r: float) -> None:
    """A rectangle with rounded corners, into the current part."""
    points: list[Point] = []
    for cx, cy, start in (
        (x1 - r, y1 - r, 0),
        (x0 + r, y1 - r, 1),
        (x0 + r, y0 + r, 2),
        (x1 - r, y0 + r, 3),
    ):
        for k in range(5):
            a = (start + k / 4) * np.pi / 2
            points.append((cx + r * float(np.cos(a)), cy + r * float(np.sin(a))))
    pen.polygon(points)


def perched(
    rng: Rng,
    size: float,
    coat: Colour,
    belly: Colour,
    beak: Colour,
    pattern: str = "plain",
    *,
    flying: bool = False,
) -> Sprite:
    """A bird from the side: oval body, small round head, pointed beak, tail, wing, thin legs."""
    pen = Pen(1.2, 1.05, size / 1.2)
    y = 0.45
    if not flying:
        for x in (0.55, 0.65):
            pen.line([(x, 0.7), (x - 0.02, 0.94)], 0.035, shade(beak, 0.8))
    pen.polygon([(0.85, y + 0.02), (1.16, y + 0.04), (1.14, y + 0.2), (0.8, y + 0.18)])
    pen.polygon(oval(0.6, y + 0.13, 0.33, 0.21, 0.12))
    pen.polygon(oval(0.31, y - 0.12, 0.16, 0.15))
    pen.polygon(band([(0.34, y - 0.1), (0.46, y + 0.08)], [0.22, 0.3]))
    pen.ink(coat_field(rng, pen, pattern, coat, belly, 0.22))
    pen.polygon(oval(0.5, y + 0.2, 0.2, 0.12, 0.2), belly)
    if flying:
        wing: Sequence[Point] = [(0.45, y + 0.05), (0.75, 0.02), (0.98, 0.0), (0.8, y + 0.08)]
    else:
        wing = oval(0.7, y + 0.1, 0.26, 0.12, 0.15)
    pen.polygon(list(wing), shade(coat, 0.72))
    pen.polygon([(0.18, y - 0.16), (0.0, y - 0.08), (0.18, y - 0.05)], beak)
    pen.ellipse(0.27, y - 0.15, 0.028, 0.028, (16, 16, 18))
    return pen.finish(rng, rough=0.05)
