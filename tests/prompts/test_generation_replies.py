"""Replies that will not do: what is asked next, what is kept, what is in the store.

One run has many classes, each with its own trouble; the tests look at what became of each.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from llm_server.client import LLMServer
from support.generating import (
    KEY,
    asked,
    attempts,
    classes,
    described,
    descriptions,
    rows,
    whole,
)

from lsmseg_prompts.tokens import count_tokens

both = pytest.mark.parametrize("provider", ["openai", "dashscope"])
LONG = "A dog may be " + ", ".join(f"{c} or dark {c}" for c in ("red", "blue", "gray") * 9) + "."
FOX = "A fox, unlike a wolf, is rusty red with a white chest."
MUG = "A mug is round and tall, made of smooth clay."


def requests_of(server: LLMServer, name: str) -> list[dict[str, Any]]:
    return [call for call in server.requests() if call["cell"]["class"] == name]


def attempts_of(index: int) -> list[dict[str, Any]]:
    return [row for row in attempts() if row["class_index"] == index]


# name: (what is wrong with the first reply, what the next question says)
AGAIN = {
    "cat": ({"reply": "- Black\n- White\n- Orange"}, "it does not name cat"),
    "dog": ({"reply": LONG}, f"it takes {count_tokens(LONG)} CLIP tokens and 77 are the most"),
    "bus": ({"reply": "A tram is red and white."}, "it does not name bus"),
    "boat": ({"reply": "A boat is red; its sail is white."}, "not exactly one sentence"),
    "mug": ({"reply": MUG}, "it is about"),
    "fork": ({"reply": '{"color": "silver"}'}, "it does not name fork"),
}


@both
def test_bad_replies_are_asked_again_with_the_reason(server, generate, provider):
    classes("zebra", *AGAIN)
    server.script([{"match": {"class": n, "tries": 1}, **r} for n, (r, _) in AGAIN.items()])
    generate(server, provider=provider, code=0)
    assert len(server.requests()) == len(attempts()) == 1 + 2 * len(AGAIN)
    for index, (name, (rule, reason)) in enumerate(AGAIN.items(), start=1):
        first, second = requests_of(server, name)
        assert reason in second["prompt"] and f'"{name}"' in second["prompt"]
        assert (first["messages"], second["messages"]) == (1, 3)  # in the same conversation
        bad, good = attempts_of(index)
        assert bad["reply"] == rule["reply"] and reason in bad["verdict"]
        assert json.loads(good["history"]) == [[first["prompt"], rule["reply"]]]
        assert [row["attempt_number"] for row in (bad, good)] == [1, 2]
        assert good["verdict"] == "accepted"
    done = descriptions()
    assert all(row["status"] == "done" and row["review"] is None for row in done)
    assert all(row["tokens"] <= 77 and row["text"] != MUG for row in done)
    whole()


def test_three_tries_and_no_more(server, generate):
    classes("zebra", "cat", "cow")
    server.script([{"match": {"class": "cow"}, "reply": "A llama is brown."}])
    said = generate(server, code=3).err
    assert "cow, color: it does not name cow" in said and "--retry-errors" in said
    assert [call["messages"] for call in requests_of(server, "cow")] == [1, 3, 5]
    assert [row["attempt_number"] for row in attempts_of(2)] == [1, 2, 3]
    failed = descriptions()[2]
    assert (failed["status"], failed["text"]) == ("failed", "A llama is brown.")
    assert "it does not name cow" in failed["reason"]
    server.script()
    assert "--retry-errors" in generate(server, code=3).err
    assert len(server.requests()) == 5  # failed cells are not asked for again unbidden
    generate(server, "--retry-errors", code=0)
    assert asked(server)[5:] == [("cow", "color")] and len(described()) == 3
    generate(server, "--retry-errors", code=0)
    assert len(server.requests()) == 6


@both
def test_cut_off_is_asked_again_with_more_room(server, generate, provider):
    classes("zebra", "cat")
    server.script([{"match": {"class": "cat", "nth": [1, 2]}, "finish_reason": "length"}])
    generate(server, provider=provider, code=0)
    calls = requests_of(server, "cat")
    rooms = [call["parameters"]["max_tokens"] for call in calls]
    assert rooms[1] == 2 * rooms[0] and rooms[2] == 4 * rooms[0]
    assert [call["messages"] for call in calls] == [1, 1, 1]
    assert [row["finish_reason"] for row in attempts_of(1)] == ["length", "length", "stop"]
    assert "cut off" in attempts_of(1)[0]["verdict"]
    assert all(json.loads(row["parameters"])["max_output_tokens"] for row in attempts())


@both
@pytest.mark.parametrize("rule", [{"empty": True}, {"null": True}, {"reply": " \n** **\n"}])
def test_empty_replies(server, generate, provider, rule):
    classes("zebra", "cat")
    server.script([{"match": {"class": "cat", "nth": 1}, **rule}])
    generate(server, provider=provider, code=0)
    assert len(requests_of(server, "cat")) == 2 and len(described()) == 2
    assert [row["verdict"] == "accepted" for row in attempts_of(1)] == [False, True]


@pytest.mark.parametrize(
    "rule",
    [
        {"refusal": "I'm sorry, I cannot do that."},
        {"reply": "I'm sorry, but I can't help with that."},
        {"reply": "As an AI, I cannot describe a cat."},
    ],
)
def test_refusals_get_one_reworded_try(server, generate, rule):
    classes("zebra", "cat", "dog")
    said = next(iter(rule.values()))
    server.script(
        [{"match": {"class": "dog"}, **rule}, {"match": {"class": "cat", "nth": 1}, **rule}]
    )
    generate(server, code=3)
    first, second = requests_of(server, "cat")
    assert second["messages"] == 1 and second["prompt"] != first["prompt"]
    assert "color" in second["prompt"] and "a cat" in second["prompt"]
    assert len(requests_of(server, "dog")) == 2
    assert [row["reply"] for row in attempts_of(2)] == [said, said]  # stored, both times
    failed = descriptions()[2]
    assert failed["status"] == "failed" and "refused" in failed["reason"]
    assert set(described()) == {(0, "color"), (1, "color")}


@both
@pytest.mark.parametrize(
    "rule",
    [
        {"content_filter": True},
        {"status": 400, "code": "content_filter", "message": "Filtered: responsible AI policy."},
        {"finish_reason": "content_filter", "reply": "A cat is"},
    ],
)
def test_the_content_filter_fails_that_cell_only(server, generate, provider, rule):
    classes("zebra", "cat", "dog", "tree")
    server.script([{"match": {"class": "cat"}, **rule}])
    generate(server, provider=provider, code=3)
    assert len(server.requests()) == len(attempts()) == 4  # no second try
    failed = descriptions()[1]
    assert failed["status"] == "failed" and "filter" in failed["reason"]
    assert len(described()) == 3
    generate(server, provider=provider, code=3)
    assert len(server.requests()) == 4


def test_a_filter_at_the_very_start_does_not_end_the_run(server, generate):
    classes("cat", "zebra", "tree")
    server.script([{"match": {"class": "cat"}, "content_filter": True}])
    generate(server, code=3)
    assert len(server.requests()) == 3 and len(described()) == 2


def test_the_same_text_for_two_classes(server, generate):
    classes("fox", "wolf", "cat")
    twin = {"match": {"class": ["fox", "wolf"], "tries": 1}, "reply": FOX}
    server.script([twin])
    generate(server, "-j", "1", code=0)
    again = requests_of(server, "wolf")[1]["prompt"]
    assert "word for word what was said of fox" in again
    assert len(requests_of(server, "fox")) == 1 and len(server.requests()) == 4
    assert [row["review"] for row in descriptions()] == [None, None, None]
    assert len(set(described().values())) == 3


def test_who_insists_is_kept_for_review(server, generate):
    classes("fox", "wolf", "mug")
    server.script(
        [
            {"match": {"class": ["fox", "wolf"]}, "reply": FOX},
            {"match": {"class": "mug"}, "reply": MUG},
        ]
    )
    said = generate(server, "-j", "1", code=0).err
    assert "2 descriptions are marked for review" in said
    assert [len(requests_of(server, name)) for name in ("fox", "wolf", "mug")] == [1, 3, 3]
    fox, wolf, mug = descriptions()
    assert fox["review"] is None and wolf["text"] == fox["text"] == FOX
    assert "said of fox" in wolf["review"] and mug["text"] == MUG
    assert "not about color" in mug["review"] and mug["status"] == "done"
    generate(server, code=0)
    assert len(server.requests()) == 7


CLEANED = {
    "cat": ("Sure! Here is a description:\n\n**A cat is black.**", "A cat is black."),
    "dog": ("“A dog is brown – and white.”", "A dog is brown, and white."),
    "bus": ("A bus is red. It has white stripes. It is big.", "A bus is red."),
    "boat": ("a boat’s hull is white\u200b 🚤", "A boat's hull is white."),
    "bird": ("1. A bird is blue.\n2. A bird is red.", "A bird is blue."),
    "cow": ("```\nA cow is black &amp; white.\n```", "A cow is black & white."),
    "car": (f"A car is red.\n\nYour key is {KEY}.", "A car is red."),
}


@both
def test_decoration_is_taken_off_and_the_raw_reply_kept(server, generate, provider):
    classes("zebra", *CLEANED)
    server.script([{"match": {"class": n}, "reply": raw} for n, (raw, _) in CLEANED.items()])
    generate(server, provider=provider, code=0)
    assert len(server.requests()) == 1 + len(CLEANED)
    for index, (raw, text) in enumerate(CLEANED.values(), start=1):
        assert described()[index, "color"] == text
        assert attempts_of(index)[0]["reply"] == raw.replace(KEY, "sk-***")


def test_the_sense_is_in_the_question_and_in_the_next(server, generate):
    crane = {"name": "crane", "sense": "the lifting machine", "synonyms": ["tower crane"]}
    Path("v.json").write_text(json.dumps({"name": "v", "classes": [crane, "kite"]}))
    bird = {"match": {"class": "crane", "tries": 1}, "reply": "A heron is gray."}
    named = {"match": {"class": "crane"}, "reply": "Tower cranes are yellow."}
    server.script([bird, named])
    generate(server, vocab="v.json", code=0)
    first, second = requests_of(server, "crane")
    assert "a crane (the lifting machine)" in first["prompt"]
    assert "the lifting machine" in second["prompt"]
    assert described()[0, "color"] == "Tower cranes are yellow."


# -- one request for a class -------------------------------------------------------------

THREE = "color,size,shape"


@both
def test_one_request_for_a_class(server, generate, provider):
    classes("zebra", "cat", "dog", "bus", "cow")
    server.script(
        [
            {"match": {"class": "cat", "tries": 1}, "replies": {"size": "A llama is tall."}},
            {"match": {"class": "dog", "tries": 1}, "omit": ["shape"]},
            {"match": {"class": "bus", "tries": 1}, "reply": "A bus is red, big and long."},
            {"match": {"class": "cow"}, "replies": {"color": "A llama is brown."}},
        ]
    )
    generate(server, "--per-call", "class", provider=provider, attribute=THREE, code=3)
    whats = {name: [c["prompt"] for c in requests_of(server, name)] for name in ("cat", "dog")}
    assert len(requests_of(server, "zebra")) == 1
    assert '"color", "size", "shape"' in whats["cat"][0] and len(whats["cat"]) == 2
    assert "it does not name cat" in whats["cat"][1] and "color" not in whats["cat"][1]
    assert len(whats["dog"]) == 2 and "size" not in whats["dog"][1]
    assert len(requests_of(server, "bus")) == 2 and len(requests_of(server, "cow")) == 3
    assert len(described()) == 14 and len(server.requests()) == len(attempts()) == 10
    (failed,) = (row for row in descriptions() if row["status"] == "failed")
    assert (failed["class_index"], failed["attribute"]) == (4, "color")
    assert [json.loads(row["attributes"]) for row in attempts_of(0)] == [THREE.split(",")]
    whole()
    server.script()
    generate(server, "--per-call", "class", "--retry-errors", provider=provider,
             attribute=THREE, code=0)  # fmt: skip
    assert len(server.requests()) == 11 and server.requests()[-1]["cell"]["attribute"] == "color"


def test_a_server_without_structured_output(server, generate):
    classes("zebra", "cat")
    no = {"status": 400, "message": "response_format is not supported.", "param": "response_format"}
    server.script([{"match": {"parameter": "response_format"}, **no}])
    generate(server, "--per-call", "class", attribute=THREE, code=0)
    assert len(described()) == 6
    kinds = [(c["parameters"].get("response_format") or {}).get("type") for c in server.requests()]
    assert kinds == ["json_schema", "json_object", None, None]  # never what was refused


def test_a_parameter_that_the_model_does_not_take(server, generate):
    classes("zebra", "cat")
    message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    no = {"status": 400, "message": message, "param": "max_tokens", "code": "unsupported_parameter"}
    server.script([{"match": {"parameter": "max_tokens"}, **no}])
    generate(server, code=0)
    names = [set(c["parameters"]) & {"max_tokens", "max_completion_tokens"}
             for c in server.requests()]  # fmt: skip
    assert names == [{"max_tokens"}, {"max_completion_tokens"}, {"max_completion_tokens"}]


def test_own_template(server, generate):
    classes("zebra", "cat")
    Path("mine.j2").write_text("Tell me of {{ class_name }}: {{ attribute }}!")
    server.script(query=r"Tell me of (?P<class>\w+): (?P<attribute>\w+)!")
    generate(server, "--template", "mine.j2", code=0)
    assert server.requests()[0]["prompt"] == "Tell me of zebra: color!"
    hashes = {row["template_hash"] for row in (*attempts(), *descriptions())}
    (template,) = rows("SELECT * FROM templates WHERE name LIKE '%mine%'")
    assert hashes == {template["hash"]}
    Path("evil.j2").write_text("{{ ''.__class__.__mro__ }}")
    generate(server, "--template", "evil.j2", "--redo", code=2)
    assert len(server.requests()) == 2


def test_what_each_was_served_by(server, generate):
    classes("zebra")
    server.script([{"served_model": "test-model-2031"}])
    generate(server, "--temperature", "0.5", code=0)
    (attempt,) = attempts()
    assert (attempt["asked_model"], attempt["served_model"]) == ("test-model", "test-model-2031")
    assert json.loads(attempt["parameters"])["temperature"] == 0.5
    assert attempt["request_id"] and attempt["started_at"].endswith("Z")
    assert server.requests()[0]["parameters"]["temperature"] == 0.5
