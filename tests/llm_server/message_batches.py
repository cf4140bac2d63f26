"""Anthropic's Message Batches, for the tests' LLM server: as batches.py, in another protocol."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from llm_server.batches import Ask, json_lines
from llm_server.rules import Script

_NAMES = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error",
          429: "rate_limit_error", 500: "api_error", 529: "overloaded_error"}  # fmt: skip


class MessageBatches:
    """All batches; every method gives (HTTP status, body)."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.batches: dict[str, dict[str, Any]] = {}
        self.requests: dict[str, list[dict[str, Any]]] = {}
        self.results: dict[str, bytes] = {}
        self.polls: dict[str, int] = {}

    def answer(
        self, method: str, rest: str, query: dict[str, str], headers: dict[str, str],
        body: bytes, script: Script,
    ) -> tuple[int, Any]:  # fmt: skip
        """Whatever is asked below /v1/messages/batches."""
        key = headers.get("x-api-key")
        if key is None or "authorization" in headers or script.key not in (None, key):
            return _error(401, "invalid x-api-key")
        if headers.get("anthropic-version") != "2023-06-01":
            return _error(400, "anthropic-version: header is required")
        number, _, verb = rest.partition("/")
        if method == "POST":
            return self._create(json.loads(body))
        if not number:
            return self._list(query, script)
        if number not in self.batches:
            return _error(404, f"There is no batch {number}.")
        if verb == "results":
            gone = "results" in script.batch.get("missing", ())
            if gone or number not in self.results:
                return _error(404, "The results are not available.")
            return 200, self.results[number]
        return 200, self._look(number, script)

    def _create(self, body: dict[str, Any]) -> tuple[int, Any]:
        requests = body["requests"]
        ids = [one["custom_id"] for one in requests]
        if len(set(ids)) < len(ids) or not all(
            re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", i) for i in ids
        ):
            return _error(400, "requests: custom_id must be unique, and 1 to 64 letters")
        number = f"msgbatch_{len(self.batches) + 1:024d}"
        states = ("processing", "succeeded", "errored", "canceled", "expired")
        self.requests[number], self.polls[number] = requests, 0
        self.batches[number] = {
            "id": number,
            "type": "message_batch",
            "processing_status": "in_progress",
            "request_counts": dict.fromkeys(states, 0) | {"processing": len(requests)},
            "created_at": datetime.now(UTC).isoformat(),
            "ended_at": None,
            "results_url": None,
        }
        return 200, self.batches[number]

    def _list(self, query: dict[str, str], script: Script) -> tuple[int, Any]:
        """Newest first. A look too: a real batch ends though nobody asks for it by its id."""
        every = list(reversed(self.batches.values()))
        if after := query.get("after_id"):
            every = every[[batch["id"] for batch in every].index(after) + 1 :]
        page = every[: int(query.get("limit", 20))]
        last = page[-1]["id"] if page else None
        shown = [dict(batch) for batch in page]  # as they were before
        for batch in page:
            self._look(batch["id"], script)
        return 200, {"data": shown, "has_more": len(page) < len(every), "last_id": last}

    def _look(self, number: str, script: Script) -> dict[str, Any]:
        """The look that ends it already shows the end."""
        batch = self.batches[number]
        self.polls[number] += 1
        if batch["ended_at"] is None and self.polls[number] >= script.batch.get("polls", 1):
            self._run(batch, script.batch)
        return batch

    def _run(self, batch: dict[str, Any], wanted: dict[str, Any]) -> None:
        until = wanted.get("expire_after")
        counts = batch["request_counts"] | {"processing": 0}
        rows = []
        for place, one in enumerate(self.requests[batch["id"]]):
            if until is not None and place >= until:
                result: dict[str, Any] | None = {"type": "expired"}
            else:
                result = self._result(one["params"], batch["id"])
            if result is not None:
                counts[result["type"]] += 1
                rows.append({"custom_id": one["custom_id"], "result": result})
        batch["request_counts"] = counts
        batch.update(processing_status="ended", ended_at=datetime.now(UTC).isoformat())
        # Another host: a key that went there would be stolen.
        batch["results_url"] = f"http://127.0.0.1:1/v1/messages/batches/{batch['id']}/results"
        self.results[batch["id"]] = json_lines([] if wanted.get("empty") else rows, wanted)

    def _result(self, params: dict[str, Any], number: str) -> dict[str, Any] | None:
        if not isinstance(params.get("max_tokens"), int):
            return {"type": "errored", "error": _error(400, "max_tokens: Field required")[1]}
        if any(m["role"] not in ("user", "assistant") for m in params["messages"]):
            return {"type": "errored", "error": _error(400, "messages: Unexpected role")[1]}
        system = [{"role": "system", "content": params["system"]}] if "system" in params else []
        chat = {key: value for key, value in params.items() if key != "system"}
        answer = self.ask({**chat, "messages": [*system, *params["messages"]]}, number)
        if answer.manner == "hang":
            return None
        body = json.loads(answer.body)
        if answer.status != 200:
            return {"type": "errored", "error": _error(answer.status, body["error"]["message"])[1]}
        return {"type": "succeeded", "message": _message(body)}


def _message(body: dict[str, Any]) -> dict[str, Any]:
    """A chat completion as a native message."""
    choice, usage = body["choices"][0], body.get("usage")
    said, ended = choice["message"], choice["finish_reason"]
    thoughts = said.get("reasoning_content")
    reasons = {"stop": "end_turn", "length": "max_tokens"}
    return {
        "id": body["id"].replace("chatcmpl-", "msg_"),
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [
            *([{"type": "thinking", "thinking": thoughts, "signature": "x"}] if thoughts else []),
            *([{"type": "text", "text": said["content"]}] if said["content"] else []),
        ],
        "stop_reason": "refusal" if said.get("refusal") else reasons.get(ended, ended),
        "usage": usage
        and {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]},
    }


def _error(status: int, message: str) -> tuple[int, dict[str, Any]]:
    kind = _NAMES.get(status, "api_error")
    return status, {"type": "error", "error": {"type": kind, "message": message}}
