"""Decoys: captions that are true of nothing in a picture, for use as hard negatives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from lsmseg_model.data.ministuff import lexicon
from lsmseg_model.data.ministuff.captions import Thing, attributes_of, caption
from lsmseg_model.data.ministuff.drawing import COLOURS, Rng, one
from lsmseg_model.data.ministuff.tables import read_table

CLASS_TRAITS: dict[int, dict[str, list[str]]] = {c["index"]: c for c in read_table("classes")}
"""By class index: the colours that it may show, its shapes and its patterns."""


def decoys(
    rng: Rng, things: Sequence[Thing], drawn: Iterable[int], count: int = 4
) -> tuple[str, ...]:
    """Captions false of everything in the picture: of `things` and of the drawn class indices.

    Each starts from a thing in the picture (or an invented one) with its colours, shape or pattern
    changed to what nothing there has, and names what was changed.
    """
    traits = [CLASS_TRAITS[i] for i in drawn if i in CLASS_TRAITS]
    has = {c for t in traits for c in t["colours"]} | {c for t in things for c in t.colours}
    for t in things:  # parts have colours of their own: black wheels, green leaves
        has |= set(lexicon.PART_COLOURS.get(t.shape, ()))
        has |= {"green"} if "leafy top" in t.parts else set()
    near = {s for c in has for s in lexicon.SIMILAR.get(c, ())} | has
    colours = [c for c in COLOURS if c not in near]
    shapes = {s for t in traits for s in t["shapes"]} | {t.shape for t in things}
    shapes |= {p for t in things for p in t.parts}
    shapes |= {a for s in shapes for a in lexicon.ALIKE.get(s, ())}
    free_shapes = [s for s in lexicon.SHAPE_WORDS if s not in shapes and s not in _VAGUE]
    patterns = {p for t in traits for p in t["patterns"]} | {t.pattern for t in things}
    patterns |= {a for p in patterns for a in lexicon.ALIKE.get(p, ())}
    free_patterns = [p for p in lexicon.CLEAR_PATTERNS if p not in patterns]
    made: list[str] = []
    for _ in range(count):
        base = one(rng, things) if things and rng.random() < 0.8 else None
        made.append(_decoy(rng, base, colours, free_shapes, free_patterns))
    return tuple(dict.fromkeys(m for m in made if m))


def _decoy(
    rng: Rng, base: Thing | None, colours: list[str], shapes: list[str], patterns: list[str]
) -> str:
    if base is None:
        shape = str(rng.choice(list(lexicon.SHAPE_WORDS)))
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


_VAGUE = ("region", "blob", "heap")
