"""`generate --batch` over both protocols: whatever comes back, paid results are entered once."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.generating import (
    KEY,
    asked,
    attempts,
    classes,
    described,
    descriptions,
    rows,
    start,
    summary,
    wait_for,
    whole,
)

from lsmseg_prompts.generation import batch_results
from lsmseg_prompts.generation.batch_results import Entry
from lsmseg_prompts.generation.request import GenerationRequest
from lsmseg_prompts.generation.run import generate_all
from lsmseg_prompts.llm.registry import make_llm

NAMES = ("zebra", "cat", "tree")
PRICED = ("--price-in", "10", "--price-out", "20")
JUNK = [
    "not JSON", "[]", '{"custom_id": 7}', '{"custom_id": "²", "response": {}, "result": {}}',
    '{"custom_id": "-1", "response": {"status_code": 200}, "result": {"type": "succeeded"}}',
    "[" * 100_000, '{"custom_id": "\\ud800", "n": ' + "9" * 5000 + "}", '{"custom_id": "1", "resp',
]  # fmt: skip


@pytest.fixture(params=["openai", "anthropic"])
def batch(request: Any, generate: Any, server: Any) -> Any:
    """Run `generate --batch` for one of the protocols; the server wants the key as it should be."""
    classes(*NAMES)
    server.script(key=KEY)

    def run(*more: str, batch: bool = True, code: int = 0, **script: Any) -> Any:
        if script:
            server.script(script.pop("rules", ()), key=KEY, batch=script)
        flags = ("--batch",) if batch else ()
        return generate(server, *flags, *more, provider=request.param, code=code)

    run.provider = request.param  # type: ignore[attr-defined]
    return run


def only(provider: str) -> Any:
    """For what is the same in both protocols."""
    return pytest.mark.parametrize("batch", [provider], indirect=True)


def cost(made: list[dict[str, Any]]) -> float:
    """Half of $10 and $20 a million tokens."""
    return sum(5 * row["input_tokens"] + 10 * row["output_tokens"] for row in made) / 1e6


# -- submit, leave, collect --------------------------------------------------------------


def test_submit_leave_collect(batch: Any, server: Any) -> None:
    said = summary(batch("--json", *PRICED, polls=2))
    assert (said["in_batch"], said["done"], said["batches"][0]["requests"]) == (3, 0, 3)
    assert server.requests() == []
    said = summary(batch("--json", *PRICED, polls=2))
    assert said["in_batch"] == 3 and said["batches"][0]["status"] == "in_progress"
    said = summary(batch("--json", *PRICED, polls=2))
    made = attempts()
    assert (said["done"], said["in_batch"], said["batches"]) == (3, 0, [])
    assert len(described()) == len(made) == 3 and said["cost_usd"] == pytest.approx(cost(made))
    assert sum(row["cost_usd"] for row in made) == pytest.approx(cost(made)) and cost(made) > 0
    assert all(row["request_id"] and row["batch"] for row in made)
    batch(*PRICED)
    assert Counter(asked(server)).most_common(1)[0][1] == 1 and len(attempts()) == 3
    whole()


def test_a_file_that_is_not_as_it_should_be(batch: Any, server: Any) -> None:
    batch(*PRICED, junk=JUNK, twice=True, bom=True)
    said = batch("--json", *PRICED)
    made = attempts()
    assert len(described()) == len(made) == 3
    assert summary(said)["cost_usd"] == pytest.approx(cost(made))
    heard = " ".join(said.err.split())
    said = "5 not readable, 3" if batch.provider == "openai" else "6 not readable, 2"
    assert f"3 results ({said} of no request of ours, 3 there twice)" in heard, heard
    whole()


def test_expired_requests_are_asked_again(batch: Any, server: Any) -> None:
    batch(*PRICED, expire_after=1, end="expired")
    batch(*PRICED)
    assert len(described()) == len(attempts()) == 1
    batch(*PRICED, polls=1)
    assert len(described()) == len(attempts()) == 3
    assert Counter(asked(server)).most_common(1)[0][1] == 1
    whole()


def test_a_missing_file_frees_its_cells_and_says_what_it_may_have_cost(
    batch: Any, server: Any
) -> None:
    batch(*PRICED, missing=["output", "results"])
    said = batch("--json", *PRICED)
    lost = attempts()
    assert [row["state"] for row in lost] == ["lost"] * 3
    assert all(row["cost_is_bound"] and row["cost_usd"] > 0 for row in lost)
    assert summary(said)["uncertain_usd"] == pytest.approx(sum(row["cost_usd"] for row in lost))
    assert "3 requests have no result, whose file is gone at the provider's" in said.err
    assert summary(said)["in_batch"] == 3  # asked again at once
    batch(*PRICED, polls=1)
    assert len(described()) == 3
    whole()


@only("openai")
def test_batches_that_end_without_results_are_not_made_for_ever(
    batch: Any, server: Any, generate: Any
) -> None:
    batch(*PRICED, empty=True)
    batch(*PRICED)  # nothing in it: submitted again
    said = batch(*PRICED, code=5).err
    assert "2 batches ended without a result for 3 requests" in said
    assert len(rows("SELECT * FROM batches")) == 2 and rows("SELECT * FROM claims") == []
    batch(*PRICED, code=5)
    assert len(rows("SELECT * FROM batches")) == 2
    batch("--retry-errors", *PRICED, polls=1)
    batch(*PRICED)
    assert len(described()) == 3
    whole()


@only("openai")
def test_with_a_limit_a_batch_under_way_is_only_collected(
    batch: Any, server: Any, call: Any
) -> None:
    batch("--limit", "1", polls=2)
    said = batch("--limit", "1")
    assert "a batch under way only collects" in said.err
    (row,) = json.loads(call("store", "status", "--store", "s.sqlite", "--json").out)[:1]
    assert row["llm"] == "openai/test-model" and row["done"] == 0
    (under_way,) = row["batches"]
    assert (under_way["status"], under_way["requests"]) == ("in_progress", 1)
    shown = call("store", "status", "--store", "s.sqlite").out
    assert "of openai/test-model, classes: in_progress, 1 requests, since 20" in shown
    batch("--limit", "1")
    assert len(described()) == 1 and len(rows("SELECT * FROM batches")) == 1
    batch("--limit", "1")
    assert len(rows("SELECT * FROM batches")) == 2


def test_what_will_not_do_is_said_when_it_is_collected(batch: Any, server: Any) -> None:
    bad = {"match": {"class": "cat"}, "reply": "It is gray."}
    batch(rules=[bad, {"match": {"class": "tree"}, "reply": "It is green."}], polls=1)
    said = " ".join(batch(code=0).err.split())
    why = "it does not name the class"
    assert f"2 of the 3 replies will not do (most often: {why}); the next batch asks again." in said


# -- refusals ----------------------------------------------------------------------------


@only("openai")
def test_what_goes_for_every_request_is_not_filed_as_failed(batch: Any, server: Any) -> None:
    classes(*(f"cat {n}" for n in range(6)))
    batch(rules=[{"status": 400, "message": "Bad thing."}], polls=1)
    assert "refuses every request of a batch" in batch(code=5).err
    assert descriptions() == [] and len(rows("SELECT * FROM batches")) == 1
    batch(rules=[{"status": 404, "code": "model_not_found"}], polls=1)
    assert "model" in batch(code=4).err
    assert descriptions() == [] and rows("SELECT * FROM claims") == []
    batch(polls=1)
    batch()
    assert len(described()) == 6
    whole()


@only("anthropic")
def test_a_model_that_cuts_every_reply_leaves_its_cells_missing(batch: Any, server: Any) -> None:
    classes(*(f"cat {n}" for n in range(6)))
    batch(rules=[{"reply": "A cat is", "finish_reason": "length"}], polls=1)
    batch()
    batch()
    said = batch(code=7).err
    assert "does not get to the end of its replies: 6 of a batch were cut off" in said
    assert descriptions() == [] and {r["attempt_number"] for r in attempts()} == {1, 2, 3}


@only("anthropic")
def test_one_bad_question_fails_alone(batch: Any, server: Any) -> None:
    batch(rules=[{"match": {"class": "cat"}, "status": 400, "message": "Bad thing."}], polls=1)
    batch(code=3)
    assert len(described()) == 2
    assert [row["status"] for row in descriptions()] == ["done", "failed", "done"]


@only("anthropic")
def test_a_parameter_that_is_refused_is_left_out_of_the_next_batch(batch: Any, server: Any) -> None:
    rule = {"match": {"parameter": "temperature"}, "status": 400, "param": "temperature",
            "message": "Unsupported parameter: 'temperature' is not supported."}  # fmt: skip
    batch("--temperature", "0.5", rules=[rule], polls=1)
    batch("--temperature", "0.5")
    assert descriptions() == []
    batch("--temperature", "0.5")
    assert len(described()) == 3
    assert ["temperature" in call["parameters"] for call in server.requests()] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


@only("anthropic")
def test_thoughts_alone_are_asked_again_with_more_room(batch: Any, server: Any) -> None:
    Path("system.txt").write_text("Be brief.")
    more = ("--system", "system.txt")
    batch(*more, rules=[{"thinks": {"tokens": 3000}}], polls=1)
    batch(*more)
    assert descriptions() == []
    batch(*more)
    assert len(described()) == 3
    first, again = attempts()[:3], attempts()[3:]
    assert {row["error_class"] for row in first} == {"OnlyThoughts"}
    assert {row["system"] for row in [*first, *again]} == {"Be brief."}
    limits = [json.loads(row["parameters"])["max_output_tokens"] for row in attempts()]
    assert min(limits[3:]) > 4096 > max(limits[:3])
    assert {row["attempt_number"] for row in again} == {1} and all(row["thoughts"] for row in again)
    whole()


@only("openai")
def test_later_commands_know_how_much_room_thoughts_need(batch: Any, server: Any) -> None:
    rules = [{"match": {"class": "cat", "nth": 2}, "refusal": True}, {"thinks": {"tokens": 3000}}]
    batch(*PRICED, rules=rules, polls=1)
    batch(*PRICED, "--max-cost", "1e-9", code=7)  # collected, and nothing is submitted
    batch(*PRICED)
    batch(*PRICED)  # the refused one is submitted in other words
    batch(*PRICED)
    kinds = [row["error_class"] for row in attempts()]
    assert kinds == ["OnlyThoughts"] * 3 + [None, "Refusal", None, None], kinds
    assert len(described()) == 3
    whole()


def test_too_many_tokens_are_submitted_in_parts(generate: Any, server: Any) -> None:
    classes(*(f"cat {n}" for n in range(6)))
    server.script(batch={"token_limit": 150})
    generate(server, "--batch", code=0)
    said = " ".join(generate(server, "--batch", code=0).err.split())
    assert "Limit: 150 enqueued tokens" in said and "submitted in parts of at most" in said
    assert "requests wait until the batches under way are collected" in said
    for _ in range(6):
        if len(described()) < 6:
            generate(server, "--batch", code=0)
    assert len(described()) == len(attempts()) == 6
    whole()


def test_one_request_that_is_too_many_tokens(generate: Any, server: Any) -> None:
    classes("cat")
    server.script(batch={"token_limit": 1})
    generate(server, "--batch", code=0)
    said = " ".join(generate(server, "--batch", code=5).err.split())
    assert "Wait until other batches of the account are done" in said
    assert rows("SELECT * FROM claims") == []


# -- kills and other processes -----------------------------------------------------------


@pytest.mark.slow
@pytest.mark.process
def test_killed_while_the_batch_is_created(batch: Any, server: Any) -> None:
    """It is found again, and not paid for twice: by its name, or by the ids of its requests."""
    names = [f"cat {n}" for n in range(7)]  # a number that no other batch of the server has
    classes(*names)
    server.script(key=KEY, batch={"hang": "create"})
    process = start(server, "--batch", provider=batch.provider)
    wait_for(lambda: any(path.endswith("/batches") for _, path in server.others()))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert [row["status"] for row in rows("SELECT * FROM batches")] == ["creating"]
    batch(polls=1)
    (row,) = rows("SELECT * FROM batches")
    if batch.provider == "anthropic":  # whose it is shows when it is over
        assert (row["remote_id"], row["status"]) == (None, "unconfirmed")
        newest = look(server, "/messages/batches")["data"][0]["id"]
        look(server, f"/messages/batches/{newest}")
    else:
        assert row["remote_id"] is not None
    batch()
    assert len(described()) == 7 and len(rows("SELECT * FROM batches")) == 1
    assert set(Counter(asked(server)).values()) == {1}
    whole()


@only("openai")
def test_a_batch_without_our_name_is_known_by_its_file(batch: Any, server: Any) -> None:
    batch(nameless=True)
    with sqlite3.connect("s.sqlite") as store:  # as if it had been killed before the answer
        store.execute("UPDATE batches SET remote_id = NULL, status = 'creating'")
    store.close()
    batch()
    batch()
    assert len(described()) == len(attempts()) == 3
    assert len(rows("SELECT * FROM batches")) == 1


@only("anthropic")
def test_a_batch_that_was_not_filed_is_known_once_it_is_over(batch: Any, server: Any) -> None:
    """By the ids of its requests; until then it is waited for, and nothing is paid for twice."""
    batch(polls=2)
    with sqlite3.connect("s.sqlite") as store:  # as if it had been killed before the answer
        store.execute("UPDATE batches SET remote_id = NULL, status = 'creating'")
    store.close()
    batch(polls=2)
    assert [row["status"] for row in rows("SELECT * FROM batches")] == ["unconfirmed"]
    batch(polls=2)
    batch(polls=2)
    assert len(described()) == len(attempts()) == 3
    assert len(rows("SELECT * FROM batches")) == 1
    assert set(Counter(asked(server)).values()) == {1}


def look(server: Any, path: str) -> Any:
    """What the server answers to Anthropic's clients."""
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    call = urllib.request.Request(server.url + path, headers=headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(call) as answer:
        return json.loads(answer.read())


@pytest.mark.slow
@pytest.mark.process
def test_killed_while_the_results_come(batch: Any, server: Any) -> None:
    batch(*PRICED, hang="results")
    process = start(server, "--batch", provider=batch.provider)
    wait_for(lambda: any(p.endswith(("/content", "/results")) for _, p in server.others()))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert attempts() == []
    batch(*PRICED, polls=1)
    made = attempts()
    assert len(described()) == len(made) == 3
    assert sum(row["cost_usd"] for row in made) == pytest.approx(cost(made))
    assert set(Counter(asked(server)).values()) == {1}
    whole()


@only("openai")
def test_two_that_collect_at_once(batch: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    batch(*PRICED)
    enter, others = Entry.enter, []

    def collected_meanwhile(entry: Entry) -> bool:
        if not others:
            others.append(threading.Thread(target=another))
            others[0].start()
            others[0].join()
        return enter(entry)

    def another() -> None:
        llm = make_llm("openai/test-model", server.url)
        wanted = GenerationRequest("classes.txt", [llm], ["color"], batch=True, store="s.sqlite")
        monkeypatch.setattr(batch_results.Entry, "enter", enter)
        (done,) = generate_all(wanted)
        assert done.done == 3

    with monkeypatch.context() as patched:
        patched.setenv("LSMSEG_PROMPTS_KEY", KEY)
        patched.setattr(batch_results.Entry, "enter", collected_meanwhile)
        said = batch(*PRICED)
    assert said.code == 0 and len(others) == 1
    assert len(attempts()) == len(described()) == 3
    whole()


# -- who has batches ---------------------------------------------------------------------


def test_a_provider_without_batches(call: Any) -> None:
    for name in ("deepseek-chat", "qwen-plus", "gemini-2.5-flash", "bundled"):
        outcome = call("generate", "--llm", name, "--batch", "--limit", "1")
        said = " ".join(outcome.err.split())
        assert outcome.code == 2 and f"{name} is not known to have a Batch API" in said, said
    assert "openai, anthropic, azure, groq" in said


def test_a_server_without_batches(generate: Any, server: Any) -> None:
    classes("cat")
    said = generate(f"{server.root}/other", "--batch", code=4).err
    assert "There is no Batch API at" in said and "leave --batch out" in said
    assert rows("SELECT * FROM claims") == []
