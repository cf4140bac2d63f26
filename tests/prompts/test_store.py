"""The attribute store: what it keeps, what it refuses, several writers, and broken files."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsmseg_prompts.errors import StoreError, UsageError
from lsmseg_prompts.store import migrations
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.sqlite import _sentence, shipped_store_path, working_store_path
from lsmseg_prompts.store.store import Store, open_store, open_store_readonly, status
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary


def vocabulary(*names: str, name: str = "pets") -> Vocabulary:
    names = names or ("cat", "dog")
    return Vocabulary(name, name, tuple(ClassEntry(i, n, n) for i, n in enumerate(names)))


@pytest.fixture
def store(tmp_path: Path):
    with open_store(tmp_path / "store.sqlite") as opened:
        opened.add_vocabulary(vocabulary())
        yield opened


def put(store: Store, index: int, attribute: str, text: str | None, **more: object) -> None:
    cell = ("pets", index, attribute, "bundled")
    store.put_description(Description(*cell, text, 9, **more))  # type: ignore[arg-type]


def test_a_pipe_is_no_store(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for opened in (open_store, open_store_readonly):
        with pytest.raises(StoreError, match="it is a pipe"):
            opened(tmp_path / "pipe")


def test_working_store_path_prefers_option_then_variable(monkeypatch) -> None:
    assert working_store_path() == Path("runs/attribute_store.sqlite")
    monkeypatch.setenv("LSMSEG_PROMPTS_STORE", "/elsewhere/s.sqlite")
    assert working_store_path() == Path("/elsewhere/s.sqlite")
    assert working_store_path("/option.sqlite") == Path("/option.sqlite")


def test_a_description_comes_back(store: Store) -> None:
    put(store, 0, "color", "A cat is black.")
    assert store.descriptions("pets") == {(0, "color"): "A cat is black."}
    assert store.descriptions("pets", "gpt-4") == {}
    (cell,) = store.cells(vocabulary())
    assert (cell["class"], cell["tokens"], cell["status"]) == ("cat", 9, "done")


def test_missing_lists_cells_class_by_class(store: Store) -> None:
    put(store, 0, "color", "A cat is black.")
    put(store, 1, "color", None, status="failed", reason="no")
    pets = vocabulary()
    assert store.missing(pets, "bundled", ["color", "shape"]) == [
        (0, "shape"),
        (1, "color"),
        (1, "shape"),
    ]
    assert store.missing(pets, "bundled", ["color"], retry_failed=False) == []


def test_a_failure_never_replaces_a_description(store: Store) -> None:
    put(store, 0, "color", "A cat is black.")
    put(store, 0, "color", None, status="failed", reason="no")
    assert store.descriptions("pets") == {(0, "color"): "A cat is black."}
    put(store, 0, "color", "A cat is gray.")
    assert store.descriptions("pets") == {(0, "color"): "A cat is gray."}


def test_done_after_failed_clears_the_reason(store: Store) -> None:
    put(store, 0, "color", None, status="failed", reason="no")
    put(store, 0, "color", "A cat is black.")
    (cell,) = store.cells("pets")
    assert (cell["status"], cell["reason"]) == ("done", None)


@pytest.mark.parametrize(("text", "tokens"), [("too long", 78), (None, 9), ("uncounted", None)])
def test_nothing_over_the_budget_is_ever_done(store: Store, text, tokens) -> None:
    with pytest.raises(StoreError, match="refused"):
        store.put_description(Description("pets", 0, "color", "bundled", text, tokens))
    assert store.cells() == []


def test_a_class_that_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        put(store, 7, "color", "A cow is brown.")
    assert store.rows("SELECT * FROM attributes") == []  # the transaction left nothing behind


def test_an_index_keeps_its_class(store: Store) -> None:
    with pytest.raises(UsageError, match=r"'dog'.*'cat'"):
        store.add_vocabulary(vocabulary("dog", "cat"))
    with pytest.raises(UsageError):
        store.descriptions(vocabulary("dog", "cat"))
    store.add_vocabulary(vocabulary("cat", "dog", "cow"))
    put(store, 2, "color", "A cow is brown.")


def test_attempts_keep_what_was_asked_and_came_back(store: Store) -> None:
    number = store.record_attempt(
        "pets", 1, "color", "gpt-x", asked_model="gpt-x", prompt="Describe a dog.",
        parameters={"seed": 1}, reply="Sure! ...", http_status=200, cost_usd=0.01,
    )  # fmt: skip
    (row,) = store.rows("SELECT * FROM attempts")
    assert (row["id"], row["prompt"], row["parameters"]) == (
        number,
        "Describe a dog.",
        '{"seed": 1}',
    )
    assert row["started_at"].endswith("Z")


def test_evaluations_come_back_as_they_went_in(store: Store) -> None:
    store.add_evaluation(
        benchmark="ministuff", model="lsmseg-tiny", prompt_set="color+shape", run="a",
        attributes=["color", "shape"], miou=0.5, miou_low=0.4, details={"seed": 1},
    )  # fmt: skip
    store.add_evaluation(benchmark="camvid", model="m", prompt_set="name")
    assert len(store.evaluations()) == 2
    (row,) = store.evaluations("a")
    assert row["attributes"] == ["color", "shape"]
    assert (row["miou"], row["details"], row["subset"]) == (0.5, {"seed": 1}, "all")


def test_status_counts(store: Store) -> None:
    put(store, 0, "color", "A cat is black.")
    put(store, 1, "color", None, status="failed", reason="no")
    (row,) = store.status()
    assert (row["classes"], row["done"], row["failed"], row["attempts"]) == (2, 1, 1, 0)


def test_status_shows_working_and_shipped(store: Store) -> None:
    assert {row["store"] for row in status(store.path)} == {str(store.path), "shipped"}


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_any_text_survives(tmp_path_factory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "s.sqlite"
    with open_store(path) as store:
        store.add_vocabulary(vocabulary())
        put(store, 0, "color", text)
    with open_store_readonly(path) as store:
        assert store.descriptions("pets") == {(0, "color"): text}


def test_a_transaction_is_all_or_nothing(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), store.transaction():
        put(store, 0, "color", "A cat is black.")
        raise KeyboardInterrupt
    assert store.cells() == []


# -- several processes -------------------------------------------------------------------


def _write_many(path: str, worker: int, start) -> None:
    start.wait()
    with open_store(path) as store:
        store.add_vocabulary(vocabulary())
        for turn in range(40):
            for index in (0, 1):
                number = store.record_attempt(
                    "pets", index, f"own-{turn}", "bundled", asked_model="b", prompt=str(worker)
                )
                cell = ("pets", index, f"own-{turn}", "bundled")
                store.put_description(Description(*cell, f"{worker}", 9, attempt_id=number))


@pytest.mark.process
def test_four_processes_make_and_write_one_store_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "s.sqlite"
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(4)
    workers = [context.Process(target=_write_many, args=(str(path), n, start)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    with open_store_readonly(path) as store:
        assert len(store.descriptions("pets")) == 80
        assert store.rows("SELECT count(*) AS n FROM attempts")[0]["n"] == 4 * 80


# -- reading only ------------------------------------------------------------------------


def test_reading_leaves_no_trace(store: Store) -> None:
    store.close()
    before = {p.name: p.stat().st_mtime_ns for p in store.path.parent.glob("*.sqlite*")}
    with open_store_readonly(store.path) as reader:
        reader.status()
        with pytest.raises(StoreError):
            reader.add_llm("x")
        assert {p.name for p in store.path.parent.glob("*.sqlite*")} == set(before)
    assert {p.name: p.stat().st_mtime_ns for p in store.path.parent.glob("*.sqlite*")} == before


def test_a_reader_sees_what_an_open_writer_committed(store: Store) -> None:
    put(store, 0, "color", "A cat is black.")  # still in the -wal file only
    with open_store_readonly(store.path) as reader:
        assert reader.descriptions("pets") == {(0, "color"): "A cat is black."}


def test_the_shipped_store_is_never_opened_for_writing() -> None:
    with pytest.raises(StoreError, match="never written"):
        open_store(shipped_store_path())


# -- files that are no store -------------------------------------------------------------


@pytest.mark.parametrize("opener", [open_store, open_store_readonly])
class TestBadFiles:
    def check(self, opener, path: Path, match: str) -> None:
        before = path.read_bytes()
        with pytest.raises(StoreError, match=match) as caught:
            opener(path)
        assert caught.value.exit_code == 8
        assert "\n" not in str(caught.value)
        assert path.read_bytes() == before
        assert [p.name for p in path.parent.iterdir() if p.name.startswith(path.name)] == [
            path.name
        ]

    def test_not_a_database(self, opener, tmp_path: Path) -> None:
        path = tmp_path / "x.sqlite"
        path.write_text("name,color\ncat,black\n" * 100)
        self.check(opener, path, "is not a SQLite database")

    def test_another_database(self, opener, tmp_path: Path) -> None:
        path = tmp_path / "x.sqlite"
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE mine (a)")
        connection.close()
        self.check(opener, path, "not an attribute store")

    def test_newer_schema(self, opener, tmp_path: Path) -> None:
        path = tmp_path / "x.sqlite"
        open_store(path).close()
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        self.check(opener, path, "schema 99, newer than this version")

    def test_damaged(self, opener, tmp_path: Path) -> None:
        path = tmp_path / "x.sqlite"
        open_store(path).close()
        data = bytearray(path.read_bytes())
        data[100:4096] = os.urandom(3996)
        path.write_bytes(data)
        self.check(opener, path, "is damaged")


def test_no_store_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no attribute store at"):
        open_store_readonly(tmp_path / "none.sqlite")
    with pytest.raises(StoreError, match="no attribute store at"):
        open_store(tmp_path / "none.sqlite", create=False)
    assert list(tmp_path.glob("*.sqlite*")) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="name another place"):
        open_store(tmp_path / "file" / "deep" / "s.sqlite")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc")
def test_a_folder_that_cannot_be_written() -> None:
    with pytest.raises(StoreError, match="another place"):
        open_store("/proc/self/s.sqlite")


def test_a_folder_in_place_of_the_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        open_store(tmp_path)


def test_locked(store: Store) -> None:
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with (
        open_store(store.path, busy_seconds=0.01) as writer,
        pytest.raises(StoreError, match="locked by another"),
    ):
        writer.add_llm("x")
    other.execute("ROLLBACK")
    other.close()


def test_full_disk_loses_nothing_that_was_there(store: Store) -> None:
    put(store, 0, "color", "A cat is black.")
    pages = store.rows("PRAGMA page_count")[0]["page_count"]
    store.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="disk is full"), store.transaction():
        for number in range(1000):
            put(store, 0, f"own-{number}", "A cat is black. " * 20)
    assert store.descriptions("pets") == {(0, "color"): "A cat is black."}


@pytest.mark.parametrize(
    "code", ["SQLITE_IOERR_WRITE", "SQLITE_READONLY_DIRECTORY", "SQLITE_ERROR", ""]
)
def test_every_sqlite_error_names_the_file(code: str) -> None:
    assert "a.sqlite" in _sentence(Path("a.sqlite"), code, "m")


# -- migrations --------------------------------------------------------------------------


def test_a_later_step_is_applied_to_an_older_store(store: Store, monkeypatch) -> None:
    put(store, 0, "color", "A cat is black.")
    store.close()
    monkeypatch.setattr(
        migrations,
        "MIGRATIONS",
        [*migrations.MIGRATIONS, lambda db: db.execute("ALTER TABLE llms ADD COLUMN url TEXT")],
    )
    monkeypatch.setattr(migrations, "SCHEMA_VERSION", migrations.SCHEMA_VERSION + 1)
    with open_store_readonly(store.path) as newer:
        assert newer.rows("SELECT url FROM llms") == [{"url": None}]
    with open_store(store.path) as newer:
        assert newer.rows("PRAGMA user_version") == [{"user_version": migrations.SCHEMA_VERSION}]
        assert newer.rows("SELECT url FROM llms") == [{"url": None}]
        assert len(newer.descriptions("pets")) == 1


def test_a_step_that_fails_leaves_the_store_as_it_was(store: Store, monkeypatch) -> None:
    store.close()

    def broken(db) -> None:
        db.execute("CREATE TABLE half (a)")
        db.execute("NONSENSE")

    monkeypatch.setattr(migrations, "MIGRATIONS", [*migrations.MIGRATIONS, broken])
    monkeypatch.setattr(migrations, "SCHEMA_VERSION", migrations.SCHEMA_VERSION + 1)
    with pytest.raises(StoreError):
        open_store(store.path)
    monkeypatch.undo()
    with open_store(store.path) as same:
        assert "half" not in same.db.table_names()


def test_tables_and_columns_read_well_in_a_shell(store: Store) -> None:
    assert set(store.db.table_names()) == {
        "vocabularies", "classes", "attributes", "llms", "templates", "attempts", "descriptions",
        "evaluations", "runs", "batches", "claims", "edits", "counts", "answers", "captions",
        "refinements", "refinement_rounds", "refinement_texts", "refinement_candidates",
    }  # fmt: skip
    assert store.db.view_names() == ["current_descriptions", "pairs", "token_counts"]
    put(store, 0, "color", "A cat is black.")
    (row,) = store.rows("SELECT * FROM current_descriptions")
    assert (row["class"], row["attribute"], row["text"]) == ("cat", "color", "A cat is black.")
