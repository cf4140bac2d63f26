"""Which claims of captions are true of something in a picture, or nearly."""

from __future__ import annotations

from collections.abc import Iterable

from lsmseg_model.data.ministuff import lexicon
from lsmseg_model.data.ministuff.captions import Thing
from lsmseg_model.data.ministuff.tables import read_table

CLASS_TRAITS: dict[int, dict[str, list[str]]] = {c["index"]: c for c in read_table("classes")}
"""By class index: the colours that it may show, its shapes and its patterns."""

CLASS_LOOKS: dict[int, frozenset[str]] = {
    index: frozenset(
        f"{attribute} {values[0]}"
        for attribute, values in (("shape", t["shapes"]), ("pattern", t["patterns"]))
        if len(values) == 1
    )
    for index, t in CLASS_TRAITS.items()
}
"""What is true of every drawing of a class."""


def shown(things: Iterable[Thing], drawn: Iterable[int]) -> frozenset[str]:
    """The claims (see `captions.claims_of`) that some thing or drawn class might bear out.

    A caption with a claim that is not among them is false of everything in the picture.
    """
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
