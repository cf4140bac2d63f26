"""LLMs behind OpenAI's chat protocol: OpenAI itself and every server that speaks it.

The SDK carries the bytes (`max_retries=0`: the retries are the engine's); the answer is parsed
and its shape checked here, because the SDK hands on HTML or half an answer as if it were one.
Proxies, NO_PROXY and SSL_CERT_FILE are honoured by its HTTP library. Redirects are not followed:
a key is for the host that was named.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lsmseg_prompts.errors import ConfigurationError, ProviderError
from lsmseg_prompts.llm.base import Reply, Request
from lsmseg_prompts.llm.capabilities import Capabilities
from lsmseg_prompts.llm.chat import ChatLLM
from lsmseg_prompts.llm.errors import (
    Passing,
    connection_failure,
    is_dashscope,
    openai_failure,
    unusable,
)
from lsmseg_prompts.llm.http import (
    CONNECT_SECONDS,
    check_certificates,
    check_url,
    count,
    data_url,
    parsed,
    retry_after,
)
from lsmseg_prompts.llm.keys import find_key

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

OPENAI_URL = "https://api.openai.com/v1"
CONNECTIONS = 2048
FILE_SECONDS = 600.0
"""The least time given to the upload or download of a batch file."""

# They think before they answer, and the thinking counts as output: a limit of the size of the
# answer would leave nothing of it.
_REASONING = re.compile(r"(o\d|gpt-5(?!.*chat)|gpt-oss)", re.IGNORECASE)
_REASONING_LEAST, _REASONING_FACTOR, _REASONING_MOST = 4096, 32, 32768


class OpenAIChat(ChatLLM):
    """One model behind OpenAI's protocol; see `lsmseg_prompts.llm.base.LLM`.

    `base_url` wins over OPENAI_BASE_URL, which wins over OpenAI's own address.
    """

    def __init__(
        self,
        name: str,
        model: str,
        base_url: str | None = None,
        key_file: str | Path | None = None,
        timeout: float = 120.0,
    ) -> None:
        url = base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
        host = urlsplit(url).hostname or ""
        self.is_openai = host == "api.openai.com" or host.endswith(".api.openai.com")
        capabilities = Capabilities("max_completion_tokens" if self.is_openai else "max_tokens")
        super().__init__(name, model, url, key_file, timeout, capabilities)
        self._client: AsyncOpenAI | None = None
        self._reasons = bool(_REASONING.match(model.removeprefix("openai/")))

    def output_limit(self, max_output_tokens: int) -> int:
        """The output limit that is truly sent, for a budget to reserve.

        Reasoning models get 32 times what the answer needs, 4,096 at least and 32,768 at most
        (or what the answer needs, where that is more).
        """
        if not self._reasons:
            return max_output_tokens
        wanted = max(_REASONING_LEAST, _REASONING_FACTOR * max_output_tokens)
        return max(max_output_tokens, min(wanted, _REASONING_MOST))

    # -- before the first call ---------------------------------------------------------------

    def check(self) -> None:
        """See LLM.check."""
        check_url(self._url)
        check_certificates()
        if is_dashscope(self._url):  # its OpenAI-compatible mode
            self._key = find_key("DASHSCOPE_API_KEY", self._key_file)
        else:
            self._key = find_key("OPENAI_API_KEY", self._key_file, needed=self.is_openai)
        import_module("openai")  # half a second that is not the first call's

    # -- asking ------------------------------------------------------------------------------

    def messages(self, request: Request) -> list[dict[str, Any]]:
        """See ChatLLM.messages."""
        messages = self.capabilities.messages(request)
        if request.images:
            words = messages[-1]["content"]
            pictures = [
                {"type": "image_url", "image_url": {"url": data_url(image.mime, image.data)}}
                for image in request.images
            ]
            messages[-1]["content"] = [{"type": "text", "text": words}, *pictures]
        return messages

    async def _exchange(self, request: Request, body: dict[str, Any]) -> Reply:
        reply, answer = await self._send("post", "/chat/completions", self.timeout, body=body)
        if answer is None:
            return reply
        headers = answer.headers
        reply = self._read(answer.status_code, headers, parsed(answer.content), body)
        return replace(reply, request_id=headers.get("x-request-id"))

    def parse_body(self, status: int, body: Any) -> Reply:
        """See ChatLLM.parse_body."""
        if status != 200:
            return self._error(status, body)
        if not isinstance(body, dict):
            return self._malformed(
                "NotJSON", f"{self.host} answered with something that is not JSON."
            )
        if body.get("error"):  # some servers send errors with status 200
            code = body["error"].get("code") if isinstance(body["error"], dict) else None
            return self._error(code if isinstance(code, int) and code >= 400 else 500, body)
        usage = body.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        served = body.get("model")
        reply = Reply(
            text=None,
            asked_model=self.model,
            served_model=served if isinstance(served, str) else None,
            input_tokens=count(usage.get("prompt_tokens")),
            output_tokens=count(usage.get("completion_tokens")),
            http_status=200,
        )
        lacking = f"The answer of {self.host} holds no message."
        return self._read_choice(reply, body.get("choices"), lacking)

    async def close(self) -> None:
        """See LLM.close."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    # -- the Batch API -----------------------------------------------------------------------
    # These raise Passing for what another try may mend, else ConfigurationError or ProviderError.

    async def upload_file(self, name: str, data: bytes) -> str:
        """Upload the input of a batch, JSON lines; returns the file's id."""
        file = (name, data, "application/jsonl")
        answer = await self._json(
            "post",
            "/files",
            max(self.timeout, FILE_SECONDS),
            body={"purpose": "batch"},
            files={"file": file},
            options={"headers": {"Content-Type": "multipart/form-data"}},
        )
        return self._field(answer, "id")

    async def create_batch(self, input_file_id: str, metadata: Mapping[str, str]) -> dict[str, Any]:
        """Start a batch over an uploaded file, to be done within a day."""
        body = {
            "input_file_id": input_file_id,
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "metadata": dict(metadata),
        }
        answer = await self._json("post", "/batches", self.timeout, body=body)
        self._field(answer, "id")
        return answer

    async def retrieve_batch(self, batch_id: str) -> dict[str, Any]:
        """What has become of a batch."""
        answer = await self._json("get", f"/batches/{batch_id}", self.timeout)
        self._field(answer, "status")
        return answer

    async def list_batches(self, limit: int = 100) -> list[dict[str, Any]]:
        """The account's batches, newest first; `limit` is 100 at most."""
        params = {"params": {"limit": limit}}
        answer = await self._json("get", "/batches", self.timeout, options=params)
        data = answer.get("data")
        return [b for b in data if isinstance(b, dict)] if isinstance(data, list) else []

    async def file_content(self, file_id: str) -> bytes:
        """The bytes of an output or errors file."""
        seconds = max(self.timeout, FILE_SECONDS)
        return (await self._fetch("get", f"/files/{file_id}/content", seconds)).content

    async def _json(self, method: str, path: str, seconds: float, **more: Any) -> dict[str, Any]:
        answer = parsed((await self._fetch(method, path, seconds, **more)).content)
        if not isinstance(answer, dict):
            raise Passing(self._malformed("NotJSON", f"{self.host}{path} answered without JSON."))
        return answer

    def _field(self, answer: dict[str, Any], name: str) -> str:
        value = answer.get(name)
        if not isinstance(value, str) or not value:
            raise Passing(
                self._malformed("NoChoices", f"The answer of {self.host} lacks {name!r}.")
            )
        return value

    async def _fetch(self, method: str, path: str, seconds: float, **more: Any) -> httpx2.Response:
        """The answer to a call that is not a question; raises unless its status is 200."""
        if self._key is None:
            self.check()
        reply, answer = await self._send(method, path, seconds, **more)
        if answer is not None:
            if answer.status_code == 200:
                return answer
            reply = self._error(answer.status_code, parsed(answer.content))
            reply = replace(reply, retry_after_seconds=retry_after(answer.headers))
        if reply.error_scope in ("passing", "throttled"):
            raise Passing(reply)
        kind = ProviderError if reply.error_scope == "account" else ConfigurationError
        raise kind(reply.error_message or "The call failed.")

    # -- the wire ----------------------------------------------------------------------------

    async def _send(
        self, method: str, path: str, seconds: float, **more: Any
    ) -> tuple[Reply, httpx2.Response | None]:
        """The raw answer, whatever its status; else None, and the reply says what was wrong."""
        import httpx2
        import openai

        try:
            client = self._connected()
        except (httpx2.InvalidURL, ValueError, ImportError) as error:
            return self._failed(unusable(error, self._url)), None
        try:
            async with asyncio.timeout(seconds):
                call = client.post if method == "post" else client.get
                return Reply(None, self.model), await call(path, cast_to=httpx2.Response, **more)
        except openai.APIStatusError as error:
            return Reply(None, self.model), error.response
        except (openai.OpenAIError, httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return self._failed(connection_failure(error, self._url, seconds)), None

    def _connected(self) -> AsyncOpenAI:
        """The client, made anew where the event loop is another."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            import httpx2
            from openai import AsyncOpenAI

            timeout = httpx2.Timeout(None, connect=min(CONNECT_SECONDS, 0.5 * self.timeout))
            limits = httpx2.Limits(
                max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS
            )
            http_client = httpx2.AsyncClient(timeout=timeout, limits=limits, follow_redirects=False)
            self._client = AsyncOpenAI(
                api_key=self._key,
                base_url=self._url,
                max_retries=0,
                timeout=timeout,
                http_client=http_client,
            )
            self._loop = loop
        return self._client

    def _error(self, status: int, body: Any) -> Reply:
        return self._failed(openai_failure(status, body, self._url, self.model), status)
