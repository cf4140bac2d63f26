"""OpenAI's protocol further: what a model does not take, reasoning models, the Batch API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripted_http import CUT, Scripted, answer, with_server

from lsmseg_prompts.errors import ConfigurationError, ProviderError
from lsmseg_prompts.llm import Reply, Request
from lsmseg_prompts.llm.batches import Sought
from lsmseg_prompts.llm.capabilities import Capabilities
from lsmseg_prompts.llm.dashscope import DashScope
from lsmseg_prompts.llm.errors import Passing
from lsmseg_prompts.llm.openai import OpenAIChat
from lsmseg_prompts.llm.openai_batches import OpenAIBatches

T = TypeVar("T")
KEY = "sk-test-0123456789"
GOOD = {"choices": [{"message": {"content": "Stripes."}, "finish_reason": "stop"}]}
ASK = Request(
    "What?",
    system="Be brief.",
    max_output_tokens=100,
    schema={"type": "object"},
    parameters={"temperature": 0.5, "seed": 1},
)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "DASHSCOPE_API_KEY", "LSMSEG_PROMPTS_KEY"):
        monkeypatch.setenv(name, KEY)


def with_llm(script: list[Any], use: Callable[[OpenAIChat], Awaitable[T]]) -> tuple[T, Scripted]:
    async def main(server: Scripted) -> tuple[T, Scripted]:
        llm = OpenAIChat("openai/m", "m", f"{server.address}/v1", timeout=10)
        try:
            return await use(llm), server
        finally:
            await llm.close()

    return with_server(script, main)


def no(message: str, param: str | None = None, code: str | None = None, status: int = 400) -> bytes:
    return answer({"error": {"message": message, "param": param, "code": code}}, status)


def ask_until_done(refusals: list[bytes], request: Request = ASK) -> tuple[list[Reply], list[Any]]:
    """The replies, and the bodies sent, until a reply is not "adapted"."""

    async def use(llm: OpenAIChat) -> list[Reply]:
        replies = [await llm.complete(request)]
        while replies[-1].error_scope == "adapted":
            replies.append(await llm.complete(request))
        return replies

    replies, server = with_llm([*refusals, answer(GOOD)], use)
    return replies, [call.body for call in server.calls]


# -- what the model does not take ----------------------------------------------------------------

MAX = "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
REFUSALS = [
    (no(MAX + "'max_completion_tokens' instead.", "max_tokens", "unsupported_parameter"),
     {"max_tokens"}, {"max_completion_tokens"}),
    (no(MAX + "'max_completion_tokens' instead."), {"max_tokens"}, {"max_completion_tokens"}),
    (no("Unsupported value: 'temperature' does not support 0.5 with this model. Only the "
        "default (1) value is supported.", "temperature", "unsupported_value"),
     {"temperature"}, set()),
    (no("Unrecognized request argument supplied: seed"), {"seed"}, set()),
    (no("[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra inputs are not "
        "permitted'}]", status=422), {"seed"}, set()),
]  # fmt: skip


@pytest.mark.parametrize(("refusal", "gone", "new"), REFUSALS)
def test_a_parameter_is_left_out(refusal: bytes, gone: set[str], new: set[str]) -> None:
    replies, bodies = ask_until_done([refusal])
    assert [r.error_scope for r in replies] == ["adapted", None]
    assert set(bodies[0]) - set(bodies[1]) == gone and set(bodies[1]) - set(bodies[0]) == new


def test_neither_name_of_the_limit_is_taken() -> None:
    replies, bodies = ask_until_done(
        [no("max_tokens is not supported"), no("max_completion_tokens: unknown parameter")]
    )
    assert [r.error_scope for r in replies] == ["adapted", "adapted", None]
    assert not {"max_tokens", "max_completion_tokens"} & set(bodies[2])


def test_json_is_asked_for_ever_less_strictly() -> None:
    replies, bodies = ask_until_done(
        [
            no("Invalid parameter: 'response_format' of type 'json_schema' is not supported"),
            no("'messages' must contain the word 'json' in some form, to use 'response_format' "
               "of type 'json_object'.", "messages"),
        ]
    )  # fmt: skip
    assert replies[-1].text == "Stripes."
    kinds = [body.get("response_format", {}).get("type") for body in bodies]
    assert kinds == ["json_schema", "json_object", None]


@pytest.mark.parametrize(
    "refusal",
    [
        no("Unsupported value: 'messages[0].role' does not support 'system' with this model.",
           "messages[0].role", "unsupported_value"),
        no("System role not supported", status=500),
    ],
)  # fmt: skip
def test_the_system_message_moves_into_the_first_question(refusal: bytes) -> None:
    replies, bodies = ask_until_done([refusal])
    assert replies[-1].text == "Stripes."
    assert bodies[1]["messages"] == [{"role": "user", "content": "Be brief.\n\nWhat?"}]


def test_qwen3_is_told_not_to_think() -> None:
    message = "parameter.enable_thinking must be set to false for non-streaming calls"
    replies, bodies = ask_until_done([no(message)])
    assert replies[-1].text and "enable_thinking" not in bodies[0]
    assert bodies[1]["enable_thinking"] is False


@pytest.mark.parametrize(
    "refusal",
    [
        no("max_tokens is too large: 100. This model supports at most 50 tokens."),
        no("This model's maximum context length is 10 tokens.", code="context_length_exceeded"),
        no("temperature must be between 0 and 2", "temperature"),
        no("Your prompt was rejected.", code="content_policy_violation"),
        no("tools are not supported"),
    ],
)
def test_other_refusals_change_nothing(refusal: bytes) -> None:
    replies, _ = ask_until_done([refusal])
    assert [r.error_scope for r in replies] == ["cell"]


def test_questions_on_their_way_are_asked_again_too() -> None:
    """The second refusal of what is left out already changes nothing but the reply."""
    refusal = no("'response_format' json_schema is not supported")

    async def use(llm: OpenAIChat) -> list[Reply]:
        first = await asyncio.gather(llm.complete(ASK), llm.complete(ASK))
        return [*first, await llm.complete(ASK)]

    replies, server = with_llm([refusal, refusal, answer(GOOD)], use)
    assert [r.error_scope for r in replies] == ["adapted", "adapted", None]
    assert server.calls[2].body["response_format"] == {"type": "json_object"}


@given(st.lists(st.sampled_from([*"abc", "max_tokens", "response_format", "json", "system role"])))
def test_learning_ends(order: list[str]) -> None:
    """Whatever is refused, each refusal takes something away, so it cannot go on for ever."""
    llm = OpenAIChat("openai/m", "m", "http://localhost/v1")
    request = Request(
        "q", system="s", max_output_tokens=9, schema={}, parameters=dict.fromkeys("abc", 1)
    )
    sizes = []
    for name in order * 3:
        body = llm.body(request)
        if name == "max_tokens" and "max_completion_tokens" in body:
            name = "max_completion_tokens"
        if llm.capabilities.learn(400, {"error": f"{name} is not supported"}, body):
            sizes.append(len(json.dumps(llm.body(request))))
    assert len(sizes) <= 3 + 2 + 2 + 1


def test_dashscope_never_uses_openais_name_of_the_limit() -> None:
    llm = DashScope("qwen-max", "qwen-max")
    sent = llm.body(ASK)
    refusal = {"code": "InvalidParameter", "message": "Unsupported: max_tokens"}
    assert llm._learn(400, refusal, sent, 0)
    assert not {"max_tokens", "max_completion_tokens"} & set(llm.body(ASK))


def test_a_refusal_of_what_was_not_sent_is_no_adaptation() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "q"}]}
    assert not Capabilities("max_tokens").learn(400, {"error": "seed is not supported"}, body)
    assert not Capabilities("max_tokens").learn(400, {"error": "json_schema not supported"}, body)


def said(message: str, parameter: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "param": parameter}}


@pytest.mark.parametrize(
    "refusal",
    [
        said("'temperature' is not supported with reasoning_effort 'high'.", "temperature"),
        said("`temperature` may only be set to 1 when reasoning_effort is high."),
    ],
)
def test_of_two_parameters_the_one_that_is_meant_is_left_out(refusal: dict[str, Any]) -> None:
    sets: list[Any] = [{"reasoning_effort": "high"}]
    known = Capabilities("max_tokens", reasoning=sets, has_level=True)
    request = Request("q", parameters={"temperature": 0.5})
    sent = {"messages": [{"role": "user"}], **known.fitted(request).parameters}
    assert known.learn(400, refusal, sent)
    assert known.fitted(request).parameters == {"reasoning_effort": "high"}
    assert known.missed == {"temperature"}


def test_a_level_of_the_users_own_that_is_refused_is_left_out() -> None:
    known = Capabilities("max_tokens", reasoning=[{"reasoning_effort": "low"}], has_level=True)
    request = Request("q", parameters={"reasoning_effort": "xhigh"})
    sent = {"messages": [{"role": "user"}], **known.fitted(request).parameters}
    assert known.learn(400, said("Unsupported value.", "reasoning_effort"), sent)
    assert known.fitted(request).parameters == {} and known.missed == {"reasoning_effort"}


@pytest.mark.parametrize("name", ["model", "messages"])
def test_what_every_question_needs_is_never_left_out(name: str) -> None:
    sent = {"model": "m", "messages": [{"role": "user"}], "top_p": 1}
    assert not Capabilities("max_tokens").learn(400, said("It is not supported.", name), sent)


def test_a_limit_under_another_name_is_not_missed() -> None:
    known = Capabilities("max_tokens")
    request = Request("q", max_output_tokens=256, parameters={"max_tokens": 500})
    sent = {"messages": [{"role": "user"}], "max_tokens": 500}
    assert known.learn(400, said("max_tokens is not supported.", "max_tokens"), sent)
    assert known.fitted(request).max_output_tokens == 500 and not known.missed


# -- room ----------------------------------------------------------------------------------------


def test_at_openai_the_newer_name_of_the_limit_is_used() -> None:
    body = OpenAIChat("gpt-4", "gpt-4").body(ASK)
    assert body["max_completion_tokens"] == 100 and "max_tokens" not in body


@pytest.mark.parametrize("model", ["o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5-mini", "gpt-5.1"])
def test_models_that_are_known_to_think_get_room_from_the_start(model: str) -> None:
    llm = OpenAIChat(model, model)
    fitted = llm.fitted(ASK)
    assert (fitted.max_output_tokens, fitted.room) == (100 + 4096, 4096)
    assert llm.fitted(fitted) is fitted
    assert llm.body(ASK)["max_completion_tokens"] == 4196


@pytest.mark.parametrize(
    ("question", "room", "refusals"), [(300, 2048, 1), (3000, 512, 3), (5000, 0, 4)]
)
def test_a_context_that_is_too_short_takes_the_room(
    question: int, room: int, refusals: int
) -> None:
    """The numbers that such a refusal names count the question too: none of them is the most."""
    known, count = Capabilities("max_tokens", room=4096), 0
    while True:
        request = known.fitted(Request("q", max_output_tokens=256))
        most = request.max_output_tokens or 0
        message = (
            f"This model's maximum context length is 4096 tokens. However, you requested "
            f"{question + most} tokens ({question} in the messages, {most} in the completion)."
        )
        sent = {"messages": [{"role": "user"}], "max_tokens": most}
        fits = question + most <= 4096
        if fits or not known.learn(400, said(message), sent, request.room or 0):
            break
        count += 1
    assert (known.room, count) == (room, refusals)
    if not fits:  # which is no reason to cut what others answer
        assert known.fitted(Request("q", max_output_tokens=2016)).max_output_tokens == 2016


@pytest.mark.parametrize("model", ["gpt-4", "gpt-4o", "gpt-5-chat-latest", "olmo-7b"])
def test_others_get_what_is_asked(model: str) -> None:
    assert OpenAIChat(model, model).fitted(ASK).max_output_tokens == 100


@pytest.mark.parametrize(
    ("more", "tokens"),
    [
        ({}, (10, 20)),
        ({"total_tokens": 30}, (10, 20)),
        ({"total_tokens": 130}, (10, 120)),  # Gemini: thoughts in the total alone
        ({"completion_tokens_details": {"reasoning_tokens": 15}, "total_tokens": 30}, (10, 20)),
        ({"completion_tokens_details": {"reasoning_tokens": 100}, "total_tokens": 130}, (10, 120)),
        ({"completion_tokens_details": {"reasoning_tokens": 100}}, (10, 120)),
        ({"prompt_tokens_details": {"cached_tokens": 8}, "total_tokens": 30}, (10, 20)),
        ({"prompt_tokens_details": {"cached_tokens": 90}, "total_tokens": 120}, (100, 20)),
        ({"prompt_tokens": 0}, (None, None)),
        ({"completion_tokens": None, "total_tokens": 30}, (10, None)),
    ],
)
def test_thoughts_are_output_and_what_a_cache_held_is_input(
    more: dict[str, Any], tokens: tuple[int | None, int | None]
) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 20, **more}
    reply = OpenAIChat("gpt-4", "gpt-4").parse_body(200, GOOD | {"usage": usage})
    assert (reply.input_tokens, reply.output_tokens) == tokens


# -- the Batch API -------------------------------------------------------------------------------


def test_a_batch_from_upload_to_output(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "not-for-strangers")
    custom = "Authorization: not-for-strangers\nX-Gateway: not-for-strangers"
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", custom)

    async def use(llm: OpenAIChat) -> list[Any]:
        batches = OpenAIBatches(llm)
        return [
            await batches.upload_file("cells.jsonl", b'{"a": 1}\n'),
            await batches.create_batch("file-1", {"run": "7"}),
            await batches.retrieve_batch("batch-1"),
            await batches.list_batches(Sought("b", "2026-11-29T00:00:00.000Z", 1)),
            await batches.file_content("file-2"),
        ]

    batch = {"id": "batch-1", "status": "completed"}
    script = [
        answer({"id": "file-1"}), answer(batch), answer(batch),
        answer({"data": [batch, "x"]}), answer(b'{"custom_id": "1"}\n'),
    ]  # fmt: skip
    results, server = with_llm(script, use)
    assert results == ["file-1", batch, batch, [batch], b'{"custom_id": "1"}\n']
    assert [call.path for call in server.calls] == [
        "/v1/files", "/v1/batches", "/v1/batches/batch-1", "/v1/batches?limit=100",
        "/v1/files/file-2/content",
    ]  # fmt: skip
    assert not any("not-for-strangers" in call.headers.values() for call in server.calls)
    upload = server.calls[0]
    assert upload.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="purpose"\r\n\r\nbatch' in upload.data and b'{"a": 1}\n' in upload.data
    assert b'filename="cells.jsonl"' in upload.data
    assert server.calls[1].body == {
        "input_file_id": "file-1",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "metadata": {"run": "7"},
    }


@pytest.mark.parametrize(
    ("script", "raised", "words"),
    [
        (no(f"Bad key {KEY}", status=401), ConfigurationError, r"refused.*Bad key sk-\*\*\*"),
        (no("No such batch", status=404), ConfigurationError, "No such batch"),
        (no("Not for this model"), ConfigurationError, "Not for this model"),
        (no("No", code="insufficient_quota", status=429), ProviderError, "quota"),
        (answer({"error": {}}, 503, {"Retry-After": "3"}), Passing, "503"),
        (answer("slow", 429, {"Retry-After": "3"}), Passing, "slow"),
        (CUT, Passing, "cut the connection"),
        (answer("<html>"), Passing, "without JSON"),
        (answer({"object": "x"}), Passing, "lacks 'status'"),
    ],
)
def test_what_fails_beside_the_questions(script: Any, raised: type[Exception], words: str) -> None:
    async def use(llm: OpenAIChat) -> None:
        await OpenAIBatches(llm).retrieve_batch("batch-1")

    with pytest.raises(raised, match=words) as caught:
        with_llm([script], use)
    assert KEY not in str(caught.value)
    if isinstance(caught.value, Passing) and caught.value.reply.http_status in (429, 503):
        assert caught.value.reply.retry_after_seconds == 3


def test_the_lines_of_an_output_file_are_parsed_like_answers() -> None:
    llm = OpenAIChat("gpt-4", "gpt-4")
    reply = llm.parse_body(200, GOOD | {"model": "gpt-4-0613"})
    assert (reply.text, reply.served_model, reply.http_status) == ("Stripes.", "gpt-4-0613", 200)
    assert llm.parse_body(500, {"error": {"message": "x"}}).error_scope == "passing"
    assert llm.parse_body(200, "oops").error_class == "NotJSON"
