"""Money, requests and rates: what is spent, what is counted, where it stops."""

from __future__ import annotations

import json
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support.generating import (
    asked,
    attempts,
    classes,
    described,
    ended,
    rows,
    span,
    start,
    summary,
    wait_for,
    whole,
)

both = pytest.mark.parametrize("provider", ["openai", "dashscope"])
MANY = ("zebra", "cat", "tree", "car", "dog", "bus", "boat", "bird", "cow", "horse", "sheep")
PRICE = ("--price-in", "1000", "--price-out", "2000")  # dollars per million: easily seen
# What each reply costs by its usage: 0.1 in and 0.04 out.
USAGE = {
    "openai": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    "dashscope": {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120},
}
EACH = 0.14


def spent() -> float:
    return sum(row["cost_usd"] for row in attempts())


def test_so_many_requests_and_no_more(server, generate):
    classes(*MANY)
    for done in (4, 8):
        said = generate(server, "--max-calls", "4", code=7).err
        assert "limit of 4 requests" in said and "the same command" in said
        assert len(server.requests()) == len(attempts()) == len(described()) == done
    generate(server, "--max-calls", "4", code=0)
    assert sorted(asked(server)) == sorted((name, "color") for name in MANY)
    whole()


def test_requests_that_fail_count_too(server, generate):
    classes(*MANY)
    server.script([{"match": {"n": [1, 2]}, "status": 500, "retry_after_ms": 20}])
    generate(server, "--max-calls", "3", code=7)
    assert len(server.requests()) == 3 and len(described()) == 1
    generate(server, "--max-calls", "0", code=7)
    assert len(server.requests()) == 3


@both
def test_the_budget_holds(server, generate, provider):
    classes(*MANY)
    more = [*PRICE, "--max-cost", "2.0", "-j", "8", "--json"]
    server.reset([{"usage": USAGE[provider]}], latency=0.1)
    outcome = generate(server, *more, provider=provider, code=7)
    assert "budget of $2" in outcome.err and "the same command" in outcome.err
    worst = 2.0 - spent()  # the next might not have fitted
    assert 0 < worst < 1.2 and len(server.requests()) == len(described())
    assert spent() == pytest.approx(EACH * len(described()))
    assert summary(outcome)["cost_usd"] == pytest.approx(spent())
    # What was on its way together was reserved at its worst: never more than fits.
    assert max(call["waiting"] for call in server.requests()) <= 2.0 / 0.512
    assert all(not row["cost_is_bound"] for row in attempts())
    done = len(described())
    generate(server, *more, provider=provider, code=0)  # a budget of its own
    assert len(server.requests()) == 11 and done < 11
    assert len(described()) == 11
    whole()


def test_a_budget_too_small_for_one(server, generate):
    classes("zebra")
    said = generate(server, *PRICE, "--max-cost", "0.3", code=7).err
    assert "may cost $0." in said and server.requests() == [] and attempts() == []
    generate(server, *PRICE, "--max-cost", "0", code=7)
    assert server.requests() == []


def test_a_budget_without_a_price_is_refused(server, generate):
    classes("zebra")
    said = generate(server, "--max-cost", "1", code=4).err
    assert "price of openai/test-model" in said and "--price-in and --price-out" in said
    generate(server, "--max-cost", "1", "--price-in", "1", code=2)
    generate(server, "--max-cost", "1", provider="dashscope", code=4)
    assert server.requests() == [] and not described_if_any()
    generate(server, "--max-cost", "0", "--price-in", "0", "--price-out", "0", code=0)
    assert len(described()) == 1  # a server of one's own costs nothing


def described_if_any() -> dict[Any, str]:
    return described() if Path("s.sqlite").exists() and attempts() else {}


@both
def test_what_cost_is_unknown_counts_at_its_worst(server, generate, provider):
    classes("zebra", "cat", "dog", "tree")
    rules = [
        {"match": {"class": "cat"}, "usage": None},
        {"match": {"class": "dog", "nth": 1}, "hang": True},
        {"match": {"class": "tree", "nth": 1}, "status": 500},
        {"usage": USAGE[provider]},
    ]
    server.reset(rules)
    outcome = generate(
        server, *PRICE, "-j", "1", "--timeout", "1", "--json", provider=provider, code=0
    )
    zebra, cat, hung, dog, down, tree = attempts()
    assert zebra["cost_usd"] == dog["cost_usd"] == tree["cost_usd"] == pytest.approx(EACH)
    for row in (cat, hung):  # charged or not: nobody knows
        assert row["cost_is_bound"] and 0.5 < row["cost_usd"] < 1.5
    assert down["cost_usd"] == 0 and not down["cost_is_bound"]
    assert summary(outcome)["cost_usd"] == pytest.approx(spent())
    assert summary(outcome)["uncertain_usd"] == pytest.approx(cat["cost_usd"] + hung["cost_usd"])


