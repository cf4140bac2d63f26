"""Invented objects and surfaces: random shape x colours x pattern x texture x size.

A model that has read of, and seen, a red ring with white stripes and a tan creature on four long
legs can put such words together for classes it was never shown. Attributes are drawn
independently, except that a bundle that makes a MiniStuff class is drawn again (class_looks.py).
What is said of them: captions.py.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lsmseg_model.data.ministuff import textures as tx
from lsmseg_model.data.ministuff.captions import Thing
from lsmseg_model.data.ministuff.class_looks import looks_like_a_class
from lsmseg_model.data.ministuff.drawing import (
    COLOURS,
    Array,
    Colour,
    Pen,
    Rng,
    Sprite,
    band,
    clouded,
    colour,
    lumpy,
    noise,
    one,
    oval,
    shade,
)
from lsmseg_model.data.ministuff.figures import Body, coat_field, perched, quadruped, vehicle
from lsmseg_model.data.ministuff.lexicon import SIMILAR
from lsmseg_model.data.ministuff.looks import Gallery
from lsmseg_model.data.ministuff.outlines import letters, panel, trace
from lsmseg_model.data.ministuff.silhouettes import SILHOUETTES, Extras
from lsmseg_model.data.ministuff.tables import read_table

CHOICES: dict[str, list[str]] = read_table("invented")
"""What is drawn from; a name given twice is twice as likely. Besides, which shapes are large, which
are turned anyhow, and which surfaces have only one colour."""
DESCRIBED = 0.5  # share of things that have a look of the gallery, if it has some
MIXED = 0.5  # share of those objects that have the form of one look and the surface of another
ROUGHNESS = {"": 0.03, "smooth": 0, "rough": 0.16, "fuzzy": 0.14, "bumpy": 0.06, "wrinkled": 0.05}


def two_colours(rng: Rng) -> tuple[str, str]:
    """Two names of colours that can be told apart."""
    names = list(COLOURS)
    first = one(rng, names)
    far = [n for n in names if n != first and n not in SIMILAR[first]]
    return first, one(rng, far)


def thing(rng: Rng, gallery: Gallery) -> tuple[Thing, Sprite]:
    """An invented object, often of the gallery: what it is, and its sprite."""
    if rng.random() < DESCRIBED and (picked := gallery.objects.pick(rng, MIXED)):
        seen, written = picked
        colours = (seen.first, seen.second)
        thing, sprite = draw(rng, seen.shape, *colours, seen.pattern, seen.texture, seen.size)
        return replace(thing, written=written), sprite
    is_class = True
    while is_class:
        figure = rng.random() < 0.4
        shape = str(rng.choice(CHOICES["figures"] if figure else CHOICES["outlines"]))
        pattern = "plain" if rng.random() < 0.42 else str(rng.choice(CHOICES["patterns"]))
        first, second = two_colours(rng)
        is_class = looks_like_a_class(shape, first, second, pattern)
    texture = str(rng.choice(CHOICES["textures"])) if rng.random() < 0.65 else ""
    low, high = (34.0, 90.0) if shape in CHOICES["large"] else (20.0, 72.0)
    return draw(rng, shape, first, second, pattern, texture, float(rng.uniform(low, high)))


def draw(
    rng: Rng, shape: str, first: str, second: str, pattern: str, texture: str, size: float
) -> tuple[Thing, Sprite]:
    """An object of that look: what may truly be said of it, and its sprite.

    Args:
        rng: Draws everything the look leaves open: shades, proportions, turn, parts.
        shape: One of CHOICES' figures or outlines.
        first: Name of its colour.
        second: Name of the pattern's other colour; not told where the pattern is "plain".
        pattern: "plain" or one of CHOICES' patterns.
        texture: One of CHOICES' textures, or "".
        size: Pixels in the longest dimension; vehicles have at least 44.
    """
    c1, c2 = colour(rng, first), colour(rng, second)
    if shape == "animal":
        sprite, parts = _animal(rng, size, c1, c2, pattern, texture)
    elif shape == "vehicle":
        size = max(size, 44.0)
        sprite, parts = _vehicle(rng, size, c1, c2, pattern)
        texture = "smooth" if texture else ""
    elif shape == "winged":
        beak = colour(rng, "yellow")
        sprite = perched(rng, size, c1, c2 if pattern != "plain" else shade(c1, 1.1), beak, pattern)
        parts, texture = [], ""
    else:
        sprite, parts = _outline(rng, size, shape, c1, c2, pattern, texture)
    colours = (first,) if pattern == "plain" else (first, second)
    named = tuple(part for part in parts if part)
    return Thing("object", shape, colours, pattern, texture, size, named), sprite


def _pitch(rng: Rng, size: float, low: float = 5, high: float = 13) -> float:
    """A pattern's period in units, so that it measures low..high pixels in the picture."""
    return float(min(rng.uniform(low, high) / size, 0.5))


