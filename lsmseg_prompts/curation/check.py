"""Whether a store is whole, whether its token counts are right, and what a person should review."""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lsmseg_prompts.errors import LsmsegPromptsError, RefusedError, StoreError
from lsmseg_prompts.store.migrations import migrate
from lsmseg_prompts.store.runs import dead_runs
from lsmseg_prompts.store.sqlite import JSON_COLUMNS, working_store_path
from lsmseg_prompts.store.store import Store, open_store_readonly
from lsmseg_prompts.tokens import CONTEXT_LENGTH, TokenBudget, count_tokens, find_budget


@dataclass
class Check:
    """What was checked.

    rows: {check, level, count, detail, all}; a level is "damage", "wrong", "ok" or "look" (for a
    person to do). detail: the first of `all`, in a line.
    """

    store: str
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, check: str, level: str, places: list[str]) -> None:
        shown = "; ".join(places[:5]) + (f"; and {len(places) - 5} more" if len(places) > 5 else "")
        row = {"check": check, "level": level if places else "ok", "count": len(places)}
        self.rows.append({**row, "detail": shown, "all": places})

    def error(self) -> LsmsegPromptsError | None:
        """StoreError if it is damaged, RefusedError if counts are wrong, else None."""
        damaged, wrong = (
            ", ".join(row["check"] for row in self.rows if row["level"] == level)
            for level in ("damage", "wrong")
        )
        if damaged:
            return StoreError(
                f"The store {self.store} is damaged ({damaged}): mend what is named, or restore a "
                "backup."
            )
        if wrong:
            return RefusedError(
                f"The store {self.store} has wrong counts ({wrong}): edit or generate these cells "
                "again."
            )
        return None


def check(store: str | os.PathLike[str] | None = None) -> Check:
    """Look at the working store; nothing is changed.

    damage: SQLite's integrity check, rows that hang loose, tables that are not as made, triggers of
    others, values that are not UTF-8, broken JSON, of the wrong kind. wrong: token counts that are
    not those of their tokenizers, done texts over 77 or the budget they were written for. look:
    tables and views of others, cells for review, failed cells with reasons, locked and stale cells,
    claims of dead runs, requests without a reply, budgets whose tokenizers are not here. Raises
    StoreError for a file that cannot even be opened.
    """
    path = working_store_path(store)
    result = Check(str(path))
    with open_store_readonly(path) as file:
        file.connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        file.connection.create_function("is_utf8", 1, _is_utf8, deterministic=True)
        _whole(file, result)
        _values(file, result)
        _counts(file, result)
        _look(file, result)
    return result


def _whole(file: Store, result: Check) -> None:
    said = [next(iter(row.values())) for row in file.rows("PRAGMA integrity_check")]
    result.add("integrity", "damage", [text for text in said if text != "ok"])
    loose = Counter(
        f"{row['table']} without its {row['parent']}"
        for row in file.rows("PRAGMA foreign_key_check")
    )
    result.add("foreign keys", "damage", [f"{text} ({n} rows)" for text, n in loose.items()])
    made = _made()
    there = {(row["type"], row["name"]): row["sql"] for row in file.rows(_OBJECTS)}
    result.add(
        "schema", "damage",
        [f"{kind} {name} {'is missing' if (kind, name) not in there else 'differs'}"
         for (kind, name), sql in made.items() if there.get((kind, name)) != sql],
    )  # fmt: skip
    foreign = [f"{kind} {name}" for kind, name in there if (kind, name) not in made]
    triggers = [f"{one}: DROP {one} takes it away" for one in foreign if one.startswith("trigger ")]
    result.add("triggers of others", "damage", triggers)  # they change what is written
    others = [one for one in foreign if not one.startswith("trigger ")]
    result.add("tables and views of others", "look", others)


_OBJECTS = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type, name"
_KINDS = {"TEXT": ("text",), "INTEGER": ("integer",), "REAL": ("real", "integer")}


