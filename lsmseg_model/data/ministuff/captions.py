"""True captions of invented things.

Captions follow the manner in which language models describe things ("A dax is usually tan or
golden, has four long legs, and is covered in brown patches"): single attributes, pairs, and full
descriptions, in many constructions and with many synonyms (lexicon.py). They never name a class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lsmseg_model.data.ministuff import lexicon
from lsmseg_model.data.ministuff.drawing import COLOURS, Rng, one

# Keeps every caption within 77 CLIP tokens; the longest, 1 in 100, end there in mid-sentence.
MOST_WORDS = 42
WRITTEN = 0.7  # share of captions that were written, of a thing that has some
TEXTURES = ("smooth", "rough", "fuzzy", "bumpy", "wrinkled")
ATTRIBUTES = ("color", "shape", "pattern", "texture", "size")


VALUES: tuple[str, ...] = (
    *(f"color {name}" for name in COLOURS),
    *(f"shape {name}" for name in lexicon.SHAPE_WORDS),
    *(f"pattern {name}" for name in lexicon.PATTERN_WORDS),
    *(f"texture {name}" for name in TEXTURES),
)
"""The values of attributes that a thing can have and a sentence can tell of."""

Told = tuple[str, frozenset[str]]
"""A sentence, and the attributes that it tells of."""

ToldOf = Mapping[str, Sequence[Told]]
"""What was written of looks, by `Look.key`."""


@dataclass(frozen=True)
class Sentence:
    """A sentence about a thing, and the values that it tells of.

    Of several values of an attribute ("brown, tan or gray") one may be there. Nothing is known of
    an attribute without a value.
    """

    text: str
    values: frozenset[str]
    attributes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Thing:
    """What an invented thing looks like.

    kind: "object" or "region"; colours: one or two names of drawing.COLOURS; size: pixels in the
    longest dimension; parts: keys of lexicon.PART_WORDS; written: sentences that were written about
    such a look.
    """

    kind: str
    shape: str
    colours: tuple[str, ...]
    pattern: str
    texture: str
    size: float
    parts: tuple[str, ...]
    written: Sequence[Sentence] = ()


def caption_of(rng: Rng, thing: Thing) -> Sentence:
    """A true caption: one that was written if there are some, mostly, or one made up here.

    Those tell of single attributes, a shape and a colour more often, or of several.
    """
    if thing.written and rng.random() < WRITTEN:
        return one(rng, thing.written)
    attributes, drawn = attributes_of(thing), rng.random()
    if drawn < 0.125:
        chosen = ["shape" if thing.kind == "object" else "pattern"]
    elif drawn < 0.25:
        chosen = ["color"]
    elif drawn < 0.5:
        chosen = [one(rng, attributes)]
    else:
        size = int(rng.integers(2, len(attributes) + 1))
        chosen = [attributes[i] for i in rng.permutation(len(attributes))[:size]]
    text = caption(rng, thing, chosen)
    known = set(chosen) - ({"color"} if " or " in text else set())  # "red or green", one of it true
    return Sentence(text, frozenset(v for v in values_of(thing) if v.partition(" ")[0] in known))


def values_of(thing: Thing) -> frozenset[str]:
    """All the `VALUES` that a thing has."""
    has = [*(f"color {name}" for name in thing.colours), f"shape {thing.shape}"]
    has += [f"pattern {thing.pattern}", f"texture {thing.texture}"]
    return frozenset(has) & frozenset(VALUES)


def caption(rng: Rng, thing: Thing, attributes: Sequence[str]) -> str:
    """One caption about those attributes."""
    clauses = [_clause(rng, thing, a) for a in attributes]
    kind = rng.random()
    if len(clauses) == 1 and kind < 0.2:
        return _fragment(rng, thing, clauses[0])
    if kind > 0.84:
        return _turned(rng, thing, attributes, clauses)
    if rng.random() < 0.12:
        clauses.insert(int(rng.integers(len(clauses) + 1)), one(rng, lexicon.FILLERS))
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


def attributes_of(thing: Thing) -> list[str]:
    """The attributes that there is something to say about."""
    textured = thing.texture or thing.kind == "region"
    return ["color", "shape", "pattern", "size", *(["texture"] if textured else [])]


def _clause(rng: Rng, thing: Thing, attribute: str) -> str:
    if attribute == "color":
        return _colour_clause(rng, thing)
    if attribute == "shape":
        return _shape_clause(rng, thing)
    if attribute == "pattern":
        words = lexicon.PATTERN_WORDS.get(thing.pattern, lexicon.PATTERN_WORDS["plain"])
        first = one(rng, lexicon.COLOUR_WORDS[thing.colours[0]])
        last = one(rng, lexicon.COLOUR_WORDS[thing.colours[-1]])
        if len(thing.colours) == 1:
            words = [w for w in words if "{b}" not in w] or words
            last = "pale" if thing.colours[0] in _DARK else "dark"
        return one(rng, words).format(a=first, b=last)
    if attribute == "texture":
        key = thing.texture or thing.pattern
        return one(rng, lexicon.TEXTURE_WORDS.get(key, lexicon.TEXTURE_WORDS["smooth"]))
    if thing.kind == "region":
        return one(rng, lexicon.SIZE_WORDS["whole"])
    return one(rng, lexicon.SIZE_WORDS[size_name(thing.size)])


SIZES = {"small": (20, 30), "medium": (30, 44), "large": (44, 62), "huge": (62, 90)}
"""Longest dimensions in pixels of a 128-pixel picture."""


def size_name(pixels: float) -> str:
    """small, medium, large or huge."""
    return next((name for name, (_, high) in SIZES.items() if pixels < high), "huge")


_DARK = ("black", "navy", "maroon", "brown", "dark green", "blue", "purple", "gray", "red", "green")


def _colour_clause(rng: Rng, thing: Thing) -> str:
    first = one(rng, lexicon.COLOUR_WORDS[thing.colours[0]])
    hedge = one(rng, lexicon.HEDGES) + " " if rng.random() < 0.35 else ""
    if len(thing.colours) == 2:
        second = one(rng, lexicon.COLOUR_WORDS[thing.colours[1]])
        return one(rng, lexicon.COLOUR_FORMS["two"]).format(a=first, b=second, h=hedge)
    if rng.random() < 0.22:
        others = [
            one(rng, lexicon.COLOUR_WORDS[one(rng, list(COLOURS))])
            for _ in range(int(rng.integers(1, 4)))
        ]
        names = [first, *others]
        names = list(dict.fromkeys(names[i] for i in rng.permutation(len(names))))
        listed = f"{', '.join(names[:-1])}{',' if len(names) > 2 else ''} or {names[-1]}"
        if len(names) > 1:
            return one(rng, lexicon.COLOUR_FORMS["several"]).format(l=listed, h=hedge or "often ")
    article = "an" if first[0] in "aeiou" else "a"
    return one(rng, lexicon.COLOUR_FORMS["one"]).format(a=first, h=hedge, x=article)


def _shape_clause(rng: Rng, thing: Thing) -> str:
    parts = list(thing.parts)
    if not parts or rng.random() < (0.25 if thing.shape in ("animal", "vehicle") else 0.5):
        return one(rng, lexicon.SHAPE_WORDS[thing.shape])
    count = min(len(parts), int(rng.integers(1, 4)))
    parts_named = [
        one(rng, lexicon.PART_WORDS[parts[i]]) for i in rng.permutation(len(parts))[:count]
    ]
    if rng.random() < 0.4:
        base = one(rng, lexicon.SHAPE_WORDS[thing.shape])
        return f"{base}, with {_join(parts_named)}"
    return _join(parts_named)


def _agree(clause: str, plural: bool) -> str:
    """The clause with its verb; plural subjects get the verb's plural."""
    word, _, rest = clause.partition(" ")
    if word in lexicon.VERBS:
        if not plural:
            return clause
        return f"{lexicon.VERBS[word]} {rest}" if rest else lexicon.VERBS[word]
    return f"{'have' if plural else 'has'} {clause}"


