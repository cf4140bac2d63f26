"""Reading a user's own class list, with one clear sentence for everything that can be wrong."""

import json
from pathlib import Path
from typing import Any

from lsmseg_prompts.english import normalise
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.vocabularies.vocabulary import BUILT_IN, ClassEntry, Vocabulary, built_in

FIELDS = {"index", "name", "readable", "sense", "synonyms", "seen", "coco_stuff"}


def read(path: Path) -> Vocabulary:
    """Read a vocabulary from a .txt or .json file; raises UsageError (see load_vocabulary)."""
    text = _text(path)
    name, title = path.stem, f"Classes of {path.name}"
    if path.suffix.lower() == ".json":
        raw = _json(path, text)
        if isinstance(raw, dict):
            name = _string(raw.get("name", name), path, "name")
            title = _string(raw.get("title", title), path, "title")
            raw = raw.get("classes")
        if not isinstance(raw, list):
            raise UsageError(
                f'{path} holds no class list: write ["cat", "dog"] or {{"classes": [...]}}.'
            )
        entries = [_entry(item, i, path) for i, item in enumerate(raw)]
    else:
        lines = [" ".join(line.split()) for line in text.splitlines()]
        names = [line for line in lines if line and not line.startswith("#")]
        entries = [_entry(item, i, path) for i, item in enumerate(names)]
    if not entries:
        raise UsageError(f"{path} names no class: write one class name a line.")
    _refuse_duplicates(entries, path)
    vocabulary = Vocabulary(name, title, tuple(entries))
    if normalise(name) in BUILT_IN:
        own = built_in(normalise(name))
        if [normalise(e.name) for e in own] != [normalise(e.name) for e in vocabulary]:
            raise UsageError(
                f"The class list {path} would be called {name} like the built-in vocabulary but "
                "has other classes: rename it."
            )
    return vocabulary


def _text(path: Path) -> str:
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give a .txt or .json file with class names.")
    if path.suffix.lower() not in (".txt", ".json"):
        raise UsageError(f"{path} is neither .txt nor .json: save the class names as one of them.")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"There is no file {path}: check the path of the class list.") from None
    except OSError as error:
        raise UsageError(f"Cannot read the class list {path}: {error.strerror}.") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UsageError(f"{path} is not text in UTF-8: save the class list as UTF-8 text.")
    return text


def _json(path: Path, text: str) -> Any:
    if not text.strip():
        raise UsageError(f'{path} is empty: write a list of class names, like ["cat", "dog"].')
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{path} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deep for a class list.") from None


def _entry(item: Any, index: int, path: Path) -> ClassEntry:
    """One class from a name or an object; `index` is its place in the file."""
    fields = {"name": item} if isinstance(item, str) else item
    where = f"class {index}"
    if not isinstance(fields, dict) or "name" not in fields:
        raise UsageError(f"{path}: {where} is neither a name nor an object with a name.")
    unknown = sorted(set(fields) - FIELDS)
    if unknown:
        raise UsageError(
            f"{path}: {where} has an unknown field {unknown[0]!r}; "
            f"known are {', '.join(sorted(FIELDS))}."
        )
    if fields.get("index", index) != index:
        raise UsageError(f"{path}: {where} says index {fields['index']!r}: remove the indices.")
    name = _string(fields["name"], path, f"the name of {where}")
    readable = _string(fields.get("readable") or name, path, f"the readable name of {where}")
    sense = fields.get("sense")
    if sense is not None:
        sense = _string(sense, path, f"the sense of {where}")
    synonyms = fields.get("synonyms") or []
    if not isinstance(synonyms, list):
        raise UsageError(f"{path}: the synonyms of {where} are not a list of names.")
    seen = fields.get("seen")
    if seen is not None and not isinstance(seen, bool):
        raise UsageError(f"{path}: what {where} says of being seen is not true, false or null.")
    return ClassEntry(
        index,
        name,
        " ".join(readable.replace("_", " ").split()),
        sense,
        tuple(_string(s, path, f"a synonym of {where}") for s in synonyms),
        seen,
        _indices(fields.get("coco_stuff") or [], path, f"coco_stuff of {where}"),
    )


def _string(value: Any, path: Path, what: str) -> str:
    """`value` with its whitespace tidied; UsageError unless it is text with a letter or digit."""
    if not isinstance(value, str) or not any(c.isalnum() for c in value):
        raise UsageError(f"{path}: {what} is not a word or words.")
    if not value.isprintable() and any(ord(c) < 32 and not c.isspace() for c in value):
        raise UsageError(f"{path}: {what} holds control characters: save the list as plain text.")
    return " ".join(value.split())


def _indices(value: Any, path: Path, what: str) -> tuple[int, ...]:
    """`value` as indices of COCO-Stuff classes; UsageError if it is anything else."""
    known = range(len(built_in("coco-stuff")))
    if not isinstance(value, list) or not all(type(i) is int and i in known for i in value):
        raise UsageError(f"{path}: {what} is not a list of indices from 0 to {known[-1]}.")
    return tuple(value)


def _refuse_duplicates(entries: list[ClassEntry], path: Path) -> None:
    owner: dict[str, int] = {}
    for entry in entries:
        first = owner.setdefault(normalise(entry.name), entry.index)
        if first != entry.index:
            raise UsageError(
                f"{path} names the class {entry.name!r} twice (classes {first} and "
                f"{entry.index}): remove one of them."
            )
