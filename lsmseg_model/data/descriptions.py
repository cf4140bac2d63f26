"""What a caption tells of a picture: objects, their attributes, and how they stand to one another.

A description is data from outside, a language model's mostly: `from_json` bounds and cleans it.
Captioners, which give the description of a picture, are in captioners.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lsmseg_model.errors import DataError

MOST_OBJECTS, MOST_ATTRIBUTES, MOST_RELATIONS = 64, 16, 256
LONGEST = 60  # characters of a name, an attribute, a relation
FORM = '{"objects": [{"name": "car", "attributes": ["red"]}], "relations": [["car", "on", "road"]]}'


@dataclass(frozen=True)
class Described:
    """An object: its name, and words for how it looks."""

    name: str
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Description:
    """The objects of a picture, and relations (subject, word, object): positions in objects."""

    objects: tuple[Described, ...] = ()
    relations: tuple[tuple[int, str, int], ...] = ()

    @classmethod
    def merged(
        cls, objects: Iterable[Described], relations: Iterable[tuple[int, str, int]] = ()
    ) -> Description:
        """The description in lower case, objects of one name as one, nothing twice.

        Decided: a name and its plural are one name (`same_name`), the first that came; the
        attributes of all are kept; a relation of an object to itself is left out.
        """
        found: dict[str, dict[str, None]] = {}
        places = []
        for one in objects:
            name = one.name.lower()
            name = next((other for other in found if same_name(name, other)), name)
            found.setdefault(name, {}).update(dict.fromkeys(a.lower() for a in one.attributes))
            places.append([*found].index(name))
        triples = ((places[a], word.lower(), places[b]) for a, word, b in relations)
        return cls(
            tuple(Described(name, tuple(attributes)) for name, attributes in found.items()),
            tuple(dict.fromkeys(triple for triple in triples if triple[0] != triple[2])),
        )


def same_name(one: str, other: str) -> bool:
    """Whether two names are one, or one is the other's regular plural: Car and cars."""
    one, other = sorted((one.lower(), other.lower()), key=len)
    ies = one[:-1] + "ies" if one.endswith("y") else ""
    return other in (one, one + "s", one + "es", ies)


def from_json(value: Any, where: str = "The caption") -> Description:
    """The description that a JSON value holds, see FORM; cleaned, bounded and merged.

    Attributes and relations may be missing. A relation names its objects, or counts them from 0.

    Raises DataError, which names `where`, for any other value, an object that a relation has and
    the picture lacks, more than MOST_... of anything, and more than LONGEST letters.
    """
    try:
        return _read(value)
    except ValueError as error:
        raise DataError(f"{where} is not a description: {error}. Its form is {FORM}.") from None


def _read(value: Any) -> Description:
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    if unknown := sorted(map(str, value.keys() - {"objects", "relations"})):
        raise ValueError(f"it has a field {_short(unknown[0])}")
    objects: list[Described] = []
    for one in _list(value.get("objects"), "objects", MOST_OBJECTS):
        if not isinstance(one, dict) or not {"name"} <= one.keys() <= {"name", "attributes"}:
            raise ValueError(f"the object {_short(one)} is not a name with attributes")
        words = _list(one.get("attributes", []), f"attributes of {_short(one)}", MOST_ATTRIBUTES)
        objects.append(Described(_word(one["name"]), tuple(map(_word, words))))
    names = {one.name.lower(): place for place, one in reversed([*enumerate(objects)])}

    def place(end: Any) -> int:
        found = names.get(_word(end).lower()) if isinstance(end, str) else end
        if type(found) is not int or not 0 <= found < len(objects):
            raise ValueError(f"a relation has {_short(end)}, which is not among the objects")
        return found

    relations = []
    for one in _list(value.get("relations", []), "relations", MOST_RELATIONS):
        if not isinstance(one, list) or len(one) != 3:
            raise ValueError(f"the relation {_short(one)} is not [object, word, object]")
        relations.append((place(one[0]), _word(one[1]), place(one[2])))
    return Description.merged(objects, relations)


def _list(value: Any, what: str, most: int) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"its {what} are not a list")
    if len(value) > most:
        raise ValueError(f"it has {len(value)} {what}, and at most {most} are read")
    return value


def _word(value: Any) -> str:
    """A name or a word on one line, without control characters."""
    if not isinstance(value, str):
        raise ValueError(f"{_short(value)} is not a word")
    word = " ".join("".join(c if c.isprintable() else " " for c in value[:1000]).split())
    if not 0 < len(word) <= LONGEST:
        raise ValueError(f"{_short(value)} is empty or has more than {LONGEST} characters")
    return word


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."
