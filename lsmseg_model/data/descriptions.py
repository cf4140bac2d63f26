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
_IRREGULAR = {"person": "people", "man": "men", "woman": "women", "child": "children",
              "leaf": "leaves", "shelf": "shelves", "knife": "knives"}  # fmt: skip


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
        names: list[str] = []
        attributes: list[dict[str, None]] = []
        places = []
        for one in objects:
            name = one.name.lower()
            place = next((i for i, other in enumerate(names) if same_name(name, other)), len(names))
            if place == len(names):
                names.append(name)
                attributes.append({})
            attributes[place].update(dict.fromkeys(word.lower() for word in one.attributes))
            places.append(place)
        triples = ((places[a], word.lower(), places[b]) for a, word, b in relations)
        return cls(
            tuple(Described(n, tuple(some)) for n, some in zip(names, attributes, strict=True)),
            tuple(dict.fromkeys(triple for triple in triples if triple[0] != triple[2])),
        )


def same_name(one: str, other: str) -> bool:
    """Whether two names are one, or one is the other's plural: car and cars, in any case."""
    one, other = one.lower(), other.lower()
    return one == other or other in _plurals(one) or one in _plurals(other)


def _plurals(name: str) -> tuple[str, ...]:
    start, space, last = name.rpartition(" ")
    ending = last[:-1] + "ies" if last.endswith("y") else last + "es"
    return tuple(start + space + word for word in (last + "s", ending, _IRREGULAR.get(last, "")))


def from_json(value: Any, where: str = "The caption") -> Description:
    """The description that a JSON value holds, see FORM; cleaned, bounded and merged.

    Attributes and relations may be missing. A relation names its objects, or counts them from 0.

    Args:
        value: What was read.
        where: What it is, for the message: "Line 3 of captions.jsonl".

    Raises:
        DataError: For any other value, an object that a relation has and the picture lacks, more
            objects, attributes or relations than MOST_..., and a word of more than LONGEST letters.
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
    objects = []
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
