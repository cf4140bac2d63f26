"""What real classes would look like if this engine drew them, read from their descriptions.

looks.json has a row for each class that other vocabularies describe and MiniStuff lacks: outlines,
colours, patterns and textures that its descriptions tell of, and which of them (`says`) are then
true of the drawing. So invented things can be told of in sentences that nobody wrote for them.
The rows were read off the descriptions by a language model, one class after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lsmseg_model.data.ministuff.captions import Told
from lsmseg_model.data.ministuff.class_looks import looks_like_a_class
from lsmseg_model.data.ministuff.drawing import Rng, one
from lsmseg_model.data.ministuff.tables import read_table

SIZES = {"small": (20, 30), "medium": (30, 44), "large": (44, 62), "huge": (62, 90)}
"""Pixels in the longest dimension; `captions.size_name` divides alike."""
ONE_COLOURED = read_table("invented")["one coloured"]
CONTRASTS = ("white", "black", "gray", "tan")  # for a pattern whose second colour is not told
PATIENCE = 8  # draws of something that is not a class of MiniStuff


@dataclass(frozen=True)
class Look:
    """A row of looks.json; see `invented.draw` for the values.

    key: vocabulary/index of the class that was described. colours: alternatives of one name, or of
    two for a pattern. says: the attributes whose descriptions are true of such a drawing. told: the
    sentences, with the attributes that each tells of, where they are known.
    """

    key: str
    name: str
    colours: tuple[tuple[str, ...], ...]
    patterns: tuple[str, ...]
    textures: tuple[str, ...]
    sizes: tuple[str, ...]
    says: tuple[str, ...]
    shapes: tuple[str, ...] = ()  # of an object; a region has none
    told: Sequence[Told] = ()

    @property
    def vocabulary(self) -> str:
        """Of the class that was described."""
        return self.key.partition("/")[0]

    @property
    def index(self) -> int:
        """Of the class in its vocabulary."""
        return int(self.key.partition("/")[2])


def _frozen(row: dict[str, object]) -> Look:
    def tuples(value: object) -> object:
        return tuple(map(tuples, value)) if isinstance(value, list) else value

    return Look(**{name: tuples(value) for name, value in row.items()})  # type: ignore[arg-type]


LOOKS: tuple[Look, ...] = tuple(_frozen(row) for row in read_table("looks"))


@dataclass(frozen=True)
class Appearance:
    """How one thing is to be drawn; see `invented.draw`."""

    shape: str
    first: str
    second: str
    pattern: str
    texture: str
    size: float


class Looks:
    """Looks to draw from; a shape that many of them have is not drawn that much more often."""

    def __init__(self, looks: Sequence[Look]) -> None:
        self.looks = looks
        common = Counter(look.shapes[:1] for look in looks)
        weights = np.array([common[look.shapes[:1]] ** -0.5 for look in looks])
        self.weights = weights / weights.sum() if looks else weights

    def pick(self, rng: Rng) -> tuple[Look, Appearance] | None:
        """A look and one of its appearances; None where all that was drawn would be a class."""
        for _ in range(PATIENCE if self.looks else 0):
            look = self.looks[int(rng.choice(len(self.looks), p=self.weights))]
            if found := appearance(rng, look):
                return look, found
        return None


class Gallery:
    """The looks of which there are sentences, objects and regions.

    told: by `Look.key`.
    """

    def __init__(self, told: Mapping[str, Sequence[Told]] | None = None) -> None:
        told = told or {}
        known = [replace(look, told=told[look.key]) for look in LOOKS if told.get(look.key)]
        self.objects = Looks([look for look in known if look.shapes])
        self.regions = Looks([look for look in known if not look.shapes])


def appearance(rng: Rng, look: Look) -> Appearance | None:
    """One drawing that the look allows; None for one that would make up a class of MiniStuff."""
    shape = one(rng, look.shapes) if look.shapes else "region"
    first, *rest = one(rng, look.colours)
    plain = [p for p in look.patterns if p in ("plain", "fading") or p in ONE_COLOURED]
    marked = [p for p in look.patterns if p not in plain]
    if rest or not plain:
        pattern = one(rng, marked or ("blotchy" if not look.shapes else "two halves",))
        others = [c for colours in look.colours for c in colours if c != first] or CONTRASTS
        second = rest[0] if rest else one(rng, [c for c in others if c != first])
    else:
        pattern, second = one(rng, plain), one(rng, [c for c in CONTRASTS if c != first])
    if looks_like_a_class(shape if look.shapes else pattern, first, second, pattern):
        return None
    texture = one(rng, look.textures) if look.textures else ""
    size = float(rng.uniform(*SIZES[one(rng, look.sizes)])) if look.sizes else 44.0
    return Appearance(shape, first, second, pattern, texture, size)
