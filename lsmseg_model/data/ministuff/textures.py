"""Surfaces that fill an area: grain, ripples, blades, courses, planks, tiles, waves, puffs.

Every function returns a float32 field [h, w, 3] in 0..255. Colours are RGB triples; lengths are
pixels. MiniStuff's regions and the invented regions use the same ones with other colours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lsmseg_model.data.ministuff.drawing import Array, Rng, clouded, mix, noise, step

Ramp = Sequence[float] | Array


def plain(rng: Rng, h: int, w: int, base: Ramp) -> Array:
    """Smooth and flat, with only the faintest unevenness."""
    return lit(base, 1 + 0.03 * noise(rng, h, w, 40))


def lit(base: Ramp, light: Array) -> Array:
    """A colour (or field) times a brightness field [h, w]."""
    return np.asarray(base, np.float32) * light.astype(np.float32)[..., None]


def gradient(h: int, w: int, top: Ramp, bottom: Ramp) -> Array:
    """From one colour at the top to another at the bottom."""
    t = np.broadcast_to(np.linspace(0, 1, h, dtype=np.float32)[:, None], (h, w))
    return mix(top, bottom, t)


def grain(rng: Rng, h: int, w: int, base: Ramp, amount: float) -> Array:
    """Fine speckled grain: sand, asphalt, rough plaster."""
    light = 1 + amount * noise(rng, h, w, 1) + amount * 0.5 * clouded(rng, h, w, 24)
    return lit(base, light)


def ripples(
    rng: Rng, h: int, w: int, base: Ramp, dark: Ramp, period: float, grainy: float = 0.05
) -> Array:
    """Low wavy ridges, wider towards the viewer: dunes, wrinkles."""
    y, x = np.indices((h, w), np.float32)
    bend = 1.2 * noise(rng, h, w, 30) + x * rng.uniform(-0.05, 0.05)
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * y / period + 1.8 * bend)
    field = mix(base, dark, (wave * step(noise(rng, h, w, 34), -0.4, 0.8)).astype(np.float32))
    return lit(field, 1 + grainy * noise(rng, h, w, 1))


def waves(rng: Rng, h: int, w: int, base: Ramp, crest: Ramp, size: float) -> Array:
    """Long flat streaks of water with a few light crests."""
    swell = noise(rng, h, w, 5 * size, size) + 0.6 * noise(rng, h, w, 2.5 * size, size / 2)
    field = lit(base, 1 + 0.13 * swell)
    return mix(field, crest, 0.75 * step(swell, rng.uniform(1.6, 2.3), 0.5))


def blades(rng: Rng, h: int, w: int, base: Ramp, light: Ramp, length: float) -> Array:
    """Thin upright strokes side by side: grass."""
    stroke = noise(rng, h, w, 1.6, length) + 0.5 * noise(rng, h, w, 1, length / 2)
    field = mix(base, light, np.clip(0.5 + 0.4 * stroke, 0, 1))
    return lit(field, 1 + 0.08 * clouded(rng, h, w, 40))


def blotches(rng: Rng, h: int, w: int, base: Ramp, other: Ramp, size: float) -> Array:
    """Irregular patches of a second colour."""
    return mix(base, other, step(clouded(rng, h, w, size), 0.0, 0.15))


def puffs(rng: Rng, h: int, w: int, cloud: Ramp, under: Ramp, sky: Ramp) -> Array:
    """Heaped soft billows with shaded undersides, sky between them."""
    size = rng.uniform(26, 44)
    heap = noise(rng, h, w, size, 0.6 * size) + 0.45 * noise(rng, h, w, size / 3, size / 4)
    heap += 0.2 * noise(rng, h, w, size / 7)
    cover = step(heap, rng.uniform(-1.3, -0.3), 0.45)
    body = mix(under, cloud, np.clip(0.45 + 0.55 * np.roll(heap, -5, 0), 0, 1))
    return mix(np.broadcast_to(np.asarray(sky, np.float32), body.shape), body, cover)


def rubble(rng: Rng, h: int, w: int, base: Ramp, amount: float = 0.14) -> Array:
    """Clods and pebbles over uneven ground: dirt, gravel."""
    clods = clouded(rng, h, w, 7)
    light = 1 + amount * clods + 0.08 * noise(rng, h, w, 1) + 0.07 * noise(rng, h, w, 36)
    pebbles = step(noise(rng, h, w, 3.2, 2.6), 2.0, 0.3)
    return mix(lit(base, light), np.asarray(base, np.float32) * 0.45 + 110, 0.7 * pebbles)


def courses(
    rng: Rng, h: int, w: int, block: Ramp, line: Ramp, length: float, height: float, joint: float
) -> Array:
    """Rows of blocks, every second row shifted by half a block, with lines between (bricks)."""
    y, x = np.indices((h, w), np.float32)
    place = x + rng.uniform(0, length), y + rng.uniform(0, height)
    return _blocks(rng, place, block, line, (length, height), joint, 0.12, 0.5)


def tiles(
    rng: Rng,
    h: int,
    w: int,
    first: Ramp,
    second: Ramp,
    line: Ramp,
    size: float,
    joint: float = 1.2,
    depth: float = 0.0,
) -> Array:
    """A square grid with lines between; `second` gives the other half of the checks.

    depth > 0 lays the grid on a floor seen from above its near edge (wider below).
    """
    x, y = _floor(h, w, depth)
    x, y = x + rng.uniform(0, size), y + rng.uniform(0, size)
    odd = ((np.floor(x / size) + np.floor(y / size)) % 2).astype(np.float32)
    return _blocks(rng, (x, y), mix(first, second, odd), line, (size, size), joint, 0.04, 0.0)


def planks(
    rng: Rng, h: int, w: int, base: Ramp, line: Ramp, width: float, upright: bool, depth: float = 0
) -> Array:
    """Long boards with streaks of grain and thin dark gaps; upright turns them by 90 degrees."""
    x, y = _floor(h, w, depth)
    long, across = (y, x) if upright else (x, y)
    streak = noise(rng, h, w, 2, 26) if upright else noise(rng, h, w, 26, 2)
    field = lit(base, 1 + 0.09 * streak)
    place = long + rng.uniform(0, 90), across + rng.uniform(0, width)
    return _blocks(rng, place, field, line, (rng.uniform(60, 120), width), 0.9, 0.11, 0.37)


def stripes(
    rng: Rng, h: int, w: int, first: Ramp, second: Ramp, period: float, turn: float
) -> Array:
    """Straight bands of two colours; turn 0: level bands, pi/2: upright ones."""
    y, x = np.indices((h, w), np.float32)
    t = (x * np.sin(turn) + y * np.cos(turn)) / period
    t = t + 0.06 * noise(rng, h, w, 30)
    return mix(first, second, step(np.sin(2 * np.pi * t), 0.0, 0.25))


def spots(rng: Rng, h: int, w: int, base: Ramp, dot: Ramp, size: float) -> Array:
    """Round dots, loosely in rows."""
    y, x = np.indices((h, w), np.float32)
    row = np.floor(y / size)
    x = x + (row % 2) * size / 2
    dx, dy = x % size - size / 2, y % size - size / 2
    near = np.hypot(dx, dy) + 0.05 * size * noise(rng, h, w, 8)
    return mix(dot, base, step(near.astype(np.float32), 0.3 * size, 0.7))


def _blocks(
    rng: Rng,
    place: tuple[Array, Array],
    block: Ramp,
    line: Ramp,
    size: tuple[float, float],
    joint: float,
    vary: float,
    shift: float,
) -> Array:
    """Blocks of size (length, height), each a little lighter or darker, lines between them."""
    (x, y), (length, height) = place, size
    row = np.floor(y / height)
    x = x + row * (shift * length)
    col = np.floor(x / length)
    shades = rng.normal(1, vary, 1024).astype(np.float32)
    light = shades[(row * 37 + col * 101).astype(np.int64) % 1024]
    dx = np.minimum(x % length, length - x % length)
    dy = np.minimum(y % height, height - y % height)
    gap = step(np.minimum(dx, dy).astype(np.float32), joint / 2, 0.5)
    speck = 1 + 0.04 * noise(rng, x.shape[0], x.shape[1], 1)
    return mix(line, lit(block, light * speck), gap)


def _floor(h: int, w: int, depth: float) -> tuple[Array, Array]:
    """Coordinates on a floor that runs away from the viewer; depth 0 is straight from above."""
    y, x = np.indices((h, w), np.float32)
    if depth <= 0:
        return x, y
    near = (1 - depth) + depth * y / h  # apparent size, 1 at the lower edge
    return (x - w / 2) / near + 512, (512 - h * (1 / near - 1) / depth * (1 - 0.3 * depth))
