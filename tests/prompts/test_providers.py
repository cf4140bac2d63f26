"""What the two providers send, and what they make of every kind of answer.

Most tests run over both: what differs is the address, the shape of an answer and a few codes.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.provider_calls import ASK, BOTH, KEY, ask, bare_network, build, refused, said
from support.scripted_http import CUT, HANG, Scripted, answer, with_server

from lsmseg_prompts.errors import ConfigurationError
from lsmseg_prompts.llm import Reply
from lsmseg_prompts.llm.base import Image


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    bare_network(monkeypatch)


# -- a good answer -------------------------------------------------------------------------------


@BOTH
def test_a_good_answer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"x-request-id": "r-1"}
    [reply], server = ask(name, [answer(said(name), headers=headers)], monkeypatch)
    assert reply.text == "Black and white." and reply.error_scope is None
    assert (reply.input_tokens, reply.output_tokens, reply.http_status) == (9, 4, 200)
    assert reply.finish_reason == "stop" and reply.request_id == "r-1"
    assert reply.started_at and reply.duration_seconds is not None
    assert reply.asked_model == name.removeprefix("openai/")
    assert server.calls[0].headers["authorization"] == f"Bearer {KEY}"
    if name == "openai/m":
        assert reply.served_model == "m-2024"
        assert server.calls[0].path == "/v1/chat/completions"
        assert server.calls[0].body == {
            "model": "m", "messages": ASK.messages, "max_tokens": 100
        }  # fmt: skip
    else:
        assert server.calls[0].path == "/api/v1/services/aigc/text-generation/generation"
        assert server.calls[0].body == {
            "model": "qwen-max",
            "input": {"messages": ASK.messages},
            "parameters": {"max_tokens": 100, "result_format": "message"},
        }


@BOTH
def test_parameters_history_and_schema_are_sent(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    request = replace(
        ASK, system="Be brief.", history=(("q", "a"),), parameters={"temperature": 0.5},
        schema={"type": "object", "title": "all of them"},
    )  # fmt: skip
    _, server = ask(name, [answer(said(name))], monkeypatch, request)
    body = server.calls[0].body
    sent = body if name == "openai/m" else {**body["input"], **body["parameters"]}
    assert [m["role"] for m in sent["messages"]] == ["system", "user", "assistant", "user"]
    assert sent["temperature"] == 0.5
    if name == "openai/m":
        schema = {"name": "all_of_them", "strict": True, "schema": request.schema}
        assert sent["response_format"] == {"type": "json_schema", "json_schema": schema}
    else:
        assert sent["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("name", ["openai/m", "qwen-vl-max", "qwen-max"])
def test_pictures_go_along(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    request = replace(ASK, images=(Image("image/png", b"\x89P"), Image("image/jpeg", b"\xff")))
    content = "Stripes." if name == "openai/m" else [{"text": "Stripes."}]
    [reply], server = ask(name, [answer(said(name, content))], monkeypatch, request)
    assert reply.text == "Stripes."
    call = server.calls[0]
    if name == "openai/m":
        parts = call.body["messages"][0]["content"]
        assert parts[0] == {"type": "text", "text": ASK.prompt}
        assert parts[1]["image_url"]["url"] == "data:image/png;base64,iVA="
    else:
        assert call.path == "/api/v1/services/aigc/multimodal-generation/generation"
        parts = call.body["input"]["messages"][0]["content"]
        assert parts[0] == {"image": "data:image/png;base64,iVA="}
        assert parts[2] == {"text": ASK.prompt}


def test_a_prompt_that_is_the_name_of_a_file_is_not_uploaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("secret").write_text("mine")
    [reply], server = ask(
        "qwen-vl-max", [answer(said("qwen"))], monkeypatch, replace(ASK, prompt="secret")
    )
    assert reply.text and [c.path for c in server.calls] == [server.calls[0].path]
    assert server.calls[0].body["input"]["messages"][0]["content"] == [{"text": "secret"}]


@BOTH
@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("", ""),
        ([{"type": "text", "text": "Black "}, {"text": "and white."}, {"type": "x"}], None),
        (7, ""),
        ("\ud83d alone, \u00e9", "\ufffd alone, \u00e9"),
    ],
)
def test_contents_of_every_kind(
    name: str, content: Any, text: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    [reply], _ = ask(name, [answer(said(name, content))], monkeypatch)
    assert reply.text == ("Black and white." if text is None else text)
    assert reply.error_scope is None
    reply.text.encode()  # or no database takes it


def test_a_refusal_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    [reply], _ = ask("openai/m", [answer(said("", None, refusal="I can't."))], monkeypatch)
    assert reply.text is None and reply.refusal == "I can't." and reply.error_scope is None


@BOTH
def test_the_filter_cuts_an_answer_off(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    [reply], _ = ask(name, [answer(said(name, "Bla", "content_filter"))], monkeypatch)
    assert (reply.error_scope, reply.error_class) == ("cell", "ContentFilter")
    assert reply.text is None and reply.attempt_fields()["reply"] == "Bla" and reply.billed


@BOTH
def test_cut_off_by_length(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    [reply], _ = ask(name, [answer(said(name, "Bla", "length"))], monkeypatch)
    assert (reply.text, reply.finish_reason, reply.error_scope) == ("Bla", "length", None)


def streamed(*events: Any) -> bytes:
    lines = "".join(
        f"id:1\nevent:result\n:HTTP_STATUS/200\ndata:{json.dumps(e)}\n\n" for e in events
    )
    return answer(lines, headers={"Content-Type": "text/event-stream"})


def test_a_model_that_answers_in_pieces_only(monkeypatch: pytest.MonkeyPatch) -> None:
    no = refused("qwen", "InvalidParameter", "This model only support stream mode.")
    pieces = [said("qwen", "Black ", "null"), said("qwen", "and white.")]
    broken = {"code": "InternalError", "message": "Oh.", "request_id": "r-1"}
    script = [answer(no, 400), streamed(*pieces), streamed(pieces[0], broken), CUT]
    replies, server = ask("qwen-max", script, monkeypatch, times=4)
    assert [r.error_scope for r in replies] == ["adapted", None, "passing", "passing"]
    assert (replies[1].text, replies[1].finish_reason) == ("Black and white.", "stop")
    assert (replies[1].output_tokens, replies[1].request_id) == (4, "r-1")
    assert replies[3].error_class == "Reset" and len(server.calls) == 4
    assert server.calls[1].headers["x-dashscope-sse"] == "enable"


# -- answers that are none -----------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("<html><body>Welcome</body></html>", "NotJSON"),
        ('{"choices": [{"message": {"cont', "NotJSON"),
        (b"\xff\xfe\xfd", "NotJSON"),
        ("", "NotJSON"),
        ([], "NotJSON"),
        ("null", "NotJSON"),
        ("[" * 100_000, "NotJSON"),
        ({}, "NoChoices"),
        ({"choices": []}, "NoChoices"),
        ({"output": None, "choices": None}, "NoChoices"),
        ({"choices": ["x"], "output": {"choices": ["x"]}}, "NoChoices"),
        ({"choices": [{}], "output": {"choices": [{"message": None}]}, "usage": 3}, "NoChoices"),
    ],
)
def test_status_200_without_an_answer(
    name: str, body: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [reply], server = ask(name, [answer(body)], monkeypatch)
    assert (reply.error_scope, reply.error_class, reply.http_status) == ("passing", kind, 200)
    assert reply.text is None and reply.billed and reply.error_message
    assert len(server.calls) == 1


def test_an_error_with_status_200(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = [{"error": {"code": 429, "message": "slow down"}}, {"error": "overloaded"}]
    replies, _ = ask("openai/m", [answer(b) for b in bodies], monkeypatch, times=2)
    assert [r.error_scope for r in replies] == ["throttled", "passing"]


@BOTH
def test_a_truncated_body(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    [reply], server = ask(
        name, [answer('{"cho', headers={"Content-Length": "999999"})], monkeypatch
    )
    assert (reply.error_scope, reply.error_class) == ("passing", "Reset")
    assert reply.billed and len(server.calls) == 1


@BOTH
def test_a_cut_connection_is_not_asked_again_behind_our_back(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    [reply], server = ask(name, [CUT], monkeypatch)
    assert (reply.error_scope, reply.error_class, reply.billed) == ("passing", "Reset", True)
    assert len(server.calls) == 1
    assert capfd.readouterr() == ("", "")
    assert [r for r in caplog.records if r.name == "dashscope"] == []  # it would print them


@BOTH
def test_a_timeout_bounds_the_whole_call(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    [reply], server = ask(name, [HANG], monkeypatch, timeout=0.3)
    assert (reply.error_scope, reply.error_class, reply.billed) == ("passing", "Timeout", True)
    assert "--timeout" in (reply.error_message or "") and len(server.calls) == 1
    assert 0.2 < (reply.duration_seconds or 0) < 5


# -- statuses ------------------------------------------------------------------------------------

STATUSES = [
    ("openai/m", 401, "invalid_api_key", "setup"),
    ("openai/m", 403, "unsupported_country", "setup"),
    ("openai/m", 404, "model_not_found", "setup"),
    ("openai/m", 400, "model_not_found", "setup"),
    ("openai/m", 307, "", "setup"),
    ("openai/m", 402, "", "account"),
    ("openai/m", 400, "content_policy_violation", "cell"),
    ("openai/m", 400, "context_length_exceeded", "cell"),
    ("openai/m", 413, "", "cell"),
    ("openai/m", 422, "", "cell"),
    ("openai/m", 400, "billing_hard_limit_reached", "account"),
    ("openai/m", 429, "insufficient_quota", "account"),
    ("openai/m", 429, "billing_not_active", "account"),
    ("openai/m", 429, "account_deactivated", "account"),
    ("openai/m", 429, "rate_limit_exceeded", "throttled"),
    *(("openai/m", status, "", "passing") for status in (408, 409, 425, 500, 502, 503, 504, 529)),
    ("qwen-max", 400, "DataInspectionFailed", "cell"),
    ("qwen-max", 400, "data_inspection_failed", "cell"),
    ("qwen-max", 400, "InvalidParameter", "cell"),
    ("qwen-max", 400, "Arrearage", "account"),
    ("qwen-max", 401, "InvalidApiKey", "setup"),
    ("qwen-max", 403, "AccessDenied.Unpurchased", "setup"),
    ("qwen-max", 403, "AllocationQuota.FreeTierOnly", "account"),
    ("qwen-max", 404, "ModelNotFound", "setup"),
    ("qwen-max", 429, "Throttling.RateQuota", "throttled"),
    ("qwen-max", 429, "Throttling.AllocationQuota", "throttled"),
    *(("qwen-max", status, "InternalError", "passing") for status in (408, 500, 503)),
]


@pytest.mark.parametrize(("name", "status", "code", "scope"), STATUSES)
def test_statuses(
    name: str, status: int, code: str, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = refused(name, code, f"It said {KEY} no.")
    headers = {"Retry-After": "7", "Location": "/elsewhere"}
    [reply], server = ask(name, [answer(body, status, headers)], monkeypatch)
    assert (reply.error_scope, reply.http_status) == (scope, status)
    assert reply.text is None and not reply.billed and reply.error_class
    assert "It said sk-*** no." in (reply.error_message or "") and KEY not in str(reply)
    waits = scope in ("passing", "throttled", "account")
    assert reply.retry_after_seconds == (7 if waits else None)
    assert len(server.calls) == 1


@BOTH
@pytest.mark.parametrize("body", ["<h1>Bad gateway</h1>", "", {}, [], {"error": "busy"}])
def test_error_bodies_of_every_kind(name: str, body: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    [reply], _ = ask(name, [answer(body, 503)], monkeypatch)
    assert (reply.error_scope, reply.http_status) == ("passing", 503)


def test_insufficient_quota_is_a_throttle_in_dashscopes_compatible_mode(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    llm = build("openai/qwen-max", "https://dashscope.aliyuncs.com/compatible-mode", monkeypatch)
    body = refused("openai", "insufficient_quota")
    assert llm.parse_body(429, body).error_scope == "throttled"


def test_dashscopes_compatible_mode_takes_dashscopes_key(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = build("openai/qwen-max", "https://dashscope.aliyuncs.com/compatible-mode", monkeypatch)
    with pytest.raises(ConfigurationError, match="DASHSCOPE_API_KEY"):
        llm.check()


@BOTH
def test_half_a_surrogate_pair_can_be_asked_about(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [reply], server = ask(name, [answer(said(name))], monkeypatch, replace(ASK, prompt="\ud83d?"))
    assert reply.text and "\ufffd?" in str(server.calls[0].body)


# -- before the first call -----------------------------------------------------------------------


@BOTH
def test_check_names_what_is_missing(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    llm = build(name, "https://api.openai.com", monkeypatch)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    llm.check()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    with pytest.raises(ConfigurationError, match=r"SSL_CERT_FILE=.*missing\.pem"):
        llm.check()
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigurationError, match="There is no key"):
        llm.check()


def test_a_server_of_ones_own_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LSMSEG_PROMPTS_KEY")
    [reply], server = ask("openai/m", [answer(said(""))], monkeypatch)
    assert reply.text and server.calls[0].headers["authorization"] == "Bearer no-key-needed"


@BOTH
def test_a_key_in_the_clear_is_noted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for address, notes in (("http://far.example", 1), ("https://far.example", 0)):
        llm = build(name, address, monkeypatch)
        llm.check()
        assert len(llm.notes()) == notes


@BOTH
def test_a_key_in_the_reply_is_masked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    [reply], _ = ask(name, [answer(said(name, f"Your key is {KEY}."))], monkeypatch)
    assert reply.text == "Your key is sk-***."


@BOTH
def test_one_llm_serves_several_event_loops(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    async def use(server: Scripted) -> Reply:
        llm = made[0] if made else build(name, server.address, monkeypatch)
        made.append(llm)
        llm._url = llm._url.replace(llm._url.split("/")[2], server.address.split("/")[2])
        return await llm.complete(ASK)

    for _ in range(2):
        assert with_server([answer(said(name))], use).text == "Black and white."
