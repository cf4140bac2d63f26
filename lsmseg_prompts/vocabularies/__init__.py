"""Vocabularies: ordered lists of classes, ours and the user's.

A benchmark's class strings are not all words that people or language models use ("wall-brick",
"door-stuff"), and some words mean several things ("tie", "mouse", "kite"). So a class has its
index, its name as the benchmark spells it, a readable name for prompts, a sense where the word
is ambiguous, and synonyms. What identifies a class is (vocabulary, index), never its name.

A model trained on COCO-Stuff has seen a class if COCO-Stuff has the same visual concept, by name,
synonym or sense; `coco_stuff` says which of its classes that is, or which together (docs:
vocabularies.md).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path

from lsmseg_prompts.english import nearest, normalise
from lsmseg_prompts.errors import UsageError

BUILT_IN = (
    "coco-stuff",
    "camvid",
    "ade20k-150",
    "ade20k-847",
    "pc-59",
    "pc-459",
    "voc-20",
    "voc-21",
)


@dataclass(frozen=True)
class ClassEntry:
    """One class. `name` is the benchmark's spelling, `readable` the one used in prompts.

    `seen`: whether COCO-Stuff has this very concept, as its classes `coco_stuff`; None if nobody
    has said so.
    """

    index: int
    name: str
    readable: str
    sense: str | None = None
    synonyms: tuple[str, ...] = ()
    seen: bool | None = None
    coco_stuff: tuple[int, ...] = ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every way to name the class: readable first, then synonyms, then the benchmark's."""
        return tuple(dict.fromkeys((self.readable, *self.synonyms, self.name)))


@dataclass(frozen=True)
class Vocabulary:
    """An ordered list of classes; `classes[i].index == i`."""

    name: str
    title: str
    classes: tuple[ClassEntry, ...]

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, index: int) -> ClassEntry:
        return self.classes[index]

    def __iter__(self) -> Iterator[ClassEntry]:
        return iter(self.classes)

    def find(self, name: str) -> ClassEntry:
        """The class called `name`: by benchmark name, else readable name, else synonym.

        Raises UsageError, with the nearest names, if there is none.
        """
        wanted = normalise(name)
        for spellings in (
            lambda entry: (entry.name,),
            lambda entry: (entry.readable,),
            lambda entry: entry.synonyms,
        ):
            for entry in self.classes:
                if wanted in map(normalise, spellings(entry)):
                    return entry
        near = nearest(name, [spelling for entry in self.classes for spelling in entry.names])
        raise UsageError(f"The vocabulary {self.name} has no class {name!r}{near}.")


def available_vocabularies() -> tuple[str, ...]:
    """Names of the vocabularies that ship inside."""
    return BUILT_IN


def load_vocabulary(name_or_path: str | Path) -> Vocabulary:
    """A built-in vocabulary by name, or the user's own from a .txt or .json file.

    .txt: a class name a line; blank lines and lines beginning with # are skipped.
    .json: a list of names, a list of objects, or an object in our own format
    ({"name", "title", "classes": [{"name", "readable", "sense", "synonyms", "seen",
    "coco_stuff"}]}).

    Raises UsageError if the name is unknown or the file is missing, unreadable, empty, of a
    wrong shape, or names a class twice.
    """
    wanted = str(name_or_path).strip()
    if normalise(wanted) in BUILT_IN:
        return _built_in(normalise(wanted))
    from lsmseg_prompts.vocabularies import user_file

    path = Path(wanted).expanduser()
    if wanted and (path.exists() or path.suffix.lower() in (".txt", ".json")):
        return user_file.read(path)
    near = nearest(wanted, BUILT_IN)
    raise UsageError(
        f"There is no vocabulary {wanted!r}{near}; built in are {', '.join(BUILT_IN)}; "
        "or give a .txt or .json file with your own class names."
    )


@cache
def _built_in(name: str) -> Vocabulary:
    raw = json.loads((files(__name__) / f"{name}.json").read_text("utf-8"))
    entries = tuple(
        ClassEntry(
            c["index"],
            c["name"],
            c["readable"],
            c["sense"],
            tuple(c["synonyms"]),
            c["seen"],
            tuple(c.get("coco_stuff", ())),
        )
        for c in raw["classes"]
    )
    return Vocabulary(raw["name"], raw["title"], entries)
