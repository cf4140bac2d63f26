"""What a review of stage 2 found: each test failed once."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.scripted_llm import PETS, Scripted, failed, generate, good, reply

from lsmseg_prompts.descriptions.loading import load
from lsmseg_prompts.errors import BudgetError, ConfigurationError, StoreError, UsageError
from lsmseg_prompts.generation import asking, batch, engine, progress
from lsmseg_prompts.generation.cell_writer import CellWriter
from lsmseg_prompts.generation.ledger import Ledger, end_run, restore_rescued
from lsmseg_prompts.generation.limits import Limits
from lsmseg_prompts.generation.progress import what_next
from lsmseg_prompts.generation.request import GenerationRequest
from lsmseg_prompts.generation.run import generate_all
from lsmseg_prompts.llm import Reply, Request
from lsmseg_prompts.llm.errors import Gone, openai_failure
from lsmseg_prompts.llm.openai import OpenAIChat
from lsmseg_prompts.llm.openai_batches import OpenAIBatches
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.migrations import APPLICATION_ID, MIGRATIONS
from lsmseg_prompts.store.store import Store, open_store, open_store_readonly
from lsmseg_prompts.templates import read_query
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary

CAT = Vocabulary("p", "p", PETS.classes[:1])
CAT_OF_PETS = Vocabulary("pets", "pets", PETS.classes[:1])
MANY = Vocabulary("m", "m", tuple(ClassEntry(i, f"cat {i}", f"cat {i}") for i in range(40)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "FIRST_BACKOFF", 0.001)


def rows(path: Path, sql: str) -> list[dict[str, Any]]:
    with open_store_readonly(path) as store:
        return store.rows(sql)


# -- replies that were rescued -----------------------------------------------------------


def rescue(
    path: Path, monkeypatch: pytest.MonkeyPatch, answer: Callable[[Request], str | Reply]
) -> Path:
    """A run whose first reply the store cannot take; returns the file it is in."""
    update = Store.update_attempt

    def full(self: Store, attempt: int, **fields: Any) -> None:
        if "reply" in fields:
            raise StoreError("The disk is full.")
        update(self, attempt, **fields)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "update_attempt", full)
        with pytest.raises(StoreError, match="full"):
            generate(path, PETS, Scripted(answer), ["color"])
    (file,) = path.resolve().parent.glob("lsmseg-rescued-*.jsonl")
    return file


def test_any_character_comes_through_a_rescue(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "A cat is white\u2028and brown."
    rescue(path, monkeypatch, lambda r: text)
    llm = Scripted(good)
    assert generate(path, PETS, llm, ["color"]).done == 1
    assert llm.asked == [("dog", "color")]
    (row,) = rows(path, "SELECT reply, error_class FROM attempts WHERE class_index = 0")
    assert row == {"reply": text, "error_class": None}


def test_a_line_cut_off_costs_no_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = rescue(path, monkeypatch, good)
    file.write_text(file.read_text() + '{"attempt": 7, "fie')
    llm = Scripted(good)
    generate(path, PETS, llm, ["color"])
    assert llm.asked == [("dog", "color")]
    assert not file.exists()


def test_rescued_beside_a_link_to_the_store(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(path):
        pass
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.sqlite"
    link.symlink_to(path)
    rescue(link, monkeypatch, good)
    llm = Scripted(good)
    generate(link, PETS, llm, ["color"])
    assert llm.asked == [("dog", "color")]


def test_a_rescued_reply_is_for_its_own_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rescue(path, monkeypatch, good)
    for file in path.parent.glob("store.sqlite*"):
        file.unlink()
    with open_store(path) as store:
        store.add_vocabulary(PETS)
        store.record_attempt(PETS, 1, "color", "a", asked_model="m", prompt="p", reply="Mine.")
        restore_rescued(store)
        assert store.rows("SELECT reply FROM attempts") == [{"reply": "Mine."}]


# -- limits ------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_all_requests_that_are_allowed_are_sent(path: Path, concurrency: int) -> None:
    llm = Scripted(good, delay=0.002)
    with pytest.raises(BudgetError, match="10 requests"):
        generate(path, MANY, llm, ["color"], limits=Limits(concurrency, max_calls=10))
    assert len(llm.requests) == 10


def test_tokens_that_are_given_back_are_used_at_once() -> None:
    llm = Scripted(lambda r: reply("a", input_tokens=5, output_tokens=5), delay=0.005)
    requests = [Request("a", max_output_tokens=1000)] * 5
    began = time.monotonic()
    asking.ask(llm, requests, purpose="names", limits=Limits(4, tpm=60_000))
    assert time.monotonic() - began < 2  # and not a second for every request


def test_a_redo_that_is_refused_beforehand_changes_nothing(path: Path) -> None:
    generate(path, PETS, Scripted(good), ["color"])
    with pytest.raises(ConfigurationError, match="price"):
        generate(path, PETS, Scripted(good), ["color"], redo=True, limits=Limits(max_cost=1.0))
    llm = Scripted(good)
    assert generate(path, PETS, llm, ["color"]).asked == 0


# -- several processes -------------------------------------------------------------------


def test_an_llm_that_has_ended_holds_no_claims(path: Path) -> None:
    seen: list[int] = []

    def update(fillings: Any) -> None:
        first, second = fillings
        if first.asker.stop and not second.asker.stop and second.tally.done > 5:
            with open_store_readonly(path) as store:
                seen.append(len(store.rows("SELECT * FROM claims WHERE llm = 'a'")))

    a = Scripted(lambda r: failed("setup", "WrongKey", 401), "a")
    llms = [a, Scripted(good, "b", 0.001)]
    generate_all(GenerationRequest(MANY, llms, ["color"], store=path), on_update=update)
    # Its workers are woken one after the other before the claims go; none comes back.
    assert seen and seen[-1] == 0 and seen == sorted(seen, reverse=True)


def test_what_another_process_failed_at_meanwhile_is_not_asked_again(path: Path) -> None:
    generate(path, CAT, Scripted(lambda r: ""), ["color"])
    with open_store(path) as store, Ledger(store) as one, Ledger(store) as other:
        cells = [(0, "color")]
        mine, others = (CellWriter(ledger, CAT, "scripted") for ledger in (one, other))
        assert mine.claim(cells, True) == (cells, [])
        store.put_description(
            Description("p", 0, "color", "scripted", None, None, status="failed", reason="empty")
        )
        mine.unclaim(cells)
        other.started = "2026"  # before that
        assert others.claim(cells, True) == ([], [])
    with open_store(path) as store, Ledger(store) as later:
        assert CellWriter(later, CAT, "scripted").claim(cells, True) == (cells, [])


def test_what_another_process_failed_at_counts_as_failed(path: Path) -> None:
    def answer(request: Request) -> str:
        if len(llm.requests) == 1:  # the other one has the dog, and fails
            with open_store(path) as store:
                failed = Description("pets", 1, "color", "scripted", None, None, "failed", "no")
                store.put_description(failed)
        return good(request)

    llm = Scripted(answer)
    summary = generate(path, PETS, llm, ["color"], limits=Limits(1))
    assert (summary.done, summary.elsewhere, summary.failed, summary.left) == (1, 0, 1, 0)
    assert [f.reason for f in summary.failures] == ["no"]


def test_a_run_that_was_taken_for_dead_sends_nothing_more(path: Path) -> None:
    """A computer that slept: its other process has freed the claims."""

    def answer(request: Request) -> str:
        if len(llm.requests) == 3:
            with open_store(path) as store:
                for row in store.rows("SELECT id FROM runs"):
                    end_run(store, row["id"], "silent")
        return good(request)

    llm = Scripted(answer)
    with pytest.raises(StoreError, match="same command"):
        generate(path, MANY, llm, ["color"], limits=Limits(1))
    assert len(llm.requests) == 3
    found = rows(path, "SELECT state, error_class FROM attempts")
    assert found == [{"state": "ended", "error_class": None}] * 3


def test_a_recorded_refusal_is_still_one(path: Path) -> None:
    said = "Describing a cat like that would be wrong."
    generate(path, CAT, Scripted(lambda r: reply(None, refusal=said)), ["color"])
    with open_store(path) as store:
        store.execute("DELETE FROM descriptions")
        store.execute("UPDATE attempts SET verdict = NULL")
    generate(path, CAT, Scripted(lambda r: ""), ["color"])
    assert load(CAT, "scripted", ["color"], path, require=False) == {}


def test_a_class_that_was_taken_out_of_the_vocabulary_is_left_alone(path: Path) -> None:
    generate(path, PETS, Scripted(lambda r: "A cat or a dog is black."), ["color"])
    with open_store(path) as store:
        store.execute("DELETE FROM descriptions WHERE class_index = 0")
        store.execute("UPDATE attempts SET verdict = NULL WHERE class_index = 1")
    shorter = Vocabulary("pets", "pets", PETS.classes[:1])
    llm = Scripted(lambda r: "A cat or a dog is black.")
    assert generate(path, shorter, llm, ["color"]).done == 1


def test_replies_of_schema_1_are_not_judged_anew(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    MIGRATIONS[0](connection)
    connection.execute("PRAGMA user_version = 1")
    for sql in (
        "INSERT INTO vocabularies VALUES ('pets', 'pets', 2)",
        "INSERT INTO classes (vocabulary, class_index, name, readable) "
        "VALUES ('pets', 0, 'cat', 'cat')",
        "INSERT INTO attributes (name) VALUES ('color')",
        "INSERT INTO llms (name) VALUES ('scripted')",
        "INSERT INTO attempts (vocabulary, class_index, attribute, llm, asked_model, prompt, "
        "reply, started_at) VALUES ('pets', 0, 'color', 'scripted', 'm', 'p', "
        "'A cat is white.', '2026')",
    ):
        connection.execute(sql)
    connection.commit()
    connection.close()
    with open_store(path) as store:
        cell = ("pets", 0, "color", "scripted")
        store.put_description(Description(*cell, "A cat is black.", 7, source="import"))
    generate(path, CAT_OF_PETS, Scripted(good), ["color"])
    assert load(PETS, "scripted", ["color"], path, require=False)[0, "color"] == "A cat is black."


def test_a_password_in_an_address_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["lsmseg-prompts", "generate", "--base-url", "https://me:secret@host/v1", "--redo"]
    monkeypatch.setattr("sys.argv", given)
    assert progress.resume_command() == "lsmseg-prompts generate --base-url https://host/v1"


def test_what_a_server_says_of_an_error_is_one_plain_line() -> None:
    for body in (
        {"error": {"code": "x\x1b", "message": "bad\x1b[31m\nred"}},
        {"code": "x", "error": "bad\x1b[31m\nred"},
        "<p>bad\x1b[31m\nred</p>",
    ):
        failure = openai_failure(400, body, "http://host/v1", "m")
        assert "bad [31m red" in failure.message and failure.message.isprintable()


def test_a_template_from_windows_and_one_that_looks_up_nothing(tmp_path: Path) -> None:
    own = tmp_path / "own.j2"
    own.write_text("Describe {{ class_name }}: {{ attribute }}", "utf-8-sig")
    assert read_query(own).render(class_name="a", attribute="b") == "Describe a: b"
    own.write_text("{{ class_name }} {{ attribute }} {{ '%(x)s' | format(y=1) }}")
    with pytest.raises(UsageError, match="cannot be used"):
        read_query(own)


# -- a notebook --------------------------------------------------------------------------


def test_an_interrupt_reaches_a_run_inside_a_notebook(path: Path) -> None:
    llm = Scripted(good, delay=0.02)

    async def notebook() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # as a notebook has it

        def interrupt() -> None:
            while len(llm.requests) < 4:
                time.sleep(0.001)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        threading.Thread(target=interrupt).start()
        generate(path, MANY, llm, ["color"], limits=Limits(1))

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(notebook())
    assert len(llm.requests) < 20
    assert rows(path, "SELECT * FROM claims") == []


# -- batches -----------------------------------------------------------------------------


SERVICES: dict[OpenAIChat, OpenAIBatches] = {}


@pytest.fixture(autouse=True)
def _batches_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "service_of", SERVICES.__getitem__)


class Batches(OpenAIBatches):
    """OpenAI's Batch API in memory; a batch is over as soon as it is made."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        super().__init__(OpenAIChat("openai/m", "m", "http://127.0.0.1:9/v1"))
        self.name = self.llm.name
        SERVICES[self.llm] = self
        self.answer = answer
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.prompts: list[list[str]] = []
        self.status = "completed"
        self.before_create: Callable[[], None] = lambda: None

    async def upload_file(self, name: str, data: bytes) -> str:
        self.files[name] = data
        return name

    async def create_batch(self, input_file_id: str, metadata: Any) -> dict[str, Any]:
        self.before_create()
        lines = []
        self.prompts.append([])
        for line in self.files[input_file_id].decode().split("\n")[:-1]:
            task = json.loads(line)
            prompt = task["body"]["messages"][-1]["content"]
            self.prompts[-1].append(prompt)
            message = {"content": self.answer(prompt)}
            body = {"choices": [{"message": message, "finish_reason": "stop"}], "model": "m",
                    "usage": {"prompt_tokens": 1, "completion_tokens": 2}}  # fmt: skip
            lines.append({"custom_id": task["custom_id"],
                          "response": {"status_code": 200, "body": body}})  # fmt: skip
        name = f"out-{len(self.batches)}"
        self.files[name] = b"".join(
            json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines
        )
        identity = f"batch-{len(self.batches)}"
        self.batches[identity] = {"id": identity, "metadata": metadata, "output_file_id": name}
        return await self.retrieve_batch(identity)

    async def retrieve_batch(self, batch_id: str) -> dict[str, Any]:
        if batch_id not in self.batches:
            raise Gone("There is no such batch.")
        return {**self.batches[batch_id], "status": self.status}

    async def list_batches(self, sought: Any) -> list[dict[str, Any]]:
        return [await self.retrieve_batch(identity) for identity in self.batches]

    async def file_content(self, file_id: str) -> bytes:
        return self.files[file_id]


