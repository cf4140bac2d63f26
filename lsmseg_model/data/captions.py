"""True captions of invented things, and decoys that are true of nothing in the picture.

Captions follow the manner in which language models describe things ("A dax is usually tan or
golden, has four long legs, and is covered in brown patches"): single attributes, pairs, and full
descriptions, in many constructions and with many synonyms (lexicon.py). They never name a class.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .drawing import COLOURS, Rng
from .lexicon import (
    COLOUR_WORDS,
    FILLERS,
    NOUNS,
    PART_WORDS,
    PATTERN_WORDS,
    SHAPE_WORDS,
    SIMILAR,
    SIZE_WORDS,
    TEXTURE_WORDS,
)

__all__ = ["SIMILAR", "Thing", "captions_of", "decoys"]

MOST_WORDS = 42  # keeps every caption within 77 CLIP tokens
ATTRIBUTES = ("color", "shape", "pattern", "texture", "size")


@dataclass(frozen=True)
class Thing:
    """What an invented thing looks like.

    kind: "object" or "region"; colours: one or two names of drawing.COLOURS; size: pixels in the
    longest dimension; parts: keys of lexicon.PART_WORDS.
    """

    kind: str
    shape: str
    colours: tuple[str, ...]
    pattern: str
    texture: str
    size: float
    parts: tuple[str, ...]


def captions_of(rng: Rng, thing: Thing, count: int = 8) -> tuple[str, ...]:
    """`count` different true captions: single attributes (a shape always), pairs and full ones."""
    known = _known(thing)
    wanted: list[tuple[str, ...]] = [
        ("shape",) if thing.kind == "object" else ("pattern",),
        ("color",),
    ]
    for number in range(2, count):
        if number < 0.5 * count:
            wanted.append((_one(rng, known),))
        else:
            size = int(rng.integers(2, len(known) + 1))
            order = [known[i] for i in rng.permutation(len(known))[:size]]
            wanted.append(tuple(order))
    return tuple(dict.fromkeys(caption(rng, thing, w) for w in wanted))


def caption(rng: Rng, thing: Thing, attributes: Sequence[str], exact: bool = False) -> str:
    """One caption about those attributes. exact: no "red, green or yellow" with one of them true."""
    clauses = [_clause(rng, thing, a, exact) for a in attributes]
    kind = rng.random()
    if len(clauses) == 1 and kind < 0.2:
        return _fragment(rng, thing, clauses[0])
    if kind > 0.84:
        return _turned(rng, thing, attributes, clauses)
    if rng.random() < 0.12:
        clauses.insert(int(rng.integers(len(clauses) + 1)), _one(rng, FILLERS))
    subject, plural = _subject(rng, thing, clauses)
    if len(clauses) > 1 and rng.random() < 0.15:  # two sentences in one: "..., and it is ..."
        text = f"{subject} {_agree(clauses[0], plural)}"
        rest = [_agree(c, plural) for c in clauses[1:]]
        text += f", and {'they' if plural else 'it'} " + _join(rest)
    else:
        text = f"{subject} " + _join([_agree(c, plural) for c in clauses])
    return _sentence(text)


def _sentence(text: str) -> str:
    text = " ".join(text.split()[:MOST_WORDS]).rstrip(",")
    return text[0].upper() + text[1:] + "."


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
        base = Thing(kind, shape, (_one(rng, names),), "plain", "", 40.0, ())
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
    changed = _one(rng, options)
    if changed == "color":
        base = replace(base, colours=tuple(_one(rng, colours) for _ in base.colours))
    elif changed == "shape":
        base = replace(base, shape=_one(rng, shapes), parts=())
    else:
        second = _one(rng, list(COLOURS))
        base = replace(base, pattern=_one(rng, patterns), colours=(base.colours[0], second))
    extra = [a for a in _known(base) if a != changed]
    extra = [extra[i] for i in rng.permutation(len(extra))[: int(rng.integers(0, len(extra) + 1))]]
    told = [changed, *extra]
    return caption(rng, base, [told[i] for i in rng.permutation(len(told))], exact=True)


def _known(thing: Thing) -> list[str]:
    known = ["color", "shape", "pattern", "size"]
    if thing.texture or thing.kind == "region":
        known.append("texture")
    return known


def _one(rng: Rng, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _clause(rng: Rng, thing: Thing, attribute: str, exact: bool) -> str:
    if attribute == "color":
        return _colour_clause(rng, thing, exact)
    if attribute == "shape":
        return _shape_clause(rng, thing)
    if attribute == "pattern":
        words = PATTERN_WORDS.get(thing.pattern, PATTERN_WORDS["plain"])
        first = _one(rng, COLOUR_WORDS[thing.colours[0]])
        last = _one(rng, COLOUR_WORDS[thing.colours[-1]])
        if len(thing.colours) == 1:
            words = tuple(w for w in words if "{b}" not in w) or words
            last = "pale" if thing.colours[0] in _DARK else "dark"
        return _one(rng, words).format(a=first, b=last)
    if attribute == "texture":
        key = thing.texture or thing.pattern
        return _one(rng, TEXTURE_WORDS.get(key, TEXTURE_WORDS["smooth"]))
    if thing.kind == "region":
        return _one(rng, SIZE_WORDS["whole"])
    return _one(rng, SIZE_WORDS[size_name(thing.size)])


def size_name(pixels: float) -> str:
    """small, medium, large or huge, for a longest dimension in pixels of a 128-pixel picture."""
    return (
        "small" if pixels < 30 else "medium" if pixels < 44 else "large" if pixels < 62 else "huge"
    )


_DARK = ("black", "navy", "maroon", "brown", "dark green", "blue", "purple", "gray", "red", "green")
_HEDGES = ("usually", "often", "mostly", "typically", "mainly", "generally", "commonly")


def _colour_clause(rng: Rng, thing: Thing, exact: bool) -> str:
    first = _one(rng, COLOUR_WORDS[thing.colours[0]])
    hedge = _one(rng, _HEDGES) + " " if rng.random() < 0.35 else ""
    if len(thing.colours) == 2:
        second = _one(rng, COLOUR_WORDS[thing.colours[1]])
        forms = (
            "is {h}{a} and {b}", "is {h}{a} with {b}", "mixes {a} and {b}", "is a mix of {a} and {b}",
            "combines {a} with {b}", "is {h}{a}, set off by {b}", "{a} and {b} coloring",
            "is {a} with {b} parts", "shows both {a} and {b}",
        )  # fmt: skip
        return _one(rng, forms).format(a=first, b=second, h=hedge)
    if not exact and rng.random() < 0.22:
        others = [
            _one(rng, COLOUR_WORDS[_one(rng, list(COLOURS))])
            for _ in range(int(rng.integers(1, 4)))
        ]
        names = [first, *others]
        names = list(dict.fromkeys(names[i] for i in rng.permutation(len(names))))
        listed = f"{', '.join(names[:-1])}{',' if len(names) > 2 else ''} or {names[-1]}"
        forms = ("is {h}{l}", "comes in {l}", "may be {l}", "can be {l}", "is {h}{l} in color")
        if len(names) > 1:
            return _one(rng, forms).format(l=listed, h=hedge or "often ")
    forms = (
        "is {h}{a}", "is {h}{a}", "is {h}{a}", "is {h}{a} in color", "is {h}{a} all over", "{x} {a} color",
        "{x} {a} surface", "comes in shades of {a}", "looks {a}", "is colored {a}", "shows {a} tones",
        "appears {h}{a}", "{a} coloring", "is some shade of {a}", "ranges within tones of {a}",
        "is {a} with lighter and darker areas", "{x} {a} hue",
    )  # fmt: skip
    article = "an" if first[0] in "aeiou" else "a"
    return _one(rng, forms).format(a=first, h=hedge, x=article)


def _shape_clause(rng: Rng, thing: Thing) -> str:
    parts = list(thing.parts)
    if not parts or rng.random() < (0.25 if thing.shape in ("animal", "vehicle") else 0.5):
        return _one(rng, SHAPE_WORDS[thing.shape])
    count = min(len(parts), int(rng.integers(1, 4)))
    told = [_one(rng, PART_WORDS[parts[i]]) for i in rng.permutation(len(parts))[:count]]
    if rng.random() < 0.4:
        base = _one(rng, SHAPE_WORDS[thing.shape])
        return f"{base}, with {_join(told)}"
    return _join(told)


def _agree(clause: str, plural: bool) -> str:
    """The clause with its verb; plural subjects get the verb's plural."""
    word, _, rest = clause.partition(" ")
    if word in _VERBS:
        if not plural:
            return clause
        return f"{_VERBS[word]} {rest}" if rest else _VERBS[word]
    return f"{'have' if plural else 'has'} {clause}"