def _values(file: Store, result: Check) -> None:
    """Values that another program put in: text that is not UTF-8, or of another kind."""
    wrong = []
    columns = file.rows(
        "SELECT m.name AS t, c.name AS c, c.type AS kind FROM sqlite_master AS m, "
        "pragma_table_info(m.name) AS c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
    )
    ours = _made().keys()
    for table, column, kind in (tuple(row.values()) for row in columns):
        if ("table", table) not in ours or kind not in _KINDS:
            continue
        allowed = ", ".join(f"'{one}'" for one in ("null", *_KINDS[kind]))
        bad = f'typeof("{column}") NOT IN ({allowed})'
        if (table, column) == ("descriptions", "text"):
            bad = "0"  # `_counts` names the cells
        if (form := JSON_COLUMNS.get((table, column))) is not None:
            form_name = "array" if form is list else "object"
            bad += (
                f' OR (typeof("{column}") = \'text\' AND CASE WHEN json_valid("{column}") '
                f"THEN json_type(\"{column}\") <> '{form_name}' ELSE 1 END)"
            )
        if kind == "TEXT":
            bad += f' OR (typeof("{column}") = \'text\' AND NOT is_utf8(CAST("{column}" AS BLOB)))'
        (row,) = file.rows(f'SELECT count(*) AS n FROM "{table}" WHERE {bad}')
        if row["n"]:
            wrong.append(f"{table}.{column} ({row['n']} rows)")
    result.add("values", "damage", wrong)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _made() -> dict[tuple[str, str], str]:
    """(kind, name) -> SQL of what a store has when it is new."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        migrate(fresh, "")
        return {(kind, name): sql for kind, name, sql in fresh.execute(_OBJECTS)}


def _counts(file: Store, result: Check) -> None:
    lost, wrong, over, beyond = [], [], [], []
    budgets, unknown = _budgets(file)
    for row in file.rows_as_they_are(f"{_CELLS} WHERE d.status = 'done' ORDER BY 1"):
        if not isinstance(row["text"], str):
            lost.append(row["cell"])
            continue
        counted = count_tokens(row["text"])
        if counted != row["tokens"]:
            wrong.append(f"{row['cell']}: {row['tokens']} instead of {counted}")
        if row["budget"] is None and counted > CONTEXT_LENGTH:
            over.append(f"{row['cell']}: {counted}")
        if (budget := budgets.get(row["budget"])) is not None:
            if not budget.fits(row["text"]):
                beyond.append(f"{row['cell']}: {budget.count(row['text'])} of {budget.shown}")
            counts = budget.other_counts(row["text"])
            if counts != json.loads(row["other_tokens"] or "{}"):
                wrong.append(f"{row['cell']}: {row['other_tokens']} instead of {counts}")
    result.add("texts", "damage", lost)
    result.add("token counts", "wrong", wrong)
    result.add(f"over {CONTEXT_LENGTH} tokens", "wrong", over)
    result.add("over another budget", "wrong", beyond)
    result.add("budgets that cannot be counted here", "look", unknown)


def _budgets(file: Store) -> tuple[dict[str, TokenBudget], list[str]]:
    """The other budgets that texts were written for, and those whose files are not here."""
    found: dict[str, TokenBudget] = {}
    unknown = []
    for row in file.rows_as_they_are("SELECT DISTINCT budget FROM descriptions WHERE budget <> ''"):
        try:
            found[row["budget"]] = find_budget(str(row["budget"]))
        except LsmsegPromptsError as error:
            unknown.append(str(error))
    return found, unknown


_CELLS = (
    "SELECT d.vocabulary || ' ' || coalesce(c.name, d.class_index) || ' ' || d.attribute || "
    "' by ' || d.llm AS cell, d.text, d.tokens, d.reason, d.review, d.budget, d.other_tokens "
    "FROM descriptions AS d "
    "LEFT JOIN classes AS c USING (vocabulary, class_index)"
)


def _look(file: Store, result: Check) -> None:
    for title, where, note in (
        ("for review", "d.review IS NOT NULL", "review"),
        ("failed", "d.status = 'failed'", "reason"),
        ("locked", "d.locked", None),
        ("stale", "d.stale", None),
    ):
        rows = file.rows_as_they_are(f"{_CELLS} WHERE {where} ORDER BY 1")
        places = [f"{row['cell']}{f': {row[note]}' if note else ''}" for row in rows]
        result.add(title, "ok" if title == "locked" else "look", places)
    dead = dead_runs(file)
    gone = ["SELECT id FROM runs WHERE ended_at IS NULL", "SELECT id FROM batches"]
    claims = file.rows(
        "SELECT vocabulary || ' ' || class_index || ' ' || attribute || ' by ' || llm AS cell "
        f"FROM claims WHERE owner IN ({', '.join('?' * len(dead))}) "
        f"OR owner NOT IN ({' UNION '.join(gone)}) ORDER BY 1",
        dead,
    )
    result.add("claims of dead runs", "look", [row["cell"] for row in claims])
    sent = file.rows(
        "SELECT 'attempt ' || id || ' of ' || llm || ', ' || started_at AS said FROM attempts "
        "WHERE state = 'sent' AND batch IS NULL AND (run IS NULL "
        f"OR run IN ({', '.join('?' * len(dead))}) "
        "OR run NOT IN (SELECT id FROM runs WHERE ended_at IS NULL)) ORDER BY id",
        dead,
    )
    result.add("requests left without a reply", "look", [row["said"] for row in sent])
    (under_way,) = file.rows("SELECT count(*) AS n FROM attempts WHERE state = 'sent'")
    row = {"check": "requests under way", "level": "ok", "count": under_way["n"] - len(sent)}
    result.rows.append({**row, "detail": "", "all": []})
