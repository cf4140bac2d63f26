"""What the LLMs behind a network share: address and key, one exchange, and reading the answer."""

from __future__ import annotations

import asyncio
import os
import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lsmseg_prompts.english import nearest
from lsmseg_prompts.llm.base import LLM, Reply, Request
from lsmseg_prompts.llm.capabilities import JSON_FORMATS, TOKEN_NAMES, Capabilities
from lsmseg_prompts.llm.errors import Failure, delay_in_error
from lsmseg_prompts.llm.http import (
    check_certificates,
    check_url,
    count,
    joined,
    rate_limits,
    retry_after,
    storable,
)
from lsmseg_prompts.llm.keys import (
    OWN_KEY,
    PLACEHOLDER,
    find_key,
    mask,
    mask_key,
    shown_url,
    travels_unencrypted,
)
from lsmseg_prompts.llm.options import AskOptions
from lsmseg_prompts.llm.providers import Provider, named
from lsmseg_prompts.llm.thoughts import reasoning_tokens, thoughts_of
from lsmseg_prompts.store.sqlite import utc_now

_FILTERED = ("content_filter", "safety", "recitation", "prohibited_content", "sensitive")
ONLY_THOUGHTS = "OnlyThoughts"
"""The `error_class` of a reply that is asked for again with more room for thoughts."""
_GAVE_UP = ("insufficient_system_resource", "network_error", "error", "abort")
"""Finish reasons of answers that were given up on the server's side."""


