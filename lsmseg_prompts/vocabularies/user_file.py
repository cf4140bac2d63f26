"""Reading a user's own class list, with one clear sentence for everything that can be wrong.

Imported when a file is read: pydantic takes a while to load.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from lsmseg_prompts.english import has_hidden, has_word, nearest, normalise
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import parse_json, read_named
from lsmseg_prompts.vocabularies.lines import check_lines, text_lines
from lsmseg_prompts.vocabularies.meanings import referred
from lsmseg_prompts.vocabularies.vocabulary import BUILT_IN, ClassEntry, Vocabulary, built_in

LAST = len(built_in("coco-stuff")) - 1
LOST = "\ufffd"
MOST_LETTERS = 1000


def _words(value: Any) -> str:
    """`value` with its whitespace tidied; ValueError unless it is text with a letter or digit."""
    if not isinstance(value, str) or not has_word(value):
        raise ValueError("is not a word or words.")
    if has_hidden(value):
        raise ValueError("holds control characters or invisible signs: type it anew.")
    if LOST in value:
        raise ValueError(f"holds {LOST}, which stands for letters that were lost: type it anew.")
    if len(value) > MOST_LETTERS:
        raise ValueError(f"has {len(value)} characters, which is too long: use a few words.")
    return " ".join(value.split())


def _reference(value: Any) -> str | None:
    """VOCABULARY/NAME; empty where a class takes the texts of none."""
    return value if value in (None, "") else _words(value)


Words = Annotated[str, BeforeValidator(_words)]
Index = Annotated[int, Field(ge=0, le=LAST)]
Given = BeforeValidator(lambda value: value or None)  # an empty text or list is as good as none


class UserClass(BaseModel):
    """One class of the file: a name, or an object with a name."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Words
    readable: Annotated[Words | None, Given] = None
    sense: Words | None = None
    synonyms: Annotated[list[Words] | None, Given] = None
    seen: bool | None = None
    coco_stuff: Annotated[list[Index] | None, Given] = None
    bundled: Annotated[str | None, BeforeValidator(_reference)] = None
    doubtful: Words | None = None
    frequency: Words | None = None
    index: Any = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if not isinstance(value, dict) or "name" not in value:
            raise ValueError(
                'is neither a name nor an object with a name: write "sky" or {"name": "sky"}.'
            )
        return value


class UserFile(BaseModel):
    """The whole file."""

    name: Words = ""
    title: Words = ""
    classes: list[UserClass]


# What a message calls a field of a class, and what it says where the field's shape is wrong.
_FIELDS = {
    "name": ("the name of {}", ""),
    "readable": ("the readable name of {}", ""),
    "sense": ("the sense of {}", ""),
    "bundled": ("what {} says of being bundled", ""),
    "doubtful": ("the doubtful sense of {}", ""),
    "frequency": ("the frequency of {}", ""),
    "synonyms": ("a synonym of {}", "the synonyms of {} are not a list of names."),
    "seen": ("", "what {} says of being seen is not true, false or null."),
    "coco_stuff": ("", f"coco_stuff of {{}} is not a list of indices from 0 to {LAST}."),
}


def read(path: Path) -> Vocabulary:
    """Read a vocabulary from a .txt or .json file; raises as load_vocabulary does."""
    text = _text(path)
    raw: Any
    if path.suffix.lower() == ".json":
        raw = _json(path, text)
    else:
        numbered = enumerate(map(str.strip, text_lines(text)), start=1)
        lines = [(number, line) for number, line in numbered if line and line[0] != "#"]
        check_lines(path, lines)
        raw = [line for _, line in lines]
    try:
        file = UserFile.model_validate(raw if isinstance(raw, dict) else {"classes": raw})
    except ValidationError as error:
        raise UsageError(_sentence(path, error)) from None
    if not file.classes:
        raise UsageError(f"{path} names no class: write one class name a line.")
    entries = [_entry(one, i, path) for i, one in enumerate(file.classes)]
    name = file.name or path.stem
    vocabulary = Vocabulary(name, file.title or f"Classes of {path.name}", tuple(entries))
    for entry in vocabulary:
        first = vocabulary.find(entry.name).index
        if first != entry.index:
            raise UsageError(
                f"{path} names the class {entry.name!r} twice (classes {first} and "
                f"{entry.index}): remove one of them."
            )
    if normalise(name) in BUILT_IN:
        own = built_in(normalise(name))
        if [normalise(e.name) for e in own] != [normalise(e.name) for e in vocabulary]:
            raise UsageError(
                f"The class list {path} would be called {name} like the built-in vocabulary but "
                "has other classes: rename it."
            )
    return vocabulary


def _text(path: Path) -> str:
    data = read_named(path, "class list")
    if path.suffix.lower() not in (".txt", ".json"):
        raise UsageError(f"{path} is neither .txt nor .json: save the class names as one of them.")
    try:
        text = data.decode("utf-8-sig")
        wrong = text.find("\0")
        before = text[: max(0, wrong)].encode()
    except UnicodeDecodeError as error:
        wrong, before = error.start, data[: error.start]
    if wrong >= 0:
        line = before.count(b"\n") + 1
        raise UsageError(
            f"{path} is not text in UTF-8, from line {line} on: save the class list as UTF-8 text."
        )
    return text


def _json(path: Path, text: str) -> Any:
    if not text.strip():
        raise UsageError(f'{path} is empty: write a list of class names, like ["cat", "dog"].')
    try:
        return parse_json(text)
    except ValueError as error:
        raise UsageError(f"{path} is not valid JSON: {error}.") from None


def _sentence(path: Path, error: ValidationError) -> str:
    """What is wrong with the file, in our own words: the first thing that pydantic names."""
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    said = first["msg"].removeprefix("Value error, ")
    field, *place = first["loc"]
    if field != "classes":
        return f"{path}: {field} {said}"
    if not place:
        return f'{path} holds no class list: write ["cat", "dog"] or {{"classes": [...]}}.'
    where = f"class {place[0]}"
    if len(place) == 1:
        return f"{path}: {where} {said}"
    name = str(place[1])
    if first["type"] == "extra_forbidden":
        return (
            f"{path}: {where} has an unknown field {name!r}{nearest(name, UserClass.model_fields)};"
            f" there are {', '.join(sorted(UserClass.model_fields))}."
        )
    what, misshapen = _FIELDS[name]
    if first["type"] == "value_error":
        return f"{path}: {what.format(where)} {said}"
    return f"{path}: {misshapen.format(where)}"


def _entry(given: UserClass, index: int, path: Path) -> ClassEntry:
    if given.index not in (None, index):
        raise UsageError(f"{path}: class {index} says index {given.index!r}: remove the indices.")
    if given.bundled:
        try:
            referred(given.bundled)
        except UsageError as error:
            raise UsageError(f"{path}: what class {index} takes: {error}") from None
    return ClassEntry(
        index,
        given.name,
        " ".join((given.readable or given.name).replace("_", " ").split()),
        given.sense,
        tuple(given.synonyms or ()),
        given.seen,
        tuple(given.coco_stuff or ()),
        given.bundled,
        given.doubtful,
        given.frequency,
    )