def _join(clauses: Sequence[str]) -> str:
    if len(clauses) < 3:
        return " and ".join(clauses)
    return ", ".join(clauses[:-1]) + ", and " + clauses[-1]


def _noun(rng: Rng, thing: Thing) -> str:
    named = thing.shape in lexicon.NOUNS and rng.random() < 0.8
    return one(rng, lexicon.NOUNS[thing.shape if named else thing.kind])


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
        f"{one(rng, ('The', 'This', 'The', 'This', 'One', 'That', 'Any', 'Each'))} {noun}",
        False,
    )


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _turned(rng: Rng, thing: Thing, attributes: Sequence[str], clauses: list[str]) -> str:
    """A freer sentence: something else than the thing leads, or a part of it is the subject."""
    noun = _a(_noun(rng, thing))
    verbless = [c for c in clauses if c.partition(" ")[0] not in lexicon.VERBS]
    if verbless:
        lead = one(rng, verbless)
        rest = [_agree(c, False) for c in clauses if c != lead]
        if rest and rng.random() < 0.6:
            return _sentence(f"with {lead}, {noun} {_join(rest)}")
        ending = f", and it {_join(rest)}" if rest else ""
        return _sentence(one(rng, lexicon.TURNED_FORMS["part"]).format(c=lead, n=noun) + ending)
    agreed = [_agree(c, False) for c in clauses]
    if attributes[0] in ("color", "texture") and rng.random() < 0.6:
        part = one(rng, lexicon.WHOLES[thing.kind])
        ending = f", and it {_join(agreed[1:])}" if agreed[1:] else ""
        return _sentence(f"the {part} of {noun} {agreed[0]}{ending}")
    return _sentence(f"{one(rng, lexicon.TURNED_FORMS['start'])}{noun} {_join(agreed)}")


def _fragment(rng: Rng, thing: Thing, clause: str) -> str:
    """A short phrase instead of a sentence: "something with bold stripes"."""
    noun = one(rng, lexicon.FRAGMENT_NOUNS["object"])
    if thing.kind == "region":
        noun = one(rng, lexicon.FRAGMENT_NOUNS["region"])
    word = clause.partition(" ")[0]
    if word in lexicon.VERBS:
        return f"{noun} that {clause}"
    return one(rng, (f"{noun} with {clause}", clause, f"a photo of {noun} with {clause}"))
