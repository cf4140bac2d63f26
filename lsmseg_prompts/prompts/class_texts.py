"""Texts for classes that a user names freely, out of any vocabulary."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from lsmseg_prompts.descriptions.loading import check_attributes, described_by, load
from lsmseg_prompts.english import normalise
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.llm.bundled import LLM_NAME
from lsmseg_prompts.prompts.compose import Writing, written_for
from lsmseg_prompts.prompts.from_store import DEFAULT_ATTRIBUTES
from lsmseg_prompts.prompts.prompt_set import PromptSet, build_prompt_set
from lsmseg_prompts.store.sqlite import existing_store_path
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import (
    ClassEntry,
    Vocabulary,
    available_vocabularies,
    load_vocabulary,
)
from lsmseg_prompts.vocabularies.meanings import fits, meanings
from lsmseg_prompts.vocabularies.renaming import call_it


class ClassTexts(NamedTuple):
    """Texts for classes named freely; `described`: which have descriptions."""

    classes: list[str]
    texts: list[list[str]]
    described: list[bool]


def texts_for_classes(
    classes: Sequence[str] | Vocabulary,
    attributes: Sequence[str] | None = None,
    llm: str = "bundled",
    store: str | os.PathLike[str] | None = None,
    prompts: PromptSet | None = None,
    budget: TokenBudget = CLIP,
) -> ClassTexts:
    """The texts of freely named classes: descriptions where a class has them, else the template.

    It has them if `prompts` or else a shipped vocabulary has the class (see meanings.py), with
    descriptions by `llm` of all `attributes` (default: DEFAULT_ATTRIBUTES; ("name",): none). What
    another LLM than `bundled` wrote for a vocabulary of the user's own comes before that. A class
    whose descriptions cannot be shortened to the budget stands with its template.

    Args:
        classes: their names, or a vocabulary, whose senses and `bundled` count.
        attributes: what describes them.
        llm: who wrote the descriptions.
        store: the path of the store; None for the usual one.
        prompts: a prompt set to take the texts from.
        budget: the tokens that a text may take.

    Raises:
        UsageError: no class is named, or one twice; a prompt set and what it makes needless.
        RefusedError: a name is over the budget.
    """
    entries = _entries(classes)
    names, writing = [entry.readable for entry in entries], written_for(budget)
    own_words = Vocabulary("classes", "classes", entries)
    plain = build_prompt_set({}, own_words, ("name",), llm=llm, writing=writing)
    texts = [list(group) for group in plain.texts]
    if prompts is not None:
        if attributes is not None or store is not None or llm != LLM_NAME:
            raise UsageError(
                "A prompt set has its texts: attributes, llm and store have no effect beside it."
            )
        places = {e.index: _in_prompt_set(prompts, e.readable) for e in entries}
        written = {i: list(prompts.texts[at]) for i, at in places.items() if at is not None}
    elif attributes is not None and tuple(attributes) == ("name",):
        written = {}
    else:
        wanted = check_attributes(attributes or DEFAULT_ATTRIBUTES)
        own = {}
        if isinstance(classes, Vocabulary) and llm != LLM_NAME:
            own = load(classes, llm, wanted, store, require=False)
        written = _composed(*_described(entries, own, wanted, llm, store), wanted, writing)
    existing_store_path(store)
    described = [bool(written.get(entry.index)) for entry in entries]
    for index, group in written.items():
        texts[index] = group or texts[index]
    return ClassTexts(names, texts, described)


def _entries(classes: Sequence[str] | Vocabulary) -> tuple[ClassEntry, ...]:
    """The classes; raises UsageError for none, and for one that is named twice."""
    if isinstance(classes, str):
        raise UsageError(f"Classes are a list of names, not one string: give [{classes!r}].")
    if isinstance(classes, Vocabulary):
        entries = classes.classes
    else:
        tidy = (" ".join(name.split()) for name in classes)
        entries = tuple(ClassEntry(i, name, name) for i, name in enumerate(filter(None, tidy)))
    if not entries:
        raise UsageError('No class is named: give some, such as --classes "sky, grass, zebra".')
    names = [normalise(entry.readable) for entry in entries]
    doubles = {e.readable for e in entries if names.count(normalise(e.readable)) > 1}
    if doubles:
        raise UsageError(f"The class {min(doubles)!r} is named twice.")
    return entries


def read_as(prompts: PromptSet, chosen: ClassTexts) -> PromptSet:
    """Texts that `texts_for_classes` took from a prompt set, read as they are there."""
    weights = prompts.weights
    if weights is not None:
        places = [_in_prompt_set(prompts, name) for name in chosen.classes]
        weights = tuple(
            (1.0,) * len(group) if at is None else weights[at]
            for at, group in zip(places, chosen.texts, strict=True)
        )
    return replace(
        prompts,
        class_names=tuple(chosen.classes),
        texts=tuple(tuple(group) for group in chosen.texts),
        weights=weights,
        shortened=(),
        dropped=(),
    )


def _in_prompt_set(prompts: PromptSet, name: str) -> int | None:
    """The place of a class in a prompt set, under its name there or another of its vocabulary."""
    wanted = {normalise(name)}
    if prompts.vocabulary in available_vocabularies():
        with suppress(UsageError):
            wanted.add(normalise(load_vocabulary(prompts.vocabulary).find(name).name))
    places = (at for at, own in enumerate(prompts.class_names) if normalise(own) in wanted)
    return next(places, None)


def _described(
    entries: Sequence[ClassEntry],
    own: Mapping[tuple[int, str], str],
    attributes: tuple[str, ...],
    llm: str,
    store: str | os.PathLike[str] | None,
) -> tuple[list[ClassEntry], dict[tuple[int, str], str]]:
    """The classes that `llm` described, here or in the shipped vocabularies, and its sentences.

    These by a class's place among them, and by attribute. own: what it wrote for these very
    classes.
    """
    texts: dict[str, dict[tuple[int, str], str]] = {}
    members: list[ClassEntry] = []
    sentences: dict[tuple[int, str], str] = {}
    for entry in entries:
        if all((entry.index, attribute) in own for attribute in attributes):
            sentences |= {(len(members), name): own[entry.index, name] for name in attributes}
            members.append(entry)
            continue
        for meaning in meanings(entry, described_by(llm)):
            if not fits(entry, meaning):
                continue
            home, shipped = meaning.vocabulary, meaning.entry
            if home not in texts:
                texts[home] = load(home, llm, attributes, store, require=False)
            cells = [texts[home].get((shipped.index, attribute)) for attribute in attributes]
            if all(cells):
                if meaning.how == "name":
                    entry = replace(shipped, index=entry.index)
                for attribute, text in zip(attributes, cells, strict=True):
                    sentences[len(members), attribute] = call_it(text or "", shipped, entry)
                members.append(entry)
                break
    return members, sentences


def _composed(
    members: Sequence[ClassEntry],
    sentences: Mapping[tuple[int, str], str],
    attributes: tuple[str, ...],
    writing: Writing,
) -> dict[int, list[str]]:
    """The texts of the described classes, by their indices."""
    if not members:
        return {}
    renumbered = tuple(replace(e, index=i) for i, e in enumerate(members))
    vocabulary = Vocabulary("classes", "classes", renumbered)
    built = build_prompt_set(sentences, vocabulary, attributes, missing="skip", writing=writing)
    return {e.index: list(group) for e, group in zip(members, built.texts, strict=True)}