def test_rejected_replies_are_paid_for(server, generate):
    classes("zebra", "cat")
    server.script(
        [
            {"match": {"class": "cat"}, "reply": "A llama.", "usage": USAGE["openai"]},
            {"usage": USAGE["openai"]},
        ]
    )
    outcome = generate(server, *PRICE, "--json", code=3)
    assert len(attempts()) == 4 and spent() == pytest.approx(4 * EACH)
    assert summary(outcome)["cost_usd"] == pytest.approx(4 * EACH)


@pytest.mark.process
def test_ctrl_c_does_not_lose_the_cost(server):
    classes(*MANY)
    server.script([{"usage": USAGE["openai"]}], latency=0.4)
    process = start(server, *PRICE, "-j", "3")
    wait_for(lambda: len(server.requests()) >= 3)
    process.send_signal(signal.SIGINT)
    assert ended(process).code == 130
    assert spent() == pytest.approx(EACH * len(described())) and len(described()) >= 3


def test_a_rate_is_kept(server, generate):
    classes(*MANY)
    generate(server, "--rpm", "600", "-j", "8", code=0)
    times = [span(row)[0] for row in attempts()][1:]  # the first is slow to leave
    assert times[-1] - times[0] >= 0.75  # ten a second, evenly, late ones made good for
    for begun in times:
        assert sum(begun <= time < begun + 0.5 for time in times) <= 7
    generate(server, "--redo", "--tpm", "36000", "-j", "8", code=0)
    again = [span(row)[0] for row in attempts()][11:]
    assert again[-1] - again[0] > 0.5  # 600 tokens a second, 33 of a reply and 40 of a question


def test_a_dry_run_asks_nothing_and_writes_nothing(server, generate):
    classes(*MANY)
    outcome = generate(server, "--dry-run", "--json", *PRICE, env={"OPENAI_API_KEY": ""}, code=0)
    said = summary(outcome)
    assert said["missing"] == said["calls"] == 11 and said["host"] == server.url
    assert 0 < said["cost_low_usd"] < said["cost_high_usd"]
    assert server.requests() == [] and not Path("s.sqlite").exists()
    generate(server, "--limit", "4", code=0)
    left = summary(generate(server, "--dry-run", "--json", "--per-call", "class",
                            attribute="color,size", code=0))  # fmt: skip
    assert (left["missing"], left["calls"]) == (18, 11)
    assert left["cost_low_usd"] is None
    some = generate(server, "--dry-run", "--limit", "3", attribute="color,size", code=0).out
    assert "18 missing of 22 in classes, 3 of them now" in some
    plain = generate(server, "--dry-run", code=0).out
    assert server.url in plain and "price unknown" in plain
    assert len(server.requests()) == 4


def test_narrowing(server, generate):
    classes(*MANY)
    generate(server, "--classes", "cat,cow", attribute="size,shape", code=0)
    assert {name for name, _ in asked(server)} == {"cat", "cow"} and len(asked(server)) == 4
    outcome = generate(server, "--limit", "3", "--json", attribute="size,shape", code=0)
    assert len(asked(server)) == 7 and len(described()) == 7
    assert (summary(outcome)["skipped"], summary(outcome)["left"]) == (4, 15)
    assert "15 cells are still to be asked for" in outcome.err
    generate(server, "--classes", "cat", "--redo", attribute="size", code=0)
    assert asked(server)[7:] == [("cat", "size")]
    generate(server, "--classes", "cut", code=2)
    assert len(asked(server)) == 8


def test_locked_texts_stay(server, generate):
    classes("zebra", "cat")
    generate(server, code=0)
    before = described()
    with sqlite3.connect("s.sqlite") as store:
        store.execute("UPDATE descriptions SET locked = 1 WHERE class_index = 1")
    store.close()
    server.script([{"reply": "A {class} is red, says {n}."}])
    generate(server, "--redo", code=0)
    assert asked(server)[2:] == [("zebra", "color")]
    assert described()[1, "color"] == before[1, "color"]
    assert described()[0, "color"].startswith("A zebra is red")


def test_several_llms_side_by_side(server, generate):
    classes("zebra", "cat", "dog")
    generate(server, "--llm", "qwen2.5-72b-instruct", "--json", code=0)
    names = {row["llm"] for row in rows("SELECT DISTINCT llm FROM descriptions")}
    assert names == {"openai/test-model", "qwen2.5-72b-instruct"}
    assert len(server.requests()) == len(rows("SELECT * FROM descriptions")) == 6
    # What ends one does not end the other.
    server.script([{"match": {"model": "test-model"}, "insufficient_quota": True}])
    outcome = generate(server, "--llm", "qwen2.5-72b-instruct", "--redo", "--json", code=5)
    openai, qwen = json.loads(outcome.out)["llms"]
    assert (openai["done"], openai["left"], qwen["done"]) == (0, 3, 3)
    assert len(server.requests()) == 6 + 1 + 3
