"""Silhouettes of invented objects: vessels, furniture, buildings and bodies, each in a few lines.

Every one draws its outline into the pen's current part, varied in its proportions, and returns
what to do once that is coloured: holes to cut out and places to darken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lsmseg_model.data.ministuff.drawing import Pen, Point, Rng, band, one, oval

C, TOP, FOOT = 0.53, 0.04, 1.03
"""The middle of the canvas, and where upright things begin and end."""
Polygon = list[Point]


@dataclass(frozen=True)
class Extras:
    """Polygons to cut out of an outline, and polygons to darken (on something dark: to lighten)."""

    holes: tuple[Polygon, ...] = ()
    dark: tuple[Polygon, ...] = ()


def _box(x0: float, y0: float, x1: float, y1: float) -> Polygon:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def _mirrored(side: Polygon) -> Polygon:
    """The left side of an upright thing, from top to bottom, closed by its mirror image."""
    return side + [(2 * C - x, y) for x, y in reversed(side)]


def column(rng: Rng, pen: Pen) -> Extras:
    top, foot = float(rng.uniform(0.07, 0.15)), float(rng.uniform(0.08, 0.15))
    pen.polygon(_mirrored([(C - top, TOP), (C - foot, FOOT)]))
    if rng.random() < 0.3:  # a plinth and a capital
        pen.box(C - foot - 0.05, FOOT - 0.07, C + foot + 0.05, FOOT)
        pen.box(C - top - 0.05, TOP, C + top + 0.05, TOP + 0.06)
    return Extras()


def bottle(rng: Rng, pen: Pen) -> Extras:
    half, neck = float(rng.uniform(0.17, 0.28)), float(rng.uniform(0.05, 0.085))
    shoulder, slope = float(rng.uniform(0.3, 0.5)), float(rng.uniform(0.05, 0.16))
    waist = float(rng.uniform(0.75, 1.0)) * half
    side = [(C - neck, TOP), (C - neck, shoulder - slope), (C - 0.8 * half, shoulder)]
    pen.polygon(_mirrored([*side, (C - half, shoulder + slope), (C - waist, FOOT)]))
    cap = _box(C - neck - 0.015, TOP, C + neck + 0.015, TOP + 0.08)
    return Extras(dark=(cap,) if rng.random() < 0.6 else ())


def bowl(rng: Rng, pen: Pen) -> Extras:
    depth, base = float(rng.uniform(0.36, 0.58)), float(rng.uniform(0.12, 0.24))
    rim, open_ = FOOT - 0.05 - depth, float(rng.uniform(0.03, 0.08))
    a = np.linspace(0, np.pi, 19)
    pen.polygon([(C + 0.49 * float(np.cos(t)), rim + depth * float(np.sin(t))) for t in a])
    pen.polygon(oval(C, rim, 0.49, open_))
    pen.box(C - base, FOOT - 0.1, C + base, FOOT)
    return Extras(dark=(oval(C, rim, 0.45, 0.75 * open_),))


def cup(rng: Rng, pen: Pen) -> Extras:
    top, foot = float(rng.uniform(0.26, 0.34)), float(rng.uniform(0.2, 0.32))
    rim, x = float(rng.uniform(0.12, 0.35)), C - 0.14
    pen.polygon([(x - top, rim), (x + top, rim), (x + foot, FOOT), (x - foot, FOOT)])
    pen.polygon(oval(x, rim, top, 0.06))
    middle, reach = (rim + FOOT) / 2, float(rng.uniform(0.16, 0.26))
    a = np.linspace(-np.pi / 2, np.pi / 2, 11)
    edge = x + min(top, foot) - 0.02
    path = [
        (edge + (reach + 0.05) * float(np.cos(t)), middle + reach * float(np.sin(t))) for t in a
    ]
    pen.polygon(band(path, [0.085] * 11))
    return Extras(dark=(oval(x, rim, 0.86 * top, 0.04),))


def table(rng: Rng, pen: Pen) -> Extras:
    level, thick = float(rng.uniform(0.3, 0.55)), float(rng.uniform(0.07, 0.12))
    depth, leg = float(rng.uniform(0, 0.16)), float(rng.uniform(0.06, 0.09))
    pen.polygon(_mirrored([(0.03 + depth, level - depth), (0.03, level), (0.03, level + thick)]))
    for x in (0.07, 0.99 - leg):
        pen.box(x, level, x + leg, FOOT)
    if depth > 0.06:  # seen from above: the legs at the back
        for x in (0.24, 0.82 - leg):
            pen.box(x, level, x + leg, FOOT - 0.6 * depth)
    return Extras()


def seat(rng: Rng, pen: Pen) -> Extras:
    level, leg = float(rng.uniform(0.55, 0.68)), float(rng.uniform(0.06, 0.09))
    if rng.random() < 0.5:  # from the side
        lean = float(rng.uniform(0, 0.12))
        pen.polygon(band([(0.28 - lean, TOP), (0.28, level + 0.05)], [leg + 0.02, leg + 0.05]))
        pen.box(0.24, level, 0.86, level + 0.1)
        for x in (0.24, 0.86 - leg):
            pen.box(x, level, x + leg, FOOT)
        return Extras()
    half, sill = float(rng.uniform(0.24, 0.34)), level - float(rng.uniform(0.06, 0.16))
    pen.box(C - half, TOP, C + half, level)
    pen.polygon(_mirrored([(C - half, level - 0.02), (C - half - 0.09, level + 0.13)]))
    for x in (C - half - 0.08, C + half + 0.08 - leg):
        pen.box(x, level + 0.1, x + leg, FOOT)
    for x in (C - half + 0.04, C + half - 0.04 - leg):
        pen.box(x, level + 0.1, x + leg, FOOT - 0.12)
    gap = _box(C - half + leg, sill, C + half - leg, level - 0.02)
    count = int(rng.integers(0, 4))
    wide = (2 * half - leg) / max(count, 1)
    slats = [
        _box(C - half + leg + i * wide, TOP + 0.12, C - half + (i + 1) * wide, sill + 0.01)
        for i in range(count if count > 1 else 0)
    ]
    return Extras(holes=(gap, *slats))


def frame(rng: Rng, pen: Pen) -> Extras:
    half, rim = float(rng.uniform(0.3, 0.48)), float(rng.uniform(0.08, 0.15))
    pen.box(TOP, C - half, 1.02, C + half)
    return Extras(holes=(_box(TOP + rim, C - half + rim, 1.02 - rim, C + half - rim),))


def fronds(rng: Rng, pen: Pen) -> Extras:
    count, spread = int(rng.integers(6, 12)), float(rng.uniform(0.35, 0.5))
    droop, width = float(rng.uniform(0.0, 0.75)), float(rng.uniform(0.045, 0.09))
    t = np.linspace(0, 1, 8)
    widths = list(width * (0.35 + np.sin(np.pi * t**0.8)) * (1 - 0.6 * t))
    for reach in np.linspace(-spread, spread, count) + rng.uniform(-0.03, 0.03, count):
        outward = abs(float(reach)) / 0.53
        rise = float(rng.uniform(0.85, 0.98)) * (1 + 0.5 * droop * outward)
        fall = rise - float(rng.uniform(0.85, 0.98)) * (1 - outward**2) ** 0.5 * (
            1 - droop * outward
        )
        path = [(C + reach * float(s), 1.0 - rise * float(s) + fall * float(s) ** 2.5) for s in t]
        pen.polygon(band(path, widths))
    pen.polygon(oval(C, 0.99, 0.05, 0.04))
    return Extras()


def figure(rng: Rng, pen: Pen) -> Extras:
    head, half = float(rng.uniform(0.08, 0.12)), float(rng.uniform(0.12, 0.18))
    hip, lift = float(rng.uniform(0.55, 0.64)), float(rng.uniform(0.1, 1.2))
    pen.polygon(oval(C, TOP + head, 0.85 * head, head))
    neck = TOP + 2 * head
    pen.box(C - 0.04, neck - 0.05, C + 0.04, neck + 0.05)
    pen.polygon(_mirrored([(C - half, neck + 0.02), (C - 0.75 * half, hip)]))
    stride, leg = float(rng.uniform(0.07, 0.2)), float(rng.uniform(0.09, 0.12))
    for side in (-1, 1):
        x, y = C + side * (half - 0.02), neck + 0.05
        swing = lift if side > 0 or lift < 0.7 else 0.25
        hand = (x + side * 0.36 * float(np.sin(swing)), y + 0.36 * float(np.cos(swing)))
        pen.polygon(band([(x, y), hand], [0.08, 0.06]))
        thigh, foot = (C + side * 0.45 * half, hip - 0.05), (C + side * (stride + 0.02), FOOT)
        pen.polygon(band([thigh, foot], [1.2 * leg, 0.8 * leg]))
    return Extras()


def house(rng: Rng, pen: Pen) -> Extras:
    eaves, over = float(rng.uniform(0.38, 0.55)), float(rng.uniform(0, 0.06))
    half, ridge = float(rng.uniform(0.3, 0.43)), float(rng.uniform(0.04, 0.2))
    pen.box(C - half, eaves, C + half, FOOT)
    roof = [(C - half - over, eaves + 0.02), (C + half + over, eaves + 0.02)]
    blunt = float(rng.choice([0, 0, 0.5])) * half
    roof += [(C + blunt, ridge), (C - blunt, ridge)]
    pen.polygon(roof)
    door = float(rng.uniform(-0.3, 0.3)) * half
    dark = [_box(C + door - 0.07, FOOT - 0.26, C + door + 0.07, FOOT)]
    for x in (C - 0.6 * half, C + 0.6 * half):
        dark.append(_box(x - 0.06, eaves + 0.09, x + 0.06, eaves + 0.2))
    return Extras(dark=(roof, *dark) if rng.random() < 0.5 else tuple(dark))


def lamp(rng: Rng, pen: Pen) -> Extras:
    thin, half = float(rng.uniform(0.025, 0.045)), float(rng.uniform(0.2, 0.32))
    deep = float(rng.uniform(0.2, 0.34))
    pen.box(C - thin, 0.2, C + thin, FOOT)
    base = float(rng.uniform(0.09, 0.2))
    pen.polygon(
        _mirrored([(C - 0.4 * base, FOOT - 0.07), (C - base, FOOT - 0.02), (C - base, FOOT)])
    )
    head = one(rng, ("shade", "shade", "globe", "dome"))
    if head == "shade":
        narrow = float(rng.uniform(0.35, 0.75)) * half
        pen.polygon(_mirrored([(C - narrow, TOP), (C - half, TOP + deep)]))
    elif head == "globe":
        pen.polygon(oval(C, TOP + 0.6 * half, 0.7 * half, 0.6 * half))
    else:
        a = np.linspace(np.pi, 2 * np.pi, 13)
        tall = 0.8 * deep
        pen.polygon([(C + half * float(np.cos(t)), TOP + tall * (1 + float(np.sin(t)))) for t in a])
    return Extras()


def arch(rng: Rng, pen: Pen) -> Extras:
    half, thick = float(rng.uniform(0.32, 0.49)), float(rng.uniform(0.1, 0.17))
    rise = float(rng.uniform(0.6, 1.0)) * half
    square = rng.random() < 0.3
    inner = half - thick
    a = np.linspace(np.pi, 2 * np.pi, 17)

    def curve(r: float, high: float) -> Polygon:
        over = [(C + r * float(np.cos(t)), TOP + rise + high * float(np.sin(t))) for t in a]
        return [(C - r, FOOT + 0.03), *over, (C + r, FOOT + 0.03)]

    pen.polygon(_box(C - half, TOP, C + half, FOOT) if square else curve(half, rise)[1:-1])
    pen.box(C - half, TOP + rise - 0.01, C + half, FOOT)
    return Extras(holes=(curve(inner, rise - thick),))


def tool(rng: Rng, pen: Pen) -> Extras:
    thin, neck = float(rng.uniform(0.03, 0.05)), float(rng.uniform(0.3, 0.42))
    pen.polygon(_mirrored([(C - thin, neck - 0.1), (C - thin, FOOT - 0.01)]))
    half = float(rng.uniform(0.14, 0.24))
    head = one(rng, ("across", "round", "flared", "blade"))
    if head == "across":
        tall = float(rng.uniform(0.12, 0.2))
        pen.box(C - half - 0.05, TOP + 0.04, C + half + 0.05, TOP + 0.04 + tall)
        pen.box(C - thin, TOP, C + thin, neck)
    elif head == "round":
        pen.polygon(oval(C, TOP + 0.55 * neck, half, 0.55 * neck))
    elif head == "flared":
        pen.polygon(_mirrored([(C - half, TOP), (C - 0.75 * half, neck - 0.12), (C - thin, neck)]))
    else:
        side = [
            (C - 0.5 * half, TOP + 0.02),
            (C - 0.8 * half, neck - 0.03),
            (C - thin, neck + 0.03),
        ]
        pen.polygon(_mirrored(side))
    return Extras()


def fish(rng: Rng, pen: Pen) -> Extras:
    fat, tail = float(rng.uniform(0.14, 0.27)), float(rng.uniform(0.13, 0.22))
    nose, root = 0.04, float(rng.uniform(0.74, 0.8))
    t = np.linspace(0, 1, 12)
    width = 2 * fat * np.sin(np.pi * t**0.75) ** 0.8 + 0.05 * t
    pen.polygon(band([(nose + (root - nose) * float(s), C) for s in t], list(width)))
    notch = float(rng.uniform(0.86, 0.98))
    pen.polygon([(root - 0.06, C), (1.02, C - tail), (notch, C), (1.02, C + tail)])
    fin = float(rng.uniform(0.05, 0.12))
    for up in (-1, 1) if rng.random() < 0.6 else (-1,):
        pen.polygon([(0.3, C + up * fat * 0.8), (0.55, C + up * (fat + fin)), (0.56, C)])
    return Extras(dark=(oval(0.16, C - 0.25 * fat, 0.03, 0.03, n=10),))


SILHOUETTES: dict[str, Callable[[Rng, Pen], Extras]] = {
    draw.__name__: draw
    for draw in (
        column, bottle, bowl, cup, table, seat, frame, fronds, figure, house, lamp, arch, tool, fish
    )
}  # fmt: skip
"""By the name of the shape: what draws it."""
