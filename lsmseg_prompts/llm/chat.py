"""What the LLMs behind a network share: address and key, one exchange, and reading the answer."""

from __future__ import annotations

import time
from abc import abstractmethod
from asyncio import AbstractEventLoop
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lsmseg_prompts.llm.base import LLM, Reply, Request
from lsmseg_prompts.llm.capabilities import Capabilities
from lsmseg_prompts.llm.errors import Failure
from lsmseg_prompts.llm.http import joined, retry_after, storable
from lsmseg_prompts.llm.keys import mask, mask_key, shown_url, travels_unencrypted
from lsmseg_prompts.store.sqlite import utc_now


class ChatLLM(LLM):
    """One model at the base URL `url`.

    `timeout` bounds a whole call, in seconds. The key is read by `check`, or by the first call.
    """

    free = False

    def __init__(
        self,
        name: str,
        model: str,
        url: str,
        key_file: str | Path | None,
        timeout: float,
        capabilities: Capabilities,
    ) -> None:
        self.name, self.model, self.timeout = name, model, timeout
        self.capabilities = capabilities
        self._url = url.rstrip("/")
        self.host = shown_url(self._url)
        self.provenance = f"Written by the LLM {model}, asked at {self.host}."
        self._key_file = key_file
        self._key: str | None = None
        self._loop: AbstractEventLoop | None = None

    def notes(self) -> list[str]:
        """See LLM.notes."""
        if self._key is not None and travels_unencrypted(self._url, self._key):
            return [f"The key travels unencrypted to {self.host}: use https:// if it can."]
        return []

    @abstractmethod
    def messages(self, request: Request) -> list[dict[str, Any]]:
        """The chat messages, with the pictures where the provider wants them."""

    @abstractmethod
    def parse_body(self, status: int, body: Any) -> Reply:
        """The reply in an answer: `body` is its parsed JSON, or its text if it is not JSON."""

    @abstractmethod
    async def _exchange(self, request: Request, body: dict[str, Any]) -> Reply:
        """Send `body` and read what comes back."""

    def body(self, request: Request) -> dict[str, Any]:
        """Messages and parameters, with only what the model is known to take."""
        capabilities = self.capabilities
        body: dict[str, Any] = {"model": self.model, "messages": self.messages(request)}
        if request.max_output_tokens is not None and capabilities.token_name is not None:
            body[capabilities.token_name] = self.output_limit(request.max_output_tokens)
        response_format = capabilities.response_format(request.schema)
        if response_format is not None:
            body["response_format"] = response_format
        wanted = {**request.parameters, **capabilities.forced}
        return {**body, **{k: v for k, v in wanted.items() if k not in capabilities.refused}}

    async def complete(self, request: Request) -> Reply:
        """See LLM.complete."""
        if self._key is None:
            self.check()
        body = self.body(request)
        started, clock = utc_now(), time.monotonic()
        reply = await self._exchange(request, body)
        return replace(reply, started_at=started, duration_seconds=time.monotonic() - clock)

    def _read(
        self, status: int, headers: Mapping[str, str], answer: Any, sent: dict[str, Any]
    ) -> Reply:
        """The reply in an answer; a refused parameter is learnt and left out from then on."""
        reply = self.parse_body(status, answer)
        if reply.error_scope is not None and self._learn(status, answer, sent):
            reply = replace(reply, error_scope="adapted")
        failed = reply.error_scope in ("passing", "throttled", "account")
        return replace(reply, retry_after_seconds=retry_after(headers) if failed else None)

    def _learn(self, status: int, answer: Any, sent: dict[str, Any]) -> bool:
        return self.capabilities.learn(status, answer, sent)

    def _read_choice(self, reply: Reply, choices: Any, lacking: str) -> Reply:
        """`reply` with what the first of `choices` says; `lacking` is said where there is none."""
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(choice, dict) or not isinstance(message, dict):
            return self._malformed("NoChoices", lacking, reply)
        finish, refusal = choice.get("finish_reason"), message.get("refusal")
        text = self._masked(joined(message.get("content")))
        is_reason = isinstance(finish, str) and finish != "null"
        reply = replace(reply, finish_reason=finish if is_reason else None)
        if finish == "content_filter":
            return replace(
                reply,
                refusal=text or None,
                error_scope="cell",
                error_class="ContentFilter",
                error_message="The provider's filter cut the answer off.",
                billed=True,
            )
        if isinstance(refusal, str) and refusal.strip():
            return replace(reply, refusal=self._masked(refusal))
        return replace(reply, text=text)

    def _failed(self, failure: Failure, status: int | None = None) -> Reply:
        return Reply(
            text=None,
            asked_model=self.model,
            http_status=status,
            error_scope=failure.scope,
            error_class=failure.kind,
            error_message=mask(failure.message, self._key),
            billed=failure.billed,
        )

    def _malformed(self, kind: str, message: str, reply: Reply | None = None) -> Reply:
        """An answer that came whole, but is not what it should be."""
        return replace(
            reply or Reply(text=None, asked_model=self.model, http_status=200),
            error_scope="passing",
            error_class=kind,
            error_message=message,
            billed=True,
        )

    def _masked(self, text: str) -> str:
        return mask_key(storable(text), self._key)
