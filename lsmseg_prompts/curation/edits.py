"""People's hands on the store: texts of their own, and locks that no rerun overwrites.

A person's text has source "human", is locked, and the one it replaced is kept in the table
`edits`. A bundled text that is edited or locked is copied into the working store; the shipped
one is never written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from lsmseg_prompts.attributes.samples import with_samples
from lsmseg_prompts.descriptions.lint import check_text
from lsmseg_prompts.descriptions.loading import attributes_of, show
from lsmseg_prompts.english import has_hidden, has_word
from lsmseg_prompts.errors import ConfigurationError, RefusedError
from lsmseg_prompts.llm.registry import check_name
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.sqlite import (
    existing_store_path,
    shipped_store_path,
    utc_now,
    working_store_path,
)
from lsmseg_prompts.store.store import Store, open_store, open_store_readonly, read_rows
from lsmseg_prompts.tokens import CLIP, TokenBudget, count_tokens
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary, load_vocabulary

Path = str | os.PathLike[str]


def edit(
    vocabulary: Vocabulary | str,
    name: str,
    attribute: str,
    text: str,
    llm: str = "bundled",
    store: Path | None = None,
    force: bool = False,
    budget: TokenBudget = CLIP,
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

    Raises:
        RefusedError: the text may not stand there.
        UsageError: there is no such class, attribute or LLM.
        StoreError: the store cannot be written.
    """
    vocabulary = load_vocabulary(vocabulary)
    entry = vocabulary.find(name)
    (attribute,) = attributes_of(entry, vocabulary, [attribute])
    text = " ".join(text.split())
    check(text, entry, force, budget)
    if not read_rows(existing_store_path(store), "SELECT 1 FROM llms WHERE name = ?", [llm]):
        check_name(llm)
    with open_store(working_store_path(store)) as file, file.transaction():
        file.add_vocabulary(vocabulary)
        _add_llm(file, llm)
        old = _cell(file, vocabulary, entry, attribute, llm)
        if old is None or (old["text"], old["source"]) != (text, "human"):
            _set_locks(file, vocabulary, entry, [attribute], llm, False)
            new = Description(
                *(vocabulary.name, entry.index, attribute, llm, text, count_tokens(text)),
                source="human",
                budget=budget.named,
                other_tokens=budget.other_counts(text),
            )
            file.put_description(new)
            keep_old(file, old["text"] if old else None, new)
        _set_locks(file, vocabulary, entry, [attribute], llm, True)
        (cell,) = file.cells(vocabulary, llm, [attribute], entry.index)
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
    store: Path | None = None,
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
    rows = show(vocabulary, name, llm, None if attribute is None else [attribute], store)
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
                _add_llm(file, llm)
                cell = (vocabulary.name, entry.index, row["attribute"], llm)
                file.put_description(Description(*cell, row["text"], row["tokens"]))
        return _set_locks(file, vocabulary, entry, wanted, llm, True)


def unlock(
    vocabulary: Vocabulary | str,
    name: str,
    attribute: str | None = None,
    llm: str = "bundled",
    store: Path | None = None,
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
    vocabulary: Vocabulary,
    name: str,
    attribute: str,
    llm: str = "bundled",
    store: Path | None = None,
) -> str:
    """What stands in a cell now, for an editor; empty where nothing does.

    Args:
        vocabulary: the vocabulary.
        name: the class.
        attribute: the attribute.
        llm: under whom the cell is filed.
        store: the path of the store; None for the usual one.

    Raises:
        UsageError: there is no such class or attribute.
    """
    (attribute,) = attributes_of(vocabulary.find(name), vocabulary, [attribute])
    try:
        (row,) = show(vocabulary, name, llm, [attribute], store)
    except ConfigurationError:
        return ""
    return row["text"] or ""


def edits(
    vocabulary: Vocabulary | str, name: str, store: Path | None = None
) -> list[dict[str, Any]]:
    """What people changed in the cells of a class, oldest first.

    Attribute, llm, old_text, new_text, edited_at.
    """
    vocabulary = load_vocabulary(vocabulary)
    index = vocabulary.find(name).index
    return read_rows(
        existing_store_path(store),
        "SELECT attribute, llm, old_text, new_text, edited_at FROM edits "
        "WHERE vocabulary = ? AND class_index = ? ORDER BY id",
        [vocabulary.name, index],
        vocabulary,
    )


def keep_old(file: Store, old: str | None, new: Description) -> None:
    """Enter a replaced text into the table `edits`."""
    cell = {key: getattr(new, key) for key in ("vocabulary", "class_index", "attribute", "llm")}
    texts = {"old_text": old, "new_text": new.text}
    file.write("edits", {**cell, **texts, "edited_at": utc_now()})


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


def _cell(
    file: Store, vocabulary: Vocabulary, entry: ClassEntry, attribute: str, llm: str
) -> dict[str, Any] | None:
    """The cell of the working store, else of the shipped one."""
    rows = file.cells(vocabulary, llm, [attribute], entry.index)
    if not rows and llm == "bundled":
        with open_store_readonly(shipped_store_path()) as shipped:
            rows = shipped.cells(vocabulary, llm, [attribute], entry.index)
    return rows[0] if rows else None


def _add_llm(file: Store, llm: str) -> None:
    from lsmseg_prompts.llm.bundled import PROVENANCE

    file.add_llm(llm, PROVENANCE if llm == "bundled" else None)
