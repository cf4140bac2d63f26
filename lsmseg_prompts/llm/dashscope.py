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
import re
import ssl
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsmseg_prompts.errors import ConfigurationError
from lsmseg_prompts.llm.base import Reply, Request
from lsmseg_prompts.llm.chat import ChatLLM
from lsmseg_prompts.llm.errors import connection_failure, dashscope_failure
from lsmseg_prompts.llm.http import CONNECT_SECONDS, data_url, parsed, tls
from lsmseg_prompts.llm.options import AskOptions
from lsmseg_prompts.llm.providers import Provider, at, called
from lsmseg_prompts.llm.streams import is_stream, whole_dashscope_answer
from lsmseg_prompts.llm.time_limit import time_limit

if TYPE_CHECKING:
    import aiohttp

# These are asked at another address, pictures or not.
_VISION = re.compile(r"qwen[\d.]*-(vl|omni)|qvq|.*-vl-", re.IGNORECASE)

_PIECES = {"stream": True, "incremental_output": True}
NEVER = 86400  # seconds: `time_limit` ends a call, not the SDK
_Answer = tuple[int, dict[str, str], bytes]
_answer: ContextVar[list[_Answer]] = ContextVar("_answer")


class DashScope(ChatLLM):
    """One model of DashScope; see `lsmseg_prompts.llm.base.LLM`.

    The address is that of DASHSCOPE_HTTP_BASE_URL, or DashScope's own.
    """

    _counts = ("input_tokens", "output_tokens")

    def __init__(
        self,
        name: str,
        model: str,
        key_file: str | Path | None = None,
        timeout: float = 120.0,
        provider: Provider | None = None,
        options: AskOptions | None = None,
    ) -> None:
        provider = provider or called("dashscope")
        url = provider.address() or ""
        super().__init__(
            name, model, at(provider, url), url, key_file, timeout, options or AskOptions()
        )
        self._streams = False  # until a model says that it answers in pieces only

    def check(self) -> None:
        if "@" in self._url:
            raise ConfigurationError(
                f"{self.provider.endpoint_variable} ({self.host}) holds a user name: leave only "
                "the address."
            )
        super().check()

    def messages(self, request: Request) -> list[dict[str, Any]]:
        messages = self.capabilities.messages(request)
        if self._takes_pictures(request):
            for message in messages:
                message["content"] = [{"text": message["content"]}]
            pictures = [{"image": data_url(i.mime, i.data)} for i in request.images]
            messages[-1]["content"] = [*pictures, *messages[-1]["content"]]
        return messages

    def _takes_pictures(self, request: Request) -> bool:
        return bool(request.images) or _VISION.match(self.model) is not None

    async def _exchange(self, body: dict[str, Any], request: Request) -> Reply:
        pieces = _PIECES if self._streams else {}
        reply, answer = await self._send(self._takes_pictures(request), {**body, **pieces})
        if answer is None:
            return reply
        status, headers, content = answer
        read = whole_dashscope_answer(content) if is_stream(content) else parsed(content)
        reply = self._read(status, headers, read, {**body, **pieces}, request.room)
        request_id = read.get("request_id") if isinstance(read, dict) else None
        return replace(reply, request_id=request_id if isinstance(request_id, str) else None)

    def _learn(self, status: int, answer: Any, sent: dict[str, Any], room: int) -> bool:
        thinks = sent.get("enable_thinking") and "enable_thinking" in str(answer)
        wanted = re.search(r"only support.{0,3} stream", str(answer), re.I) or thinks
        if "stream" not in sent and wanted:
            self._streams = True
            return True
        whole = {k: v for k, v in sent.items() if k not in _PIECES}
        learnt = super()._learn(status, answer, whole, room)
        if self.capabilities.token_name == "max_completion_tokens":  # which is OpenAI's alone
            self.capabilities.token_name = None
        return learnt

    def _error(self, status: int, body: Any) -> Reply | None:
        coded = isinstance(body, dict) and body.get("code") and "output" not in body
        if 200 <= status < 300 and not coded:
            return None
        shown = 500 if 200 <= status < 300 else status
        return self._failed(dashscope_failure(shown, body, self._url, self.model), status)

    def _read_choice(self, reply: Reply, body: dict[str, Any]) -> Reply:
        output = body.get("output")
        return super()._read_choice(reply, output if isinstance(output, dict) else {})

    async def _send(self, pictures: bool, body: dict[str, Any]) -> tuple[Reply, _Answer | None]:
        """The raw answer, whatever its status; else None, and the reply says what was wrong."""
        import aiohttp

        call = _sdk_call(pictures)
        seen: list[_Answer] = []
        token = _answer.set(seen)
        try:
            async with time_limit(self.timeout):
                answer = await call(
                    **body,
                    result_format="message",
                    api_key=self._key,
                    base_address=self._url,
                    request_timeout=NEVER,
                    session=self._connected(),
                )
                if "stream" in body:
                    async for _ in answer:  # only now is the request sent
                        pass
        except Exception as error:
            if not seen:  # else it is the SDK that does not expect such an answer
                ours = (aiohttp.ClientError, OSError, ConnectTimeout, NotAnswered)
                if not isinstance(error, ours):
                    raise
                return self._failed(connection_failure(error, self._url, self.timeout)), None
        finally:
            _answer.reset(token)
        return Reply(None, self.model), seen[-1]

    def _new_client(self) -> aiohttp.ClientSession:
        import aiohttp

        connect_seconds = min(CONNECT_SECONDS, 0.5 * self.timeout)

        class Connector(aiohttp.TCPConnector):
            """Bounds the connecting alone."""

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
            if 300 <= response.status < 400:  # a question and its key are for the host named
                raise NotAnswered("it redirects")
            return response

        return aiohttp.ClientSession(
            connector=Connector(ssl=tls(ssl.create_default_context), limit=0),
            trust_env=True,
            middlewares=(read_first,),
            cookie_jar=aiohttp.DummyCookieJar(),
        )


class ConnectTimeout(Exception):
    """The connection was not made in time."""


class NotAnswered(Exception):
    """A dropped connection, under a name at which the SDK does not send again."""


def _sdk_call(pictures: bool) -> Any:
    """The SDK's call for questions with or without pictures."""
    from dashscope.aigc.generation import AioGeneration
    from dashscope.aigc.multimodal_conversation import AioMultiModalConversation

    log = logging.getLogger("dashscope")
    if not log.disabled:
        log.disabled = True  # it prints errors, with the question
    if not pictures:
        return AioGeneration.call

    class Conversation(AioMultiModalConversation):
        @classmethod
        def _preprocess_messages(cls, *args: Any, **kwargs: Any) -> bool:
            return False  # nothing is a file to upload

    return Conversation.call
