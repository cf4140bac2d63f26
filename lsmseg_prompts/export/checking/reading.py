"""What the code that runs a reader gets and gives."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lsmseg_prompts.english import normalise
from lsmseg_prompts.export.checking.modules import OtherVersionError, said
from lsmseg_prompts.export.checking.recording import Prompt, Recorder


class StoppedError(Exception):
    """The reader's code ended with an error on the file: the message is what it said."""


@dataclass(frozen=True)
class Names:
    """A class as the file may call it."""

    name: str
    readable: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What is to be read: a file of a format in a checkout, and the classes that it is for."""

    checkout: Path
    file: Path
    vocabulary: str
    classes: tuple[Names, ...]
    folder: Path
    recorder: Recorder = field(default_factory=Recorder)

    def need(self, path: str) -> Path:
        """A file of the checkout. Raises OtherVersionError if it has none."""
        if not (file := self.checkout / path).is_file():
            raise OtherVersionError(f"it has no {path}")
        return file


@dataclass
class Reading:
    """What a reader's code made of a file.

    classes: the prompts of each class, in the vocabulary's order. unmatched: names that the reader
    has otherwise. refused: the error that its code ended with. notes: whatever else should be said.
    """

    classes: list[list[Prompt]]
    unmatched: list[str] = field(default_factory=list)
    refused: str = ""
    notes: list[str] = field(default_factory=list)


@contextlib.contextmanager
def stopping() -> Iterator[None]:
    """Around the reader's own code: whatever it ends with is raised as StoppedError."""
    try:
        yield
    except Exception as error:
        raise StoppedError(said(error)) from error


def named_otherwise(theirs: list[str], ours: tuple[Names, ...]) -> list[str]:
    """Where a reader's own list of the same classes has another name at the same place."""
    if len(theirs) != len(ours):
        return [f"it has {len(theirs)} classes and the file {len(ours)}"]
    wrong = []
    for index, (their, our) in enumerate(zip(theirs, ours, strict=True)):
        mine = _parts(our.name, our.readable, *our.others)
        if mine.isdisjoint(_parts(their)):
            wrong.append(f"{index} is {their!r}, here {our.name!r}")
    return wrong


def _parts(*names: str) -> set[str]:
    """Each name and what stands between its commas, without case and spaces."""
    parts = {part for name in names for part in (name, *name.split(","))}
    return {normalise(part).replace(" ", "") for part in parts}
