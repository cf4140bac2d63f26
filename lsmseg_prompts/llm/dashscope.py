"""LLMs behind DashScope's own API, asked through its SDK.

The SDK builds and signs the request. Its answers are read before it gets to see them: it loses
the status of an error body that lacks a code, and fails on HTML. What it would do by itself is
switched off: sending again after a dropped connection (the retries are the engine's), its own
certificates (SSL_CERT_FILE counts), its log, which would print, and its upload of a local file
whose name a prompt happens to be.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsmseg_prompts.errors import ConfigurationError
from lsmseg_prompts.llm.base import Reply, Request
from lsmseg_prompts.llm.capabilities import RUNGS, Taken
from lsmseg_prompts.llm.errors import connection_failure, dashscope_failure
from lsmseg_prompts.llm.http import (
    CONNECT_SECONDS,
    check_certificates,
    check_url,
    count,
    data_url,
    joined,
    parsed,
    storable,
)
from lsmseg_prompts.llm.keys import find_key, mask, mask_key, shown_url, travels_unencrypted
from lsmseg_prompts.llm.retry_after import retry_after
from lsmseg_prompts.store.store import utc_now

if TYPE_CHECKING:
    import aiohttp

DASHSCOPE_URL = "https://dashscope.aliyuncs.com/api/v1"

# These are asked at another address, pictures or not.
_VISION = re.compile(r"qwen[\d.]*-(vl|omni)|qvq|.*-vl-", re.IGNORECASE)

_Answer = tuple[int, dict[str, str], bytes]
_answer: ContextVar[list[_Answer]] = ContextVar("_answer")


class DashScope:
    """One model of DashScope; see `lsmseg_prompts.llm.base.LLM`.

    The address is DASHSCOPE_HTTP_BASE_URL or DashScope's own. `timeout` bounds a whole call, in
    seconds. The key is read by `check`, or by the first call.
    """

    free = False

    def __init__(
        self,
        name: str,
        model: str,
        key_file: str | Path | None = None,
        timeout: float = 120.0,
    ) -> None:
        self.name = name
        self.model = model
        self.timeout = timeout
        self._key_file = key_file
        self._url = (os.environ.get("DASHSCOPE_HTTP_BASE_URL") or DASHSCOPE_URL).rstrip("/")
        self._key: str | None = None
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._taken = Taken("max_tokens", rung=RUNGS.index("json_object"))
        self._streams = False  # until a model says that it answers in pieces only

    @property
    def host(self) -> str:
        return shown_url(self._url)

    @property
    def provenance(self) -> str:
        return f"Written by the LLM {self.model}, asked at {self.host}."

    def room(self, max_output_tokens: int) -> int:
        """The output limit that is truly sent, for a budget to reserve."""
        return max_output_tokens

    def check(self) -> None:
        """See LLM.check."""
        check_url(self._url)
        if "@" in self._url:
            raise ConfigurationError(
                f"DASHSCOPE_HTTP_BASE_URL ({self.host}) holds a user name: leave only the address."
            )
        check_certificates()
        self._key = find_key("DASHSCOPE_API_KEY", self._key_file)

    def notes(self) -> list[str]:
        """What the user should know before the first call; call `check` first."""
        if self._key is not None and travels_unencrypted(self._url, self._key):
            return [f"The key travels unencrypted to {self.host}: use https:// if it can."]
        return []

    def body(self, request: Request) -> dict[str, Any]:
        """What the SDK's `call` is given: messages and parameters."""
        taken = self._taken
        messages = taken.messages(request)
        if self._sees(request):
            for message in messages:
                message["content"] = [{"text": message["content"]}]
            pictures = [{"image": data_url(i.mime, i.data)} for i in request.images]
            messages[-1]["content"] = [*pictures, *messages[-1]["content"]]
        body: dict[str, Any] = {"model": self.model, "messages": messages}
        if request.max_output_tokens is not None and taken.token_name is not None:
            body["max_tokens"] = request.max_output_tokens
        response_format = taken.response_format(request.schema)
        if response_format is not None:
            body["response_format"] = response_format
        wanted = {**request.parameters, **taken.forced}
        return {**body, **{k: v for k, v in wanted.items() if k not in taken.refused}}

    def _sees(self, request: Request) -> bool:
        return bool(request.images) or _VISION.match(self.model) is not None

    async def complete(self, request: Request) -> Reply:
        """See LLM.complete."""
        if self._key is None:
            self.check()
        body, streams = self.body(request), self._streams
        started, clock = utc_now(), time.monotonic()
        reply, answer = await self._send(self._sees(request), body, streams)
        if answer is not None:
            status, headers, content = answer
            body_read = _pieced_together(content) if streams else parsed(content)
            reply = self.parse_body(status, body_read)
            if reply.error_scope is not None and self._adapt(status, body_read, body, streams):
                reply = replace(reply, error_scope="adapted")
            failed = reply.error_scope in ("passing", "throttled", "account")
            request_id = body_read.get("request_id") if isinstance(body_read, dict) else None
            reply = replace(
                reply,
                request_id=request_id if isinstance(request_id, str) else None,
                retry_after_seconds=retry_after(headers) if failed else None,
            )
        duration = time.monotonic() - clock
        return replace(reply, started_at=started, duration_seconds=duration)

    def _adapt(self, status: int, answer: Any, sent: dict[str, Any], streams: bool) -> bool:
        if not streams and re.search(r"only support.{0,3} stream", str(answer), re.I):
            self._streams = True
            return True
        adapted = self._taken.adapt(status, answer, sent)
        if self._taken.token_name == "max_completion_tokens":  # which is OpenAI's alone
            self._taken.token_name = None
        return adapted

    def parse_body(self, status: int, body: Any) -> Reply:
        """The reply in an answer: `body` is its parsed JSON, or its text if it is not JSON."""
        reply = Reply(text=None, asked_model=self.model, http_status=status)
        if status != 200 or (isinstance(body, dict) and body.get("code") and "output" not in body):
            failure = dashscope_failure(
                500 if status == 200 else status, body, self._url, self.model
            )
            return replace(
                reply,
                error_scope=failure.scope,
                error_class=failure.kind,
                error_message=mask(failure.message, self._key),
            )
        if not isinstance(body, dict):
            return self._bad(reply, "NotJSON", "something that is not JSON")
        usage = body.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        reply = replace(
            reply,
            input_tokens=count(usage.get("input_tokens")),
            output_tokens=count(usage.get("output_tokens")),
        )
        output = body.get("output")
        choices = output.get("choices") if isinstance(output, dict) else None
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            return self._bad(reply, "NoChoices", "no message")
        assert isinstance(choice, dict)
        finish = choice.get("finish_reason")
        text = mask_key(storable(joined(message.get("content"))), self._key)
        finish = finish if isinstance(finish, str) and finish != "null" else None
        reply = replace(reply, finish_reason=finish)
        if finish == "content_filter":
            return replace(
                reply,
                refusal=text or None,
                error_scope="cell",
                error_class="ContentFilter",
                error_message="The provider's filter cut the answer off.",
                billed=True,
            )
        return replace(reply, text=text)

    def _bad(self, reply: Reply, kind: str, what: str) -> Reply:
        return replace(
            reply,
            error_scope="passing",
            error_class=kind,
            error_message=f"{self.host} answered with {what}.",
            billed=True,
        )

    async def close(self) -> None:
        """See LLM.close."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _send(
        self, sees: bool, body: dict[str, Any], streams: bool
    ) -> tuple[Reply, _Answer | None]:
        """The raw answer, whatever its status; else None, and the reply says what was wrong."""
        import aiohttp

        call, pieces = _sdk_call(sees), {}
        if streams:
            pieces = {"stream": True, "incremental_output": True}
        seen: list[_Answer] = []
        token = _answer.set(seen)
        try:
            async with asyncio.timeout(self.timeout):
                answer = await call(
                    **body,
                    **pieces,
                    result_format="message",
                    api_key=self._key,
                    base_address=self._url,
                    request_timeout=self.timeout,
                    session=self._connected(),
                )
                if pieces:
                    async for _ in answer:  # only now is the request sent
                        pass
        except Exception as error:
            if not seen:  # else it is the SDK that does not expect such an answer
                ours = (aiohttp.ClientError, OSError, ConnectTimeout, NotAnswered)
                if not isinstance(error, ours):
                    raise
                failure = connection_failure(error, self._url, self.timeout)
                return Reply(
                    text=None,
                    asked_model=self.model,
                    error_scope=failure.scope,
                    error_class=failure.kind,
                    error_message=mask(failure.message, self._key),
                    billed=failure.billed,
                ), None
        finally:
            _answer.reset(token)
        return Reply(None, self.model), seen[-1]

    def _connected(self) -> aiohttp.ClientSession:
        """The session, made anew where the event loop is another."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop:
            self._session = _new_session(min(CONNECT_SECONDS, 0.5 * self.timeout))
            self._loop = loop
        return self._session


