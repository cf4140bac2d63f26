"""`generate --captions` and `store captions`: what a vision model tells of pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from llm_server.client import LLMServer
from PIL import Image as Pictures
from support.generating import STORE, attempts, keyless, variables
from support.scripted_llm import Scripted, failed, reply

from ablations.runs.captions import caption_pictures, checked
from lsmseg_model.data.benchmark import MiniStuff
from lsmseg_model.data.captioners import FileCaptions
from lsmseg_model.data.descriptions import Described
from lsmseg_prompts.errors import BudgetError, StoreError, UsageError
from lsmseg_prompts.generation import captions
from lsmseg_prompts.generation.captions import CaptionRequest, Picture, caption, store_captions
from lsmseg_prompts.generation.limits import Limits
from lsmseg_prompts.generation.summary import Summary
from lsmseg_prompts.llm.base import Image, Reply, Request
from lsmseg_prompts.llm.prices import Price
from lsmseg_prompts.store.store import open_store

GOOD = json.dumps(
    {
        "objects": [
            {"name": "Car", "attributes": ["red", "small"]}, {"name": "road", "attributes": []}
        ],
        "relations": [{"subject": "car", "relation": "on", "object": "road"}],
    }
)  # fmt: skip
OBJECTS = [{"name": "car", "attributes": ["red", "small"]}, {"name": "road", "attributes": []}]
TWO = [{"name": "cat", "attributes": ["black"]}]


def picture(key: str) -> Picture:
    return Picture(key, f"sha of {key}", lambda: Image("image/jpeg", key.encode()))


def run(answer: Callable[[Request], str | Reply] | str, keys: str = "ab", **fields: Any) -> Any:
    """The summary, and the LLM that was asked about pictures with these keys."""
    llm = Scripted(answer if callable(answer) else lambda _: str(answer))
    price = Price(1.0, 1.0, "a test's", "")
    limits = replace(fields.pop("limits", Limits()), price=price)
    request = CaptionRequest(
        llm, "photos", [*map(picture, keys)], checked, store=STORE, limits=limits, **fields
    )
    return caption(request), llm


def rows(sql: str = "SELECT * FROM captions ORDER BY picture") -> list[dict[str, Any]]:
    with open_store(STORE) as store:
        return store.rows(sql)


def counts(summary: Summary) -> tuple[int, ...]:
    return summary.skipped, summary.done, summary.failed, summary.left


# -- through the command line ------------------------------------------------------------


@pytest.fixture
def generate(server: LLMServer, call: Any) -> Callable[..., Any]:
    """Caption the two pictures of the folder `photos`."""
    Path("photos").mkdir()
    for name, colour in (("one.jpg", "red"), ("two.png", "blue")):
        Pictures.new("RGB", (8, 6), colour).save(f"photos/{name}")

    def asked(*more: str, code: int = 0) -> Any:
        words = ("generate", "--captions", "--llm", "gpt-4o", "--data", "photos", *more)
        where = ("--base-url", server.url, "--store", str(STORE))
        where += ("--price-in", "1", "--price-out", "2")
        done = call(*words, *where, env=variables(server))
        keyless(STORE, done.out, done.err)
        assert done.code == code, (done.code, done.out, done.err)
        return done

    return asked


def test_pictures_are_captioned_kept_and_exported(server, generate, call) -> None:
    server.script([{"match": {"contains": "Describe"}, "reply": GOOD}])
    told = json.loads(generate("--json").out)
    assert (told["cells"], told["done"], told["requests"]) == (2, 2, 2)
    (sent, _) = server.requests()
    assert sent["parameters"]["response_format"]["json_schema"]["schema"] == captions.SCHEMA
    assert all("Describe this image: its objects" in row["prompt"] for row in attempts())
    one, two = rows()
    assert (one["picture"], one["data"], one["llm"]) == ("one.jpg", "photos", "gpt-4o")
    assert json.loads(one["objects"]) == OBJECTS and json.loads(one["relations"]) == [[0, "on", 1]]
    assert one["reply"] == GOOD and one["cost_usd"] > 0 and one["sha256"] != two["sha256"]
    assert [row["verdict"] for row in attempts()] == ["accepted"] * 2
    assert json.loads(generate("--json").out)["requests"] == 0, "what is there is not asked again"
    done = call("store", "captions", "-o", "c.jsonl", "--store", str(STORE))
    assert done.code == 0, done.err
    described = FileCaptions("c.jsonl").describe("two")
    assert described.objects == (Described("car", ("red", "small")), Described("road"))
    assert described.relations == ((0, "on", 1),)
    assert call("store", "captions", "-o", "c.jsonl", "--store", str(STORE)).code == 4


def test_a_throttled_provider_is_asked_again_and_a_refusal_is_not(server, generate) -> None:
    server.script([
        {"match": {"n": 1}, "status": 429, "retry_after_ms": 1},
        {"match": {"n": [3, 4]}, "refusal": True},
        {"reply": GOOD},
    ])  # fmt: skip
    done = generate("-j", "1", code=3)
    assert "two.png, captions: the LLM refused to answer" in done.err
    assert "1 of 2 descriptions could not be had" in done.err
    assert len(server.requests()) == 4, "one more for 429, one more for the refusal"


def test_a_dry_run_sends_nothing_and_says_what_it_would_cost(server, generate) -> None:
    (said,) = [json.loads(generate("--dry-run", "--json").out)]
    assert (said["cells"], said["missing"], said["calls"]) == (2, 2, 2)
    assert 0 < said["cost_low_usd"] < said["cost_high_usd"] and said["input_tokens"] > 2 * 765
    assert "calls:  2, one for a picture" in generate("--dry-run", "--detailed").out
    assert server.requests() == [] and not STORE.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--vocab", "camvid"), "--vocab has no effect beside --captions"),
        (("--pairs", "a:b"), "--pairs has no effect beside --captions"),
        (("--batch",), "--batch has no effect beside --captions"),
        (("--data", "nowhere"), "There is no benchmark"),
    ],
)
def test_options_that_do_not_go_with_it(generate, words: Sequence[str], message: str) -> None:
    assert message in generate(*words, code=2).err


def test_bundled_cannot_see(call) -> None:
    done = call("generate", "--captions")
    assert done.code == 2 and "bundled cannot look at pictures" in done.err
    assert "has no effect without --captions" in call("generate", "--detailed").err
    two = call("generate", "--captions", "--llm", "gpt-4o", "--llm", "gpt-4")
    assert two.code == 2 and "Pictures are shown to one LLM at a time" in two.err


def test_pictures_of_a_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    few = MiniStuff("selection", 3)
    monkeypatch.setattr("ablations.runs.captions.load_benchmark", lambda *_: few)
    pictures = caption_pictures("ministuff", split="selection")
    assert [one.key for one in pictures] == [few.key(index) for index in range(3)]
    assert pictures[2].read().data.startswith(b"\xff\xd8") and len(pictures[2].sha256) == 64


# -- replies that will not do ------------------------------------------------------------

FAULTS = {
    "no JSON": ("A red car.", "not a JSON object with objects"),
    "a list": ('{"objects": "car", "relations": []}', "its objects are not a list"),
    "a name": ('{"objects": [{"name": "' + "a" * 61 + '"}]}', "more than 60 characters"),
    "loose": (GOOD.replace('"object": "road"', '"object": "sea"'), "'sea', which is not among"),
    "cut": (reply(GOOD[:50], finish_reason="length"), "cut off for its length"),
    "empty": (reply(""), "the reply was empty"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_reply_that_will_not_do_is_asked_for_once_more(name: str) -> None:
    bad, why = FAULTS[name]
    summary, llm = run(lambda asked: GOOD if "could not be used" in asked.prompt else bad, "a")
    assert counts(summary) == (0, 1, 0, 0) and summary.requests == 2
    assert why in llm.requests[1].prompt and llm.requests[1].images == llm.requests[0].images
    assert llm.requests[1].max_output_tokens == 2 * llm.requests[0].max_output_tokens
    first, second = attempts()
    assert why in first["verdict"] and second["verdict"] == "accepted"
    (row,) = rows()
    assert row["reason"] is None and row["cost_usd"] == pytest.approx(60e-6)


def test_one_that_fails_twice_is_kept_with_its_fault_and_asked_again_on_demand() -> None:
    summary, _ = run(lambda asked: "No." if asked.images[0].data == b"a" else GOOD)
    assert counts(summary) == (0, 1, 1, 0) and summary.requests == 3
    (failure,) = summary.failures
    assert (failure.name, failure.passing) == ("a", False) and "not a JSON" in failure.reason
    bad, good = rows()
    assert bad["reply"] == "No." and bad["objects"] is None and "not a JSON" in bad["reason"]
    assert good["reason"] is None
    summary, llm = run(GOOD)
    assert llm.requests == [] and summary.failed_before == 1
    summary, llm = run(GOOD, retry_errors=True)
    assert len(llm.requests) == 1 and counts(summary) == (1, 1, 0, 0)
    assert [row["reason"] for row in rows()] == [None, None]


def test_a_failure_never_replaces_a_caption_and_redo_asks_anew() -> None:
    run(GOOD)
    summary, _ = run("No.", redo=True)
    assert summary.failed == 2 and [row["reply"] for row in rows()] == [GOOD, GOOD]
    other = json.dumps({"objects": TWO, "relations": []})
    summary, _ = run(other, redo=True)
    assert summary.done == 2 and [row["reply"] for row in rows()] == [other, other]


def test_what_an_llm_says_is_cleaned() -> None:
    said = '{"objects": [{"name": "\\u001b[31mCAR\\n", "attributes": []}, {"name": "cars"}]}'
    run("Sure!\n```json\n" + said + "\n```", "a")
    (row,) = rows()
    assert json.loads(row["objects"]) == [{"name": "[31mcar", "attributes": []},
                                          {"name": "cars", "attributes": []}]  # fmt: skip


def test_failures_in_passing_leave_the_picture_for_the_next_run() -> None:
    answers = iter([reply(GOOD), failed("passing"), *[reply(GOOD)] * 9])
    summary, _ = run(lambda _: next(answers), "ab", limits=Limits(concurrency=1, max_retries=0))
    assert counts(summary) == (0, 1, 1, 0) and summary.passing == 1
    assert [row["picture"] for row in rows()] == ["a"]
    assert run(GOOD)[0].done == 1


# -- a run that ends early ---------------------------------------------------------------


def test_a_budget_ends_the_run_and_the_next_one_goes_on() -> None:
    summary, llm = run(GOOD, "abc", limits=Limits(concurrency=1, max_calls=2))
    assert isinstance(summary.error, BudgetError) and counts(summary) == (0, 2, 0, 1)
    summary, llm = run(GOOD, "abc")
    assert counts(summary) == (2, 1, 0, 0) and len(llm.requests) == 1
    summary, _ = run("No.", "d", limits=Limits(max_calls=1))
    assert isinstance(summary.error, BudgetError) and summary.left == 1
    summary, llm = run(GOOD, "d")  # its first reply is on file
    assert summary.done == 1 and "could not be used" in llm.requests[0].prompt


def test_the_limit_is_of_pictures_and_each_data_have_their_own() -> None:
    summary, llm = run(GOOD, "abc", limit=2)
    assert len(llm.requests) == 2 and counts(summary) == (0, 2, 0, 1)
    price = Limits(price=Price(1.0, 1.0, "", ""))
    other = CaptionRequest(llm, "more", [picture("a")], checked, store=STORE, limits=price)
    assert caption(other).done == 1


def test_a_killed_run_pays_for_no_reply_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(captions, "_file", killed)
        run(GOOD)
    assert rows() == [] and len(attempts()) == 2
    summary, llm = run("No.")
    assert llm.requests == [] and summary.done == 2 and summary.requests == 0
    assert [row["cost_usd"] for row in rows()] == [pytest.approx(30e-6)] * 2


# -- the export --------------------------------------------------------------------------


def test_captions_of_several_llms_are_told_apart() -> None:
    with pytest.raises(StoreError, match="There is no attribute store"):
        store_captions(store=STORE)
    run(GOOD)
    with pytest.raises(StoreError, match="has no such captions"):
        store_captions(detailed=True, store=STORE)
    run(GOOD, "a", detailed=True)
    assert [one["picture"] for one in store_captions(store=STORE)] == ["a", "b"]
    assert [one["picture"] for one in store_captions(detailed=True, store=STORE)] == ["a"]
    llm = Scripted(lambda _: GOOD, "other")
    caption(CaptionRequest(llm, "photos", [picture("a")], checked, store=STORE))
    with pytest.raises(UsageError, match="a has 2 captions: name one with --llm"):
        store_captions(store=STORE)
    assert len(store_captions("scripted", store=STORE)) == 2
    (one,) = store_captions("other", "photos", store=STORE)
    assert one == {"picture": "a", "objects": OBJECTS, "relations": [[0, "on", 1]]}
