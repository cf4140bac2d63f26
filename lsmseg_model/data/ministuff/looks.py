"""What real classes would look like if this engine drew them, read from their descriptions.

looks.json has a row for each class that other vocabularies describe and MiniStuff lacks: outlines,
colours, patterns and textures that its descriptions tell of, and which of them (`says`) are then
true of the drawing. So invented things can be told of in sentences that nobody wrote for them.
The rows were read off the descriptions by a language model, one class after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lsmseg_model.data.ministuff.captions import (
    ATTRIBUTES,
    MOST_WORDS,
    SIZES,
    Sentence,
    Thing,
    Told,
    caption,
)
from lsmseg_model.data.ministuff.class_looks import looks_like_a_class
from lsmseg_model.data.ministuff.drawing import Rng, one
from lsmseg_model.data.ministuff.tables import read_table

ONE_COLOURED = read_table("invented")["one coloured"]
PLAIN = {"plain", *ONE_COLOURED}
CONTRASTS = ("white", "black", "gray", "tan")  # for a pattern whose second colour is not told
FORM, SURFACE = {"shape", "size"}, {"color", "pattern", "texture", "material"}
PATIENCE = 8  # draws of something that is not a class of MiniStuff


@dataclass(frozen=True)
class Look:
    """A row of looks.json; see `invented.draw` for the values.

    key: vocabulary/index of the class that was described. colours: alternatives of one name, or of
    two for a pattern. says: the attributes whose descriptions are true of such a drawing. written:
    the sentences about it, where they are known.
    """

    key: str
    name: str
    colours: tuple[tuple[str, ...], ...]
    patterns: tuple[str, ...]
    textures: tuple[str, ...]
    sizes: tuple[str, ...]
    says: tuple[str, ...]
    shapes: tuple[str, ...] = ()  # of an object; a region has none
    written: Sequence[Sentence] = ()

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


def seen_classes() -> list[Look]:
    """MiniStuff's seen classes as looks without sizes: to be read of, not to be drawn."""
    return [
        Look(
            key=f"coco-stuff/{row['index']}",
            name=row["name"],
            colours=tuple((colour,) for colour in row["colours"]),
            patterns=tuple(row["patterns"]),
            textures=(),
            sizes=(),
            says=("color", "shape", "pattern"),
            shapes=tuple(row["shapes"]),
        )
        for row in read_table("classes")
        if row["seen"]
    ]


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
    """Looks to draw from, those of every shape as often."""

    def __init__(self, looks: Sequence[Look]) -> None:
        self.looks = looks
        common = Counter(look.shapes[:1] for look in looks)
        self.until = np.cumsum([1 / common[look.shapes[:1]] for look in looks])

    def pick(self, rng: Rng, mixed: float) -> tuple[Appearance, Sequence[Sentence]] | None:
        """An appearance and sentences about it; None where all drawn would be a class.

        mixed: how often it has the form of one look and the surface of another.
        """
        for _ in range(PATIENCE if self.looks else 0):
            look = other = self._one(rng)
            if rng.random() < mixed:
                other = self._one(rng)
            if found := appearance(rng, look, other):
                return found, look.written if look is other else _about_both(rng, look, other)
        return None

    def _one(self, rng: Rng) -> Look:
        return self.looks[int(np.searchsorted(self.until, rng.random() * self.until[-1]))]


def _about_both(rng: Rng, form: Look, surface: Look) -> list[Sentence]:
    """A sentence about the one's form, one about the other's surface, and both as one."""
    ours = [sentence for sentence in form.written if sentence.attributes <= FORM]
    theirs = [sentence for sentence in surface.written if sentence.attributes <= SURFACE]
    chosen = [one(rng, some) for some in (ours, theirs) if some]
    if len(chosen) == 2:
        a, b = (chosen[i] for i in rng.permutation(2))
        text = f"{a.text.rstrip('.')}, and {b.text[0].lower()}{b.text[1:]}"
        if len(text.split()) <= MOST_WORDS:
            chosen += 2 * [Sentence(text, a.values | b.values, a.attributes | b.attributes)]
    return chosen


class Gallery:
    """The looks of which there are sentences, objects and regions; and all the sentences.

    told: by `Look.key`; those of MiniStuff's seen classes are only read, not drawn.
    """

    def __init__(self, told: Mapping[str, Sequence[Told]] | None = None) -> None:
        known = [
            replace(look, written=[Sentence(text, _values(look, on), on) for text, on in some])
            for look in (*LOOKS, *(seen_classes() if told else ()))
            if (some := (told or {}).get(look.key))
        ]
        self.sentences = [(sentence, look) for look in known for sentence in look.written]
        known = [look for look in known if look.sizes]
        self.objects = Looks([look for look in known if look.shapes])
        self.regions = Looks([look for look in known if not look.shapes])

    def read(self, rng: Rng, count: int) -> list[tuple[Sentence, str | None]]:
        """Sentences, each with a caption made up of the same attributes of a thing that looks so.

        None stands for one that cannot be made up.
        """
        pairs: list[tuple[Sentence, str | None]] = []
        for _ in range(count if self.sentences else 0):
            sentence, look = one(rng, self.sentences)
            pairs.append((sentence, _paraphrase(rng, look, sentence)))
        return pairs


EMPTY = Gallery()


def _paraphrase(rng: Rng, look: Look, sentence: Sentence) -> str | None:
    attributes = [a for a in ATTRIBUTES if any(v.startswith(f"{a} ") for v in sentence.values)]
    found = appearance(rng, look, look) if look.sizes and attributes else None
    if found is None:
        return None
    colours = (found.first, found.second)[: 1 if found.pattern in PLAIN else 2]
    kind = "object" if look.shapes else "region"
    thing = Thing(kind, found.shape, colours, found.pattern, found.texture, found.size, ())
    return caption(rng, thing, [attributes[i] for i in rng.permutation(len(attributes))])


def _values(look: Look, attributes: Collection[str]) -> frozenset[str]:
    """What sentences about those attributes of a look tell of; `typical` ones are about most."""
    about = (
        {"color", "shape", "texture"} & set(look.says) if "typical" in attributes else attributes
    )
    values = {
        "color": {colours[0] for colours in look.colours},  # not that of a border or a post
        "shape": look.shapes or ("region",),
        "pattern": look.patterns,
        "texture": look.textures,
    }
    return frozenset(f"{a} {value}" for a in about if a in values for value in values[a])


def appearance(rng: Rng, form: Look, surface: Look) -> Appearance | None:
    """A drawing with the shape and size of one look, and the colours and pattern of another.

    None for one that would make up a class of MiniStuff.
    """
    shape = one(rng, form.shapes) if form.shapes else "region"
    first, *rest = one(rng, surface.colours)
    plain = [p for p in surface.patterns if p in ("plain", "fading") or p in ONE_COLOURED]
    marked = [p for p in surface.patterns if p not in plain]
    if rest or not plain:
        pattern = one(rng, marked or ("two halves" if form.shapes else "blotchy",))
        others = [c for colours in surface.colours for c in colours if c != first] or CONTRASTS
        second = rest[0] if rest else one(rng, [c for c in others if c != first])
    else:
        pattern, second = one(rng, plain), one(rng, [c for c in CONTRASTS if c != first])
    if looks_like_a_class(shape if form.shapes else pattern, first, second, pattern):
        return None
    texture = one(rng, surface.textures) if surface.textures else ""
    size = float(rng.uniform(*SIZES[one(rng, form.sizes)]))
    return Appearance(shape, first, second, pattern, texture, size)
