"""MiniStuff's regions: how the 14 ground, sky and wall classes look.

Each function returns a float32 field [h, w, 3]. Colours and surfaces follow the real things
and vary as they do: dry and lush grass, wet and dry asphalt, red and whitewashed bricks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lsmseg_model.data.ministuff import textures as tx
from lsmseg_model.data.ministuff.drawing import (
    Array,
    Pen,
    Rng,
    Sprite,
    colour,
    lumpy,
    mix,
    noise,
    one,
    pick,
    shade,
    step,
)
from lsmseg_model.data.ministuff.tables import read_table


def sky(rng: Rng, h: int, w: int) -> Array:
    kind = rng.random()
    if kind < 0.72:
        top = colour(rng, "blue" if rng.random() < 0.5 else "light blue")
        top = shade(top, rng.uniform(1.0, 1.3))
        return tx.gradient(h, w, top, shade(top, rng.uniform(1.3, 1.65)))
    if kind < 0.87:  # overcast, without form
        base = rng.uniform(170, 215)
        return tx.gradient(h, w, (base - 14, base - 8, base), (base + 10, base + 12, base + 16))
    low = (rng.uniform(236, 252), rng.uniform(150, 190), rng.uniform(110, 150))  # dusk
    return tx.gradient(h, w, (90, 110, 170), low)


def clouds(rng: Rng, h: int, w: int) -> Array:
    dull = rng.random() < 0.35
    top = rng.uniform(190, 215) if dull else rng.uniform(238, 252)
    under = top - (rng.uniform(55, 80) if dull else rng.uniform(45, 75))
    behind = (150, 160, 175) if dull else colour(rng, "light blue")
    return tx.puffs(rng, h, w, (top, top, top), (under - 4, under, under + 7), behind)


def grass(rng: Rng, h: int, w: int) -> Array:
    base = np.array([rng.uniform(48, 92), rng.uniform(112, 150), rng.uniform(30, 52)])
    if rng.random() < 0.2:  # dry
        base = np.array([140, 142, 62]) + rng.normal(0, 8, 3)
    return tx.blades(rng, h, w, base * 0.72, base * 1.22 + 8, rng.uniform(4, 9))


def sand(rng: Rng, h: int, w: int) -> Array:
    base = np.array([rng.uniform(206, 232), rng.uniform(178, 202), rng.uniform(126, 162)])
    if rng.random() < 0.55:
        return tx.ripples(rng, h, w, base, base * 0.84, rng.uniform(6, 12), 0.055)
    return tx.grain(rng, h, w, base, rng.uniform(0.045, 0.07))


def sea(rng: Rng, h: int, w: int) -> Array:
    choices = ((24, 84, 150), (34, 118, 152), (42, 122, 128), (72, 100, 124), (18, 60, 112))
    base = np.array(one(rng, choices)) + rng.normal(0, 9, 3)
    return tx.waves(rng, h, w, base, (226, 236, 238), rng.uniform(3, 6))


def snow(rng: Rng, h: int, w: int) -> Array:
    t = np.clip(0.3 + 0.4 * noise(rng, h, w, 46, 22), 0, 1)
    field = mix((248, 250, 253), (206, 218, 238), t.astype(np.float32))
    return tx.lit(field, 1 + 0.012 * noise(rng, h, w, 1))


def road(rng: Rng, h: int, w: int) -> Array:
    base = rng.uniform(70, 122)
    field = tx.grain(rng, h, w, (base, base, base + 3), 0.06)
    kind = rng.random()
    if kind < 0.75:  # a dashed or whole line along the road
        y = h * rng.uniform(0.35, 0.8) + np.arange(w)[None] * rng.uniform(-0.06, 0.06)
        near = np.abs(np.arange(h)[:, None] - y).astype(np.float32)
        line = 1 - step(near, rng.uniform(1.2, 2.2), 0.5)
        if rng.random() < 0.7:
            dash = (np.arange(w) + rng.integers(40)) % 34 < 20
            line = line * dash[None]
        paint = (236, 236, 230) if rng.random() < 0.65 else (232, 192, 60)
        field = mix(field, paint, (0.9 * line).astype(np.float32))
    return field


def wall_brick(rng: Rng, h: int, w: int) -> Array:
    kind = rng.random()
    if kind < 0.85:
        block = np.array([rng.uniform(138, 188), rng.uniform(66, 92), rng.uniform(48, 70)])
    elif kind < 0.95:
        block = np.array([126, 84, 62]) + rng.normal(0, 8, 3)
    else:
        block = np.array([214, 208, 200]) + rng.normal(0, 6, 3)
    grey = rng.uniform(185, 220) if kind < 0.95 else 150
    size = rng.uniform(12, 20)
    line = (grey, grey - 5, grey - 14)
    return tx.courses(rng, h, w, block, line, size, size * rng.uniform(0.36, 0.46), 1.5)


def floor_wood(rng: Rng, h: int, w: int) -> Array:
    choices = ((176, 118, 66), (142, 88, 48), (198, 148, 92), (112, 70, 42))
    base = np.array(one(rng, choices)) + rng.normal(0, 7, 3)
    width, upright = rng.uniform(9, 15), rng.random() < 0.4
    return tx.planks(rng, h, w, base, base * 0.45, width, upright, rng.choice([0.0, 0.3]))


def dirt(rng: Rng, h: int, w: int) -> Array:
    base = np.array([rng.uniform(112, 152), rng.uniform(80, 106), rng.uniform(50, 72)])
    return tx.rubble(rng, h, w, base)


def mountain(rng: Rng, h: int, w: int) -> Array:
    choices = ((112, 114, 118), (96, 104, 122), (104, 96, 82), (86, 98, 88))
    base = np.array(one(rng, choices), np.float64) + rng.normal(0, 7, 3)
    folds = np.abs(noise(rng, h, w, 16, 24)) + 0.4 * np.abs(noise(rng, h, w, 6, 9))
    slopes = np.tanh(7 * np.gradient(folds, axis=1) + 2 * np.gradient(folds, axis=0))
    return tx.lit(base, (1 + 0.24 * slopes).astype(np.float32))  # lit from one side


def wall_concrete(rng: Rng, h: int, w: int) -> Array:
    base = rng.uniform(138, 186)
    field = tx.lit((base, base, base - 4), 1 + 0.04 * tx.clouded(rng, h, w, 30))
    field = tx.lit(field, 1 + 0.02 * noise(rng, h, w, 1))
    if rng.random() < 0.6:  # seams of the formwork
        x = (np.arange(w, dtype=np.float32) + rng.integers(60)) % rng.integers(44, 70)
        y = (np.arange(h, dtype=np.float32) + rng.integers(60)) % rng.integers(40, 60)
        seam = np.maximum(1 - step(x, 1.0, 0.5)[None], 1 - step(y, 1.0, 0.5)[:, None])
        field = tx.lit(field, 1 - 0.25 * seam)
    return field


def floor_tile(rng: Rng, h: int, w: int) -> Array:
    first = pick(rng, ["white", "white", "tan", "gray", "light blue"])
    second = first if rng.random() < 0.6 else pick(rng, ["black", "gray", "brown"])
    grout = shade(first, 0.62) if second == first else (150, 148, 144)
    size, depth = rng.uniform(13, 22), rng.choice([0.0, 0.3])
    return tx.tiles(rng, h, w, first, second, grout, size, 1.4, depth)


def tree_leaves(rng: Rng, h: int, w: int) -> Array:
    """A wall of leaves: what a row of trees looks like from afar."""
    base = _leaf_green(rng)
    heaps = noise(rng, h, w, 13, 11) + 0.7 * noise(rng, h, w, 3.5)
    return tx.lit(base, 1 + 0.3 * np.tanh(heaps))


def _leaf_green(rng: Rng) -> Array:
    return (np.array([48, 92, 40]) + rng.normal(0, 9, 3) + rng.uniform(-14, 22)).astype(np.float32)


def tree(rng: Rng, size: float) -> Sprite:
    """One tree, `size` pixels high: brown trunk, green crown of lumps (or a dark conifer)."""
    pen = Pen(0.9, 1.02, size)
    x = 0.45
    bark = shade(colour(rng, "brown"), 0.85)
    width = rng.uniform(0.05, 0.09)
    pen.polygon(
        [(x - width, 1.0), (x - width * 0.6, 0.5), (x + width * 0.6, 0.5), (x + width, 1.0)]
    )
    pen.ink(bark)
    base = _leaf_green(rng)
    if rng.random() < 0.25:
        base = base * np.float32(0.8)
        for top, low, half in ((0.02, 0.4, 0.17), (0.2, 0.62, 0.26), (0.4, 0.84, 0.34)):
            pen.polygon([(x, top), (x - half, low), (x + half, low)])
    else:
        for _ in range(int(rng.integers(3, 6))):
            dx, dy = rng.uniform(-0.17, 0.17), rng.uniform(-0.12, 0.14)
            pen.polygon(lumpy(rng, x + dx, 0.36 + dy, rng.uniform(0.18, 0.26), 0.2, 8, 0.14))
    heaps = noise(rng, pen.h, pen.w, 12) + 0.8 * noise(rng, pen.h, pen.w, 5)
    pen.ink(tx.lit(base, 1 + 0.3 * np.tanh(heaps)))
    return pen.finish(rng, rough=0.05)


_DRAWINGS = {
    drawing.__name__: drawing
    for drawing in (
        clouds, dirt, floor_tile, floor_wood, grass, mountain, road, sand, sea, sky, snow,
        tree_leaves, wall_brick, wall_concrete,
    )
}  # fmt: skip
SURFACES: dict[int, Callable[[Rng, int, int], Array]] = {
    row["index"]: _DRAWINGS[row["drawing"]] for row in read_table("classes") if "size" not in row
}
"""Class index -> how to draw it."""
