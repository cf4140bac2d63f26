"""Anthropic's Message Batches, in Anthropic's own protocol.

The key, the question and the reply look otherwise there than in the chat protocol, by which single
questions are asked.

A batch has no room for a name of ours, so that one whose creation was cut off is known by the ids
of its requests, which come back with its results.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lsmseg_prompts.llm.batches import (
    FILE_SECONDS,
    RemoteBatch,
    Result,
    Sought,
    json_lines,
    listed,
)
from lsmseg_prompts.llm.errors import Gone
from lsmseg_prompts.llm.http import count

if TYPE_CHECKING:
    from lsmseg_prompts.llm.openai import OpenAIChat

PATH = "/messages/batches"
VERSION = "2023-06-01"
UNCONFIRMED = "unconfirmed"  # whether it was created shows when the account's batches are over
USUAL_TOKENS = 1024  # the output limit has to be named
_ONLY_CHAT = (
    "response_format", "seed", "n", "logprobs", "top_logprobs", "logit_bias", "presence_penalty",
    "frequency_penalty", "stream", "stream_options", "user", "reasoning_effort",
)  # fmt: skip
_STATUS = {
    "invalid_request_error": 400, "authentication_error": 401, "billing_error": 402,
    "permission_error": 403, "not_found_error": 404, "request_too_large": 413,
    "rate_limit_error": 429, "api_error": 500, "timeout_error": 504, "overloaded_error": 529,
}  # fmt: skip


class AnthropicBatches:
    """See `lsmseg_prompts.llm.batches.BatchService`."""

    most_requests = 100_000
    most_bytes = 240_000_000
    kept_days = 29

    def __init__(self, llm: OpenAIChat) -> None:
        self.llm = llm

    def custom_id(self, batch: str, place: int) -> str:
        return f"{_prefix(batch)}{place}"  # 64 letters, digits, _ and - at most

    def line(self, custom_id: str, body: dict[str, Any]) -> str:
        task = {"custom_id": custom_id, "params": native(body)}
        return json.dumps(task, ensure_ascii=False) + "\n"

    async def upload(self, batch: str, lines: Sequence[str]) -> Sequence[str]:
        return lines

    async def create(self, batch: str, uploaded: Sequence[str]) -> RemoteBatch:
        body = {"requests": [json.loads(line) for line in uploaded]}
        answer = await self.llm.fetch_json(
            "POST", PATH, "id", FILE_SECONDS, json=body, headers=self._headers()
        )
        return _remote(answer)

    async def look(self, remote_id: str) -> RemoteBatch:
        path, headers = f"{PATH}/{remote_id}", self._headers()
        answer = await self.llm.fetch_json("GET", path, "processing_status", headers=headers)
        return _remote({"id": remote_id, **answer})

    async def find(self, sought: Sought) -> RemoteBatch | None:
        every = await listed(self.llm, PATH, "after_id", sought, self._headers())
        unsure = False
        for given in every:
            remote, counts = _remote(given), _counts(given)
            if counts and sum(counts.values()) != sought.requests:
                continue
            if not remote.is_over:
                unsure = True
                continue
            with suppress(Gone):
                results = self.results(await self.read(remote.files[0]))
                known = next((result for result in results if result is not None), None)
                if known is not None and known.custom_id.startswith(_prefix(sought.batch)):
                    return remote
        return RemoteBatch(None, UNCONFIRMED) if unsure else None

    async def read(self, file: str) -> bytes:
        return (await self.llm.fetch("GET", file, FILE_SECONDS, headers=self._headers())).content

    def results(self, data: bytes) -> Iterator[Result | None]:
        for line in json_lines(data):
            yield None if line is None else _result(line)

    def _headers(self) -> dict[str, str | None]:
        return {**self.llm.key_in("x-api-key"), "anthropic-version": VERSION}


def _prefix(batch: str) -> str:
    return batch.replace(".", "-") + "-"


def _counts(given: dict[str, Any]) -> dict[str, int]:
    """How many requests are in which state."""
    counts = given.get("request_counts")
    known = counts if isinstance(counts, dict) else {}
    return {name: n for name, value in known.items() if (n := count(value)) is not None}


def _remote(given: dict[str, Any]) -> RemoteBatch:
    """A batch as `BatchService` tells of it.

    `results_url` is not read: the results are asked for at the address that the key is for.
    """
    status, identity = str(given.get("processing_status")), str(given["id"])
    return RemoteBatch(
        id=identity,
        status=status,
        is_over=status == "ended",
        answered=_counts(given).get("succeeded"),
        files=(f"{PATH}/{identity}/results",),
    )


def _result(line: dict[str, Any]) -> Result | None:
    """A line of the results."""
    custom_id, result = line.get("custom_id"), line.get("result")
    if not isinstance(custom_id, str) or not isinstance(result, dict):
        return None
    kind = result.get("type")
    if kind == "succeeded":
        message = result.get("message")
        identity = message.get("id") if isinstance(message, dict) else None
        identity = identity if isinstance(identity, str) else None
        return Result(custom_id, 200, as_chat(message), identity)
    if kind != "errored":  # canceled or expired before it was asked
        return Result(custom_id, None, kind)
    error = result.get("error")
    inner = error.get("error", error) if isinstance(error, dict) else {}
    named = str(inner.get("type")) if isinstance(inner, dict) else ""
    return Result(custom_id, _STATUS.get(named, 500), {"error": inner})


def native(body: dict[str, Any]) -> dict[str, Any]:
    """The body of a chat completion as the parameters of a message."""
    rest = {key: value for key, value in body.items() if key not in _ONLY_CHAT}
    messages = rest.pop("messages")
    system = [m for m in messages if m["role"] == "system"]
    given = [rest.pop(name, None) for name in ("max_tokens", "max_completion_tokens")]
    stop = rest.pop("stop", None)
    return {
        "model": rest.pop("model"),
        "max_tokens": next((limit for limit in given if limit is not None), USUAL_TOKENS),
        **({"system": "\n\n".join(m["content"] for m in system)} if system else {}),
        # No message may be empty: what it did not say is asked for again.
        "messages": [{**m, "content": m["content"] or "-"} for m in messages if m not in system],
        **({} if stop is None else {"stop_sequences": [stop] if isinstance(stop, str) else stop}),
        **rest,
    }


def as_chat(message: Any) -> Any:
    """A message as a chat completion; what is not a message stays as it is."""
    blocks = message.get("content") if isinstance(message, dict) else None
    if not isinstance(blocks, list):
        return message
    text, thoughts = (
        "".join(
            block[kind]
            for block in blocks
            if isinstance(block, dict)
            and block.get("type") == kind
            and isinstance(block.get(kind), str)
        )
        for kind in ("text", "thinking")
    )
    ended = message.get("stop_reason")
    refusal = (text or "The model refused.") if ended == "refusal" else None
    return {
        "model": message.get("model"),
        "choices": [
            {
                "message": {"content": text, "reasoning_content": thoughts, "refusal": refusal},
                "finish_reason": ended,
            }
        ],
        "usage": _usage(message.get("usage")),
    }


def _usage(given: Any) -> dict[str, Any]:
    """The tokens of a message, by the names of the chat protocol; what a cache held counts too."""
    used = given if isinstance(given, dict) else {}
    into = count(used.get("input_tokens"))
    cached = [used.get(f"cache_{what}_input_tokens") for what in ("creation", "read")]
    if into is not None:
        into += sum(count(tokens) or 0 for tokens in cached)
    return {"prompt_tokens": into, "completion_tokens": count(used.get("output_tokens"))}
