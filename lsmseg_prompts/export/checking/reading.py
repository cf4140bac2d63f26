"""What the code that runs a reader gets and gives, and how it takes the reader's files."""

from __future__ import annotations

import ast
import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsmseg_prompts.english import excerpt, normalise
from lsmseg_prompts.export.checking.recording import Prompt, Recorder


class OtherVersionError(Exception):
    """The checkout is not of the project, or of a version that lacks what is run."""


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


def load(name: str) -> Any:
    """A module of the checkout. Raises OtherVersionError if it does not import."""
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise OtherVersionError(f"{name} does not import ({said(error)})") from error


def having(module: Any, attribute: str) -> Any:
    """The class of a module that defines the method `attribute`, the last one.

    Raises OtherVersionError if none does.
    """
    found = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and attribute in vars(each) and each.__module__ == module.__name__
    ]
    if not found:
        raise OtherVersionError(f"{module.__name__} has no class with {attribute}")
    return found[-1]


def function(module: Any, name: str) -> Any:
    """A function of a module. Raises OtherVersionError if it has none."""
    if name not in vars(module):
        raise OtherVersionError(f"{module.__name__} has no {name}")
    return vars(module)[name]


def cut_out(file: Path, names: tuple[str, ...], known: dict[str, Any]) -> dict[str, Any]:
    """Functions and assignments of a script that cannot be imported, run among the names `known`.

    Raises OtherVersionError if it lacks one.
    """
    found: list[ast.stmt] = []
    have = set()
    for node in ast.parse(file.read_text("utf-8"), str(file)).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        called = {t.id for t in targets if isinstance(t, ast.Name)}
        called |= {node.name} if isinstance(node, ast.FunctionDef) else set()
        if called & set(names):
            found.append(node)
            have |= called
    if missing := [name for name in names if name not in have]:
        raise OtherVersionError(f"{file.name} has no {missing[0]}")
    space = dict(known)
    exec(compile(ast.Module(found, []), str(file), "exec"), space)
    return space


def said(error: BaseException) -> str:
    """An error in one line."""
    text = excerpt(" ".join(str(error).split()), 200)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


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
