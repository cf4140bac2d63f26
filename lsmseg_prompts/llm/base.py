"""What an LLM is to the rest of the room: a name, and one question at a time answered.

The two dataclasses carry what a row of the store's `attempts` table holds, so that every
question ever asked can be looked up: what was sent, what came back, what it cost, how long it
took. A provider fills what it knows and leaves the rest None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from lsmseg_prompts.vocabularies import ClassEntry

ErrorScope = Literal["cell", "passing", "run"]


@dataclass(frozen=True)
class Request:
    """One question about one cell.

    `prompt` is the user message and `system` an optional system message. The cell (vocabulary
    name, class, attribute) goes along for providers that answer from a table; stage 1, which
    is about no class, leaves `entry` None. `parameters` are the provider's own (temperature,
    seed, max_output_tokens, ...).
    """

    prompt: str
    system: str | None = None
    vocabulary: str | None = None
    entry: ClassEntry | None = None
    attribute: str | None = None
    template_hash: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def messages(self) -> list[dict[str, str]]:
        """The chat form that OpenAI's and DashScope's interfaces take."""
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        return [*system, {"role": "user", "content": self.prompt}]


@dataclass(frozen=True)
class Reply:
    """What came back, a failure included: a failed attempt costs money and is recorded too.

    `error_scope` says whom a failure concerns: this "cell" only (refused, filtered, unknown to
    the provider), nothing lasting ("passing": throttled, timed out; may be asked again), or
    the whole "run" (key rejected, quota used up, host unknown). None where there was none.
    """

    text: str | None
    asked_model: str
    served_model: str | None = None
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    http_status: int | None = None
    request_id: str | None = None
    started_at: str | None = None  # ISO 8601, UTC
    duration_seconds: float | None = None
    error_scope: ErrorScope | None = None
    error_class: str | None = None
    error_message: str | None = None
    retry_after_seconds: float | None = None

    def attempt_fields(self) -> dict[str, Any]:
        """The columns of the `attempts` table that a reply fills."""
        return {
            "asked_model": self.asked_model,
            "served_model": self.served_model,
            "reply": self.text,
            "finish_reason": self.finish_reason,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": self.cost_usd,
            "http_status": self.http_status,
            "error_class": self.error_class,
            "error_message": self.error_message,
            "request_id": self.request_id,
            "started_at": self.started_at,
            "duration_seconds": self.duration_seconds,
        }


@runtime_checkable
class LLM(Protocol):
    """A provider and its model.

    name: what `--llm` is given and the store files the texts under, such as "bundled".
    provenance: who wrote the texts, in a sentence.
    free: whether asking costs nothing, so that failed cells may be asked again unbidden.
    commit_every: how many replies may be lost to a kill; 1 where each has been paid for.
    """

    @property
    def name(self) -> str: ...

    @property
    def provenance(self) -> str: ...

    @property
    def free(self) -> bool: ...

    @property
    def commit_every(self) -> int: ...

    async def complete(self, request: Request) -> Reply:
        """Ask once. What the provider answers comes back as a Reply, errors too; it raises
        ConfigurationError only for what is wrong before anything is sent (a missing key)."""
        ...
