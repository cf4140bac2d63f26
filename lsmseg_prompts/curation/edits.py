"""People's hands on the store: texts of their own, and locks that no rerun overwrites.

A person's text has source "human", is locked, and the one it replaced is kept in the table
`edits`. A bundled text that is edited or locked is copied into the working store; the shipped
one is never written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from lsmseg_prompts.attributes.samples import asked_of, sample, sampled, with_samples
from lsmseg_prompts.curation.history import Action, check_expected, recorded
from lsmseg_prompts.curation.places import Place, add_llm, place_of, text_of
from lsmseg_prompts.descriptions.lint import check_text
from lsmseg_prompts.descriptions.loading import DESCRIBED, attributes_of, show
from lsmseg_prompts.english import has_hidden, has_word
from lsmseg_prompts.errors import ConfigurationError, RefusedError, UsageError
from lsmseg_prompts.llm.registry import check_name
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.sqlite import existing_store_path, working_store_path
from lsmseg_prompts.store.store import Store, open_store, open_store_readonly
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary, load_vocabulary

FilePath = str | os.PathLike[str]


def edit(
    vocabulary: Vocabulary | str,
    name: str,
    attribute: str,
    text: str,
    llm: str = "bundled",
    store: FilePath | None = None,
    force: bool = False,
    budget: TokenBudget = CLIP,
    expected: str | None = None,
) -> dict[str, Any]:
    """Put a person's text into a cell, and lock it; returns the cell (see Store.cells).

    Args:
        vocabulary: the vocabulary, or its name.
        name: the class.
        attribute: the attribute.
        text: one sentence that names the class and fits the budget.
        llm: under whom the cell is filed.
        store: the path of the store; None for the usual one.
        force: take a text that is not a sentence or does not name the class.
        budget: the tokens that it may take.
        expected: the text that is to stand there now; None for any, "" for none.

    Raises:
        ConflictError: another text stands there than `expected`; nothing was changed.
        RefusedError: the text may not stand there.
        UsageError: there is no such class, attribute or LLM.
        StoreError: the store cannot be written.
    """
    place = place_of(vocabulary, name, attribute, llm)
    text = " ".join(text.split())
    check(text, place.entry, force, budget)
    return _put(place.description(text, source="human"), place, store, budget, expected, "edit")


def take(
    vocabulary: Vocabulary | str,
    name: str,
    attribute: str,
    writer: str,
    llm: str = "bundled",
    store: FilePath | None = None,
    expected: str | None = None,
    budget: TokenBudget = CLIP,
) -> dict[str, Any]:
    """Take another LLM's text into a cell, and lock it; returns the cell.

    It stays that LLM's: `source` and the attempt that brought it come along, `taken_from` names the
    LLM.

    Args:
        vocabulary: the vocabulary, or its name.
        name: the class.
        attribute: the attribute.
        writer: the LLM whose text is taken, of the same sample; "gpt-4#2" is its second one.
        llm: under whom the cell is filed.
        store: the path of the store; None for the usual one.
        expected: the text that is to stand there now; None for any, "" for none.
        budget: the tokens that it may take.

    Raises:
        ConflictError: another text stands there than `expected`.
        RefusedError: the text does not fit.
        ConfigurationError: the other LLM has no text there.
        UsageError: there is no such class or attribute, or it is the cell's own text.
        StoreError: the store cannot be written.
    """
    place = place_of(vocabulary, name, attribute, llm)
    base, number = sampled(writer)
    whose = place.attribute if base == writer else sample(asked_of(place.attribute), number)
    other = place_of(place.vocabulary, name, whose, base)
    if other == place:
        raise UsageError(f"The text is {llm}'s own already: name another LLM.")
    theirs, raw = _theirs(other, store)
    if theirs is None or theirs["status"] != "done":
        raise ConfigurationError(
            f"There is no {whose} of {place.entry.readable!r} by {base}: "
            f"`lsmseg-prompts store show {place.entry.name}` lists the texts that there are."
        )
    check(theirs["text"], place.entry, True, budget)
    whose = theirs["taken_from"] or base
    new = place.description(
        theirs["text"],
        template_hash=raw.get("template_hash"),
        attempt_id=raw.get("attempt_id"),
        source=theirs["source"],
        taken_from=None if whose == llm else whose,
    )
    return _put(new, place, store, budget, expected, "take")


def _theirs(other: Place, store: FilePath | None) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """What stands in a cell, and its row of the working store."""
    path = existing_store_path(store)
    if path is None:
        return other.bundled(), {}
    with open_store_readonly(path) as file:
        file.check_vocabulary(other.vocabulary)
        return other.now(file), other.row(file) or {}


def _put(
    new: Description,
    place: Place,
    store: FilePath | None,
    budget: TokenBudget,
    expected: str | None,
    action: Action,
) -> dict[str, Any]:
    """Put a text that was checked into a cell, with the old one into its history, and lock it."""
    other_tokens = budget.other_counts(str(new.text))
    new = replace(new, budget=budget.named, other_tokens=other_tokens)
    where = (place.vocabulary, place.entry, [place.attribute], place.llm)
    if existing_store_path(store) is None:
        check_name(place.llm)  # before a store is made
    with open_store(working_store_path(store)) as file, file.transaction():
        file.add_vocabulary(place.vocabulary)
        add_llm(file, place.llm)
        if new.taken_from is not None:
            add_llm(file, new.taken_from)
        old = place.now(file)
        check_expected(place, old, expected)
        same = ("text", "source", "taken_from", "status")
        if old is None or any(old[key] != getattr(new, key) for key in same):
            with recorded(file, place, action):
                _set_locks(file, *where, False)
                file.put_description(new)
        _set_locks(file, *where, True)
        (cell,) = file.cells(place.vocabulary, place.llm, [place.attribute], place.entry.index)
    return cell


def check(text: str, entry: ClassEntry, force: bool = False, budget: TokenBudget = CLIP) -> None:
    """Whether `text` may stand in a cell of the class; see `edit`.

    Args:
        text: the text.
        entry: the class.
        force: also if it is not a sentence or does not name the class.
        budget: the tokens that it may take.

    Raises:
        RefusedError: it may not.
    """
    if has_hidden(text):
        raise RefusedError(
            "The text has control characters or invisible signs in it: take them out."
        )
    if not has_word(text):
        raise RefusedError("The text says nothing: give a sentence about the class.")
    tokens = budget.count(text)
    if tokens > budget.limit:
        raise RefusedError(
            f"The text has {tokens} {budget.unit}, {tokens - budget.limit} more than "
            f"{budget.reader} reads: shorten it, or name a larger --budget."
        )
    if not force and (broken := check_text(text, entry, None, budget)):
        said = "; ".join(message for _, message in broken)
        raise RefusedError(f"The text was not taken: {said} (--force takes it as it is).")


def lock(
    vocabulary: Vocabulary | str,
    name: str,
    attribute: str | None = None,
    llm: str = "bundled",
    store: FilePath | None = None,
) -> list[dict[str, Any]]:
    """Lock the descriptions of a class; returns the cells that were changed.

    Args:
        vocabulary: the vocabulary, or its name.
        name: the class.
        attribute: the attribute; None for all that are filled.
        llm: under whom the cells are filed.
        store: the path of the store; None for the usual one.

    Raises:
        ConfigurationError: there is nothing to lock; a failed cell has no text.
        UsageError: there is no such class or attribute.
        StoreError: the store cannot be written.
    """
    vocabulary = load_vocabulary(vocabulary)
    entry = vocabulary.find(name)
    rows = _filled(vocabulary, name, attribute, llm, store)
    wanted = [row["attribute"] for row in rows]
    if not any(row["text"] for row in rows):
        raise ConfigurationError(
            f"There is no description of {entry.readable!r} by {llm} to lock: it failed "
            "before; write one with `lsmseg-prompts store edit`."
        )
    with open_store(working_store_path(store)) as file, file.transaction():
        file.add_vocabulary(vocabulary)
        own = {row["attribute"] for row in file.cells(vocabulary, llm, wanted, entry.index)}
        for row in rows:
            if row["attribute"] not in own:  # a bundled text: it is to stand here too
                add_llm(file, llm)
                cell = (vocabulary.name, entry.index, row["attribute"], llm)
                file.put_description(Description(*cell, row["text"], row["tokens"]))
        return _set_locks(file, vocabulary, entry, wanted, llm, True)


def unlock(
    vocabulary: Vocabulary | str,
    name: str,
    attribute: str | None = None,
    llm: str = "bundled",
    store: FilePath | None = None,
) -> list[dict[str, Any]]:
    """Let reruns and imports overwrite descriptions again; see `lock`.

    Args:
        vocabulary: the vocabulary, or its name.
        name: the class.
        attribute: the attribute; None for all that are filled.
        llm: under whom the cells are filed.
        store: the path of the store; None for the usual one.

    Raises:
        UsageError: there is no such class or attribute.
        StoreError: the store cannot be written.
    """
    vocabulary = load_vocabulary(vocabulary)
    entry = vocabulary.find(name)
    wanted = attributes_of(entry, vocabulary, None if attribute is None else [attribute])
    path = existing_store_path(store)
    if path is None:
        return []
    with open_store(path) as file, file.transaction():
        file.add_vocabulary(vocabulary)
        if attribute is None:
            rows = file.cells(vocabulary, llm, index=entry.index)
            wanted = with_samples(wanted, {row["attribute"] for row in rows})
        return _set_locks(file, vocabulary, entry, wanted, llm, False)


def editable(
    vocabulary: Vocabulary | str,
    name: str,
    attribute: str,
    llm: str = "bundled",
    store: FilePath | None = None,
) -> str:
    """The text that stands in a cell now, for an editor; empty where none does. See `cell`.

    Args:
        vocabulary: the vocabulary, or its name.
        name: the class.
        attribute: the attribute.
        llm: under whom the cell is filed.
        store: the path of the store; None for the usual one.
    """
    return text_of(cell(vocabulary, name, attribute, llm, store))


def cell(
    vocabulary: Vocabulary | str,
    name: str,
    attribute: str,
    llm: str = "bundled",
    store: FilePath | None = None,
) -> dict[str, Any] | None:
    """What stands in a cell now (see Store.cells), bundled texts too; None where nothing does.

    Args:
        vocabulary: the vocabulary, or its name.
        name: the class.
        attribute: the attribute.
        llm: under whom the cell is filed.
        store: the path of the store; None for the usual one.

    Raises:
        UsageError: there is no such class or attribute.
        StoreError: the store cannot be read.
    """
    place = place_of(vocabulary, name, attribute, llm)
    path = existing_store_path(store)
    if path is None:
        return place.bundled()
    with open_store_readonly(path) as file:
        file.check_vocabulary(place.vocabulary)
        return place.now(file)


def _filled(
    vocabulary: Vocabulary, name: str, attribute: str | None, llm: str, store: FilePath | None
) -> list[dict[str, Any]]:
    """The cells of a class as `show` has them, else the bundled text that stands for one."""
    try:
        return show(vocabulary, name, llm, None if attribute is None else [attribute], store)
    except ConfigurationError:
        wanted = DESCRIBED if attribute is None else (attribute,)
        places = (place_of(vocabulary, name, one, llm) for one in wanted)
        if rows := [row for place in places if (row := place.bundled()) is not None]:
            return rows
        raise


def _set_locks(
    file: Store,
    vocabulary: Vocabulary,
    entry: ClassEntry,
    attributes: Iterable[str],
    llm: str,
    locked: bool,
) -> list[dict[str, Any]]:
    """The cells that were changed: those that are done and were not as they now are."""
    changed = []
    for attribute in attributes:
        cursor = file.execute(
            "UPDATE descriptions SET locked = ?, stale = CASE WHEN ? THEN 0 ELSE stale END "
            "WHERE vocabulary = ? AND class_index = ? AND attribute = ? AND llm = ? "
            "AND status = 'done' AND locked <> ?",
            [locked, locked, vocabulary.name, entry.index, attribute, llm, locked],
        )
        if cursor.rowcount:
            changed += file.cells(vocabulary, llm, [attribute], entry.index)
    return changed