def _animal(
    rng: Rng, size: float, c1: Colour, c2: Colour, pattern: str, texture: str
) -> tuple[Sprite, list[str]]:
    neck = float(rng.choice([0.15, 0.3, 0.45, 0.8, 1.2]))
    legs = float(rng.choice([0.22, 0.35, 0.5, 0.75]))
    bulk = float(rng.choice([0.3, 0.4, 0.5, 0.62]))
    trunk = float(rng.choice([0, 0, 0, 0, 0.6]))
    tail, horns = float(rng.choice([0, 0.25, 0.5])), float(rng.choice([0, 0, 0, 0.12, 0.2]))
    mane, flaps = bool(rng.random() < 0.25), float(rng.choice([0, 0, 0, 0.22]))
    body = Body(
        bulk=bulk, legs=legs, leg_width=float(rng.uniform(0.07, 0.11) + 0.14 * max(0, bulk - 0.4)),
        neck=neck, neck_width=0.14 + 0.2 * bulk, neck_angle=float(rng.uniform(0.5, 1.25)),
        head=float(rng.uniform(0.24, 0.36)), ears=float(rng.choice([0.04, 0.08, 0.14])),
        round_ears=bool(rng.random() < 0.3), flap_ears=flaps, horns=horns, mane=mane, tail=tail,
        trunk=trunk, woolly=texture == "fuzzy",
    )  # fmt: skip
    parts = [
        "very long neck" if neck >= 0.8 else "short neck" if neck <= 0.15 else "",
        "long legs" if legs >= 0.5 else "short legs" if legs <= 0.25 else "",
        "bulky body" if bulk >= 0.5 else "slender body" if bulk <= 0.3 else "",
        "hanging nose" if trunk else "",
        "horns" if horns else "",
        "mane" if mane else "",
        "big flat ears" if flaps else "",
    ]
    length = max(1.25, legs + bulk + neck)
    sprite = quadruped(
        rng, size, body, c1, pattern, c2, pitch=_pitch(rng, size / length, 4, 10),
        rough=ROUGHNESS[texture], face=c2 if pattern != "plain" and rng.random() < 0.2 else None,
    )  # fmt: skip
    return sprite, parts


def _vehicle(
    rng: Rng, size: float, c1: Colour, c2: Colour, pattern: str
) -> tuple[Sprite, list[str]]:
    kind = str(rng.choice(["tall", "load", "low"]))
    count, length = int(rng.integers(2, 8)), float(rng.uniform(1.5, 3.0))
    if kind == "tall":
        sprite = vehicle(
            rng, size, length=length, body=c1, second=c2, windows=count, tall=True, pattern=pattern
        )
        parts = ["row of windows" if count > 3 else "few windows", "boxy"]
    elif kind == "load":
        sprite = vehicle(rng, size, length=length, body=c1, load=c1, second=c2, pattern=pattern)
        parts = ["cab and box"]
    else:
        sprite = vehicle(
            rng, size, length=length, body=c1, second=c2, pattern=pattern,
            cabin=(rng.uniform(0.1, 0.35), rng.uniform(0.6, 0.9)),
        )  # fmt: skip
        parts = ["low and rounded"]
    parts.append("long body" if length > 2.3 else "short body" if length < 1.9 else "")
    return sprite, parts


