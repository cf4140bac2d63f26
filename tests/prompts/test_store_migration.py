"""Stores of schema 1: everything in them is kept when they are brought up to date."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path

import pytest

from lsmseg_prompts.errors import StoreError
from lsmseg_prompts.store.migrations import APPLICATION_ID, MIGRATIONS, SCHEMA_VERSION
from lsmseg_prompts.store.store import open_store, open_store_readonly

# A row or more in every table of schema 1; the attempts' ids have a gap, as after a deletion.
ROWS: dict[str, list[dict[str, object]]] = {
    "vocabularies": [{"name": "pets", "title": "Pets", "class_count": 2}],
    "classes": [
        {"vocabulary": "pets", "class_index": 0, "name": "cat", "readable": "cat"},
        {"vocabulary": "pets", "class_index": 1, "name": "dog", "readable": "dog", "sense": "s"},
    ],
    "attributes": [{"name": "color", "meaning": "m", "kind": "paper"}],
    "llms": [{"name": "gpt-4", "provenance": "OpenAI"}],
    "templates": [{"hash": "h", "name": "t", "text": "Describe {{ name }}"}],
    "attempts": [
        {"id": 3, "vocabulary": "pets", "class_index": 0, "attribute": "color", "llm": "gpt-4",
         "template_hash": "h", "asked_model": "gpt-4", "served_model": "gpt-4-0613",
         "parameters": '{"seed": 1}', "prompt": "p", "reply": "Sure!", "finish_reason": "stop",
         "input_tokens": 5, "output_tokens": 6, "cost_usd": 0.25, "http_status": 200,
         "request_id": "r", "started_at": "2026-01-01T00:00:00.000Z", "duration_seconds": 1.5},
        {"id": 7, "vocabulary": "pets", "class_index": 1, "attribute": "color", "llm": "gpt-4",
         "asked_model": "gpt-4", "prompt": "q", "error_class": "E", "error_message": "m",
         "started_at": "2026-01-02T00:00:00.000Z"},
    ],
    "descriptions": [
        {"vocabulary": "pets", "class_index": 0, "attribute": "color", "llm": "gpt-4",
         "text": "A cat is black.", "tokens": 7, "status": "done", "template_hash": "h",
         "attempt_id": 3, "updated_at": "2026-01-01T00:00:01.000Z"},
        {"vocabulary": "pets", "class_index": 1, "attribute": "color", "llm": "gpt-4",
         "status": "failed", "reason": "no", "attempt_id": 7,
         "updated_at": "2026-01-02T00:00:01.000Z"},
    ],
    "evaluations": [
        {"id": 2, "created_at": "2026-01-03T00:00:00.000Z", "benchmark": "b", "model": "m",
         "prompt_set": "color", "vocabulary": "pets", "llm": "gpt-4", "miou": 0.5},
    ],
}  # fmt: skip


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.sqlite"
    db = sqlite3.connect(path)
    db.execute("PRAGMA foreign_keys = ON")
    MIGRATIONS[0](db)
    db.execute("PRAGMA user_version = 1")
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    assert tables == set(ROWS)
    for table, rows in ROWS.items():
        for row in rows:
            places = ", ".join("?" * len(row))
            db.execute(
                f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", list(row.values())
            )
    db.commit()
    db.close()
    return path


def dump(path: Path) -> dict[str, list[dict[str, object]]]:
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    dumped = {
        table: [dict(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY rowid")]
        for table in ROWS
    }
    db.close()
    return dumped


def test_everything_is_kept(old: Path) -> None:
    before = dump(old)
    with open_store(old) as store:
        assert store.rows("PRAGMA user_version") == [{"user_version": SCHEMA_VERSION}]
        assert store.rows("PRAGMA foreign_key_check") == []
        assert store.rows("PRAGMA foreign_keys") == [{"foreign_keys": 1}]
    after = dump(old)
    for table, rows in before.items():
        kept = [{key: new[key] for key in row} for row, new in zip(rows, after[table], strict=True)]
        assert kept == rows, table
    assert [row["id"] for row in after["attempts"]] == [3, 7]
    assert {row["state"] for row in after["attempts"]} == {"ended"}
    assert {(row["source"], row["locked"]) for row in after["descriptions"]} == {("llm", 0)}


def test_foreign_keys_still_bind_afterwards(old: Path) -> None:
    with open_store(old) as store:
        with pytest.raises(StoreError, match="FOREIGN KEY"):
            store.execute("DELETE FROM attempts WHERE id = 3")
        with pytest.raises(StoreError, match="FOREIGN KEY"):
            store.execute("UPDATE descriptions SET attempt_id = 4 WHERE attempt_id = 3")
        with pytest.raises(StoreError, match="FOREIGN KEY"):
            store.record_attempt("pets", 9, "color", "gpt-4", asked_model="m", prompt="p")
        (row,) = store.rows(
            "SELECT a.reply FROM descriptions AS d JOIN attempts AS a ON a.id = d.attempt_id "
            "WHERE d.status = 'done'"
        )
        assert row == {"reply": "Sure!"}
        assert store.record_attempt("pets", 1, "color", "gpt-4", asked_model="m", prompt="p") == 8


def test_the_migrated_store_is_as_one_made_anew(old: Path, tmp_path: Path) -> None:
    made = "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
    with open_store(old) as migrated, open_store(tmp_path / "new.sqlite") as new:
        assert migrated.rows(made) == new.rows(made)


def test_reading_only_reads_a_migrated_copy_and_changes_nothing(old: Path) -> None:
    before = old.read_bytes()
    with open_store_readonly(old) as store:
        assert store.rows("PRAGMA user_version") == [{"user_version": SCHEMA_VERSION}]
        read = store.rows("SELECT * FROM descriptions"), store.rows("SELECT * FROM attempts")
    assert old.read_bytes() == before
    assert [path.name for path in old.parent.glob("old*")] == ["old.sqlite"]
    with open_store(old) as store:
        migrated = store.rows("SELECT * FROM descriptions"), store.rows("SELECT * FROM attempts")
    assert read == migrated and read[0] and read[1]


def test_a_newer_schema_is_refused(old: Path) -> None:
    db = sqlite3.connect(old)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    before = old.read_bytes()
    for opener in (open_store, open_store_readonly):
        with pytest.raises(StoreError, match="newer than this version"):
            opener(old)
    assert old.read_bytes() == before


def test_a_row_that_hangs_loose_stops_the_migration(old: Path) -> None:
    db = sqlite3.connect(old)  # foreign keys are off unless they are asked for
    db.execute("UPDATE descriptions SET attempt_id = 99 WHERE attempt_id = 3")
    db.commit()
    db.close()
    with pytest.raises(StoreError, match="descriptions hangs loose"):
        open_store(old)
    db = sqlite3.connect(old)
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert db.execute("SELECT count(*) FROM attempts").fetchone() == (2,)
    db.close()


def _open(path: str, start) -> None:
    start.wait()
    with open_store(path) as store:
        assert len(store.rows("SELECT * FROM attempts")) == 2


@pytest.mark.process
def test_two_processes_migrate_at_once(old: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    both = [context.Process(target=_open, args=(str(old), start)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    with open_store_readonly(old) as store:
        assert len(store.rows("SELECT * FROM attempts")) == 2
        assert store.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_a_store_of_schema_2_gets_the_tables_of_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "two.sqlite"
    db = sqlite3.connect(path)
    for step in MIGRATIONS[:2]:
        step(db)
    db.execute("INSERT INTO vocabularies VALUES ('pets', 'Pets', 2)")
    db.execute("PRAGMA user_version = 2")
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.commit()
    db.close()
    with open_store(path) as store:
        assert store.rows("SELECT name FROM vocabularies") == [{"name": "pets"}]
        for table in ("counts", "answers"):
            assert store.rows(f"SELECT * FROM {table}") == []


def test_a_store_of_schema_3_keeps_which_try_an_attempt_was(tmp_path: Path) -> None:
    path = tmp_path / "three.sqlite"
    db = sqlite3.connect(path)
    for step in MIGRATIONS[:3]:
        step(db)
    db.execute("INSERT INTO llms VALUES ('gpt-4', NULL)")
    for number in (1, 2):
        db.execute(
            "INSERT INTO attempts (llm, try, asked_model, prompt, started_at) "
            "VALUES ('gpt-4', ?, 'gpt-4', 'p', '2026-01-01T00:00:00.000Z')",
            [number],
        )
    db.execute("PRAGMA user_version = 3")
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.commit()
    db.close()
    with open_store(path) as store:
        kept = store.rows("SELECT id, attempt_number FROM attempts")
        assert [(row["id"], row["attempt_number"]) for row in kept] == [(1, 1), (2, 2)]
        assert "try" not in store.rows("SELECT * FROM attempts")[0]


def test_a_store_of_schema_6_keeps_its_attempts(tmp_path: Path) -> None:
    path = tmp_path / "six.sqlite"
    db = sqlite3.connect(path)
    for step in MIGRATIONS[:6]:
        step(db)
    db.execute("INSERT INTO llms VALUES ('gpt-4', NULL)")
    row = {"id": 5, "purpose": "names", "state": "lost", "llm": "gpt-4", "host": "h",
           "attempt_number": 2, "asked_model": "m", "prompt": "p", "history": "[]", "reply": "r",
           "verdict": "v", "cost_usd": 0.5, "cost_is_bound": 1, "started_at": "t"}  # fmt: skip
    places = ", ".join("?" * len(row))
    db.execute(f"INSERT INTO attempts ({', '.join(row)}) VALUES ({places})", list(row.values()))
    db.execute("PRAGMA user_version = 6")
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.commit()
    db.close()
    with open_store(path) as store:
        (kept,) = store.rows("SELECT * FROM attempts")
        assert {key: kept[key] for key in row} == row and kept["question"] is None
        store.record_attempt(None, None, None, "gpt-4", asked_model="m", prompt="p",
                             purpose="rewrite", question="q")  # fmt: skip
        with pytest.raises(StoreError, match="CHECK"):
            store.record_attempt(
                None, None, None, "gpt-4", asked_model="m", prompt="p", purpose="x"
            )


def test_a_store_of_schema_8_keeps_its_texts_and_takes_longer_ones(tmp_path: Path) -> None:
    path = tmp_path / "eight.sqlite"
    db = sqlite3.connect(path)
    for step in MIGRATIONS[:8]:
        step(db)
    for table in ("vocabularies", "classes", "attributes", "llms", "templates"):
        for row in ROWS[table]:
            places = ", ".join("?" * len(row))
            db.execute(
                f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", list(row.values())
            )
    row = {"vocabulary": "pets", "attribute": "color", "llm": "gpt-4", "text": "A cat is black.",
           "tokens": 7, "status": "done", "updated_at": "t", "source": "human", "locked": 1,
           "stale": 1, "review": "look"}  # fmt: skip
    rows = [row | {"class_index": index, "text": f"{index} cats."} for index in (1, 0)]
    for one in rows:
        places = ", ".join("?" * len(one))
        sql = f"INSERT INTO descriptions ({', '.join(one)}) VALUES ({places})"
        db.execute(sql, list(one.values()))
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("UPDATE descriptions SET tokens = 78")
    db.execute("PRAGMA user_version = 8")
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.commit()
    db.close()
    with open_store(path) as store:
        kept = store.rows("SELECT * FROM descriptions ORDER BY rowid")
        assert [{key: new[key] for key in row} for new, row in zip(kept, rows, strict=True)] == rows
        assert {(new["budget"], new["other_tokens"]) for new in kept} == {(None, None)}
        store.execute("UPDATE descriptions SET tokens = 248 WHERE class_index = 1")
        store.execute("UPDATE descriptions SET other_tokens = '{\"b\": 3}' WHERE class_index = 0")
        counts = "SELECT class_index, tokenizer, tokens FROM token_counts ORDER BY 1, 2"
        assert [tuple(row.values()) for row in store.rows(counts)] == [
            (0, "b", 3), (0, "clip", 7), (1, "clip", 248)
        ]  # fmt: skip
        for wrong in ("tokens = 2", "tokens = NULL", "text = NULL"):
            with pytest.raises(StoreError, match="CHECK"):
                store.execute(f"UPDATE descriptions SET {wrong}")
    with open_store(path) as store, open_store(tmp_path / "new.sqlite") as new:
        made = "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
        assert store.rows(made) == new.rows(made)


def test_a_store_of_schema_10_keeps_every_column_of_its_attempts(tmp_path: Path) -> None:
    path = tmp_path / "ten.sqlite"
    db = sqlite3.connect(path)
    for step in MIGRATIONS[:10]:
        step(db)
    db.execute("INSERT INTO llms VALUES ('gpt-4', NULL)")
    columns = [name for _, name, *_ in db.execute("PRAGMA table_info(attempts)")]
    told = {"id": 4, "purpose": "picture", "state": "ended", "llm": "gpt-4"}
    linked = ("vocabulary", "class_index", "attribute", "run", "batch", "template_hash")
    row = {name: told.get(name, None if name in linked else name) for name in columns}
    numbers = ("attempt_number", "input_tokens", "output_tokens", "cost_usd", "cost_is_bound",
               "http_status", "duration_seconds", "reasoning_tokens")  # fmt: skip
    row |= {name: number for number, name in enumerate(numbers, 1)}
    row |= {"parameters": "{}", "attributes": "[]", "history": "[]"}
    places = ", ".join("?" * len(row))
    db.execute(f"INSERT INTO attempts ({', '.join(row)}) VALUES ({places})", list(row.values()))
    db.execute("PRAGMA user_version = 10")
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.commit()
    db.close()
    with open_store(path) as store, open_store(tmp_path / "new.sqlite") as new:
        (kept,) = store.rows("SELECT * FROM attempts")
        assert kept == row
        store.record_attempt(None, None, None, "gpt-4", asked_model="m", prompt="p",
                             purpose="captions")  # fmt: skip
        made = "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
        assert store.rows(made) == new.rows(made)
