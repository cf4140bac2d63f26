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
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsmseg_prompts.attributes import ATTRIBUTES, PSEUDO_ATTRIBUTES
from lsmseg_prompts.errors import StoreError, UsageError
from lsmseg_prompts.store.migrations import check_readable, migrate, schema_version
from lsmseg_prompts.store.sqlite import (
    BUSY_SECONDS,
    STORE_NAME,
    STORE_VARIABLE,
    StoreFile,
    absent,
    connect,
    enable_wal,
    shipped_store_path,
    translated,
    working_store_path,
)

if TYPE_CHECKING:
    from lsmseg_prompts.vocabularies import Vocabulary

__all__ = [
    "STORE_NAME",
    "STORE_VARIABLE",
    "Store",
    "open_store",
    "open_store_readonly",
    "shipped_store_path",
    "status",
    "utc_now",
    "working_store_path",
]


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

    Raises StoreError: missing, not a database, some other database, of another schema.
    """
    path = Path(path)
    if not path.exists():
        raise absent(path)
    # Plain read-only mode still makes -wal and -shm files beside a WAL database; `immutable`
    # does not, but would miss what a running writer has so far put into the -wal file only.
    wal = Path(f"{path}-wal")
    mode = "ro" if wal.exists() and wal.stat().st_size else "ro&immutable=1"
    with translated(path):
        store = Store(path, connect(path, mode, BUSY_SECONDS))
        try:
            check_readable(store.connection, str(path))
        except BaseException:
            store.close()
            raise
    return store


class Store(StoreFile):
    """An open attribute store; `open_store` and `open_store_readonly` make one.

    A context manager that closes itself. `db` is the sqlite-utils Database underneath.
    Wherever a vocabulary is asked for, its name or the `Vocabulary` itself may be given; with
    the latter the class list in the store is compared first.
    """

    # -- names ---------------------------------------------------------------------------

    def add_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Enter a vocabulary and its classes; entered before, readable names are refreshed.

        What LLMs wrote about a class that now has another readable name or sense is stale: the
        next run asks anew.

        Raises UsageError where a class index already stands for another class: descriptions
        belong to (vocabulary, index) and would silently pass to the wrong class.
        """
        with self.transaction():
            self.check_vocabulary(vocabulary)
            for index in self.renamed(vocabulary):
                self.execute(
                    "UPDATE descriptions SET stale = 1 WHERE vocabulary = ? AND class_index = ? "
                    "AND NOT locked AND source = 'llm'",
                    [vocabulary.name, index],
                )
            self.write(
                "vocabularies",
                {
                    "name": vocabulary.name,
                    "title": vocabulary.title,
                    "class_count": len(vocabulary),
                },
                "UPDATE SET title = excluded.title, "
                "class_count = max(class_count, excluded.class_count)",
            )
            for entry in vocabulary.classes:
                self.write(
                    "classes",
                    {
                        "vocabulary": vocabulary.name,
                        "class_index": entry.index,
                        "name": entry.name,
                        "readable": entry.readable,
                        "sense": entry.sense,
                        "synonyms": json.dumps(list(entry.synonyms), ensure_ascii=False),
                    },
                    "UPDATE SET readable = excluded.readable, sense = excluded.sense, "
                    "synonyms = excluded.synonyms",
                )

    def check_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Raise UsageError if this store knows the vocabulary's name with other classes."""
        for row in self.rows(
            "SELECT class_index, name FROM classes WHERE vocabulary = ? ORDER BY class_index",
            [vocabulary.name],
        ):
            index = row["class_index"]
            if index < len(vocabulary) and vocabulary[index].name != row["name"]:
                raise UsageError(
                    f"Class {index} of the vocabulary '{vocabulary.name}' is "
                    f"'{vocabulary[index].name}', but '{row['name']}' in the store {self.path}: "
                    "rename the vocabulary, or use another --store."
                )

    def add_attribute(self, name: str, meaning: str | None = None) -> None:
        """Enter an attribute: one of the paper's nine, a pseudo-attribute or the user's own."""
        if not self.once("attributes", name, meaning):
            return
        kind = "user"
        if name in ATTRIBUTES:
            kind, meaning = "paper", meaning or ATTRIBUTES[name]
        elif name in PSEUDO_ATTRIBUTES or "+" in name:
            kind = "pseudo"
        self.write("attributes", {"name": name, "meaning": meaning, "kind": kind})

    def add_llm(self, name: str, provenance: str | None = None) -> None:
        """Enter an LLM by the name it is asked under; `provenance` says who wrote the texts."""
        if not self.once("llms", name, provenance):
            return
        self.write(
            "llms",
            {"name": name, "provenance": provenance},
            "UPDATE SET provenance = coalesce(excluded.provenance, provenance)",
        )

    def add_template(self, name: str, text: str, template_hash: str) -> None:
        """Enter the query template that has this hash."""
        self.write("templates", {"hash": template_hash, "name": name, "text": text})

    # -- attempts and descriptions -------------------------------------------------------

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

        `fields` are further columns of the table: purpose, state, attributes (JSON, where it is
        about several), run, batch, host, attempt_number, history (JSON), template_hash,
        served_model, reply, verdict, finish_reason, input_tokens, output_tokens, cost_usd,
        cost_is_bound, http_status, error_class, error_message, request_id, duration_seconds.
        """
        row = {
            "vocabulary": None if vocabulary is None else _name(vocabulary),
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

    def put_description(
        self,
        vocabulary: Vocabulary | str,
        index: int,
        attribute: str,
        llm: str,
        template_hash: str | None,
        text: str | None,
        tokens: int | None,
        status: str = "done",
        reason: str | None = None,
        attempt: int | None = None,
        updated_at: str | None = None,
        source: str = "llm",
        review: str | None = None,
    ) -> None:
        """Fill a cell: `text` with its count of CLIP tokens, or `status="failed"` and why.

        `source` says who wrote it: "llm", "human" or "import"; `review` what a person should
        look at. A failure never replaces a description that is done, and nothing replaces a
        locked one. The schema refuses a done text of more than 77 tokens (StoreError).
        """
        row = {
            "vocabulary": _name(vocabulary),
            "class_index": index,
            "attribute": attribute,
            "llm": llm,
            "text": text,
            "tokens": tokens,
            "status": status,
            "reason": reason,
            "template_hash": template_hash,
            "attempt_id": attempt,
            "updated_at": updated_at or utc_now(),
            "source": source,
            "review": review,
            "stale": 0,
        }
        fresh = [
            name for name in row if name not in ("vocabulary", "class_index", "attribute", "llm")
        ]
        with self.transaction():
            self.add_attribute(attribute)
            self.add_llm(llm)
            self.write(
                "descriptions",
                row,
                f"UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in fresh)} "
                "WHERE descriptions.locked = 0 "
                "AND (excluded.status = 'done' OR descriptions.status <> 'done')",
            )

    def descriptions(
        self, vocabulary: Vocabulary | str, llm: str = "bundled"
    ) -> dict[tuple[int, str], str]:
        """Every description that is done: (class index, attribute) -> sentence."""
        if not isinstance(vocabulary, str):
            self.check_vocabulary(vocabulary)
        rows = self.rows(
            "SELECT class_index, attribute, text FROM descriptions "
            "WHERE vocabulary = ? AND llm = ? AND status = 'done' ORDER BY class_index, attribute",
            [_name(vocabulary), llm],
        )
        return {(row["class_index"], row["attribute"]): row["text"] for row in rows}

    def missing(
        self,
        vocabulary: Vocabulary,
        llm: str,
        attributes: Iterable[str],
        retry_failed: bool = True,
    ) -> list[tuple[int, str]]:
        """The cells (class index, attribute) still to be asked, class by class.

        Cells that failed before count as missing unless `retry_failed` is off; so do stale
        ones, whose text is to be asked anew. A locked cell never does.
        """
        self.check_vocabulary(vocabulary)
        states = ("done",) if retry_failed else ("done", "failed")
        have = {
            (row["class_index"], row["attribute"])
            for row in self.rows(
                "SELECT class_index, attribute FROM descriptions WHERE vocabulary = ? "
                f"AND llm = ? AND (locked OR (status IN ({', '.join('?' * len(states))}) "
                "AND NOT stale))",
                [vocabulary.name, llm, *states],
            )
        }
        have -= self._renamed_cells(vocabulary, llm)
        wanted = list(attributes)
        return [
            (entry.index, attribute)
            for entry in vocabulary.classes
            for attribute in wanted
            if (entry.index, attribute) not in have
        ]

    def _renamed_cells(self, vocabulary: Vocabulary, llm: str) -> set[tuple[int, str]]:
        """The cells that `add_vocabulary` would find stale."""
        renamed = self.renamed(vocabulary)
        if not renamed:
            return set()
        rows = self.rows(
            "SELECT class_index, attribute FROM descriptions WHERE vocabulary = ? AND llm = ? "
            "AND NOT locked AND source = 'llm'",
            [vocabulary.name, llm],
        )
        return {(r["class_index"], r["attribute"]) for r in rows if r["class_index"] in renamed}

    def mark_stale(
        self,
        vocabulary: Vocabulary,
        llm: str,
        cells: Iterable[tuple[int, str]],
        stale: bool = True,
    ) -> list[tuple[int, str]]:
        """Have these cells asked anew; until then they keep their texts. Locked ones stay.

        Returns the cells that were marked by this call; with `stale` off they are unmarked.
        """
        with self.transaction():
            return [
                (index, attribute)
                for index, attribute in cells
                if self.execute(
                    "UPDATE descriptions SET stale = ? WHERE vocabulary = ? AND llm = ? "
                    "AND class_index = ? AND attribute = ? AND NOT locked AND stale <> ?",
                    [stale, vocabulary.name, llm, index, attribute, stale],
                ).rowcount
            ]

    def renamed(self, vocabulary: Vocabulary) -> set[int]:
        """The classes whose readable name or sense is another than in the store: what LLMs wrote
        about them was asked for under that other name."""
        rows = self.rows(
            "SELECT class_index, readable, sense FROM classes WHERE vocabulary = ?",
            [vocabulary.name],
        )
        return {
            row["class_index"]
            for row in rows
            if row["class_index"] < len(vocabulary)
            and (row["readable"], row["sense"])
            != (vocabulary[row["class_index"]].readable, vocabulary[row["class_index"]].sense)
        }

    def cells(
        self,
        vocabulary: Vocabulary | str | None = None,
        llm: str | None = None,
        attributes: Sequence[str] | None = None,
        index: int | None = None,
        status: str | None = None,
    ) -> list[dict[str, Any]]:
        """Filled cells, done and failed, as rows; each argument narrows them.

        Keys: vocabulary, class_index, class, readable, attribute, llm, text, tokens, status,
        reason, source, locked, review, template_hash, updated_at. In the paper's order of the
        attributes.
        """
        wheres, values = ["1"], list[Any]()
        for column, value in (
            ("d.vocabulary", None if vocabulary is None else _name(vocabulary)),
            ("d.llm", llm),
            ("d.class_index", index),
            ("d.status", status),
        ):
            if value is not None:
                wheres.append(f"{column} = ?")
                values.append(value)
        if attributes is not None:
            wheres.append(f"d.attribute IN ({', '.join('?' * len(attributes))})")
            values.extend(attributes)
        rows = self.rows(
            "SELECT d.vocabulary, d.class_index, c.name AS class, c.readable, d.attribute, d.llm, "
            "d.text, d.tokens, d.status, d.reason, d.source, d.locked, d.review, "
            "d.template_hash, d.updated_at "
            "FROM descriptions AS d JOIN classes AS c USING (vocabulary, class_index) "
            f"WHERE {' AND '.join(wheres)}",
            values,
        )
        order = {name: place for place, name in enumerate((*ATTRIBUTES, *PSEUDO_ATTRIBUTES))}
        return sorted(
            rows,
            key=lambda row: (
                row["vocabulary"],
                row["class_index"],
                row["llm"],
                order.get(row["attribute"], len(order)),
                row["attribute"],
            ),
        )

    # -- evaluations and the overview ----------------------------------------------------

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

        `fields` are further columns: run, stage, split, pictures, weights_hash, vocabulary,
        llm, composition, subset ("all", "seen", "unseen"), miou, miou_low, miou_high (the ends
        of the 95 % interval, in 0..1). Whatever has no column belongs into `details`.
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
            row["attributes"] = json.loads(row["attributes"])
            row["details"] = json.loads(row["details"])
        return rows

    def status(self) -> list[dict[str, Any]]:
        """How full the store is: a row for each vocabulary and LLM.

        Keys: vocabulary, classes, llm, attributes, done, failed, and of these cells review,
        locked, stale; attempts, cost_usd, evaluations.
        """
        return self.rows(
            "SELECT v.name AS vocabulary, v.class_count AS classes, d.llm, "
            "count(DISTINCT d.attribute) AS attributes, "
            "coalesce(sum(d.status = 'done'), 0) AS done, "
            "coalesce(sum(d.status = 'failed'), 0) AS failed, "
            "coalesce(sum(d.review IS NOT NULL), 0) AS review, "
            "coalesce(sum(d.locked), 0) AS locked, coalesce(sum(d.stale), 0) AS stale, "
            "(SELECT count(*) FROM attempts AS a "
            " WHERE a.vocabulary = v.name AND a.llm = d.llm) AS attempts, "
            "(SELECT sum(cost_usd) FROM attempts AS a "
            " WHERE a.vocabulary = v.name AND a.llm = d.llm) AS cost_usd, "
            "(SELECT count(*) FROM evaluations AS e "
            " WHERE e.vocabulary = v.name AND (e.llm = d.llm OR d.llm IS NULL)) AS evaluations "
            "FROM vocabularies AS v LEFT JOIN descriptions AS d ON d.vocabulary = v.name "
            "GROUP BY v.name, d.llm ORDER BY v.name, d.llm"
        )


def utc_now() -> str:
    """The time now as ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _name(vocabulary: Vocabulary | str) -> str:
    return vocabulary if isinstance(vocabulary, str) else vocabulary.name


def status(store: str | os.PathLike[str] | None = None) -> list[dict[str, Any]]:
    """`Store.status` of the working store, if there is one, and of the shipped one.

    The key `store` tells them apart: the working store's path, or "shipped".
    """
    path = working_store_path(store)
    rows: list[dict[str, Any]] = []
    if store is not None or path.exists():
        with open_store_readonly(path) as file:
            rows += [{"store": str(path), **row} for row in file.status()]
    with open_store_readonly(shipped_store_path()) as file:
        rows += [{"store": "shipped", **row} for row in file.status()]
    return rows
