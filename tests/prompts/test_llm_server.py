"""The tests' LLM server, asked by the real SDKs: what it claims to do on the wire, it does."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import openai
import pytest
from llm_server.client import SERVER, TESTS, LLMServer, gaps
from llm_server.texts import ATTRIBUTES

from lsmseg_prompts.descriptions.lint import lint
from lsmseg_prompts.generation.stage1 import parse_attributes
from lsmseg_prompts.templates import query
from lsmseg_prompts.vocabularies import load_vocabulary

ZEBRA = query("describe-paper").render(class_name="zebra", attribute="color")
DASHSCOPE_PATH = "/api/v1/services/aigc/text-generation/generation"


@pytest.fixture
def server() -> Iterator[LLMServer]:
    with LLMServer() as running:
        yield running


def client(server: LLMServer, **options: Any) -> openai.OpenAI:
    options = {"api_key": "sk-test", "max_retries": 0, "timeout": 5, **options}
    return openai.OpenAI(base_url=server.url, **options)


def ask(server: LLMServer, prompt: str = ZEBRA, **more: Any) -> Any:
    messages = [{"role": "user", "content": prompt}]
    return client(server).chat.completions.create(model="gpt-4", messages=messages, **more)


def ask_dashscope(server: LLMServer, prompt: str = ZEBRA, **more: Any) -> Any:
    from dashscope import Generation

    messages = [{"role": "user", "content": prompt}]
    options = {"result_format": "message", "api_key": "sk-test", **more}
    return Generation.call(
        "qwen2.5-72b-instruct", messages=messages, base_address=server.dashscope_url, **options
    )


def test_openai_gets_a_sentence_and_the_log_says_so(server):
    reply = ask(server, temperature=0.5)
    choice = reply.choices[0]
    assert "zebra" in choice.message.content and choice.message.content.endswith(".")
    assert choice.finish_reason == "stop" and choice.message.refusal is None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert reply._request_id
    (call,) = server.requests()
    assert call["cell"] == {"class": "zebra", "attribute": "color", "attributes": ["color"]}
    assert call["path"] == "/v1/chat/completions" and call["model"] == "gpt-4"
    assert call["prompt"] == ZEBRA and call["parameters"]["temperature"] == 0.5
    assert call["status"] == 200 and call["sent"] >= call["received"] and not call["aborted"]


def test_dashscope_gets_a_sentence(server):
    reply = ask_dashscope(server, seed=3)
    assert reply.status_code == 200 and reply.request_id
    assert "zebra" in reply.output.choices[0].message.content
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens
    (call,) = server.requests()
    assert call["path"] == DASHSCOPE_PATH and call["parameters"]["seed"] == 3
    assert ask_dashscope(server, result_format="text").output.text.endswith(".")


def test_dashscope_pictures(server):
    from dashscope import MultiModalConversation

    content = [{"image": "https://127.0.0.1/a.jpg"}, {"text": "Describe this image."}]
    reply = MultiModalConversation.call(
        "qwen-vl-max", messages=[{"role": "user", "content": content}], api_key="sk-test",
        base_address=server.dashscope_url,
    )  # fmt: skip
    assert reply.output.choices[0].message.content[0]["text"].count(".") == 5


def test_default_answers_are_good():
    from llm_server import texts

    vocabulary = load_vocabulary("coco-stuff")
    for wording in ("paper", "thesis"):
        cells = {}
        for entry in vocabulary.classes:
            for attribute in (*ATTRIBUTES, "typical"):
                name, values = f"describe-{wording}", {"attribute": attribute}
                if attribute == "typical":
                    name, values = "typical-paper", {}
                prompt = query(name).render(class_name=entry.readable, sense=entry.sense, **values)
                question = texts.read_question([{"role": "user", "content": prompt}])
                assert (question.name, question.attributes) == (entry.readable, (attribute,))
                cells[entry.index, attribute] = texts.sentence(question, attribute)
        assert lint(cells, vocabulary) == []


def test_json_for_several_attributes(server):
    prompt = "\n".join(
        [query("describe-paper").render(class_name="zebra", attribute=a) for a in ATTRIBUTES]
        + ["Answer with a JSON object whose keys are the attributes."]
    )
    for more in ({}, {"response_format": {"type": "json_object"}}):
        value = json.loads(ask(server, prompt, **more).choices[0].message.content)
        assert set(value) == set(ATTRIBUTES) and len(set(value.values())) == 9
        assert all("zebra" in text for text in value.values())
    assert server.requests()[0]["cell"]["attributes"] == list(ATTRIBUTES)
    inner = {"type": "object", "properties": {"size": {"type": "string"}}}
    schema = {"type": "object", "properties": {"color": {"type": "string"}, "more": inner}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    value = json.loads(ask(server, prompt, response_format=form).choices[0].message.content)
    assert set(value) == {"color", "more"} and set(value["more"]) == {"size"}
    server.script([{"replies": {"size": "As big as a {class}."}, "omit": ["color"]}])
    value = json.loads(ask(server, prompt).choices[0].message.content)
    assert value["size"] == "As big as a zebra." and set(value) == {*ATTRIBUTES} - {"color"}


def test_stage_1_and_pictures(server):
    reply = ask(server, query("attributes-paper").render()).choices[0].message.content
    assert [a.name for a in parse_attributes(reply)] == [*ATTRIBUTES, "lighting"]
    parts = [
        {"type": "text", "text": query("check-images-thesis").render()},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    assert ask(server, parts).choices[0].message.content.count(". ") == 4


@pytest.mark.parametrize(
    ("rule", "error", "says"),
    [
        ({"status": 401}, openai.AuthenticationError, "invalid_api_key"),
        ({"status": 404}, openai.NotFoundError, "model_not_found"),
        ({"status": 429}, openai.RateLimitError, "rate_limit_exceeded"),
        ({"insufficient_quota": True}, openai.RateLimitError, "insufficient_quota"),
        ({"status": 500}, openai.InternalServerError, "server_error"),
        ({"status": 400, "message": "{key}!", "param": "seed"}, openai.BadRequestError, "sk-test!"),
        ({"reset": True}, openai.APIConnectionError, ""),
        ({"close": True}, openai.APIConnectionError, ""),
        ({"truncate": True}, openai.APIConnectionError, ""),
        ({"hang": True}, openai.APITimeoutError, ""),
    ],
)
def test_openai_errors(server, rule, error, says):
    server.script([rule])
    with pytest.raises(error) as raised:
        client(server, timeout=0.3).chat.completions.create(
            model="gpt-4", messages=[{"role": "user", "content": ZEBRA}]
        )
    if "status" in rule or "insufficient_quota" in rule:
        body = raised.value.body
        assert set(body) == {"message", "type", "param", "code"}
        assert says in (body["code"], body["type"], body["message"])
    (call,) = server.requests()
    assert call["rule"] == "0" and call["status"] in (rule.get("status"), 429, None)
    if "hang" in rule:
        wait_for(lambda: server.requests()[0]["aborted"])


def wait_for(condition: Callable[[], bool]) -> None:
    """Until the server has noticed what its client did."""
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("rule", "status", "code"),
    [
        ({"status": 400, "code": "DataInspectionFailed"}, 400, "DataInspectionFailed"),
        ({"content_filter": True}, 400, "DataInspectionFailed"),
        ({"insufficient_quota": True}, 400, "Arrearage"),
        ({"status": 401}, 401, "InvalidApiKey"),
        ({"status": 429}, 429, "Throttling.RateQuota"),
        ({"status": 500}, 500, "InternalError"),
    ],
)
def test_dashscope_errors(server, rule, status, code):
    server.script([rule])
    reply = ask_dashscope(server)
    assert (reply.status_code, reply.code) == (status, code)
    assert reply.message and reply.request_id and reply.output is None


def test_odd_replies(server):
    def answered(**rule: Any) -> Any:
        server.script([rule])
        return ask(server)

    def choice(**rule: Any) -> Any:
        return answered(**rule).choices[0]

    assert choice(reply="{class}/{attribute}/{n}").message.content == "zebra/color/1"
    assert choice(finish_reason="length").finish_reason == "length"
    assert choice(content_filter=True).finish_reason == "content_filter"
    assert choice(refusal=True).message.refusal.startswith("I'm sorry")
    assert choice(refusal="No.").message.content is None
    assert choice(empty=True).message.content == ""
    assert choice(null=True).message.content is None
    assert answered(no_choices=True).choices == []
    assert answered(usage=None).usage is None
    assert answered(usage={"prompt_tokens": 3}).usage.prompt_tokens == 3
    assert answered(served_model="gpt-4-0613").model == "gpt-4-0613"
    assert answered(html200=True).startswith("<!DOCTYPE html>")
    assert answered(body={"choices": None}).choices is None
    with pytest.raises((openai.APIError, ValueError)):
        answered(malformed=True)
    server.script()
    assert ask(server, max_tokens=5).choices[0].finish_reason == "length"


def test_retry_after_in_every_form(server):
    def headers(**rule: Any) -> Any:
        server.script([{"status": 429, **rule}])
        with pytest.raises(openai.RateLimitError) as raised:
            ask(server)
        return raised.value.response.headers

    assert headers(retry_after=3)["retry-after"] == "3"
    assert headers(retry_after_ms=250)["retry-after-ms"] == "250"
    asked = time.time()
    date = parsedate_to_datetime(headers(retry_after_date=5)["retry-after"]).timestamp()
    assert asked + 4.99 < date < time.time() + 6
    assert headers(headers={"X-Other": "1"})["x-other"] == "1"


def test_rules_match_and_run_out(server):
    tree = query("describe-thesis").render(class_name="tree", sense="a plant", attribute="size")
    typical = query("typical-paper").render(class_name="tree")
    server.script(
        [
            {"match": {"n": 1}, "reply": "first"},
            {"match": {"class": "tree", "nth": [1, 2]}, "reply": "tree {n}", "times": 1},
            {"match": {"attribute": "typical", "tries": 1}, "reply": "typical"},
            {"match": {"contains": "Shorter"}, "reply": "again"},
            {"match": {"from": 5, "to": 6, "parameter": "seed"}, "reply": "seeded"},
        ]
    )

    def text(*prompts: str, **more: Any) -> str:
        messages = []
        for prompt in prompts:
            messages += [{"role": "user", "content": prompt}, {"role": "assistant", "content": "x"}]
        reply = client(server).chat.completions.create(model="m", messages=messages[:-1], **more)
        return str(reply.choices[0].message.content)

    assert text(ZEBRA) == "first"
    assert text(tree) == "tree 2"
    assert text(typical) == "typical"
    assert text(typical, "Shorter, please.") == "again"
    assert text(ZEBRA, seed=1) == "seeded"
    assert "tree" in text(tree)
    rules = [call["rule"] for call in server.requests()]
    assert rules == ["0", "1", "2", "3", "4", "default"]
    assert server.requests()[3]["nth"] == 2 and server.requests()[3]["messages"] == 3


def test_rate_key_and_models():
    with LLMServer(rpm_limit=2, rpm_window=60, key="sk-test", models=["gpt-4"]) as server:
        ask(server)
        ask(server)
        with pytest.raises(openai.RateLimitError) as raised:
            ask(server)
        assert 50 < float(raised.value.response.headers["retry-after"]) <= 60
        assert [call["rule"] for call in server.requests()] == ["default", "default", "rpm limit"]
        with pytest.raises(openai.AuthenticationError):
            client(server, api_key="sk-other").models.list()
        assert [model.id for model in client(server).models.list()] == ["gpt-4"]
        assert client(server).models.retrieve("gpt-4").id == "gpt-4"
        with pytest.raises(openai.NotFoundError):
            client(server).models.retrieve("openai/other")


def test_latency_is_kept_for_many_at_once():
    async def many(server: LLMServer) -> None:
        sdk = openai.AsyncOpenAI(base_url=server.url, api_key="sk-test", max_retries=0)
        messages: Any = [{"role": "user", "content": ZEBRA}]
        async with sdk:
            ask = [sdk.chat.completions.create(model="m", messages=messages) for _ in range(64)]
            await asyncio.gather(*ask)

    with LLMServer(latency=0.2) as server:
        asyncio.run(many(server))
        calls = server.requests()
        server.reset([{"together": 64}])
        asyncio.run(many(server))
        assert [call["waiting"] for call in server.requests()] == list(range(1, 65))
    assert all(0.19 < call["sent"] - call["received"] < 2 for call in calls)
    # The next one's arrival, after the answer of the one before: negative, as they overlapped.
    assert len(gaps(calls)) == 63 and min(gaps(calls)) < 0


@pytest.mark.slow
def test_trickle_never_ends_for_a_timeout_between_bytes(server):
    server.script([{"trickle": 0.05}])
    begun = time.monotonic()
    assert client(server, timeout=1.0).chat.completions.create(
        model="m", messages=[{"role": "user", "content": ZEBRA}]
    )
    assert time.monotonic() - begun > 1.5  # longer than the timeout: each byte starts it anew


def test_pipelined_and_chunked_requests(server):
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": ZEBRA}]}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\n"
    plain = head + b"content-length: %d\r\n\r\n" % len(body) + body
    chunks = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (9, body[:9], len(body) - 9, body[9:])
    chunked = head + b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n" + chunks
    server.script([{"match": {"n": 1}, "latency": 0.1}])  # the first is slow, but answered first
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        data = plain + plain + chunked
        for place in range(0, len(data), 100):
            sock.sendall(data[place : place + 100])
        with sock.makefile("rb") as file:
            received = file.read()
    assert received.count(b"HTTP/1.1 200 OK") == 3
    assert received.index(b"chatcmpl-" + b"0" * 23 + b"1") < received.index(b"0" * 23 + b"2")
    times = [call["received"] for call in server.requests()]
    assert all(a < b for a, b in pairwise(times)) and times[1] - times[0] >= 0.1


def upload(server: LLMServer, count: int) -> str:
    lines = [
        {
            "custom_id": f"cell-{i}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "model": "gpt-4",
                "messages": [
                    {"role": "user", "content": query("describe-paper").render(class_name=name,
                                                       attribute="color")}
                ],
            },
        }
        for i, name in enumerate(["zebra", "cat", "dog", "tree"][:count])
    ]  # fmt: skip
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    return client(server).files.create(file=("b.jsonl", io.BytesIO(data)), purpose="batch").id


def read(server: LLMServer, file: str | None) -> dict[str, Any]:
    assert file is not None
    lines = client(server).files.content(file).text.splitlines()
    return {line["custom_id"]: line for line in map(json.loads, lines)}


def test_batches(server):
    sdk = client(server)
    server.script(
        [
            {"match": {"class": "cat"}, "status": 400, "message": "No cats."},
            {"match": {"class": "tree"}, "hang": True},
        ],
        batch={"polls": 2},
    )
    made = sdk.batches.create(
        input_file_id=upload(server, 4), endpoint="/v1/chat/completions", completion_window="24h",
        metadata={"run": "r"},
    )  # fmt: skip
    assert made.status == "validating" and made.metadata == {"run": "r"}
    assert sdk.batches.retrieve(made.id).status == "in_progress"
    batch = sdk.batches.retrieve(made.id)
    assert batch.status == "completed" and batch.request_counts.total == 4
    good = read(server, batch.output_file_id)
    assert list(good) == ["cell-2", "cell-0"]  # not in the order they were sent
    body = good["cell-0"]["response"]["body"]
    assert "zebra" in body["choices"][0]["message"]["content"]
    bad = read(server, batch.error_file_id)
    assert bad["cell-1"]["response"]["body"]["error"]["message"] == "No cats."
    assert {call["batch"] for call in server.requests()} == {made.id}


def test_batches_that_expire_fail_or_are_cancelled(server):
    sdk = client(server)

    def submit() -> str:
        return sdk.batches.create(
            input_file_id=upload(server, 3), endpoint="/v1/chat/completions",
            completion_window="24h",
        ).id  # fmt: skip

    server.script(batch={"end": "expired", "expire_after": 1})
    batch = sdk.batches.retrieve(submit())
    assert batch.status == "expired" and list(read(server, batch.output_file_id)) == ["cell-0"]
    bad = read(server, batch.error_file_id)
    assert {line["error"]["code"] for line in bad.values()} == {"batch_expired"}
    server.script(batch={"end": "failed"})
    failed = sdk.batches.retrieve(submit())
    assert failed.status == "failed" and failed.errors.data[0].code == "invalid_json_line"
    number = submit()
    assert sdk.batches.cancel(number).status == "cancelling"
    assert sdk.batches.retrieve(number).status == "cancelled"
    assert [b.id for b in sdk.batches.list(limit=2)] == [b.id for b in sdk.batches.list().data]
    assert sdk.batches.list().data[0].id == number and len(sdk.batches.list().data) == 3
    with pytest.raises(openai.BadRequestError):
        sdk.batches.create(
            input_file_id="file-x", endpoint="/v1/chat/completions", completion_window="24h"
        )
    with pytest.raises(openai.NotFoundError):
        sdk.batches.retrieve("batch_x")


@pytest.mark.process
def test_it_ends_with_its_parent(tmp_path: Path):
    command = [sys.executable, *SERVER, "--port", "0", "--end-with-stdin"]
    with subprocess.Popen(
        command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        assert json.loads(process.stdout.readline())["port"] > 0
        process.stdin.close()
        assert process.wait(timeout=10) == 0
