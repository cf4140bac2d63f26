"""Word lists: what the classes of a vocabulary are called, as prompt sets to compare.

Each name stands in the plain template ("a photo of a couch"); a class of several names is the mean
of their embeddings. Lists of a user's own are files: see `read_words`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lsmseg_prompts.english import has_hidden, has_word, normalise
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import parse_json, read_named
from lsmseg_prompts.prompts.name_templates import name_texts
from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.tokens import CLIP
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary

BACKGROUND = "background"
WORDS = "words:"
"""How the names of word lists begin, so that none is taken for an attribute."""
Names = Mapping[int, Sequence[str]]
"""The names of classes by their indices; the others keep their readable names."""


def word_lists(
    vocabulary: Vocabulary, files: Iterable[str | Path] = (), background: Sequence[int] = ()
) -> dict[str, PromptSet]:
    """The word lists of a vocabulary by their names; those equal to an earlier one are left out.

    "name" (readable names), "words:benchmark" (as the benchmark spells them), "words:synonyms"
    (readable name and synonyms, averaged), with background "words:background" (nothing but this
    word for it), and "words:STEM" of each file.

    Args:
        vocabulary: the classes.
        files: lists of the user's own, see `read_words`.
        background: indices of the words whose pixels count as background.

    Raises:
        UsageError: for a file that is no word list, two of one name, and where all are equal.
        ConfigurationError: for a file that is missing or cannot be read.
        RefusedError: for a name over CLIP's 77 tokens.
    """
    named: dict[str, Names] = {
        "name": {},
        f"{WORDS}benchmark": {e.index: (e.name,) for e in vocabulary if e.index not in background},
        f"{WORDS}synonyms": {e.index: (e.readable, *e.synonyms) for e in vocabulary},
    }
    if background:
        named[f"{WORDS}{BACKGROUND}"] = dict.fromkeys(background, (BACKGROUND,))
    for file in files:
        stem = re.sub(r"[^\w.-]+", "-", Path(file).stem)
        if f"{WORDS}{stem}" in named:
            raise UsageError(f"Two word lists are called {stem}: rename the file {file}.")
        named[f"{WORDS}{stem}"] = read_words(file, vocabulary, background)
    lists: dict[str, PromptSet] = {}
    for name, names in named.items():
        made = word_list(name, vocabulary, names)
        if all(made.texts != other.texts for other in lists.values()):
            lists[name] = made
    if len(lists) == 1:
        raise UsageError(
            f"The vocabulary {vocabulary.name} has no other names than its readable ones, so there "
            "is nothing to vary: give word lists with --words."
        )
    return lists


def word_list(name: str, vocabulary: Vocabulary, names: Names) -> PromptSet:
    """The prompt set of one list."""
    texts = []
    for entry in vocabulary:
        group = tuple(dict.fromkeys(written(entry, w) for w in names.get(entry.index, ()) or [""]))
        for text in group:
            CLIP.check(text, entry.readable)
        texts.append(group)
    spelled = tuple(entry.name for entry in vocabulary)
    return PromptSet(name, vocabulary.name, (name,), "ensemble", "none", spelled, tuple(texts))


def written(entry: ClassEntry, name: str = "") -> str:
    """A name of the class in the plain template; by default its readable one."""
    (text,) = name_texts(replace(entry, readable=name) if name else entry)
    return text


def read_words(
    path: str | Path, vocabulary: Vocabulary, background: Sequence[int] = ()
) -> dict[int, tuple[str, ...]]:
    """The names in a user's file.

    .json: {class: name or [names]}, with classes under any name they have, and "background" for
    what counts as such; or a list of names, or of lists of names, for all classes in order. Any
    other file: a line for each class in order, with names between commas.

    Args:
        path: the file.
        vocabulary: the classes.
        background: indices of the words whose pixels count as background.

    Raises:
        UsageError: for another shape, a class that is not there or named twice, and a name without
            a letter or with invisible signs.
        ConfigurationError: for a file that is missing or cannot be read.
    """
    data = read_named(Path(path), "word list")
    if Path(path).suffix.lower() == ".json":
        try:
            raw = parse_json(data)
        except ValueError as error:
            raise UsageError(f"{path} is not valid JSON ({error}): mend it.") from None
    else:
        try:
            lines = data.decode("utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise UsageError(f"{path} is not a text file in UTF-8: save it as such.") from None
        raw = [[n for n in line.split(",") if n.strip()] for line in lines if line.strip()]
    if isinstance(raw, list):
        if len(raw) != len(vocabulary):
            raise UsageError(
                f"{path} names {len(raw)} classes and {vocabulary.name} has {len(vocabulary)}: "
                'name all of them in order, or some as JSON, {"class": "name"}.'
            )
        return {index: _names(value, path) for index, value in enumerate(raw)}
    if not isinstance(raw, dict):
        raise UsageError(
            f'{path} is not a word list: write {{"class": "name"}} or {{"class": ["name", ...]}}.'
        )
    found: dict[int, tuple[str, ...]] = {}
    for key, value in raw.items():
        names = _names(value, path)
        if normalise(key) == BACKGROUND and background:
            found |= _shared_out(names, background, path)
            continue
        index = vocabulary.find(key).index
        if index in found:
            raise UsageError(f"{path} names the class {vocabulary[index].name!r} twice.")
        found[index] = names
    return found


def _shared_out(
    names: Sequence[str], background: Sequence[int], path: str | Path
) -> dict[int, tuple[str, ...]]:
    """A background word for each prompt that stands for it: a word given again changes nothing."""
    if len(names) > len(background):
        raise UsageError(
            f"{path} has {len(names)} words for background, and there are prompts for "
            f"{len(background)}: leave some out."
        )
    return {index: (names[at % len(names)],) for at, index in enumerate(background)}


def _names(value: Any, path: str | Path) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise UsageError(f"{path} has {value!r} where a name or a list of names belongs.")
    for name in names:
        if not has_word(name) or has_hidden(name):
            raise UsageError(
                f"{path} has a name without a letter or with invisible signs: {name!r}."
            )
    return tuple(dict.fromkeys(" ".join(name.split()) for name in names))