class ConnectTimeout(Exception):
    """The connection was not made in time."""


class NotAnswered(Exception):
    """A dropped connection, under a name at which the SDK does not send again."""


def _new_session(connect_seconds: float) -> aiohttp.ClientSession:
    import ssl

    import aiohttp

    class Connector(aiohttp.TCPConnector):
        """Bounds the connecting alone: the SDK's `request_timeout` is for the whole call."""

        async def connect(self, *args: Any, **kwargs: Any) -> Any:
            try:
                async with asyncio.timeout(connect_seconds):
                    return await super().connect(*args, **kwargs)
            except TimeoutError as error:
                raise ConnectTimeout from error

    async def read_first(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        try:
            response = await handler(request)
            content = await response.read()  # which the SDK then takes from here
        except aiohttp.ClientConnectionError as error:
            raise NotAnswered(str(error)) from error
        _answer.get().append((response.status, dict(response.headers), content))
        return response

    return aiohttp.ClientSession(
        connector=Connector(ssl=ssl.create_default_context(), limit=0),
        trust_env=True,
        middlewares=(read_first,),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _sdk_call(sees: bool) -> Any:
    """The SDK's call for questions with or without pictures."""
    from dashscope.aigc.generation import AioGeneration
    from dashscope.aigc.multimodal_conversation import AioMultiModalConversation

    log = logging.getLogger("dashscope")
    if not log.disabled:
        log.disabled = True  # it prints errors, with the question
    if not sees:
        return AioGeneration.call

    class Conversation(AioMultiModalConversation):
        @classmethod
        def _preprocess_messages(cls, *args: Any, **kwargs: Any) -> bool:
            return False  # nothing is a file to upload

    return Conversation.call


def _pieced_together(content: bytes) -> Any:
    """The answer whose pieces a stream of server-sent events holds, as if it had come whole."""
    lines = [line for line in content.splitlines() if line.startswith(b"data:")]
    events = [parsed(line.removeprefix(b"data:")) for line in lines]
    if not events or not all(isinstance(event, dict) for event in events):
        return parsed(content)
    last, texts = events[-1], []
    for event in events:
        try:
            texts.append(joined(event["output"]["choices"][0]["message"]["content"]))
        except (KeyError, IndexError, TypeError):
            return event  # an error, or no answer
    message = {**last["output"]["choices"][0]["message"], "content": "".join(texts)}
    choice = {**last["output"]["choices"][0], "message": message}
    return {**last, "output": {**last["output"], "choices": [choice]}}