def _outline(
    rng: Rng, size: float, shape: str, c1: Colour, c2: Colour, pattern: str, texture: str
) -> tuple[Sprite, list[str]]:
    """An object that is one outline, coloured with a pattern, with a few extras."""
    most = np.pi if shape in CHOICES["turned"] else 0.15
    turn = float(rng.uniform(-most, most))
    pen = Pen(1.06, 1.06, size / 1.06, turn)
    parts: list[str] = []
    extras = Extras()
    pitch = _pitch(rng, size)
    if shape == "panel":
        form = str(rng.choice(CHOICES["panels"]))
        pen.box(0.5, 0.5, 0.56, 1.04, (112, 112, 116))
        border = colour(rng, "white") if sum(c1) < 600 else (40, 40, 44)
        panel(pen, form, 0.33)
        if rng.random() < 0.6:
            pen.ink(border)
            panel(pen, form, 0.285)
            parts.append("pale border" if sum(c1) < 600 else "dark border")
        pen.ink(coat_field(rng, pen, pattern, c1, c2, pitch))
        if rng.random() < 0.6:
            letters(rng, pen, border)
            parts.append("pale lettering" if sum(c1) < 600 else "dark lettering")
        return pen.finish(rng, volume=0.08), [form, *parts]
    if shape == "bushy":
        stalk = c2 if pattern != "plain" else shade(c1, 0.75)
        half = float(rng.uniform(0.05, 0.11))
        pen.polygon(
            [(0.53 - half, 1.04), (0.53 - half, 0.5), (0.53 + half, 0.5), (0.53 + half, 1.04)],
            stalk,
        )
        for x, y in ((0.34, 0.42), (0.72, 0.42), (0.53, 0.28), (0.53, 0.5)):
            pen.polygon(lumpy(rng, x, y, 0.24, 0.22, 8, 0.13))
        texture = texture or "bumpy"
    elif shape in SILHOUETTES:
        extras = SILHOUETTES[shape](rng, pen)
    else:
        trace(rng, pen, shape, texture)
    if shape == "ring":
        inner = float(rng.uniform(0.15, 0.26))
        extras = Extras(holes=(oval(0.53, 0.53, inner, inner),))
    pen.ink(_surfaced(rng, pen, coat_field(rng, pen, pattern, c1, c2, pitch), texture))
    for place in extras.dark:
        pen.polygon(place, shade(c1, 0.45 if sum(c1) > 150 else 1.25))
    for hole in extras.holes:
        pen.erase(hole)
    if shape in ("round", "cone", "oblong", "heap") and rng.random() < 0.3:
        green = colour(rng, "green")
        y = 0.9 if shape == "cone" else 0.1
        for dx in (-0.1, 0.0, 0.1):
            path = [(0.53, y), (0.53 + dx, y + (0.15 if shape == "cone" else -0.09))]
            pen.polygon(band(path, [0.05, 0.05]), green)
        parts.append("leafy top")
    if texture == "smooth" and shape not in ("ring", "cross", "star", *SILHOUETTES):
        pen.ellipse(0.42, 0.4, 0.07, 0.05, shade(c1, 1.5), 0.6)
    volume = 0.24 if shape in ("round", "dome", "heap") else 0.14
    return pen.finish(rng, rough=ROUGHNESS[texture], volume=volume), parts


def _surfaced(rng: Rng, pen: Pen, paint: Colour | Array, texture: str) -> Colour | Array:
    """Adds what a texture does to the light over the whole canvas."""
    if texture not in ("bumpy", "wrinkled", "fuzzy"):
        return paint
    field = np.broadcast_to(np.asarray(paint, np.float32), (pen.h, pen.w, 3))
    if texture == "bumpy":
        light = 1 + 0.22 * np.tanh(1.6 * noise(rng, pen.h, pen.w, 5))
    elif texture == "wrinkled":
        folds = np.sin(2.2 * clouded(rng, pen.h, pen.w, 14) + np.arange(pen.h)[:, None] * 0.7)
        light = 1 - 0.2 * np.clip(folds, 0, 1) ** 2
    else:
        light = 1 + 0.16 * noise(rng, pen.h, pen.w, 3)
    return field * light.astype(np.float32)[..., None]


