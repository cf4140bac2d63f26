"""Which values of attributes a picture shows, and which sentences are false of all in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from lsmseg_model.data.ministuff import lexicon
from lsmseg_model.data.ministuff.captions import VALUES, Thing
from lsmseg_model.data.ministuff.tables import read_table

CLASS_TRAITS: dict[int, dict[str, list[str]]] = {c["index"]: c for c in read_table("classes")}
"""By class index: the colours that it may show, its shapes and its patterns."""

CLASS_VALUES: dict[int, frozenset[str]] = {
    index: frozenset(
        f"{attribute} {values[0]}"
        for attribute, values in (("shape", t["shapes"]), ("pattern", t["patterns"]))
        if len(values) == 1
    )
    for index, t in CLASS_TRAITS.items()
}
"""The values that every drawing of a class has."""

DECIDABLE = frozenset(
    value
    for value in VALUES
    if value.startswith("color")
    or (value.startswith("shape") and value.partition(" ")[2] not in lexicon.VAGUE)
    or value.partition(" ")[2] in lexicon.CLEAR_PATTERNS
)
"""Values that a thing clearly has or has not."""


def is_false(values: Iterable[str], shown: Collection[str]) -> bool:
    """Whether a sentence with these values is false of everything where `shown` is all there is.

    So it is if nothing there has any of the values of some attribute.
    """
    told: dict[str, list[str]] = {}
    for value in values:
        told.setdefault(value.partition(" ")[0], []).append(value)
    return any(DECIDABLE.issuperset(some) and not set(some) & set(shown) for some in told.values())


def shown(things: Iterable[Thing], drawn: Iterable[int]) -> frozenset[str]:
    """The colours, shapes and patterns that some thing or drawn class may have, or nearly."""
    colours, shapes, patterns = set[str](), set[str](), set[str]()
    for index in drawn:
        if traits := CLASS_TRAITS.get(index):
            colours |= set(traits["colours"])
            shapes |= set(traits["shapes"])
            patterns |= set(traits["patterns"])
    for thing in things:  # parts have colours of their own: black wheels, green leaves
        colours |= {*thing.colours, *lexicon.PART_COLOURS.get(thing.shape, ())}
        colours |= {"green"} if "leafy top" in thing.parts else set()
        shapes |= {thing.shape, *thing.parts}
        patterns.add(thing.pattern)
    colours |= {near for name in colours for near in lexicon.SIMILAR.get(name, ())}
    shapes |= {like for name in shapes for like in lexicon.ALIKE.get(name, ())}
    patterns |= {like for name in patterns for like in lexicon.ALIKE.get(name, ())}
    return frozenset(
        f"{attribute} {value}"
        for attribute, values in (("color", colours), ("shape", shapes), ("pattern", patterns))
        for value in values
    )