class ChatLLM(LLM):
    """One model of `provider` at the base URL `url`.

    `timeout` bounds a whole call, in seconds. The key is read by `check`, or by the first call.
    """

    free = False
    _counts = ("prompt_tokens", "completion_tokens")  # what the usage calls them

    def __init__(
        self,
        name: str,
        model: str,
        provider: Provider,
        url: str,
        key_file: str | Path | None,
        timeout: float,
        options: AskOptions,
    ) -> None:
        self.name, self.model, self.timeout = name, model, timeout
        self.provider, self.options = provider, options
        level = options.reasoning
        self.capabilities = Capabilities(
            provider.token_limit,
            JSON_FORMATS.index(provider.json),
            room=provider.room(model, level),
            reasoning=list(provider.reasoning.get(level or "", ())),
            is_limited=any(name in options.parameters for name in TOKEN_NAMES),
            has_level=level is not None,
        )
        self._mended = url.rstrip("/").removesuffix("/chat/completions") != url.rstrip("/")
        self._url = url.rstrip("/").removesuffix("/chat/completions")
        self.host = shown_url(self._url)
        self.provenance = f"Written by the LLM {model}, asked at {self.host}."
        self._key_file = key_file
        self._key: str | None = None
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def check(self) -> None:
        check_url(self._url)
        check_certificates()
        provider = self.provider
        self._key = find_key(provider.key or OWN_KEY, self._key_file, provider.key_needed)

    def notes(self) -> list[str]:
        notes = []
        if self._mended:
            notes.append(f"/chat/completions at the end of the base URL is left out: {self.host}.")
        if self._key is not None and travels_unencrypted(self._url, self._key):
            notes.append(f"The key travels unencrypted to {self.host}: use https:// if it can.")
        other = self._key_of_another()
        if other and self._key == PLACEHOLDER and self.provider.key == OWN_KEY:
            notes.append(
                f"{other} is not sent to {self.host}, which is not its provider's host: if that "
                f"server wants a key, put it into {OWN_KEY} or --key-file."
            )
        return notes

    def _key_of_another(self) -> str | None:
        """The variable, if it is set, of the provider that the name of the LLM stands for."""
        found = named(self.name)
        variable = found[0].key if found is not None else None
        return variable if variable and variable != OWN_KEY and os.environ.get(variable) else None

    def fitted(self, request: Request) -> Request:
        if request.room is not None:
            return request
        system = request.system if self.options.system is None else self.options.system
        parameters = {**self.options.parameters, **request.parameters}
        return self.capabilities.fitted(replace(request, system=system, parameters=parameters))

    def left_out(self) -> list[str]:
        return sorted(self.capabilities.missed)

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
        into, out = _tokens(usage, *self._counts)
        reply = Reply(
            text=None,
            asked_model=self.model,
            served_model=served if isinstance(served, str) else None,
            input_tokens=into,
            output_tokens=out,
            reasoning_tokens=count(reasoning_tokens(usage)),
            http_status=status,
        )
        return self._read_choice(reply, body)

    @abstractmethod
    async def _exchange(self, body: dict[str, Any], request: Request) -> Reply:
        """Send `body`, which asks `request`, and read what comes back."""

    def body(self, request: Request) -> dict[str, Any]:
        """Messages and parameters, with only what the model is known to take."""
        capabilities, request = self.capabilities, self.fitted(request)
        body: dict[str, Any] = {"model": self.model, "messages": self.messages(request)}
        if request.max_output_tokens is not None and capabilities.token_name is not None:
            body[capabilities.token_name] = request.max_output_tokens
        response_format = capabilities.response_format(request.schema)
        if response_format is not None:
            body["response_format"] = response_format
        return {**body, **request.parameters}

    async def complete(self, request: Request) -> Reply:
        if self._key is None:
            self.check()
        request = self.fitted(request)
        body = self.body(request)
        started, clock = utc_now(), time.monotonic()
        reply = self._with_more_room(await self._exchange(body, request), request)
        if self.options.reasoning == "off" and reply.thinks:
            self.capabilities.missed.add("--reasoning off")
        return replace(reply, started_at=started, duration_seconds=time.monotonic() - clock)

    def read_result(self, status: int, body: Any, request: Request, sent: dict[str, Any]) -> Reply:
        """The reply in a result of a batch, as `complete` would return it.

        Args:
            status: the HTTP status.
            body: the answer in the shape of a chat completion, or an error.
            request: what was asked, as it was fitted then.
            sent: the parameters and the `messages` that were sent.
        """
        return self._with_more_room(self._read(status, {}, body, sent, request.room), request)

    def _with_more_room(self, reply: Reply, request: Request) -> Reply:
        """`reply`, to be asked for again where it is thoughts alone and there can be more room."""
        had_room = request.room and reply.had_room(request.max_output_tokens)
        if had_room or not (self._only_thought(reply) and self.capabilities.more_room(request)):
            return reply
        return replace(
            reply,
            error_scope="adapted",
            error_class=ONLY_THOUGHTS,
            error_message="The reply is nothing but thoughts: it is asked for with more room.",
        )

    def _only_thought(self, reply: Reply) -> bool:
        """Whether the thoughts left no room for an answer, or for all of it."""
        if reply.error_scope is not None or reply.refusal:
            return False
        thoughts = bool(reply.thoughts or (reply.text or "").strip() or reply.reasoning_tokens)
        if not reply.said.strip():
            return thoughts or reply.is_cut
        return reply.is_cut and 2 * (reply.reasoning_tokens or 0) > (reply.output_tokens or 0)

    def _read(
        self,
        status: int,
        headers: Mapping[str, str],
        answer: Any,
        sent: dict[str, Any],
        room: int | None,
    ) -> Reply:
        """The reply in an answer; a refused parameter is learnt and left out from then on."""
        reply = self.parse_body(status, answer)
        if reply.error_scope is not None and self._learn(status, answer, sent, room or 0):
            reply = replace(reply, error_scope="adapted")
            if self.capabilities.has_level and not self.capabilities.reasoning:
                reply = self._no_level(reply)
        failed = reply.error_scope in ("passing", "throttled", "account")
        wait = retry_after(headers)
        if wait is None:
            wait = delay_in_error(answer)
        limits = {name: self._masked(text) for name, text in rate_limits(headers).items()}
        return replace(reply, retry_after_seconds=wait if failed else None, limits=limits)

    def _no_level(self, reply: Reply) -> Reply:
        level = self.options.reasoning
        advice = f"leave --reasoning {level} out, or pass the model's own parameter with -o"
        said = (reply.error_message or "").rstrip(". ")
        message = f"{self.model} does not take --reasoning {level}: {advice} ({said})."
        return replace(reply, error_scope="setup", error_class="Reasoning", error_message=message)

    def _learn(self, status: int, answer: Any, sent: dict[str, Any], room: int) -> bool:
        return self.capabilities.learn(status, answer, sent, room)

    def _read_choice(self, reply: Reply, body: dict[str, Any]) -> Reply:
        """`reply` with what the first of the choices says."""
        choices = body.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(choice, dict) or not isinstance(message, dict):
            lacking = f"The answer of {self.host} holds no message."
            return self._malformed("NoChoices", lacking, reply)
        finish, refusal = choice.get("finish_reason"), message.get("refusal")
        if not isinstance(finish, str) or finish == "null":
            finish = None
        ended = (finish or "").lower()
        text = self._masked(joined(message.get("content")))
        thoughts = thoughts_of(message)
        reply = replace(
            reply,
            finish_reason=finish,
            thoughts=None if thoughts is None else self._masked(thoughts),
        )
        if ended in _GAVE_UP:
            gave_up = f"{self.host} gave up the answer ({finish})."
            return self._malformed("GaveUp", gave_up, reply)
        if ended in _FILTERED:
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
        message = failure.message
        if failure.kind == "Key" and self._key == PLACEHOLDER:
            said = message.removeprefix("The key was refused: ")
            how = f"set {self.provider.key}, or give --key-file"
            message = f"{self.host} wants a key: {how} ({said.rstrip('. ')})."
        elif failure.kind == "Key":
            source = self._key_file or self.provider.key
            message = f"{message.rstrip('. ')}. The key came from {source}."
        elif failure.kind == "NotFound":
            known = self.provider.prices.get("usd_per_million", ())
            message = message.rstrip(". ") + nearest(self.model, known) + "."
        return Reply(
            text=None,
            asked_model=self.model,
            http_status=status,
            error_scope=failure.scope,
            error_class=failure.kind,
            error_message=mask(message, self._key),
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


def _tokens(usage: Mapping[str, Any], asked: str, answered: str) -> tuple[int | None, int | None]:
    """The tokens in and out; None where the server does not count them.

    Args:
        usage: as an answer says it.
        asked: the name of the tokens in.
        answered: the name of the tokens out.
    """
    into, out = count(usage.get(asked)), count(usage.get(answered))
    if not into or out is None:  # no question takes no tokens
        return into or None, None
    thoughts, details = count(reasoning_tokens(usage)) or 0, usage.get("prompt_tokens_details")
    cached = count(details.get("cached_tokens")) if isinstance(details, dict) else None
    more = (count(usage.get("total_tokens")) or 0) - into - out  # in the total alone
    if more > 0 and more == cached:
        return into + more, out
    return into, out + max(more, 0 if thoughts <= out else thoughts)
