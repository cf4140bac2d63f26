"""Which parameters a model takes, learnt from what it refuses.

The first question is asked with everything wanted; each refusal that names a parameter takes one
thing away for good, so the same thing is never refused twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lsmseg_prompts.llm.base import Request
from lsmseg_prompts.llm.errors import error_details
from lsmseg_prompts.llm.http import storable

JSON_FORMATS = ("json_schema", "json_object", None)
"""How JSON is asked for, strictest first."""

_NOT_SUPPORTED = re.compile(
    r"unsupported|not.{0,3}support|n't support|unrecogni|unknown|unexpected|not (be )?permitted"
    r"|not allowed|not available|forbidden|must be set to|does not accept|only the default",
    re.I,
)
_JSON = re.compile(r"response_format|json_schema|json_object|json mode|structured output", re.I)
_SYSTEM = re.compile(
    r"system.{0,3}(role|message|prompt|instruction)|role.{0,20}system|not support ['\"`]?system",
    re.I,
)


@dataclass
class Capabilities:
    """What the model takes, as far as is known.

    token_name: how the output limit is called, None where there is none. json_format: which of
    JSON_FORMATS is asked for. system: whether there are system messages. refused: parameters that
    are left out. forced: parameters that the model insists on.
    """

    token_name: str | None
    json_format: int = 0
    system: bool = True
    refused: set[str] = field(default_factory=set)
    forced: dict[str, Any] = field(default_factory=dict)

    def messages(self, request: Request) -> list[dict[str, Any]]:
        """The chat messages; without system messages the first question opens with its text."""
        messages: list[dict[str, Any]] = [
            {"role": message["role"], "content": storable(message["content"])}
            for message in request.messages
        ]
        if not self.system and messages[0]["role"] == "system":
            first = messages.pop(0)
            messages[0]["content"] = f"{first['content']}\n\n{messages[0]['content']}"
        return messages

    def response_format(self, schema: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """The `response_format` for `schema`; None where none is wanted or taken."""
        kind = JSON_FORMATS[self.json_format]
        if schema is None or kind is None:
            return None
        if kind == "json_object":
            return {"type": kind}
        name = re.sub(r"[^A-Za-z0-9_-]", "_", str(schema.get("title", "answer")))[:64]
        return {"type": kind, kind: {"name": name, "strict": True, "schema": dict(schema)}}

    def learn(self, status: int, answer: Any, sent: Mapping[str, Any]) -> bool:
        """Whether the refusal `answer` is about a parameter of `sent` that is left out now.

        `sent` holds the parameters and `messages` as they were sent: many questions are on
        their way when the first refusal comes, and what it took away is not taken away twice.
        """
        if status not in (400, 422, 500, 501):
            return False
        code, message, parameter = error_details(answer)
        text = f"{code} {parameter} {message}"
        if "response_format" in sent and status < 500 and _JSON.search(text):
            was = JSON_FORMATS.index(sent["response_format"]["type"])
            self.json_format = max(self.json_format, was + 1)
            return True
        if not _NOT_SUPPORTED.search(text):
            return False
        if "enable_thinking" in text and sent.get("enable_thinking") is not False:
            self.forced["enable_thinking"] = False  # Qwen3 thinks only where replies are streamed
            return True
        if sent["messages"][0]["role"] == "system" and _SYSTEM.search(text):
            self.system = False
            return True
        named = parameter if parameter in sent else _first_named(message, sent)
        if named is None or status >= 500:
            return False
        self.refused.add(named)
        self.forced.pop(named, None)
        if named in ("max_tokens", "max_completion_tokens"):
            other = "max_tokens" if named == "max_completion_tokens" else "max_completion_tokens"
            self.token_name = None if other in self.refused else other
        return True


def _first_named(message: str, sent: Mapping[str, Any]) -> str | None:
    """The parameter of `sent` that the message names first."""
    places = [
        (match.start(), name)
        for name in sent
        if name not in ("model", "messages")
        and (match := re.search(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", message))
    ]
    return min(places)[1] if places else None
