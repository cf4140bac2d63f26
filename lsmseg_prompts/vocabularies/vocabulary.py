"""A vocabulary and its classes, and those that ship inside."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

from lsmseg_prompts.english import nearest, normalise
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import packaged_json

BUILT_IN = (
    "coco-stuff",
    "camvid",
    "ade20k-150",
    "ade20k-847",
    "pc-59",
    "pc-459",
    "voc-20",
    "voc-21",
    "cityscapes-19",
    "mapillary-65",
    "coco-object-81",
    "coco-object-corrclip",
    "coco-object-proxyclip",
    "coco-object-sclip",
    "pc-60",
    "voc-21-proxyclip",
    "voc-21-sclip",
    "ade20k-150-fcclip",
    "lvis-1203",
)


@dataclass(frozen=True)
class ClassEntry:
    """One class. `name` is the benchmark's spelling, `readable` the one used in prompts.

    `seen`: whether COCO-Stuff has this very concept, as its classes `coco_stuff`; None if nobody
    has said so. `bundled`: the described class whose texts it takes, as VOCABULARY/NAME; "" where
    it takes none, None where its names tell (see meanings.py). `doubtful`: what else the benchmark
    may mean by `name`, where it is not sure to be `sense`. `frequency`: of lvis-1203, in how many
    of LVIS's training pictures it is: frequent, common or rare.
    """

    index: int
    name: str
    readable: str
    sense: str | None = None
    synonyms: tuple[str, ...] = ()
    seen: bool | None = None
    coco_stuff: tuple[int, ...] = ()
    bundled: str | None = None
    doubtful: str | None = None
    frequency: str | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every way to name the class: readable first, then synonyms, then the benchmark's."""
        return tuple(dict.fromkeys((self.readable, *self.synonyms, self.name)))

    @property
    def stored_synonyms(self) -> str:
        """The synonyms as the store has them: JSON."""
        return json.dumps(list(self.synonyms), ensure_ascii=False)


@dataclass(frozen=True)
class Vocabulary:
    """An ordered list of classes; `classes[i].index == i`."""

    name: str
    title: str
    classes: tuple[ClassEntry, ...]

    @property
    def option(self) -> str:
        """What stands after --vocab in a message: the name of a built-in one, else FILE."""
        return self.name if self.name in BUILT_IN else "FILE"

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, index: int) -> ClassEntry:
        return self.classes[index]

    def __iter__(self) -> Iterator[ClassEntry]:
        return iter(self.classes)

    @cached_property
    def stored(self) -> list[tuple[str, str, str | None, str]]:
        """Of each class what the store has: name, readable name, sense, synonyms as JSON."""
        return [(e.name, e.readable, e.sense, e.stored_synonyms) for e in self.classes]

    @cached_property
    def _spellings(self) -> tuple[dict[str, list[ClassEntry]], ...]:
        """The classes of each benchmark name, of each readable name, and of each synonym."""
        tables: tuple[dict[str, list[ClassEntry]], ...] = ({}, {}, {})
        for entry in self.classes:
            names = ((entry.name,), (entry.readable,), entry.synonyms)
            for table, some in zip(tables, names, strict=True):
                for name in dict.fromkeys(map(normalise, some)):
                    table.setdefault(name, []).append(entry)
        return tables

    def meant(self, name: str) -> tuple[int, list[ClassEntry]]:
        """How `name` is meant (0 a class's own, 1 its readable one, 2 a synonym), and by whom."""
        for rank, table in enumerate(self._spellings):
            if entries := table.get(normalise(name)):
                return rank, entries
        return 0, []

    def find(self, name: str) -> ClassEntry:
        """The class called `name`: by benchmark name, else readable name, else synonym.

        Raises UsageError, with the nearest names, if there is none.
        """
        _, entries = self.meant(name)
        if entries:
            return entries[0]
        near = nearest(name, [spelling for entry in self.classes for spelling in entry.names])
        raise UsageError(f"The vocabulary {self.name} has no class {name!r}{near}.")


@cache
def built_in(name: str) -> Vocabulary:
    """The vocabulary of BUILT_IN that is called `name`."""
    raw = packaged_json("lsmseg_prompts.vocabularies", f"{name}.json")
    if "join" in raw:
        return Vocabulary(raw["name"], raw["title"], _joined(raw["join"], raw.get("without", ())))
    entries = tuple(
        ClassEntry(**c | {key: tuple(c.get(key, ())) for key in ("synonyms", "coco_stuff")})
        for c in raw["classes"]
    )
    return Vocabulary(raw["name"], raw["title"], entries)


def _joined(names: Sequence[str], without: Sequence[str]) -> tuple[ClassEntry, ...]:
    """The classes of several vocabularies, one after the other, each name once."""
    classes: dict[str, ClassEntry] = {}
    for name in names:
        for entry in built_in(name):
            if entry.name not in without:
                own = replace(entry, index=len(classes), bundled=f"{name}/{entry.name}")
                classes.setdefault(entry.name, own)
    return tuple(classes.values())
