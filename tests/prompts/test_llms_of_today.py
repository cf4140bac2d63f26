"""What models and providers have become, in the command: thoughts, refusals, errors, keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.generating import (
    KEY,
    attempts,
    classes,
    described,
    descriptions,
    rows,
    summary,
    whole,
)

from lsmseg_prompts.llm.base import Reply

both = pytest.mark.parametrize("provider", ["openai", "dashscope"])
MANY = (
    "zebra", "cat", "dog", "bus", "boat", "bird", "cow", "horse", "sheep", "bear", "mouse", "clock",
)  # fmt: skip


def sentences() -> list[str]:
    """The descriptions, none of which may hold a thought."""
    texts = list(described().values())
    assert not any("think" in text or "Hmm" in text or "may be a horse" in text for text in texts)
    return texts


# -- models that think -------------------------------------------------------------------


@both
@pytest.mark.parametrize("form", ["field", "inline", "unopened"])
def test_thoughts_never_become_a_description(server, generate, provider, form):
    classes("zebra", "cat", "dog")
    server.script([{"thinks": {"tokens": 90, "as": form}}])
    generate(server, provider=provider, code=0)
    assert len(sentences()) == 3 and len(server.requests()) == 3
    kept = [row["thoughts"] if form == "field" else row["reply"] for row in attempts()]
    assert all("may be a horse" in text for text in kept)  # raw, on the attempt
    used = [row["reasoning_tokens"] for row in attempts()]
    assert used == ([90] * 3 if form == "field" else [None] * 3)
    whole()


@pytest.mark.parametrize(
    ("text", "thinks"),
    [
        ("A zebra.", False), ("A zebra.<|im_end|>", False),
        ("<think>\n\n</think>\nA zebra.", False), ("<|channel|>final<|message|>A zebra.", False),
        ("<think>Hm.</think>A zebra.", True), ("Hm.</think>A zebra.", True),
        ("A zebra.[THINK]Hm.", True),
    ],
)  # fmt: skip
def test_marks_with_nothing_between_them_are_no_thoughts(text, thinks):
    reply = Reply(text, "m")
    assert reply.said.strip() == "A zebra." and reply.thinks is thinks


@both
@pytest.mark.parametrize("form", ["field", "inline"])
def test_room_for_thoughts_is_learnt_once_for_the_run(server, generate, provider, form):
    """Under any name: the first reply tells, and no cell pays for it again."""
    classes(*MANY)
    server.script([{"thinks": {"tokens": 3000, "as": form}}])
    generate(server, "-j", "8", provider=provider, code=0)
    calls = server.requests()
    assert len(sentences()) == len(MANY) and len(calls) == len(MANY) + 1
    limits = [c["parameters"].get("max_tokens") for c in calls]
    assert limits == [256, *[256 + 4096] * len(MANY)]
    first = attempts()[0]
    assert first["error_class"] == "OnlyThoughts" and "more room" in first["verdict"]
    whole()


@both
def test_thoughts_alone_that_end_below_the_limit_need_no_more_room(server, generate, provider):
    """They get room once; from then on they are asked for again as they were."""
    classes(*MANY)
    odd = {"thinks": {"tokens": 50}, "reply": ""}
    server.script([{"match": {"class": ["cat", "dog", "bus"], "nth": 1}, **odd}])
    generate(server, "-j", "1", provider=provider, code=0)
    assert len(sentences()) == len(MANY) and len(server.requests()) == len(MANY) + 3
    assert {c["parameters"]["max_tokens"] for c in server.requests()} == {256, 256 + 4096}


@both
def test_a_model_that_never_ends_stops_the_run(server, generate, provider):
    """Not 513 paid requests for 171 cells: exit 7, and nothing is filed as failed."""
    classes(*(f"{a} {b}" for a in MANY for b in ("lamp", "tree", "car")))
    server.script([{"finish_reason": "max_tokens", "reply": "The {class} is a thing with a"}])
    outcome = generate(server, "-j", "4", provider=provider, code=7)
    assert "does not get to the end of its replies: 5 of the first" in outcome.err
    assert "max_tokens" in outcome.err and "--reasoning off" in outcome.err
    assert len(server.requests()) <= 24 and descriptions() == []
    server.reset()
    generate(server, provider=provider, code=0)  # the same command goes on
    assert len(described()) == 3 * len(MANY)
    whole()


@both
def test_thoughts_alone_at_every_limit_stop_the_run_too(server, generate, provider):
    classes(*MANY)
    server.script([{"thinks": {"tokens": 10**6}}])
    outcome = generate(server, "-j", "4", provider=provider, code=7)
    assert "33024 output tokens" in outcome.err or "33280" in outcome.err, outcome.err
    assert descriptions() == []


@both
@pytest.mark.parametrize("finish", ["max_tokens", "model_length", "MAX_TOKENS", "something_new"])
def test_an_unknown_end_is_a_cut(server, generate, provider, finish):
    classes("zebra")
    server.script(
        [{"times": 1, "finish_reason": finish, "reply": "A {class} has black and white."}]
    )
    generate(server, provider=provider, code=0)
    assert len(server.requests()) == 2 and "white." not in sentences()[0]


@both
@pytest.mark.parametrize("finish", ["end_turn", "eos", "COMPLETE"])
def test_a_known_end_is_whole(server, generate, provider, finish):
    classes("zebra")
    server.script([{"finish_reason": finish}])
    generate(server, provider=provider, code=0)
    assert len(server.requests()) == 1 and len(described()) == 1


@both
def test_reasoning_is_switched_off_in_the_providers_terms(server, generate, provider):
    classes("zebra", "cat")
    off: dict[str, Any] = {"enable_thinking": False}
    if provider == "openai":
        off = {"reasoning_effort": "none"}
        strict = {"match": {"parameter": "chat_template_kwargs"}, "status": 400, "message":
                  "Unrecognized request argument supplied: chat_template_kwargs"}  # fmt: skip
    rule = {"thinks": {"tokens": 3000, "effort": off}}
    server.script([strict, rule] if provider == "openai" else [rule])
    generate(server, "--reasoning", "off", "-j", "1", provider=provider, code=0)
    assert [c["status"] for c in server.requests()][-2:] == [200, 200]
    assert all(off.items() <= call["parameters"].items() for call in server.requests()[-2:])
    assert [row["reasoning_tokens"] for row in attempts()][-2:] == [None, None]


@both
def test_a_level_that_is_not_taken_ends_the_run(server, generate, provider):
    classes("zebra", "cat")
    names = ["reasoning_effort", "chat_template_kwargs", "enable_thinking"]
    server.script(
        [
            {"match": {"parameter": name}, "status": 400, "message": f"Unsupported: '{name}'."}
            for name in names
        ]
    )
    said = generate(server, "--reasoning", "high", provider=provider, code=4).err
    assert "does not take --reasoning high" in said and "with -o" in said
    assert descriptions() == [] and len(server.requests()) <= 3


@both
def test_any_parameter_and_a_system_message_go_along(server, generate, provider):
    classes("zebra")
    Path("who.txt").write_text("You describe things for the blind.\n")
    words = '-o top_p=0.9 -o stop=["\\n"] -o user=me --system who.txt'
    generate(server, *words.split(), provider=provider, code=0)
    (call,) = server.requests()
    sent = call["parameters"]
    assert (sent["top_p"], sent["stop"], sent["user"]) == (0.9, ["\n"], "me")
    assert call["messages"] == 2
    (row,) = attempts()
    assert row["system"] == "You describe things for the blind."
    assert '"top_p": 0.9' in row["parameters"]


@both
def test_what_a_model_does_not_take_is_left_out_and_said(server, generate, provider):
    classes("zebra", "cat", "dog")
    refusal = {"match": {"parameter": "temperature"}, "status": 400}
    server.script(
        [{**refusal, "message": "Unsupported parameter: 'temperature' is not supported."}]
    )
    outcome = generate(server, "--temperature", "0.3", "-j", "1", provider=provider, code=0)
    assert "does not take temperature: that had no effect" in outcome.err
    assert [c["status"] for c in server.requests()] == [400, 200, 200, 200]
    assert "temperature" not in attempts()[-1]["parameters"]


def test_however_many_parameters_are_refused_one_by_one(server, generate):
    classes("zebra", "cat")
    names = [f"knob_{number}" for number in range(7)]
    said = "Unrecognized request argument supplied: "
    server.script(
        {"match": {"parameter": name}, "status": 400, "message": said + name} for name in names
    )
    generate(server, *(f"-o{name}=1" for name in names), "-j", "1", code=0)
    assert [c["status"] for c in server.requests()] == [400] * 7 + [200] * 2


@both
def test_texts_that_were_asked_for_otherwise_are_told(server, generate, provider):
    """One name, two ways of asking: the set is not mixed in silence."""
    classes("zebra", "cat", "dog")
    said = "of its texts in the store were asked for otherwise"
    assert said not in generate(server, "--limit", "1", provider=provider, code=0).err
    assert said not in generate(server, "--limit", "1", provider=provider, code=0).err
    warm = generate(server, "--temperature", "0.9", provider=provider, code=0).err
    assert f"2 {said} (no parameters): they stay" in warm
    again = generate(server, provider=provider, code=0).err
    assert f"1 {said} (temperature=0.9)" in again


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "top_p"], "not KEY=VALUE"), (["-o", "model=x"], "cannot set model"),
        (["-o", "a=1", "-o", "a=2"], "given twice"), (["-o", "result_format=text"], "cannot set"),
        *((["-o", f"max_tokens={odd}"], "number of tokens") for odd in ("null", "-1", "5e3", "x")),
    ],
)  # fmt: skip
def test_options_that_are_not_ones(server, generate, words, message):
    classes("zebra")
    assert message in generate(server, *words, code=2).err
    assert server.requests() == []


def test_an_output_limit_of_the_users_is_kept(server, generate):
    classes("zebra")
    server.script([{"thinks": {"tokens": 3000}}])
    generate(server, "-o", "max_tokens=100", code=3)
    assert {c["parameters"]["max_tokens"] for c in server.requests()} == {100}


def test_a_context_that_a_doubled_limit_does_not_fit_in(server, generate):
    """After a cut the limit doubles; a model whose context is less is asked with what fits."""
    classes("zebra")
    refusal = "max_tokens=512 cannot be greater than max_model_len=400. Request fewer."
    server.script(
        [
            {"match": {"n": [1, 2]}, "finish_reason": "length", "reply": "A {class} has black"},
            {"match": {"n": 3}, "status": 400, "message": refusal.replace("512", "1024")},
        ]
    )
    generate(server, code=0)
    limits = [call["parameters"]["max_tokens"] for call in server.requests()]
    assert limits == [256, 512, 1024, 400] and len(described()) == 1


@pytest.mark.parametrize(
    "reply",
    [
        "The user asks about the {attribute} of a {class}, so I describe it.",
        "We need to describe a {class} by its {attribute}: black and white.",
        "Let me think about the {attribute} of a {class} in black and white.",
    ],
)
def test_talk_of_the_question_is_not_a_description(server, generate, reply):
    classes("zebra")
    server.script([{"times": 1, "reply": reply}])
    generate(server, code=0)
    assert len(server.requests()) == 2 and "user" not in sentences()[0]
    assert "about the question" in attempts()[0]["verdict"]


# -- errors read for what they are -------------------------------------------------------

CREDIT = {
    "type": "error",
    "error": {
        "type": "invalid_request_error",
        "message": "Your credit balance is too low to access the Anthropic API. Please go to "
        "Plans & Billing to upgrade or purchase credits.",
    },
}


def test_no_credit_is_the_accounts(server, generate):
    classes(*MANY)
    server.script([{"match": {"from": 4}, "status": 400, "error_body": CREDIT}])
    outcome = generate(server, "-j", "2", code=5)
    assert "credit balance is too low" in outcome.err and len(server.requests()) <= 6
    assert all(row["status"] == "done" for row in descriptions())
    server.reset()
    generate(server, code=0)
    assert len(described()) == len(MANY)
    whole()


@both
@pytest.mark.parametrize("begin", [1, 4])
def test_the_same_refusal_again_and_again_stops_the_run(server, generate, provider, begin):
    classes(*MANY)
    rule = {"status": 400, "message": "This tier may not use it.", "code": "tier"}
    server.script([{"match": {"from": begin}, **rule}])
    outcome = generate(server, "-j", "2", provider=provider, code=5)
    assert "refuses every request (5 in a row)" in outcome.err and "tier may not" in outcome.err
    assert len(server.requests()) <= begin + 6
    assert all(row["status"] == "done" for row in descriptions())
    server.reset()
    generate(server, provider=provider, code=0)
    assert len(described()) == len(MANY)
    whole()


@both
def test_a_refusal_among_answers_is_the_cells(server, generate, provider):
    classes(*MANY)
    server.script([{"match": {"class": "bus"}, "status": 400, "message": "No buses."}])
    outcome = generate(server, "-j", "1", provider=provider, code=3)
    assert "bus" in outcome.err and "No buses" in outcome.err
    assert [row["status"] for row in descriptions()].count("failed") == 1
    assert len(described()) == len(MANY) - 1


GOOGLE_KEY = [{"error": {
    "code": 400, "message": "API key not valid. Please pass a valid API key.",
    "status": "INVALID_ARGUMENT",
    "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
}}]  # fmt: skip
GOOGLE_RATE = [{"error": {
    "code": 429, "message": "You exceeded your current quota, please check your plan and billing.",
    "status": "RESOURCE_EXHAUSTED",
    "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.4s"}],
}}]  # fmt: skip


def test_googles_errors_are_read(server, generate):
    classes("zebra")
    server.script([{"status": 400, "error_body": GOOGLE_KEY}])
    said = generate(server, code=4).err
    assert "API key not valid" in said and "[{" not in said and len(server.requests()) == 1
    server.reset([{"times": 1, "status": 429, "error_body": GOOGLE_RATE}])
    generate(server, code=0)
    first, second = server.requests()
    assert second["received"] - first["sent"] >= 0.3  # as long as it asked for


@both
def test_any_2xx_is_success(server, generate, provider):
    classes("zebra")
    server.script([{"status": 201}])
    generate(server, provider=provider, code=0)
    assert len(server.requests()) == 1 and attempts()[0]["http_status"] == 201


def test_a_stream_that_nobody_asked_for_is_put_together(server, generate):
    classes("zebra", "cat")
    server.script([{"stream": True}])
    outcome = generate(server, "--json", code=0)
    assert summary(outcome)["done"] == 2 and len(server.requests()) == 2
    assert all(row["output_tokens"] for row in attempts())


def test_a_base_url_with_the_path_is_mended(server, generate):
    classes("zebra")
    outcome = generate(f"{server.url}/chat/completions", code=0)
    assert "/chat/completions at the end of the base URL is left out" in outcome.err


@both
def test_redirects_to_another_host_are_refused(server, generate, provider):
    classes("zebra")
    elsewhere = {"location": f"http://localhost:{server.port}/elsewhere"}
    server.script([{"match": {"n": 1}, "status": 307, "headers": elsewhere}])
    said = generate(server, provider=provider, code=4).err
    assert "is not the base URL" in said and len(server.requests()) == 1


def test_a_server_that_fails_on_a_model_it_does_not_have(server, generate):
    """As `transformers serve` does: not retried for a minute, but told."""
    classes("zebra")
    server.script([{"status": 500}], listed=["small", "large"])
    said = generate(server, code=4).err
    assert "does not list the model 'test-model': it has small, large" in said
    assert len(attempts()) == 2


@both
def test_dots_at_the_end_are_cleaned(server, generate, provider):
    classes("zebra")
    server.script([{"reply": "A {class} has black and white stripes\u2026"}])
    generate(server, provider=provider, code=0)
    assert sentences() == ["A zebra has black and white stripes."]
    assert len(server.requests()) == 1


# -- keys --------------------------------------------------------------------------------


def test_openais_key_is_openais_alone(server, generate):
    classes("zebra")
    env = {"OPENAI_API_KEY": KEY, "LSMSEG_PROMPTS_KEY": ""}
    server.reset(key=KEY)
    said = generate(server, env=env, code=4).err
    assert "OPENAI_API_KEY is not sent to" in said
    assert "wants a key: set LSMSEG_PROMPTS_KEY, or give --key-file" in said
    Path("key").write_text(KEY)
    generate(server, "--key-file", "key", env=env, code=0)
    generate(server, "--redo", env={"OPENAI_API_KEY": "x", "LSMSEG_PROMPTS_KEY": KEY}, code=0)
    assert rows("SELECT count(*) AS n FROM attempts WHERE http_status = 200")[0]["n"] == 2
