"""Decoys: captions that are true of nothing in a picture, for use as hard negatives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from lsmseg_model.data.ministuff.captions import Thing, attributes_of, caption, one
from lsmseg_model.data.ministuff.drawing import COLOURS, Rng
from lsmseg_model.data.ministuff.lexicon import SHAPE_WORDS, SIMILAR


def decoys(
    rng: Rng, things: Sequence[Thing], drawn: Iterable[int], count: int = 4
) -> tuple[str, ...]:
    """Captions false of everything in the picture: of `things` and of the drawn class indices.

    Each starts from a thing in the picture (or an invented one) with its colours, shape or pattern
    changed to what nothing there has, and names what was changed.
    """
    traits = [CLASS_TRAITS[i] for i in drawn if i in CLASS_TRAITS]
    has = {c for t in traits for c in t[0].split(",")} | {c for t in things for c in t.colours}
    for t in things:  # parts have colours of their own: black wheels, green leaves
        has |= _PART_COLOURS.get(t.shape, set())
        has |= {"green"} if "leafy top" in t.parts else set()
    near = {s for c in has for s in SIMILAR.get(c, ())} | has
    colours = [c for c in COLOURS if c not in near]
    shapes = {s for t in traits for s in t[1].split(",")} | {t.shape for t in things}
    shapes |= {p for t in things for p in t.parts}
    shapes |= {a for s in shapes for a in ALIKE.get(s, ())}
    free_shapes = [s for s in SHAPE_WORDS if s not in shapes and s not in _VAGUE]
    patterns = {p for t in traits for p in t[2].split(",")} | {t.pattern for t in things}
    patterns |= {a for p in patterns for a in ALIKE.get(p, ())}
    free_patterns = [p for p in _CLEAR_PATTERNS if p not in patterns]
    made: list[str] = []
    for _ in range(count):
        base = things[int(rng.integers(len(things)))] if things and rng.random() < 0.8 else None
        made.append(_decoy(rng, base, colours, free_shapes, free_patterns))
    return tuple(dict.fromkeys(m for m in made if m))


def _decoy(
    rng: Rng, base: Thing | None, colours: list[str], shapes: list[str], patterns: list[str]
) -> str:
    if base is None:
        shape = str(rng.choice(list(SHAPE_WORDS)))
        kind = "region" if shape == "region" else "object"
        names = list(COLOURS)
        base = Thing(kind, shape, (one(rng, names),), "plain", "", 40.0, ())
    options = [
        n for n, free in (("color", colours), ("shape", shapes), ("pattern", patterns)) if free
    ]
    if base.kind == "region" and "shape" in options:
        if len(options) == 1:
            base = replace(base, kind="object")
        else:
            options.remove("shape")
    if not options:
        return ""
    changed = one(rng, options)
    if changed == "color":
        base = replace(base, colours=tuple(one(rng, colours) for _ in base.colours))
    elif changed == "shape":
        base = replace(base, shape=one(rng, shapes), parts=())
    else:
        second = one(rng, list(COLOURS))
        base = replace(base, pattern=one(rng, patterns), colours=(base.colours[0], second))
    extra = [a for a in attributes_of(base) if a != changed]
    extra = [extra[i] for i in rng.permutation(len(extra))[: int(rng.integers(0, len(extra) + 1))]]
    named = [changed, *extra]
    return caption(rng, base, [named[i] for i in rng.permutation(len(named))], exact=True)


_PART_COLOURS: dict[str, set[str]] = {
    "vehicle": {"black", "gray"},
    "animal": {"black"},
    "winged": {"yellow"},
    "panel": {"white", "black", "gray"},
}
_VAGUE = ("region", "blob", "heap")
_CLEAR_PATTERNS = (
    "upright stripes", "spots", "patches", "checks", "courses", "rings", "speckles", "one band",
)  # fmt: skip

# Shapes and patterns a caption might confuse: with the key in the picture, these are not false.
ALIKE: dict[str, tuple[str, ...]] = {
    "round": ("dome", "ring", "heap", "blob", "hexagon", "octagon", "bell"),
    "ring": ("round",),
    "oblong": ("crescent", "box", "cone", "hull", "blob"),
    "crescent": ("oblong", "cone", "blob"),
    "cone": ("oblong", "triangle", "crescent", "bell"),
    "box": ("square", "vehicle", "hull", "oblong"),
    "square": ("box", "diamond"),
    "diamond": ("square", "triangle", "star"),
    "hexagon": ("octagon", "round"),
    "octagon": ("hexagon", "round", "panel"),
    "panel": ("octagon", "square", "round"),
    "triangle": ("cone", "diamond", "bell", "hull"),
    "vehicle": ("box", "square", "round"),
    "animal": ("oblong", "winged"),
    "winged": ("animal",),
    "bushy": ("heap", "blob", "dome", "round"),
    "heap": ("dome", "blob", "round", "bushy"),
    "dome": ("round", "heap", "bell"),
    "bell": ("dome", "cone"),
    "star": ("cross",),
    "cross": ("star",),
    "upright stripes": ("level stripes", "slanting stripes", "stripes", "planks"),
    "level stripes": ("upright stripes", "one band", "stripes", "rippled", "planks"),
    "slanting stripes": ("upright stripes", "level stripes", "stripes"),
    "stripes": ("upright stripes", "level stripes", "slanting stripes", "one band"),
    "planks": ("upright stripes", "level stripes", "courses", "stripes"),
    "tiles": ("checks", "courses"),
    "courses": ("tiles", "checks"),
    "checks": ("tiles", "courses", "patches"),
    "spots": ("rings", "speckles"),
    "rings": ("spots", "speckles"),
    "speckles": ("spots", "rings"),
    "grainy": ("speckles",),
    "rubble": ("speckles", "spots"),
    "blotches": ("patches", "blotchy"),
    "blotchy": ("patches", "blotches"),
    "patches": ("blotches", "blotchy", "checks", "courses"),
    "one band": ("level stripes", "upright stripes"),
}  # fmt: skip

# class index -> (colours it may show, shapes it may be called, patterns it may show)
CLASS_TRAITS: dict[int, tuple[str, str, str]] = {
    2: ("white,black,gray,red,blue,navy,maroon", "vehicle", "plain"),
    5: ("yellow,red,white,blue,green,orange,black,gray", "vehicle", "one band"),
    7: ("white,red,blue,green,gray,yellow,tan,black", "vehicle", "two halves"),
    8: ("white,blue,red,brown,navy,tan", "hull,triangle", "one band"),
    9: ("black,yellow,dark green,red,green,gray", "box,panel,round", "spots"),
    10: ("red,yellow,blue,white,gray", "box,dome,cross", "one band"),
    11: ("red,white,gray", "octagon,panel", "one band"),
    14: ("brown,gray,white,black,blue,red,tan,orange,yellow", "winged", "two halves"),
    17: ("brown,black,white,gray,tan", "animal", "plain"),
    18: ("white,tan,gray,black,brown", "animal", "two halves"),
    19: ("white,brown,black,tan", "animal", "blotches,spots"),
    20: ("gray,brown,white", "animal", "plain"),
    21: ("brown,black,white", "animal", "plain"),
    22: ("white,black", "animal", "upright stripes"),
    23: ("brown,golden,tan", "animal", "patches"),
    25: ("red,blue,black,yellow,green,pink,purple,white,gray", "dome", "stripes"),
    32: ("white,black,orange,brown,yellow,light green", "round", "patches,spots,one band"),
    33: ("red,yellow,blue,green,orange,purple,pink", "diamond", "checks,two halves"),
    46: ("yellow,light green", "crescent", "plain"),
    47: ("red,maroon,light green,green,yellow,brown", "round,heap", "fading"),
    49: ("orange,yellow", "round", "speckles"),
    50: ("green,dark green,light green", "bushy", "plain"),
    51: ("orange,green,dark green", "cone", "plain"),
    53: ("golden,yellow,red,tan,green,maroon", "round", "spots,blotches"),
    54: ("golden,pink,brown,white,red,yellow,blue,green", "ring", "speckles"),
    74: ("black,brown,gray,golden,red,white", "round,square,ring", "spots,rings"),
    94: ("white,gray,light blue", "heap", "puffs"),
    99: ("brown,tan,gray", "region", "rubble"),
    105: ("white,tan,gray,light blue,black,brown", "region,square", "tiles,checks"),
    106: ("brown,golden,tan,maroon", "region,box", "planks"),
    112: ("green,light green,dark green,golden,yellow", "region", "blades"),
    123: ("gray,brown,dark green,light blue", "triangle,region", "plain"),
    137: ("gray,black,white,yellow", "region,box", "grainy,one band"),
    142: ("tan,golden,yellow", "region", "grainy,rippled"),
    143: ("blue,navy,dark green,white,gray,green,light blue", "region", "wavy,level stripes"),
    145: ("blue,light blue,white,gray,orange,pink,purple", "region", "plain,fading"),
    147: ("white,light blue", "region", "plain"),
    157: ("green,dark green,brown,light green", "bushy,cone,triangle", "speckles"),
    159: ("red,maroon,brown,white,gray,tan,orange", "region,box", "courses"),
    160: ("gray,tan,white", "region,square", "tiles,blotchy"),
}