_VERBS = {
    "is": "are", "has": "have", "comes": "come", "looks": "look", "shows": "show", "appears": "appear",
    "ranges": "range", "mixes": "mix", "combines": "combine", "can": "can", "may": "may",
    "fits": "fit", "takes": "take", "towers": "tower", "fills": "fill", "covers": "cover",
    "stretches": "stretch", "spreads": "spread", "extends": "extend", "stands": "stand",
    "rolls": "roll", "fades": "fade", "blends": "blend", "rests": "rest", "stays": "stay",
}  # fmt: skip


def _join(clauses: Sequence[str]) -> str:
    if len(clauses) < 3:
        return " and ".join(clauses)
    return ", ".join(clauses[:-1]) + ", and " + clauses[-1]


def _noun(rng: Rng, thing: Thing) -> str:
    named = thing.shape in NOUNS and rng.random() < 0.8
    return _one(rng, NOUNS[thing.shape if named else thing.kind])


def _subject(rng: Rng, thing: Thing, clauses: Sequence[str]) -> tuple[str, bool]:
    """A subject with capital letter, and whether it is plural (not before "is a ...")."""
    noun = _noun(rng, thing)
    start = rng.random()
    single = any(c.startswith(("is a ", "is an ")) for c in clauses)
    if start < 0.14 and not single:
        return (noun + ("es" if noun[-1] in "xs" else "s")).capitalize(), True
    if start < 0.5:
        return _a(noun).capitalize(), False
    return (
        f"{_one(rng, ('The', 'This', 'The', 'This', 'One', 'That', 'Any', 'Each'))} {noun}",
        False,
    )


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _turned(rng: Rng, thing: Thing, attributes: Sequence[str], clauses: list[str]) -> str:
    """A freer sentence: something else than the thing leads, or a part of it is the subject."""
    noun = _a(_noun(rng, thing))
    verbless = [c for c in clauses if c.partition(" ")[0] not in _VERBS]
    if verbless:
        lead = _one(rng, verbless)
        rest = [_agree(c, False) for c in clauses if c != lead]
        if rest and rng.random() < 0.6:
            return _sentence(f"with {lead}, {noun} {_join(rest)}")
        ending = f", and it {_join(rest)}" if rest else ""
        forms = (
            "{c} can be seen on {n}", "{c} set {n} apart", "what stands out about {n} is {c}",
            "there is {n} with {c}", "{n} can be recognized by {c}", "the look of {n} includes {c}",
        )  # fmt: skip
        return _sentence(_one(rng, forms).format(c=lead, n=noun) + ending)
    told = [_agree(c, False) for c in clauses]
    if attributes[0] in ("color", "texture") and rng.random() < 0.6:
        whole = (
            ("surface", "outside", "face", "cover")
            if thing.kind == "region"
            else ("body", "surface", "outside", "skin", "coat", "exterior", "outer layer")
        )
        part = _one(rng, whole)
        ending = f", and it {_join(told[1:])}" if told[1:] else ""
        return _sentence(f"the {part} of {noun} {told[0]}{ending}")
    starts = (
        "seen up close, ",
        "in most pictures, ",
        "from a distance, ",
        "as a rule, ",
        "to the eye, ",
    )
    return _sentence(f"{_one(rng, starts)}{noun} {_join(told)}")


def _fragment(rng: Rng, thing: Thing, clause: str) -> str:
    """A short phrase instead of a sentence: "something with bold stripes"."""
    noun = _one(rng, ("something", "a thing", "an object", "one"))
    if thing.kind == "region":
        noun = _one(rng, ("a surface", "a background", "an area", "something"))
    word = clause.partition(" ")[0]
    if word in _VERBS:
        return f"{noun} that {clause}"
    return _one(rng, (f"{noun} with {clause}", clause, f"a photo of {noun} with {clause}"))


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

# Shapes or patterns a caption might confuse: none of these is free for decoys when the key is there.
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
