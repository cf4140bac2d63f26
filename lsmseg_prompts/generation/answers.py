"""Replies that are on file: what was answered once is not asked again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lsmseg_prompts.llm.base import REFUSAL, Reply, Request
from lsmseg_prompts.store.store import Store
from lsmseg_prompts.vocabularies import Vocabulary

Cell = tuple[int, str]
Paid = dict[int, float]
"""The ids of attempts that ended, and what each cost in dollars."""


@dataclass(frozen=True)
class Answer:
    """A reply on file, and what was paid for it."""

    reply: Reply
    paid: Paid


def answers(store: Store, llm: str, purpose: str, requests: Iterable[Request]) -> dict[str, Answer]:
    """What was answered to questions, by their hashes; the first answer to each.

    Args:
        store: the store.
        llm: who was asked.
        purpose: what the attempts are filed under.
        requests: the questions.

    Raises:
        StoreError: the store cannot be read.
    """
    rows = store.rows(
        "SELECT * FROM attempts WHERE question IN (SELECT value FROM json_each(?)) "
        "AND purpose = ? AND llm = ? AND state = 'ended' "
        "AND (error_class IS NULL OR reply IS NOT NULL) "
        "AND error_class IS NOT 'OnlyThoughts' ORDER BY id DESC",
        [json.dumps([request.hash for request in requests]), purpose, llm],
    )
    return {
        row["question"]: Answer(recorded_reply(row), {row["id"]: row["cost_usd"] or 0.0})
        for row in rows
    }


def recorded_reply(row: Mapping[str, Any]) -> Reply:
    """The reply that a row of the attempts holds, as far as judging goes."""
    refused = row["error_class"] == REFUSAL
    return Reply(
        None if refused else row["reply"],
        row["asked_model"],
        finish_reason=row["finish_reason"],
        refusal=row["reply"] if refused else None,
    )


def described(
    store: Store, vocabulary: Vocabulary, llm: str, cells: Iterable[Cell]
) -> dict[Cell, tuple[str | None, Paid]]:
    """The text of each cell by `llm`, None where it failed, and what was paid for it.

    Cells that were never asked for are left out.

    Args:
        store: the store.
        vocabulary: the classes.
        llm: who wrote them.
        cells: (class index, attribute) of each.

    Raises:
        StoreError: the store cannot be read.
    """
    wanted = list(cells)
    where = (
        "WHERE vocabulary = ? AND llm = ? AND attribute IN (SELECT value FROM json_each(?)) AND "
    )
    values = [vocabulary.name, llm, json.dumps([attribute for _, attribute in wanted])]
    texts = {
        (row["class_index"], row["attribute"]): row["text"]
        for row in store.rows(
            f"SELECT class_index, attribute, text FROM descriptions {where} status = 'done'", values
        )
    }
    paid: dict[Cell, Paid] = {}
    for row in store.rows(
        "SELECT id, class_index, attribute, cost_usd FROM attempts "
        f"{where} purpose = 'describe' AND state = 'ended' ORDER BY id",
        values,
    ):
        cell = row["class_index"], row["attribute"]
        paid.setdefault(cell, {})[row["id"]] = row["cost_usd"] or 0.0
    return {
        cell: (texts.get(cell), paid.get(cell, {}))
        for cell in wanted
        if cell in texts or cell in paid
    }
