"""What a model takes and needs, learnt from what it refuses and from what it cuts off.

The first question is asked with everything wanted; each refusal that names a parameter takes one
thing away for good, so the same thing is never refused twice. A reply that is nothing but thoughts
gets more room, and so do all that follow it in the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

from lsmseg_prompts.llm.base import Request
from lsmseg_prompts.llm.errors import error_details
from lsmseg_prompts.llm.http import storable

JSON_FORMATS = ("json_schema", "json_object", None)
"""How JSON is asked for, strictest first."""

TOKEN_NAMES = ("max_completion_tokens", "max_tokens")

TWO_SENTENCES = 512
"""Output tokens; a limit of more, such as one doubled after a cut, may be lowered."""

ROOMS = (4096, 16384, 32768)
"""The steps by which the room for thoughts grows."""
LEAST_ROOM = 512

_NOT_SUPPORTED = re.compile(
    r"unsupported|not.{0,3}support|n't support|unrecogni|unknown|unexpected|not (be )?permitted"
    r"|not allowed|not available|forbidden|must be set to|may only be set|does not accept"
    r"|only the default",
    re.I,
)
_TOO_MANY = re.compile(
    r"too (large|long|many)|at most|exceed|maximum|less than or equal|greater than|fewer", re.I
)
_LIMIT = re.compile(
    r"max_(completion_|output_|new_)?tokens|context (length|window)|(out|com)put", re.I
)
_CONTEXT = re.compile(r"context (length|window)", re.I)
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
    are left out; missed: those of them that somebody had asked for. forced: parameters that the
    model insists on. room: output tokens for thoughts, beside those for the answer; most: the most
    output tokens it takes; is_limited: whether the user set the limit. reasoning: sets of
    parameters for the level of reasoning that was asked for, of which the first is sent;
    given_up: those of them that were refused; has_level: whether one was asked for.
    """

    token_name: str | None
    json_format: int = 0
    system: bool = True
    refused: set[str] = field(default_factory=set)
    missed: set[str] = field(default_factory=set)
    forced: dict[str, Any] = field(default_factory=dict)
    room: int = 0
    most: int | None = None
    is_limited: bool = False
    reasoning: list[Mapping[str, Any]] = field(default_factory=list)
    given_up: list[Mapping[str, Any]] = field(default_factory=list)
    has_level: bool = False

    def fitted(self, request: Request) -> Request:
        """`request` with room for thoughts, and without what the model is known not to take."""
        first = self.reasoning[0] if self.reasoning else {}
        wanted = {**first, **request.parameters, **self.forced}
        limits = [wanted.pop(name) for name in TOKEN_NAMES if name in wanted]
        given = next((limit for limit in limits if is_limit(limit)), None)
        sent = {name: value for name, value in wanted.items() if name not in self.refused}
        asked = request.parameters.items()
        limit_names = set() if self.token_name is None else set(TOKEN_NAMES)
        self.missed |= {name for name, value in asked if sent.get(name) != value} - limit_names
        self.is_limited |= given is not None
        limit = request.max_output_tokens if given is None else given
        room = self.room if limit is not None and self.token_name and given is None else 0
        if limit is not None and self.most is not None and given is None:
            limit = min(limit, self.most)
            room = max(0, min(room, self.most - limit))
        return replace(
            request,
            max_output_tokens=None if limit is None else limit + room,
            room=room,
            parameters=sent,
        )

    def more_room(self, request: Request) -> bool:
        """Whether `request`, of whose reply nothing but thoughts came, can be sent with more."""
        had = request.room or 0
        if self.token_name is None or request.max_output_tokens is None or self.is_limited:
            return False
        more = next_room(had)
        if self.most is not None:
            more = min(more, self.most - (request.max_output_tokens - had))
        self.room = max(self.room, more)
        return self.room > had

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

    def learn(self, status: int, answer: Any, sent: Mapping[str, Any], room: int = 0) -> bool:
        """Whether the refusal `answer` is about something in `sent` that is otherwise now.

        Many questions are on their way when the first refusal comes, and what it took away is not
        taken away twice.

        Args:
            status: the HTTP status.
            answer: its parsed JSON, or its text.
            sent: the parameters and `messages` as they were sent.
            room: the part of the output limit that is for thoughts.
        """
        if status not in (400, 422, 500, 501):
            return False
        code, message, parameter = error_details(answer)
        text = f"{code} {parameter} {message}"
        named = parameter if parameter in _parameters(sent) else _first_named(message, sent)
        if status < 500 and self._next_reasoning(named, text, sent):
            return True
        limit = sent.get(self.token_name or "")
        spare = room or (is_limit(limit) and limit > TWO_SENTENCES and not self.is_limited)
        if spare and is_limit(limit) and _LIMIT.search(text) and _TOO_MANY.search(text):
            self._lower(message, limit, limit - room if room else TWO_SENTENCES // 2)
            return True
        if _CONTEXT.search(text):  # the question alone is too long: others may have more
            self.most = None
        if (
            "response_format" in sent
            and _JSON.search(text)
            and (status < 500 or re.search(r"input should be|not supported", text, re.I))
        ):
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
        if named is None or status >= 500:
            return False
        self.refused.add(named)
        self.forced.pop(named, None)
        if named in TOKEN_NAMES:
            other = "max_tokens" if named == "max_completion_tokens" else "max_completion_tokens"
            self.token_name = None if other in self.refused else other
        return True

    def _next_reasoning(self, named: str | None, text: str, sent: Mapping[str, Any]) -> bool:
        """Whether the refusal is about a set of reasoning parameters that is given up now."""
        sets = [one for one in (*self.given_up, *self.reasoning) if one.items() <= sent.items()]
        tried = max(sets, key=len, default={})
        about = named in tried if named is not None else _names_any(text, tried)
        if about and tried in self.reasoning:  # else another question gave it up meanwhile
            self.reasoning.remove(tried)
            self.given_up.append(tried)
        return about

    def _lower(self, message: str, limit: int, answer: int) -> None:
        """Ask for fewer output tokens: what the message names as the most, else half the room.

        Half also where the context is too short, whose numbers count the question too.
        """
        half = (limit - answer) // 2
        fits = answer + (half if half >= LEAST_ROOM else 0)
        if not _CONTEXT.search(message):
            named = [int(n) for n in re.findall(r"\d+", message.replace(",", ""))]
            fits = max((n for n in named if answer < n < limit), default=fits)
        self.most = min(fits, self.most or fits)
        self.room = min(self.room, max(0, self.most - answer))


def is_limit(value: object) -> TypeGuard[int]:
    """Whether it can be an output limit."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def next_room(had: int) -> int:
    """The next step of the room for thoughts; the last one has none after it."""
    return next((room for room in ROOMS if room > had), had)


def _names_any(text: str, names: Iterable[str]) -> bool:
    return any(
        re.search(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", text) for name in names
    )


def _parameters(sent: Mapping[str, Any]) -> set[str]:
    return sent.keys() - {"model", "messages"}


def _first_named(message: str, sent: Mapping[str, Any]) -> str | None:
    """The parameter of `sent` that the message names first."""
    places = [
        (match.start(), name)
        for name in _parameters(sent)
        if (match := re.search(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", message))
    ]
    return min(places)[1] if places else None
