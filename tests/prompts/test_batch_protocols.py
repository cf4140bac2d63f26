"""The wire of the two batch protocols: lines, results, messages in Anthropic's own shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsmseg_prompts.llm import Request
from lsmseg_prompts.llm.anthropic_batches import AnthropicBatches, as_chat, native
from lsmseg_prompts.llm.batches import Sought, json_lines
from lsmseg_prompts.llm.openai import OpenAIChat
from lsmseg_prompts.llm.openai_batches import OpenAIBatches
from lsmseg_prompts.llm.registry import make_llm


@pytest.mark.parametrize("status", ["ok", None, True, 10**12, {}, [], "200", " 200 ", -3, 1.5])
def test_a_status_that_is_not_a_number(status: Any) -> None:
    service = OpenAIBatches(OpenAIChat("openai/m", "m", "http://127.0.0.1:9/v1"))
    body = {"choices": [{"message": {"content": "Stripes."}, "finish_reason": "stop"}]}
    line = {"custom_id": "0", "response": {"status_code": status, "body": body, "request_id": {}}}
    (result,) = service.results(json.dumps(line).encode())
    assert result is not None
    assert (result.status, result.body, result.request_id) == (200, body, None)
    line["response"] = {"status_code": status, "body": "?"}
    (result,) = service.results(json.dumps(line).encode())
    assert result is not None and result.status == (200 if "200" in str(status) else 500)


WORDS = st.sampled_from(
    ("choices", "message", "content", "usage", "prompt_tokens", "output_tokens", "error", "code",
     "type", "text", "thinking", "id", "model", "finish_reason", "stop_reason", "refusal",
     "details", "succeeded")
)  # fmt: skip
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(ANY, ANY, st.sampled_from([200, 400, 404, 429, 500, None]))
def test_no_result_is_too_odd_to_be_read(part: Any, other: Any, status: Any) -> None:
    """What comes of it is a reply, and a row of the store takes it."""
    llm = OpenAIChat("openai/m", "m", "http://127.0.0.1:9/v1")
    request = Request("q", max_output_tokens=9, parameters={"temperature": 1}, room=0)
    sent = {"temperature": 1, "messages": [{"role": "user"}]}
    chat = {"choices": [{"message": part, "finish_reason": other}], "usage": other, "model": part}
    for body in (part, chat, {"error": part}):
        answer = {"status_code": status, "body": body, "request_id": other}
        message = {"type": "succeeded", "message": {"content": [part], **chat}}
        error = {"type": "errored", "error": body}
        kinds = [("response", answer), ("result", message), ("result", error)]
        lines = [{"custom_id": "0", name: value} for name, value in kinds]
        data = "\n".join(map(json.dumps, lines)).encode()
        for service in (OpenAIBatches(llm), AnthropicBatches(llm)):
            for result in service.results(data):
                if result is not None and result.status is not None:
                    reply = llm.read_result(result.status, result.body, request, sent)
                    for value in (*reply.attempt_fields().values(), result.request_id):
                        assert value is None or isinstance(value, str | int | float)
                        assert not isinstance(value, int) or abs(value) < 1 << 63
                        str(value).encode()


def test_lines_hold_what_a_store_takes() -> None:
    data = '\ufeff{"a": "\\ud800", "n": 99999999999999999999}\n\n{"b": "x\u2028y"}\r\nnull\n'
    assert list(json_lines(data.encode())) == [{"a": "\ufffd", "n": None}, {"b": "x\u2028y"}, None]


def test_a_chat_question_as_a_message_and_back() -> None:
    body = {
        "model": "m", "max_completion_tokens": 9, "temperature": 0.5, "stop": "X", "seed": 1,
        "response_format": {"type": "json_object"}, "thinking": {"type": "enabled"},
        "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}],
    }  # fmt: skip
    assert native(body) == {
        "model": "m", "max_tokens": 9, "system": "S", "temperature": 0.5, "stop_sequences": ["X"],
        "thinking": {"type": "enabled"}, "messages": [{"role": "user", "content": "U"}],
    }  # fmt: skip
    llm = OpenAIChat("claude-x", "claude-x", "http://127.0.0.1:9/v1")
    message = {
        "model": "claude-x-1", "stop_reason": "end_turn",
        "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "A "},
                    {"type": "other"}, "?", {"type": "text", "text": "cat."}],
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 3},
    }  # fmt: skip
    reply = llm.parse_body(200, as_chat(message))
    assert (reply.text, reply.thoughts, reply.served_model) == ("A cat.", "Hm.", "claude-x-1")
    assert (reply.input_tokens, reply.output_tokens, reply.is_cut) == (7, 3, False)
    cut = llm.parse_body(200, as_chat({**message, "stop_reason": "max_tokens"}))
    refused = llm.parse_body(200, as_chat({"content": [], "stop_reason": "refusal"}))
    assert cut.is_cut and refused.refusal == "The model refused."
    for odd in (None, [], "x", {}, {"content": 3}):
        assert llm.parse_body(200, as_chat(odd)).error_scope == "passing"


def test_ids_of_requests() -> None:
    service = AnthropicBatches(OpenAIChat("claude-x", "claude-x", "http://127.0.0.1:9/v1"))
    name = service.custom_id(f"{'a' * 32}.{'b' * 8}", 99_999)
    assert name == f"{'a' * 32}-{'b' * 8}-99999" and len(name) <= 64


def test_azure_has_its_version_in_the_address() -> None:
    llm = make_llm("azure/d", "https://x.openai.azure.com/openai/v1")
    assert isinstance(llm, OpenAIChat)
    assert json.loads(OpenAIBatches(llm).line("0", {}))["url"] == "/chat/completions"


def test_which_batches_may_be_the_one_that_is_sought() -> None:
    sought = Sought("b", "2026-11-29T12:00:00.000Z", 1)
    assert [sought.may_be(t) for t in (None, 1796000000.0, 1700000000.0)] == [True, True, False]