def run_batch(path: Path, batches: Batches, vocabulary: Vocabulary = PETS, **options: Any) -> Any:
    llms = [batches.llm]
    request = GenerationRequest(vocabulary, llms, ["color"], batch=True, store=path, **options)
    summaries = generate_all(request)
    return summaries, [batch for summary in summaries for batch in summary.batches or ()]


def of_color(prompt: str) -> str:
    return f"A {'cat' if 'cat' in prompt else 'dog'} is white and brown."


def test_a_line_separator_inside_a_reply_does_not_split_its_line(path: Path) -> None:
    llm = Batches(lambda prompt: of_color(prompt).replace(" and", "\u2028and"))
    _, (submitted,) = run_batch(path, llm)
    assert list(submitted) == ["llm", "remote_id", "status", "requests", "created_at"]
    assert (submitted["llm"], submitted["requests"]) == (llm.name, 2)
    (summary,), under_way = run_batch(path, llm)
    assert (summary.done, under_way, len(llm.prompts)) == (2, [], 1)


def test_two_processes_do_not_submit_the_same_cells(path: Path) -> None:
    """The other one looks while the first is about to create its batch."""
    llm = Batches(of_color)
    llm.status = "in_progress"
    other = Batches(of_color)
    other.batches = llm.batches
    llm.before_create = lambda: run_in_thread(lambda: run_batch(path, other))
    _, (row,) = run_batch(path, llm)
    assert row["remote_id"] == "batch-0"
    assert other.prompts == []
    llm.status = "completed"
    (summary,), _ = run_batch(path, llm)
    assert summary.done == 2


