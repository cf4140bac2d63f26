"""What was changed in cells, kept whole in the table `edits`, and taking it back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from lsmseg_prompts.curation.places import Place, human_row, place_of, text_of
from lsmseg_prompts.errors import ConflictError, UsageError
from lsmseg_prompts.store.sqlite import existing_store_path, utc_now
from lsmseg_prompts.store.store import Store, open_store, read_rows
from lsmseg_prompts.vocabularies import Vocabulary, load_vocabulary

Path = str | os.PathLike[str]
Action = Literal["edit", "import", "take", "undo"]


@contextmanager
def recorded(file: Store, place: Place, action: Action) -> Iterator[None]:
    """Enter into the history of a cell what the statements inside make of it.

    Nothing is entered where they change neither the text nor whose it is.

    Args:
        file: the store, inside a transaction.
        place: the cell.
        action: what is done.
    """
    before, was = place.row(file), text_of(_done(place.now(file)))
    yield
    after = place.row(file)
    now = text_of(_done(after if after is not None else place.bundled()))
    if was == now and _whose(before) == _whose(after):
        return
    texts = {"old_text": was or None, "new_text": now or None}
    rows = {"old_row": _json(before), "new_row": _json(after)}
    file.write("edits", {**place.key, **texts, "edited_at": utc_now(), "action": action, **rows})


def undo(
    vocabulary: Vocabulary | str,
    name: str,
    attribute: str,
    llm: str = "bundled",
    store: Path | None = None,
    expected: str | None = None,
    before: int | None = None,
) -> dict[str, Any] | None:
    """Put back what stood in a cell before its last change; returns the cell, None if it is empty.

    It comes back as it was: its text, source, lock, review, token counts and attempt; a cell that
    had nothing of its own is emptied, and a bundled text shows there again. Where a rerun or
    another program has replaced the text since the last change on file, what that change had put
    there comes back. An undo is a change itself, so that a second one takes the first back.

    Args:
        vocabulary: the vocabulary, or its name.
        name: the class.
        attribute: the attribute.
        llm: under whom the cell is filed.
        store: the path of the store; None for the usual one.
        expected: the text that is to stand there now; None for any.
        before: the id of the change before which it is to be as it was, see `edits`; None for the
            last one.

    Raises:
        ConflictError: another text stands there than `expected`.
        UsageError: there is no such class or attribute, or nothing was changed there.
        StoreError: the store cannot be written.
    """
    place = place_of(vocabulary, name, attribute, llm)
    path = existing_store_path(store)
    if path is None:
        raise _unchanged(place)
    with open_store(path) as file, file.transaction():
        file.add_vocabulary(place.vocabulary)
        check_expected(place, place.now(file), expected)
        changes = [row for row in place.history(file) if before in (None, row["id"])]
        if not changes:
            raise _unchanged(place)
        last = changes[-1]
        side = "old"
        if before is None and text_of(_done(place.now(file))) != (last["new_text"] or ""):
            side = "new"
        with recorded(file, place, "undo"):
            place.put(file, _kept(place, last, side))
        return place.now(file)


def _kept(place: Place, change: dict[str, Any], side: str) -> dict[str, Any] | None:
    """The row of a cell before ("old") or after ("new") a change.

    Those of earlier versions have the text alone: it comes back as a person's, locked.
    """
    if change["action"] is not None:
        kept = change[f"{side}_row"]
        return None if kept is None else dict(json.loads(kept))
    text = change[f"{side}_text"]
    if text is None or text == text_of(place.bundled()):
        return None
    return human_row(place, text)


def edits(
    vocabulary: Vocabulary | str, name: str, store: Path | None = None
) -> list[dict[str, Any]]:
    """What was changed in the cells of a class, oldest first.

    Keys: id, attribute, llm, old_text, new_text, edited_at, action ("edit", "import", "take" or
    "undo"; None of versions that did not keep it).
    """
    vocabulary = load_vocabulary(vocabulary)
    index = vocabulary.find(name).index
    return read_rows(
        existing_store_path(store),
        "SELECT id, attribute, llm, old_text, new_text, edited_at, action FROM edits "
        "WHERE vocabulary = ? AND class_index = ? ORDER BY id",
        [vocabulary.name, index],
        vocabulary,
    )


def check_expected(place: Place, row: dict[str, Any] | None, expected: str | None) -> None:
    """Raise ConflictError where another text stands in a cell than the one that is expected.

    Args:
        place: the cell.
        row: what stands there now, see `Place.now`.
        expected: the text; "" where none is expected, None where any may be there.
    """
    now = text_of(row)
    if expected is not None and now != expected:
        shown = f"it is now {now!r}" if now else "it is empty now"
        raise ConflictError(
            f"The {place.attribute} of {place.entry.readable!r} by {place.llm} was changed "
            f"meanwhile, {shown}: nothing was changed here; look at it, and try again.",
            now,
        )


def _unchanged(place: Place) -> UsageError:
    return UsageError(
        f"Nothing of that kind was changed in the {place.attribute} of {place.entry.readable!r} by "
        f"{place.llm}: `lsmseg-prompts store show {place.entry.name} --edits` lists the changes."
    )


def _done(row: dict[str, Any] | None) -> dict[str, Any] | None:
    return row if row and row["status"] == "done" else None


def _whose(row: dict[str, Any] | None) -> tuple[Any, ...]:
    return (None, None) if row is None else (row["source"], row["taken_from"])


def _json(row: dict[str, Any] | None) -> str | None:
    return None if row is None else json.dumps(row, ensure_ascii=False)
