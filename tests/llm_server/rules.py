"""The script of the tests' LLM server: which rule a call meets, and what is answered to it.

A script is {"rules": [rule, ...], ...}. The first rule whose `match` fits is applied; without
one the call gets a good answer. All keys are optional.

    rule = {"match": {...}, "times": k, action ...}      applied at most k times

    match   n, from, to     number of the call since the script was set (from 1)
            nth             how often this cell was asked, this call included
            class, attribute, model, path, tries (user messages); a list means any of them
            contains        text anywhere in the messages; last_contains: in the last one
            parameter       a parameter that was sent

    good    reply           the text, with {class}, {attribute}, {n}, {key}
            replies, omit   texts for some attributes; keys left out of a JSON answer
            usage           token counts in the provider's words, or null for none
            served_model, finish_reason
    thinks  {"tokens": so many before the answer, "as": field, inline, unopened}: where the output
            limit is less, nothing but thoughts comes; "effort": a parameter that stops it
    odd     refusal (true or its text), content_filter, empty, null, no_choices,
            malformed (half of the JSON), html200, body (sent as it is), stream (in pieces)
    error   status, code, message (may hold {key}), type, param, insufficient_quota; error_body
            (sent as it is), headers
            retry_after (as it is), retry_after_ms, retry_after_date (in N seconds)
    wire    latency (s), hang, reset (RST), close (no answer), truncate (half of the body),
            trickle (s between pieces), together (answers are kept until this many calls wait for
            theirs, or the script is replaced)

    script  latency, key (the only one that is let in), models (known ones), listed (by /models
            alone), rpm_limit with rpm_window (s), query (a regex with groups class and attribute),
            batch = {"polls": 1, "end": "completed", "expire_after": lines,
            "missing": ["output", "error", "results"]: files that are gone, "empty": no results,
            "junk": lines before the others, "twice": each line again, "bom": before all,
            "token_limit": so many tokens in batches at once, "hang": "create" or "results",
            "nameless": metadata is forgotten}
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from llm_server import texts
from llm_server.shapes import OPENAI, Shape

HTML = b"<!DOCTYPE html><html><body><h1>Welcome to the network</h1></body></html>"


@dataclass
class Call:
    """One question as it arrived."""

    number: int
    path: str
    shape: Shape
    body: dict[str, Any]
    key: str = ""
    batch: str | None = None
    nth: int = 1
    question: texts.Question = field(default_factory=lambda: texts.Question(None, None, ()))

    def __post_init__(self) -> None:
        self.model = str(self.body.get("model"))
        self.messages = self.shape.messages(self.body)
        self.parameters = self.shape.parameters(self.body)

    @property
    def tries(self) -> int:
        return sum(message.get("role") == "user" for message in self.messages)

    @property
    def last(self) -> str:
        users = [m for m in self.messages if m.get("role") == "user"]
        return texts.text_of(users[-1]) if users else ""


@dataclass
class Answer:
    """What goes out: `manner` is send, hang, reset, close, truncate or trickle."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    manner: str = "send"
    pause: float = 0.0
    latency: float | None = None
    together: int = 0
    rule: str = "default"


