"""What the LLMs behind a network share: address and key, one exchange, and reading the answer."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lsmseg_prompts.llm.base import LLM, Reply, Request
from lsmseg_prompts.llm.capabilities import Capabilities
from lsmseg_prompts.llm.errors import Failure
from lsmseg_prompts.llm.http import count, joined, retry_after, storable
from lsmseg_prompts.llm.keys import mask, mask_key, shown_url, travels_unencrypted
from lsmseg_prompts.store.sqlite import utc_now


class ChatLLM(LLM):
    """One model at the base URL `url`.

    `timeout` bounds a whole call, in seconds. The key is read by `check`, or by the first call.
    """

    free = False
    _counts = ("prompt_tokens", "completion_tokens")  # what the usage calls them

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
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def notes(self) -> list[str]:
        if self._key is not None and travels_unencrypted(self._url, self._key):
            return [f"The key travels unencrypted to {self.host}: use https:// if it can."]
        return []

    @abstractmethod
    def messages(self, request: Request) -> list[dict[str, Any]]:
        """The chat messages, with the pictures where the provider wants them."""

    @abstractmethod
    def _new_client(self) -> Any:
        """What holds the connections, for the event loop that is running."""

    def _connected(self) -> Any:
        """The client, made anew where the event loop is another."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client, self._loop = self._new_client(), loop
        return self._client

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @abstractmethod
    def _error(self, status: int, body: Any) -> Reply | None:
        """The failure that an answer tells of."""

    def parse_body(self, status: int, body: Any) -> Reply:
        """The reply in an answer: `body` is its parsed JSON, or its text if it is not JSON."""
        if (failed := self._error(status, body)) is not None:
            return failed
        if not isinstance(body, dict):
            message = f"{self.host} answered with something that is not JSON."
            return self._malformed("NotJSON", message)
        usage, served = body.get("usage"), body.get("model")
        usage = usage if isinstance(usage, dict) else {}
        into, out = self._counts
        reply = Reply(
            text=None,
            asked_model=self.model,
            served_model=served if isinstance(served, str) else None,
            input_tokens=count(usage.get(into)),
            output_tokens=count(usage.get(out)),
            http_status=200,
        )
        return self._read_choice(reply, body)

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

    def _read_choice(self, reply: Reply, body: dict[str, Any]) -> Reply:
        """`reply` with what the first of the choices says."""
        choices = body.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(choice, dict) or not isinstance(message, dict):
            lacking = f"The answer of {self.host} holds no message."
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
