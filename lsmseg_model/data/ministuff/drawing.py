"""Drawing tools for MiniStuff: colours, noise, a supersampled pen, and the camera.

Pictures are float32 arrays [H, W, 3] in 0..255 until `camera` turns them into uint8. Objects are
drawn at twice their size with a `Pen` and come out as a `Sprite` with soft edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lsmseg_model.data.ministuff.tables import read_table

Array = NDArray[Any]  # float32 in pictures
Rng = np.random.Generator
Colour = tuple[int, int, int]
Point = tuple[float, float]
Option = TypeVar("Option")

SUPERSAMPLE = 2

COLOURS: dict[str, list[list[int]]] = read_table("colours")
"""name -> (lowest RGB, highest RGB); one draw mixes the two ends and adds a little of its own."""


def colour(rng: Rng, name: str) -> Colour:
    """A colour of that name: somewhere in its range."""
    low, high = COLOURS[name]
    mix = rng.random()
    drawn = [a + (b - a) * mix + rng.normal(0, 4) for a, b in zip(low, high, strict=True)]
    return _bytes(drawn)


def one(rng: Rng, options: Sequence[Option]) -> Option:
    """One of the options; one given twice is twice as likely."""
    return options[int(rng.integers(len(options)))]


def pick(rng: Rng, options: Sequence[str]) -> Colour:
    """A colour of one of the names."""
    return colour(rng, one(rng, options))


def shade(base: Sequence[float], factor: float) -> Colour:
    """The same colour, darker (factor < 1) or lighter (factor > 1: mixed with white)."""
    if factor <= 1:
        return _bytes([c * factor for c in base])
    return _bytes([c + (255 - c) * (factor - 1) for c in base])


def _bytes(values: Sequence[float]) -> Colour:
    r, g, b = (int(min(255, max(0, v))) for v in values)
    return r, g, b


def noise(rng: Rng, h: int, w: int, sx: float, sy: float | None = None) -> Array:
    """Smooth random field [h, w] with about unit variance; sx, sy: size of its lumps in pixels."""
    sy = sx if sy is None else sy
    if sx <= 1 and sy <= 1:
        return rng.standard_normal((h, w), dtype=np.float32)
    gh, gw = max(2, round(h / sy) + 1), max(2, round(w / sx) + 1)
    grid = Image.fromarray(rng.standard_normal((gh, gw), dtype=np.float32))
    return np.asarray(grid.resize((w, h), Image.Resampling.BICUBIC), np.float32) * 1.3


def clouded(rng: Rng, h: int, w: int, size: float) -> Array:
    """Noise of three sizes added up, about unit variance: clouds, stains, fur."""
    field = noise(rng, h, w, size) + 0.5 * noise(rng, h, w, size / 2)
    return (field + 0.25 * noise(rng, h, w, max(1.0, size / 4))) / np.float32(1.15)


def step(x: Array, edge: float, soft: float) -> Array:
    """0 below `edge`, 1 above, linear over a band of width 2 * soft."""
    return np.clip((x - (edge - soft)) / (2 * soft), 0, 1).astype(np.float32)


def mix(a: Sequence[float] | Array, b: Sequence[float] | Array, t: Array) -> Array:
    """Mix of a, where t is 0, and b, where t is 1; colours or [h, w, 3] fields; t [h, w]."""
    a_, b_ = np.asarray(a, np.float32), np.asarray(b, np.float32)
    return a_ + (b_ - a_) * t[..., None]


@dataclass(frozen=True)
class Sprite:
    """A drawn object: rgb float32 [h, w, 3] in 0..255, alpha float32 [h, w] in 0..1."""

    rgb: Array
    alpha: Array


class Pen:
    """Draws one object on a small canvas, in units of its own size.

    `width` and `height` are the canvas in units, `size` pixels a unit; `turn` (radians) rotates
    all that is drawn about the canvas centre. Shapes drawn without a fill collect in the current
    part, which `ink` then colours as a whole (plain or with a pattern).
    """

    def __init__(self, width: float, height: float, size: float, turn: float = 0.0) -> None:
        self.scale = size * SUPERSAMPLE
        self.w = SUPERSAMPLE * max(2, round(width * size))
        self.h = SUPERSAMPLE * max(2, round(height * size))
        self.centre = (width / 2, height / 2)
        self.cos, self.sin = float(np.cos(turn)), float(np.sin(turn))
        self.rgb = Image.new("RGB", (self.w, self.h))
        self.mask = Image.new("L", (self.w, self.h))
        self.part = Image.new("L", (self.w, self.h))
        self._rgb = ImageDraw.Draw(self.rgb)
        self._mask = ImageDraw.Draw(self.mask)
        self._part = ImageDraw.Draw(self.part)

    def place(self, points: Sequence[Point]) -> list[Point]:
        cx, cy = self.centre
        return [
            (
                (cx + (x - cx) * self.cos - (y - cy) * self.sin) * self.scale,
                (cy + (x - cx) * self.sin + (y - cy) * self.cos) * self.scale,
            )
            for x, y in points
        ]

    def grid(self) -> tuple[Array, Array]:
        """Where (x, y) each canvas pixel lies in the frame of the drawing, in units."""
        cx, cy = self.centre
        x = np.arange(self.w, dtype=np.float32)[None] / self.scale - cx
        y = np.arange(self.h, dtype=np.float32)[:, None] / self.scale - cy
        return cx + x * self.cos + y * self.sin, cy - x * self.sin + y * self.cos

    def polygon(self, points: Sequence[Point], fill: Colour | None = None) -> None:
        placed = self.place(points)
        if fill is None:
            self._part.polygon(placed, fill=255)
        else:
            self._rgb.polygon(placed, fill=fill)
            self._mask.polygon(placed, fill=255)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, fill: Colour | None = None, turn: float = 0
    ) -> None:
        self.polygon(oval(x, y, rx, ry, turn), fill)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour | None = None) -> None:
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill)

    def line(self, points: Sequence[Point], width: float, fill: Colour | None = None) -> None:
        placed, thick = self.place(points), max(1, round(width * self.scale))
        if fill is None:
            self._part.line(placed, fill=255, width=thick, joint="curve")
        else:
            self._rgb.line(placed, fill=fill, width=thick, joint="curve")
            self._mask.line(placed, fill=255, width=thick, joint="curve")

    def erase(self, points: Sequence[Point]) -> None:
        """Takes the polygon out of everything inked so far."""
        self._mask.polygon(self.place(points), fill=0)

    def ink(self, paint: Colour | Array) -> None:
        """Colours the current part plain or with a field [h, w, 3], and starts a new part."""
        if isinstance(paint, tuple):
            self.rgb.paste(paint, mask=self.part)
        else:
            field = Image.fromarray(np.clip(paint, 0, 255).astype(np.uint8))
            self.rgb.paste(field, mask=self.part)
        self.mask.paste(255, mask=self.part)
        self._part.rectangle((0, 0, self.w, self.h), fill=0)

    def finish(
        self, rng: Rng, *, rough: float = 0.0, flip: bool | None = None, volume: float = 0.18
    ) -> Sprite:
        """The sprite: grain (`rough`), light from above and one side (`volume`), soft edges."""
        rgb = np.asarray(self.rgb, np.float32)
        mask = np.asarray(self.mask, np.float32) / np.float32(255)
        light: Array = np.linspace(1 + volume, 1 - volume, self.h, dtype=np.float32)[:, None]
        side = float(rng.uniform(-0.6, 0.6)) * volume
        light = light * np.linspace(1 - side, 1 + side, self.w, dtype=np.float32)[None]
        if rough:
            light = light * (1 + rough * noise(rng, self.h, self.w, 2.5))
        weight = mask * light
        h, w, s = self.h // SUPERSAMPLE, self.w // SUPERSAMPLE, SUPERSAMPLE
        colours = (rgb * weight[..., None]).reshape(h, s, w, s, 3).mean((1, 3))
        alpha = mask.reshape(h, s, w, s).mean((1, 3))
        colours /= np.maximum(alpha, 1e-3)[..., None]
        if flip if flip is not None else rng.random() < 0.5:
            colours, alpha = colours[:, ::-1], alpha[:, ::-1]
        return Sprite(colours, alpha)


def oval(x: float, y: float, rx: float, ry: float, turn: float = 0, n: int = 28) -> list[Point]:
    """An ellipse as a polygon."""
    a = np.arange(n) * (2 * np.pi / n)
    dx, dy = rx * np.cos(a), ry * np.sin(a)
    c, s = np.cos(turn), np.sin(turn)
    return list(zip((x + dx * c - dy * s).tolist(), (y + dx * s + dy * c).tolist(), strict=True))


def lumpy(
    rng: Rng, x: float, y: float, rx: float, ry: float, lumps: int = 9, depth: float = 0.12
) -> list[Point]:
    """A closed outline of rounded lumps, like a cloud, a crown of leaves or wool."""
    a = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    phase = rng.uniform(0, 2 * np.pi)
    r = 1 - depth + depth * 2 * np.abs(np.sin(a * lumps / 2 + phase))
    r = r * (1 + 0.06 * np.sin(2 * a + rng.uniform(0, 6)) + 0.05 * np.sin(3 * a + phase))
    return list(
        zip((x + rx * r * np.cos(a)).tolist(), (y + ry * r * np.sin(a)).tolist(), strict=True)
    )


def band(path: Sequence[Point], widths: Sequence[float]) -> list[Point]:
    """A path thickened to its own width at each point: horns, necks, bananas, tails."""
    p, half = np.asarray(path, float), np.asarray(widths, float)[:, None] / 2
    d = np.gradient(p, axis=0)
    normal = np.stack([-d[:, 1], d[:, 0]], 1) / np.maximum(np.hypot(d[:, :1], d[:, 1:]), 1e-6)
    ring = np.concatenate([p + normal * half, (p - normal * half)[::-1]])
    return [(float(x), float(y)) for x, y in ring]


def paste(
    picture: Array, labels: NDArray[np.int64], sprite: Sprite, x: int, y: int, label: int
) -> None:
    """Lays a sprite with its top left corner at (x, y)."""
    h, w = sprite.alpha.shape
    x0, y0 = max(0, x), max(0, y)
    x1, y1 = min(picture.shape[1], x + w), min(picture.shape[0], y + h)
    if x0 >= x1 or y0 >= y1:
        return
    alpha = sprite.alpha[y0 - y : y1 - y, x0 - x : x1 - x]
    window = picture[y0:y1, x0:x1]
    window += (sprite.rgb[y0 - y : y1 - y, x0 - x : x1 - x] - window) * alpha[..., None]
    labels[y0:y1, x0:x1][alpha > 0.5] = label


def shadow(picture: Array, x: float, y: float, rx: float, ry: float, depth: float) -> None:
    """Darkens the ground in a soft ellipse about (x, y), in place."""
    h, w = picture.shape[:2]
    y0, y1 = max(0, int(y - 1.6 * ry)), min(h, int(y + 1.6 * ry) + 1)
    x0, x1 = max(0, int(x - 1.6 * rx)), min(w, int(x + 1.6 * rx) + 1)
    if x0 >= x1 or y0 >= y1:
        return
    dx = (np.arange(x0, x1, dtype=np.float32) - x) / max(rx, 1)
    dy = (np.arange(y0, y1, dtype=np.float32) - y) / max(ry, 1)
    near = np.clip(1.5 - np.hypot(dx[None], dy[:, None]), 0, 1).astype(np.float32)
    picture[y0:y1, x0:x1] *= 1 - depth * near[..., None]


def camera(rng: Rng, picture: Array) -> NDArray[np.uint8]:
    """Light, colour cast, slight blur and sensor noise; returns uint8 [H, W, 3]."""
    h, w = picture.shape[:2]
    gain = rng.uniform(0.82, 1.1)
    cast = gain * rng.uniform(0.95, 1.05, 3).astype(np.float32)
    slope_x, slope_y = rng.uniform(-0.1, 0.1, 2)
    light = 1 + slope_x * np.linspace(-1, 1, w)[None] + slope_y * np.linspace(-1, 1, h)[:, None]
    seen = picture * light.astype(np.float32)[..., None] * cast.astype(np.float32)
    blur = float(rng.uniform(0, 0.22))  # weight of the neighbours
    seen[1:-1] = (1 - blur) * seen[1:-1] + blur / 2 * (seen[:-2] + seen[2:])
    seen[:, 1:-1] = (1 - blur) * seen[:, 1:-1] + blur / 2 * (seen[:, :-2] + seen[:, 2:])
    grey = rng.standard_normal((h, w, 1), dtype=np.float32) * np.float32(rng.uniform(1, 4))
    hue = rng.standard_normal((h, w, 3), dtype=np.float32) * np.float32(rng.uniform(0.5, 2.5))
    return np.clip(seen + grey + hue + 0.5, 0, 255).astype(np.uint8)