class Script:
    """The rules and how often each was applied."""

    def __init__(self, raw: dict[str, Any], latency: float = 0.0, first: int = 0) -> None:
        self.rules: list[dict[str, Any]] = raw.get("rules", [])
        self.latency = float(raw.get("latency", latency))
        self.key: str | None = raw.get("key")
        self.models: list[str] | None = raw.get("models")
        self.listed: list[str] | None = raw.get("listed")
        self.batch: dict[str, Any] = raw.get("batch", {})
        self.query = re.compile(raw["query"]) if "query" in raw else None
        self.rpm_limit: int | None = raw.get("rpm_limit")
        self.rpm_window = float(raw.get("rpm_window", 60.0))
        self.first = first
        self.applied: Counter[int] = Counter()
        self.asked: Counter[tuple[str | None, str]] = Counter()
        self.let_in: deque[float] = deque()

    def read(self, call: Call) -> None:
        """Fill in what the call is about and how often that was asked."""
        call.question = texts.read_question(call.messages, self.query)
        cells = [(call.question.name, attribute) for attribute in call.question.attributes]
        self.asked.update(cells)
        call.nth = max((self.asked[cell] for cell in cells), default=1)

    def answer(self, call: Call) -> Answer:
        """What this call gets; counts the rule that was used."""
        if self.key is not None and call.key != self.key:
            return self._error(call, {"status": 401}, "wrong key")
        if self.models is not None and call.model not in self.models:
            return self._error(call, {"status": 404}, "unknown model")
        if (wait := self._over_rate()) is not None:
            headers = {"retry-after": str(int(wait) + 1), "retry-after-ms": str(int(wait * 1000))}
            return self._error(call, {"status": 429, "headers": headers}, "rpm limit")
        for place, rule in enumerate(self.rules):
            if self.applied[place] < rule.get("times", 1 << 60) and self._fits(rule, call):
                self.applied[place] += 1
                return self._apply(call, rule, str(rule.get("name", place)))
        return self._apply(call, {}, "default")

    def _over_rate(self) -> float | None:
        """Seconds until the next call may come, if this one comes too soon."""
        if self.rpm_limit is None:
            return None
        now = time.monotonic()
        while self.let_in and self.let_in[0] <= now - self.rpm_window:
            self.let_in.popleft()
        if len(self.let_in) >= max(1, int(self.rpm_limit * self.rpm_window / 60)):
            return self.let_in[0] + self.rpm_window - now
        self.let_in.append(now)
        return None

    def _fits(self, rule: dict[str, Any], call: Call) -> bool:
        number = call.number - self.first
        return all(FITS[key](call, number, value) for key, value in rule.get("match", {}).items())

    def _apply(self, call: Call, rule: dict[str, Any], name: str) -> Answer:
        latency = rule.get("latency")
        for manner in ("hang", "reset", "close"):
            if rule.get(manner):
                return Answer(b"", manner=manner, latency=latency, rule=name)
        if rule.get("content_filter") and call.shape is not OPENAI:
            answer = self._error(call, {"status": 400, **FILTERED, **rule}, name)
        elif "error_body" in rule:
            answer = Answer(_dumps(rule["error_body"]), rule["status"], _headers(rule), rule=name)
        elif rule.get("status", 200) >= 300 or "insufficient_quota" in rule:
            answer = self._error(call, rule, name)
        else:
            status = rule.get("status", 200)
            answer = Answer(self._body(call, rule), status, _headers(rule), rule=name)
        if rule.get("stream"):
            answer.body = call.shape.pieces(json.loads(answer.body))
            answer.content_type = "text/event-stream"
        if rule.get("html200"):
            answer = Answer(HTML, content_type="text/html", rule=name)
        if rule.get("malformed"):
            answer.body = answer.body[: len(answer.body) // 2]
        if rule.get("truncate"):
            answer.manner = "truncate"
        if "trickle" in rule:
            answer.manner, answer.pause = "trickle", float(rule["trickle"])
        answer.latency = latency
        answer.together = rule.get("together", 0)
        return answer

    def _body(self, call: Call, rule: dict[str, Any]) -> bytes:
        shape = call.shape
        if "body" in rule:
            return _dumps(rule["body"])
        finish, refusal = rule.get("finish_reason", "stop"), None
        if "reply" in rule:
            text = _filled(rule["reply"], call)
        elif rule.get("refusal"):
            refusal = rule["refusal"] if isinstance(rule["refusal"], str) else REFUSAL
            text = refusal
        elif rule.get("empty") or rule.get("content_filter"):
            text = ""
            finish = "content_filter" if rule.get("content_filter") else finish
        else:
            own = {key: _filled(text, call) for key, text in rule.get("replies", {}).items()}
            schema, wants_json = shape.wanted(call.parameters, call.messages)
            text = texts.answer(call.question, call.messages, schema, wants_json, own)
            if rule.get("omit"):
                kept = {k: v for k, v in json.loads(text).items() if k not in rule["omit"]}
                text = json.dumps(kept)
        limit = shape.output_limit(call.parameters)
        thinks = rule.get("thinks")
        if thinks and not (thinks.get("effort") or {"": 0}).items() <= call.parameters.items():
            return _dumps(self._thought(call, text, finish, limit, **thinks))
        if "reply" not in rule and limit is not None and limit < len(text) // 4:
            text, finish = text[: limit * 4], "length"
        reply = shape.reply(
            number=call.number,
            model=rule.get("served_model", call.model),
            text=None if rule.get("null") else text,
            refusal=refusal,
            finish=finish,
            prompt_tokens=7 + sum(len(texts.text_of(m)) for m in call.messages) // 4,
            output_tokens=1 + len(text) // 4,
            parameters=call.parameters,
        )
        if "usage" in rule:
            reply.pop("usage")
            if rule["usage"] is not None:
                reply["usage"] = rule["usage"]
        if rule.get("no_choices"):
            shape.drop_choices(reply)
        return _dumps(reply)

    def _thought(
        self, call: Call, text: str, finish: str, limit: int | None, tokens: int, **how: Any
    ) -> dict[str, Any]:
        """A reply after so many tokens of thoughts, or as many as the limit lets through."""
        whole = limit is None or tokens + len(text) // 4 <= limit
        count = tokens if whole else limit or 0
        thoughts = "The striped animal may be a horse. It is not. " + "Hmm. " * min(count, 40)
        said, form = (text if whole else ""), how.get("as", "field")
        if form == "inline":
            said = f"<think>\n{thoughts}" + (f"\n</think>\n\n{text}" if whole else "")
        elif form == "unopened":
            said = thoughts + (f"\n</think>\n\n{text}" if whole else "")
        reply = call.shape.reply(
            number=call.number, model=call.model, text=said, refusal=None,
            finish=finish if whole else "length",
            prompt_tokens=7 + sum(len(texts.text_of(m)) for m in call.messages) // 4,
            output_tokens=count + (1 + len(text) // 4 if whole else 0), parameters=call.parameters,
        )  # fmt: skip
        if form == "field":
            call.shape.add_thoughts(reply, thoughts, count)
        return reply

    def _error(self, call: Call, rule: dict[str, Any], name: str) -> Answer:
        status, body = call.shape.error(call.number, call.model, rule)
        if "message" in rule:  # an error that echoes the key, as some gateways do
            text = json.dumps(body, ensure_ascii=False).replace("{key}", call.key)
            return Answer(text.encode(), status, _headers(rule), rule=name)
        return Answer(_dumps(body), status, _headers(rule), rule=name)


FITS: dict[str, Callable[[Call, int, Any], bool]] = {
    "n": lambda call, number, wanted: _is(number, wanted),
    "from": lambda call, number, wanted: number >= wanted,
    "to": lambda call, number, wanted: number <= wanted,
    "nth": lambda call, number, wanted: _is(call.nth, wanted),
    "tries": lambda call, number, wanted: _is(call.tries, wanted),
    "class": lambda call, number, wanted: _is(call.question.name, wanted),
    "attribute": lambda call, _, wanted: any(_is(a, wanted) for a in call.question.attributes),
    "model": lambda call, number, wanted: _is(call.model, wanted),
    "path": lambda call, number, wanted: wanted in call.path,
    "contains": lambda call, _, wanted: any(wanted in texts.text_of(m) for m in call.messages),
    "last_contains": lambda call, number, wanted: wanted in call.last,
    "parameter": lambda call, number, wanted: wanted in call.parameters,
}
FILTERED = {
    "code": "DataInspectionFailed",
    "message": "Input data may contain inappropriate content.",
}
REFUSAL = "I'm sorry, but I can't help with that."


def _is(value: Any, wanted: Any) -> bool:
    return value in wanted if isinstance(wanted, list) else value == wanted


def _filled(text: str, call: Call) -> str:
    attributes = ", ".join(call.question.attributes)
    return (
        text.replace("{class}", call.question.name or "")
        .replace("{attribute}", attributes)
        .replace("{n}", str(call.number))
        .replace("{key}", call.key)
    )


def _headers(rule: dict[str, Any]) -> dict[str, str]:
    headers = {str(name): str(value) for name, value in rule.get("headers", {}).items()}
    if "retry_after" in rule:
        headers["retry-after"] = str(rule["retry_after"])
    if "retry_after_ms" in rule:
        headers["retry-after-ms"] = str(rule["retry_after_ms"])
    if "retry_after_date" in rule:  # whole seconds, never sooner than said
        headers["retry-after"] = formatdate(
            time.time() + rule["retry_after_date"] + 0.999, usegmt=True
        )
    return headers


def _dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
