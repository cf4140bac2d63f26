"""`llm check` against the local server: what it sees of a model, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.generating import KEY, MODEL, attempts, keyless, variables

from lsmseg_prompts.generation import engine
from lsmseg_prompts.llm.prices import Price

BOTH = pytest.mark.parametrize("provider", ["openai", "dashscope"])
THINKS = {"thinks": {"tokens": 700}}
COLD = {"match": {"parameter": "temperature"}, "status": 400, "param": "temperature",
        "message": "Unsupported value: 'temperature' does not support 0.7."}  # fmt: skip
LIMITS = {"x-ratelimit-limit-requests": "500", "Anthropic-RateLimit-Tokens-Remaining": "9"}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "FIRST_BACKOFF", 0.001)


@pytest.fixture
def check(server, call):
    def run(*more: str, provider: str = "openai", code: int = 0, env: Any = None) -> Any:
        where = ["--base-url", server.url] if provider == "openai" else []
        result = call("llm", "check", MODEL[provider], *where, *more,
                      env=variables(server, **(env or {})))  # fmt: skip
        keyless(Path("s.sqlite"), result.out, result.err)
        assert result.code == code, (result.out, result.err)
        return json.loads(result.out) if "--json" in more and not code else result

    return run


@BOTH
def test_what_is_seen_of_a_plain_model(provider, server, check, monkeypatch) -> None:
    server.script([{"headers": LIMITS | {"x-other": "1"}}])
    price = Price(10.0, 20.0, "a test", "2026-11")
    monkeypatch.setattr(engine, "price_of", lambda model, host: price)
    found = check("--json", provider=provider)
    asked = server.requests()
    assert asked[0]["cell"] == {"class": "zebra", "attribute": "color", **asked[0]["cell"]}
    assert [call["parameters"].get("temperature") for call in asked] == [None, 0.7]
    assert "zebra" in found["sentence"] and found["seconds"] > 0
    assert (found["temperature"], found["is_json"]) == ("taken", True)
    assert found["json"] == ("json_schema" if provider == "openai" else "json_object")
    assert found["served_model"] == ("test-model" if provider == "openai" else None)
    assert (found["thinks"], found["thought_tokens"], found["room"]) == (False, None, 0)
    assert found["output_limit"] == "max_tokens"
    assert found["rate_limits"]["x-ratelimit-limit-requests"] == "500" and len(
        found["rate_limits"]) == 2  # fmt: skip
    into, out = found["input_tokens"], found["output_tokens"]
    assert found["cell_usd"] == pytest.approx((10 * into + 20 * out) / 1e6)
    assert found["cells"] == 1710 and found["all_usd"] == pytest.approx(1710 * found["cell_usd"])
    assert (found["requests"], found["failed_requests"], found["note"]) == (2, 0, None)
    assert found["spent_usd"] > found["cell_usd"] and not Path("runs").exists()
    shown = check(provider=provider)
    words = " ".join(shown.out.split())
    assert "1,710 cells like this one: $" in words and "x-ratelimit-limit-requests 500" in words
    assert "at most 3 requests, which cost" in shown.err
    assert max(map(len, shown.out.splitlines())) <= 80


@BOTH
def test_a_model_that_thinks(provider, server, check) -> None:
    server.script([THINKS])
    found = check("--json", provider=provider)
    assert (found["thinks"], found["thought_tokens"], found["room"]) == (True, 700, 4096)
    assert found["output_tokens"] > 700 and "Hmm" not in found["sentence"]
    assert (found["requests"], found["failed_requests"]) == (3, 1)
    words = " ".join(check(provider=provider).out.split())
    assert "thinks: yes, 700 of its" in words and "room for 4,096 more" in words


def test_thoughts_in_the_text_are_seen_too(server, check) -> None:
    server.script([{"thinks": {"tokens": 100, "as": "inline"}}])
    found = check("--json")
    assert (found["thinks"], found["thought_tokens"]) == (True, None)
    assert "zebra" in found["sentence"] and "<think>" not in found["sentence"]


@BOTH
def test_what_is_refused_is_said(provider, server, check) -> None:
    server.script([COLD])
    found = check("--json", provider=provider)
    assert (found["temperature"], found["left_out"]) == ("refused", ["temperature"])
    assert found["json"] != "unknown" and found["requests"] == 3
    server.script([COLD, THINKS])
    found = check("--json", provider=provider)
    assert (found["temperature"], found["json"], found["requests"]) == ("refused", "unknown", 3)
    assert found["note"] == "the check ends after 3 requests"
    assert len(server.requests()) == 6


def test_a_second_question_that_fails_is_no_failure(server, check) -> None:
    server.script([{"match": {"from": 2}, "status": 400, "message": "No."}])
    found = check("--json")
    assert (found["temperature"], found["json"], found["is_json"]) == ("unknown", "unknown", None)
    assert "answered 400" in found["note"]


def test_the_options_reach_the_request(server, check) -> None:
    check("--reasoning", "low", "-o", "top_p=0.9", "--timeout", "30")
    (first, *_) = server.requests()
    assert first["parameters"]["top_p"] == 0.9
    assert first["parameters"]["reasoning_effort"] == "low"


def test_attempts_go_to_a_store_that_is_named(server, check) -> None:
    check("--store", "s.sqlite")
    kept = attempts()
    assert [row["class_index"] for row in kept] == [None, None]
    assert all(row["reply"] and row["purpose"] == "describe" for row in kept)


@pytest.mark.parametrize(
    ("script", "code", "says"),
    [
        ({"key": "another"}, 4, "The key was refused"),
        ({"models": ["other"]}, 4, "404"),
        ({"rules": [{"insufficient_quota": True}]}, 5, "The quota or credit is used up"),
        ({"rules": [{"status": 500}]}, 5, "keeps failing (3 times in a row)"),
        ({"rules": [{"content_filter": True}]}, 5, "did not answer the question about a zebra"),
        ({"rules": [{"reply": "<think>a</think>"}]}, 5, "its answer is empty (stop)"),
        ({"rules": [{"thinks": {"tokens": 70000}}]}, 5, "took all of the room (32,768 tokens"),
    ],
    ids=["key", "model", "quota", "down", "filter", "empty", "thinks"],
)
def test_failures_end_with_the_usual_codes(script, code, says, server, check) -> None:
    server.script(**script)
    result = check(code=code)
    assert says in result.err and result.out == "" and "goes on from there" not in result.err
    assert len(server.requests()) <= 3


def test_nothing_listens(check, server, call) -> None:
    result = call("llm", "check", "openai/x", "--base-url", "http://127.0.0.1:9/v1")
    assert result.code == 4 and "127.0.0.1:9" in result.err


def test_who_cannot_be_checked(call) -> None:
    result = call("llm", "check", "bundled")
    assert result.code == 2 and "bundled is offline: there is nothing to check." in result.err
    result = call("llm", "check", "gpt-4o")
    assert result.code == 4 and "OPENAI_API_KEY" in result.err
    assert KEY not in result.err