def region(rng: Rng, h: int, w: int, gallery: Gallery) -> tuple[Thing, Array]:
    """An invented ground or wall, often of the gallery: what it is and its field [h, w, 3]."""
    if rng.random() < DESCRIBED and (picked := gallery.regions.pick(rng, 0.0)):
        seen, written = picked
        thing, field = surface(rng, h, w, seen.pattern, seen.first, seen.second)
        return replace(thing, written=written), field
    is_class = True
    while is_class:
        kind = str(rng.choice(CHOICES["surfaces"]))
        if kind in _TWO_COLOURED and rng.random() < _TWO_COLOURED[kind][1]:
            kind = _TWO_COLOURED[kind][0]
        first, second = two_colours(rng)
        is_class = looks_like_a_class(kind, first, second, kind)
    if kind in ("rippled", "wavy") and rng.random() < 0.6:
        second = ""
    return surface(rng, h, w, kind, first, second)


_TWO_COLOURED = {"plain": ("fading", 0.25), "tiles": ("checks", 0.6)}
"""Surfaces of one colour that often have a second, and are then called something else."""


def surface(
    rng: Rng, h: int, w: int, kind: str, first: str, second: str = ""
) -> tuple[Thing, Array]:
    """A ground or wall of that look: what may truly be said of it and its field [h, w, 3].

    Args:
        rng: Draws everything the look leaves open: shades, scale, direction.
        h: Height in pixels.
        w: Width in pixels.
        kind: One of CHOICES' surfaces, "fading" or "checks".
        first: Name of its colour.
        second: Name of its other colour. "": none; a shade of the first serves where two are
            needed. Not used for the surfaces of only one colour (CHOICES' "one coloured").
    """
    a = colour(rng, first)
    second = "" if kind in CHOICES["one coloured"] else second
    b = colour(rng, second) if second else shade(a, 1.7 if kind == "wavy" else 0.7)
    if kind == "plain":
        field = tx.plain(rng, h, w, a)
    elif kind == "fading":
        field = tx.gradient(h, w, a, b)
    elif kind == "grainy":
        field = tx.grain(rng, h, w, a, rng.uniform(0.06, 0.14))
    elif kind == "rubble":
        field = tx.rubble(rng, h, w, a, 0.17)
    elif kind == "rippled":
        field = tx.ripples(rng, h, w, a, b, rng.uniform(6, 13))
    elif kind == "courses":
        long = rng.uniform(11, 24)
        height, joint = long * rng.uniform(0.35, 0.6), rng.uniform(1.2, 2)
        field = tx.courses(rng, h, w, a, b, long, height, joint)
    elif kind == "planks":
        field = tx.planks(rng, h, w, a, shade(a, 0.4), rng.uniform(9, 18), rng.random() < 0.5)
    elif kind in ("tiles", "checks"):
        line = shade(a, 0.5) if sum(a) > 300 else (200, 200, 198)
        field = tx.tiles(rng, h, w, a, b if kind == "checks" else a, line, rng.uniform(11, 24))
    elif kind == "blades":
        field = tx.blades(rng, h, w, shade(a, 0.65), shade(a, 1.2), rng.uniform(4, 9))
    elif kind == "blotchy":
        field = tx.blotches(rng, h, w, a, b, rng.uniform(10, 28))
    elif kind == "wavy":
        field = tx.waves(rng, h, w, a, b, rng.uniform(3, 6))
    elif kind == "stripes":
        field = tx.stripes(rng, h, w, a, b, rng.uniform(7, 20), rng.uniform(0, np.pi))
    elif kind == "spots":
        field = tx.spots(rng, h, w, a, b, rng.uniform(8, 18))
    else:
        field = tx.puffs(rng, h, w, shade(a, 1.2), shade(a, 0.7), shade(a, 0.95))
    colours = (first, second) if second else (first,)
    return Thing("region", "region", colours, kind, "", 128.0, ()), field
