"""Pair cells: what tells a class from one that it is taken for.

Such a cell is one of the class like any other. Its attribute names the other class in the
benchmark's spelling: (zebra, `contrast:horse`). It is of two classes, so that it is missing nowhere
and no prompt set is made of it for all classes.
"""

from __future__ import annotations

from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary

PREFIX = "contrast:"


def contrast_with(other: str) -> str:
    """The attribute of a pair cell, by the benchmark name of the other class."""
    return PREFIX + other


def other_of(attribute: str) -> str | None:
    """The benchmark name of the other class; None where the attribute is about one class."""
    return attribute.removeprefix(PREFIX) if attribute.startswith(PREFIX) else None


def other_class(attribute: str, entry: ClassEntry, vocabulary: Vocabulary) -> ClassEntry | None:
    """The other class of a pair cell of `entry`, called by any of its names; None without one.

    Raises UsageError where the vocabulary does not have it, or where it is the class itself.
    """
    name = other_of(attribute)
    if name is None:
        return None
    other = vocabulary.find(name)
    if other.index == entry.index:
        raise UsageError(
            f"{attribute!r} would tell {entry.readable!r} from itself: name another class."
        )
    return other
