"""What an LLM is to everything above: a name, and one question at a time answered.

Request and Reply carry what a row of the store's `attempts` table holds; a provider fills what it
knows and leaves the rest None.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from lsmseg_prompts.llm.thoughts import has_thoughts, without_thoughts
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import ClassEntry

ErrorScope = Literal["cell", "adapted", "passing", "throttled", "account", "setup"]
"""Whom a failure concerns, and so what is done about it.

    cell       this question only (refused, filtered, too long): it fails, the run goes on
    adapted    the provider left out a parameter the model does not take: ask again at once
    passing    nothing lasting (5xx, timeout, cut connection): ask again after a while
    throttled  too many requests: everyone waits, fewer at a time, then ask again
    account    quota or credit used up: the run ends, resumable (exit code 5)
    setup      key, model, host, TLS or proxy: the run ends until that is put right (exit code 4)
"""

COMPLETE = frozenset(
    ("stop", "end_turn", "eos", "eos_token", "stop_sequence", "stop_string", "end", "complete",
     "completed", "finished", "done", "tool_calls", "function_call")
)  # fmt: skip
"""The finish reasons of a reply that is whole; any other is a cut."""

REFUSAL = "Refusal"
"""The `error_class` of an attempt whose reply is what the provider marks as a refusal."""


@dataclass(frozen=True)
class Image:
    """A picture that goes along with a question."""

    mime: str
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Request:
    """One question, about one class and one or more attributes, or about neither.

    `prompt` is the user message and `system` an optional system message. `history` holds what
    was said before `prompt`: (earlier question, its reply) pairs, oldest first. `schema` is the
    JSON schema of the wanted answer, where JSON is wanted. The cell (vocabulary name, class,
    attributes) goes along for providers that answer from a table. `parameters` are the
    provider's own (temperature, seed, ...). `room`: how many of `max_output_tokens` are for
    thoughts; None until `LLM.fitted` has seen to it. `budget`: the tokens that a description in the
    answer may take.
    """

    prompt: str
    system: str | None = None
    history: tuple[tuple[str, str], ...] = ()
    images: tuple[Image, ...] = ()
    schema: Mapping[str, Any] | None = None
    max_output_tokens: int | None = None
    vocabulary: str | None = None
    entry: ClassEntry | None = None
    attributes: tuple[str, ...] = ()
    template_hash: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    room: int | None = None
    budget: TokenBudget = CLIP

    @property
    def attribute(self) -> str | None:
        """The attribute, where it is about just one."""
        return self.attributes[0] if len(self.attributes) == 1 else None

    @property
    def messages(self) -> list[dict[str, str]]:
        """The chat form that OpenAI's and DashScope's interfaces take, without pictures."""
        messages = [] if self.system is None else [{"role": "system", "content": self.system}]
        for question, answer in self.history:
            messages.append({"role": "user", "content": question})
            messages.append({"role": "assistant", "content": answer})
        return [*messages, {"role": "user", "content": self.prompt}]

    @property
    def hash(self) -> str:
        """The hash of all that is asked: the text, what was said before, pictures."""
        pictures = [hashlib.sha256(image.data).hexdigest() for image in self.images]
        text = json.dumps([self.messages, pictures], ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Reply:
    """What came back, a failure included: a failed attempt costs money and is recorded too.

    `error_scope` is None where nothing failed. `billed` says whether the provider may charge
    for a failed attempt whose usage is unknown (a timeout may be charged, a 429 is not).
    `thoughts`: what a reasoning model thought, where the provider sends that apart from the text;
    `reasoning_tokens`: how many of the output tokens they were. `limits`: the rate limits that the
    answer's headers name.
    """

    text: str | None
    asked_model: str
    served_model: str | None = None
    finish_reason: str | None = None
    refusal: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    thoughts: str | None = None
    reasoning_tokens: int | None = None
    http_status: int | None = None
    request_id: str | None = None
    started_at: str | None = None  # ISO 8601, UTC
    duration_seconds: float | None = None
    error_scope: ErrorScope | None = None
    error_class: str | None = None
    error_message: str | None = None
    retry_after_seconds: float | None = None
    billed: bool = False
    limits: Mapping[str, str] = field(default_factory=dict)

    @property
    def said(self) -> str:
        """The text, without what a reasoning model thinks aloud in it."""
        return without_thoughts(self.text or "")

    @property
    def thinks(self) -> bool:
        """Whether thoughts came with it, or were counted."""
        return bool(self.thoughts or self.reasoning_tokens or has_thoughts(self.text or ""))

    @property
    def is_cut(self) -> bool:
        """Whether it ends for another reason than being complete."""
        return bool(self.finish_reason) and str(self.finish_reason).lower() not in COMPLETE

    def had_room(self, limit: int | None) -> bool:
        """Whether it says that it is complete, and took fewer output tokens than `limit`."""
        known = bool(self.finish_reason) and self.output_tokens is not None and limit is not None
        return known and not self.is_cut and (self.output_tokens or 0) < (limit or 0)

    @property
    def failure(self) -> str:
        """Why there is no text."""
        return self.error_message or self.refusal or self.error_class or "no text came back"

    def attempt_fields(self) -> dict[str, Any]:
        """The columns of the `attempts` table that a reply fills."""
        fields = asdict(self)
        for name in ("text", "refusal", "error_scope", "retry_after_seconds", "billed", "limits"):
            del fields[name]
        refused = self.text is None and self.refusal
        return {
            **fields,
            "reply": self.text if self.text is not None else self.refusal,
            "error_class": self.error_class or (REFUSAL if refused else None),
        }


@runtime_checkable
class LLM(Protocol):
    """A provider and its model.

    name: what `--llm` is given and the store files the texts under, such as "bundled".
    model: what the provider calls it, such as "gpt-4".
    host: the effective base URL, without credentials; None where no network is used.
    provenance: who wrote the texts, in a sentence.
    free: whether asking costs nothing, so that failed cells may be asked again unbidden.
    """

    name: str
    model: str
    host: str | None
    provenance: str
    free: bool

    def fitted(self, request: Request) -> Request:
        """`request` as it will be sent: with room for thoughts, and only what the model takes."""
        return request

    def left_out(self) -> list[str]:
        """The parameters that were asked for and that the model turned out not to take."""
        return []

    def notes(self) -> list[str]:
        """What the user should know before the first call; call `check` first."""
        return []

    @abstractmethod
    def check(self) -> None:
        """Raise ConfigurationError for what is plainly missing or wrong.

        No key, a key with a line break in it, a certificate file that is not there; the network
        is not touched.
        """

    @abstractmethod
    async def complete(self, request: Request) -> Reply:
        """Ask once, without retrying.

        What the provider answers comes back as a Reply, errors too, with keys masked in every text.
        """

    @abstractmethod
    async def close(self) -> None:
        """Close the connections."""