def run_in_thread(call: Callable[[], Any]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


def test_a_batch_that_is_refused_holds_no_cells(path: Path) -> None:
    def refuse() -> None:
        raise ConfigurationError("This model has no batches.")

    llm = Batches(of_color)
    llm.before_create = refuse
    (summary,), under_way = run_batch(path, llm)
    assert isinstance(summary.error, ConfigurationError)
    assert (summary.left, summary.in_batch, under_way) == (2, 0, [])


def test_a_batch_that_the_provider_has_forgotten_does_not_hold_its_cells_for_ever(
    path: Path,
) -> None:
    llm = Batches(of_color)
    run_batch(path, llm)
    llm.batches.clear()
    (summary,), under_way = run_batch(path, llm)  # the key of another project?
    assert isinstance(summary.error, ConfigurationError) and len(under_way) == 1
    with open_store(path) as store:
        store.execute("UPDATE batches SET created_at = '2020-01-01T00:00:00.000Z'")
    (summary,), under_way = run_batch(path, llm)
    assert (summary.error, summary.in_batch, len(llm.prompts)) == (None, 2, 2)


def test_a_run_beside_a_batch_says_so(path: Path) -> None:
    llm = Batches(of_color)
    llm.status = "in_progress"
    run_batch(path, llm)
    summaries = generate_all(GenerationRequest(PETS, [llm.llm], ["color"], store=path))
    assert summaries[0].in_batch == 2
    (line,) = what_next(summaries, "the call")
    assert "2 cells are in a batch" in line and "the call --batch" in line


def test_collecting_a_redo_does_not_redo_it(path: Path) -> None:
    llm = Batches(of_color)
    run_batch(path, llm)
    run_batch(path, llm, redo=True)  # collects the first
    run_batch(path, llm, redo=True)
    (_,), under_way = run_batch(path, llm, redo=True)
    assert len(llm.prompts) == 2 and under_way == []


def test_what_failed_long_ago_is_asked_from_the_beginning(path: Path) -> None:
    llm = Batches(lambda prompt: "It is black.")
    for _ in range(4):
        run_batch(path, llm, CAT)
    assert len(llm.prompts) == 3
    llm.answer = of_color
    run_batch(path, llm, CAT, retry_errors=True)
    assert llm.prompts[3] == llm.prompts[0]
    run_batch(path, llm, CAT)
    assert load(CAT, "openai/m", ["color"], path) == {(0, "color"): "A cat is white and brown."}
    run_batch(path, llm, CAT, redo=True)
    assert llm.prompts[4] == llm.prompts[0]


def test_cells_in_a_batch_count_only_where_they_are_wanted(path: Path) -> None:
    llm = Batches(of_color)
    llm.status = "in_progress"
    run_batch(path, llm, classes=["cat"])
    (summary,), _ = run_batch(path, llm, classes=["dog"])
    assert (summary.in_batch, summary.skipped) == (1, 0)
