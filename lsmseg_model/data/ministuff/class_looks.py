"""How MiniStuff's classes look, from class_looks.json, so that invented things look otherwise.

An invented thing may be orange, or round, or plain, but is never the plain orange round one that
would be a class under another name: that would show unseen classes in training, and contradict
the labels of seen ones. The file has for each shape (of an object) or pattern (of a region) the
bundles of attributes that make up a class; what a bundle does not name may be anything.
"""

from lsmseg_model.data.ministuff.tables import read_table

_BUNDLES: dict[str, list[dict[str, list[str]]]] = read_table("class_looks")


def looks_like_a_class(shape: str, first: str, second: str, pattern: str) -> bool:
    """Whether a class has this shape, colours and pattern. For a region, `shape` is its pattern."""
    thing = {"first": first, "second": second, "patterns": pattern}
    return any(
        all(thing[attribute] in values for attribute, values in bundle.items())
        for bundle in _BUNDLES.get(shape, ())
    )
