"""The attribute store: the SQLite file with vocabularies, attempts, descriptions and scores.

Two stores matter. The *shipped* store holds the bundled descriptions and is only ever read;
the *working* store lies where the user works and takes everything that is asked and measured.

Several processes may write one store at once. It therefore runs in WAL mode with a busy
timeout, every write is one statement or a transaction begun with BEGIN IMMEDIATE, and every
SQLite error reaches the caller as a `StoreError` of one sentence.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsmseg_prompts.errors import StoreError
from lsmseg_prompts.store.descriptions import DescriptionStore, vocabulary_name
from lsmseg_prompts.store.migrations import migrate, readable, schema_version
from lsmseg_prompts.store.sqlite import (
    BUSY_SECONDS,
    absent,
    connect,
    enable_wal,
    existing_store_path,
    shipped_store_path,
    translated,
    utc_now,
)

if TYPE_CHECKING:
    from lsmseg_prompts.vocabularies import Vocabulary


def open_store(
    path: str | os.PathLike[str], create: bool = True, busy_seconds: float = BUSY_SECONDS
) -> Store:
    """Open the store at `path` for reading and writing, and bring its schema up to date.

    `create` makes a missing file and its folder. `busy_seconds` is how long a write waits for
    another process. Raises StoreError: missing (without `create`), not a database, some other
    database, of a newer schema, locked, not writable, or the shipped store itself.
    """
    path = Path(path)
    if path.exists() and path.resolve() == shipped_store_path():
        raise StoreError(
            f"{path} is the shipped store, which is never written: name another file with --store."
        )
    if not create and not path.exists():
        raise absent(path)
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        store = Store(path, connect(path, "rwc", busy_seconds))
        try:
            # Before WAL: someone else's file stays as it is.
            schema_version(store.connection, str(path))
            enable_wal(store.connection, busy_seconds)
            migrate(store.connection, str(path))
        except BaseException:
            store.close()
            raise
    return store


def open_store_readonly(path: str | os.PathLike[str]) -> Store:
    """Open the store at `path` without ever writing: not to it and not beside it.

    One of an older schema is read from a copy in memory that is brought up to date.

    Raises StoreError: missing, not a database, some other database, of a newer schema.
    """
    path = Path(path)
    if not path.exists():
        raise absent(path)
    # Plain read-only mode still makes -wal and -shm files beside a WAL database; `immutable`
    # does not, but would miss what a running writer has so far put into the -wal file only.
    wal = Path(f"{path}-wal")
    mode = "ro" if wal.exists() and wal.stat().st_size else "ro&immutable=1"
    with translated(path):
        connection = connect(path, mode, BUSY_SECONDS)
        try:
            connection = readable(connection, str(path))
        except BaseException:
            connection.close()
            raise
    return Store(path, connection)


def read_rows(
    path: Path | None, sql: str, values: Sequence[Any] = (), vocabulary: Vocabulary | None = None
) -> list[dict[str, Any]]:
    """The rows of a SELECT on the store at `path`; none where there is no store.

    Args:
        path: the file, or None.
        sql: the SELECT.
        values: those of its placeholders.
        vocabulary: compare its classes with those in the store first.

    Raises:
        StoreError: the store cannot be read.
        UsageError: the store has the vocabulary with other classes.
    """
    if path is None or not path.exists():
        return []
    with open_store_readonly(path) as store:
        if vocabulary is not None:
            store.check_vocabulary(vocabulary)
        return store.rows(sql, values)


class Store(DescriptionStore):
    """An open attribute store; `open_store` and `open_store_readonly` make one.

    A context manager that closes itself. `db` is the sqlite-utils Database underneath.
    Wherever a vocabulary is asked for, its name or the `Vocabulary` itself may be given; with
    the latter the class list in the store is compared first.
    """

    def record_attempt(
        self,
        vocabulary: Vocabulary | str | None,
        index: int | None,
        attribute: str | None,
        llm: str,
        *,
        asked_model: str,
        prompt: str,
        parameters: Mapping[str, Any] | None = None,
        started_at: str | None = None,
        **fields: Any,
    ) -> int:
        """Enter one question to an LLM and what came back; returns the attempt's id.

        Args:
            vocabulary: the vocabulary, or its name; None where the question is about none.
            index: the class; None where it is about none.
            attribute: the attribute; None where it is about none or several.
            llm: who is asked.
            asked_model: the model as the provider calls it.
            prompt: the question.
            parameters: what was sent beside it.
            started_at: when; None is now.
            **fields: further columns of the table: purpose, state, attributes (JSON, where it is
                about several), run, batch, host, attempt_number, history (JSON), template_hash,
                question (hash of all that was asked), served_model, reply, verdict, finish_reason,
                input_tokens, output_tokens, cost_usd, cost_is_bound, http_status, error_class,
                error_message, request_id, duration_seconds.
        """
        row = {
            "vocabulary": None if vocabulary is None else vocabulary_name(vocabulary),
            "class_index": index,
            "attribute": attribute,
            "llm": llm,
            "asked_model": asked_model,
            "prompt": prompt,
            "parameters": json.dumps(dict(parameters or {}), ensure_ascii=False, sort_keys=True),
            "started_at": started_at or utc_now(),
            **fields,
        }
        with self.transaction():
            if attribute is not None:
                self.add_attribute(attribute)
            self.add_llm(llm)
            return int(self.write("attempts", row).lastrowid or 0)

    def update_attempt(self, attempt: int, **fields: Any) -> None:
        """Fill further columns of an attempt, when its reply arrives or is judged."""
        settings = ", ".join(f"{name} = :{name}" for name in fields)
        self.execute(f"UPDATE attempts SET {settings} WHERE id = :id", {**fields, "id": attempt})

    def add_evaluation(
        self,
        *,
        benchmark: str,
        model: str,
        prompt_set: str,
        attributes: Sequence[str] = (),
        details: Mapping[str, Any] | None = None,
        created_at: str | None = None,
        **fields: Any,
    ) -> int:
        """Enter one score of a prompt set; returns its id.

        Args:
            benchmark: the benchmark it was scored on.
            model: the model.
            prompt_set: the name of the prompt set.
            attributes: its attributes.
            details: whatever has no column.
            created_at: when; None is now.
            **fields: further columns: run, stage, split, pictures, weights_hash, vocabulary, llm,
                composition, subset ("all", "seen", "unseen"), miou, miou_low, miou_high (the ends
                of the 95 % interval, in 0..1).
        """
        row = {
            "created_at": created_at or utc_now(),
            "benchmark": benchmark,
            "model": model,
            "prompt_set": prompt_set,
            "attributes": json.dumps(list(attributes), ensure_ascii=False),
            "details": json.dumps(dict(details or {}), ensure_ascii=False, sort_keys=True),
            **fields,
        }
        return int(self.write("evaluations", row).lastrowid or 0)

    def evaluations(self, run: str | None = None) -> list[dict[str, Any]]:
        """The scores entered, oldest first; `run` keeps those of one run."""
        rows = self.rows(
            "SELECT * FROM evaluations WHERE run = coalesce(?, run) OR ? IS NULL ORDER BY id",
            [run, run],
        )
        for row in rows:
            row |= {key: json.loads(row[key]) for key in ("attributes", "details")}
        return rows

    def status(self) -> list[dict[str, Any]]:
        """How full the store is: a row for each vocabulary and LLM.

        Keys: vocabulary, classes, llm, attributes, done (of these attributes), pairs (pair cells
        that are done), samples (further ones that are done), and of all cells failed, review,
        locked, stale; attempts, cost_usd, evaluations; batches (those under way: remote_id, status,
        requests, created_at).
        """
        pair, sample = "d.attribute GLOB 'contrast:*'", "d.attribute GLOB '*#[1-9]*'"
        alone = f"NOT {pair} AND NOT {sample}"
        rows = self.rows(
            "SELECT v.name AS vocabulary, v.class_count AS classes, w.llm, "
            f"count(DISTINCT CASE WHEN {alone} THEN d.attribute END) AS attributes, "
            f"coalesce(sum(d.status = 'done' AND {alone}), 0) AS done, "
            f"coalesce(sum(d.status = 'done' AND {pair}), 0) AS pairs, "
            f"coalesce(sum(d.status = 'done' AND {sample} AND NOT {pair}), 0) AS samples, "
            "coalesce(sum(d.status = 'failed'), 0) AS failed, "
            "coalesce(sum(d.review IS NOT NULL), 0) AS review, "
            "coalesce(sum(d.locked), 0) AS locked, coalesce(sum(d.stale), 0) AS stale, "
            "(SELECT count(*) FROM attempts AS a "
            " WHERE a.vocabulary = v.name AND a.llm = w.llm) AS attempts, "
            "(SELECT sum(cost_usd) FROM attempts AS a "
            " WHERE a.vocabulary = v.name AND a.llm = w.llm) AS cost_usd, "
            "(SELECT count(*) FROM evaluations AS e "
            " WHERE e.vocabulary = v.name AND (e.llm = w.llm OR w.llm IS NULL)) AS evaluations "
            "FROM vocabularies AS v LEFT JOIN ("
            " SELECT vocabulary, llm FROM descriptions UNION"
            " SELECT vocabulary, llm FROM batches WHERE ended_at IS NULL"
            ") AS w ON w.vocabulary = v.name "
            "LEFT JOIN descriptions AS d ON d.vocabulary = v.name AND d.llm = w.llm "
            "GROUP BY v.name, w.llm ORDER BY v.name, w.llm"
        )
        under_way: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for batch in self.rows(
            "SELECT vocabulary, llm, remote_id, status, json_array_length(calls) AS requests, "
            "created_at FROM batches WHERE ended_at IS NULL ORDER BY created_at"
        ):
            under_way.setdefault((batch.pop("vocabulary"), batch.pop("llm")), []).append(batch)
        return [
            {**row, "batches": under_way.get((row["vocabulary"], row["llm"]), [])} for row in rows
        ]


def status(store: str | os.PathLike[str] | None = None) -> list[dict[str, Any]]:
    """`Store.status` of the working store, if there is one, and of the shipped one.

    The key `store` tells them apart: the working store's path, or "shipped".
    """
    path = existing_store_path(store)
    rows: list[dict[str, Any]] = []
    if path is not None:
        with open_store_readonly(path) as file:
            rows += [{"store": str(path), **row} for row in file.status()]
    with open_store_readonly(shipped_store_path()) as file:
        rows += [{"store": "shipped", **row} for row in file.status()]
    return rows
