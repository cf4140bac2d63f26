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
        self._reasons = bool(_REASONING.match(model.removeprefix("openai/")))

    def output_limit(self, max_output_tokens: int) -> int:
        """Reasoning models get 32 times what the answer needs.

        4,096 at least and 32,768 at most, or what the answer needs, where that is more.
        """
        if not self._reasons:
            return max_output_tokens
        wanted = max(_REASONING_LEAST, _REASONING_FACTOR * max_output_tokens)
        return max(max_output_tokens, min(wanted, _REASONING_MOST))

    # -- before the first call ---------------------------------------------------------------

    def check(self) -> None:
        check_url(self._url)
        check_certificates()
        if is_dashscope(self._url):  # its OpenAI-compatible mode
            self._key = find_key("DASHSCOPE_API_KEY", self._key_file)
        else:
            self._key = find_key("OPENAI_API_KEY", self._key_file, needed=self.is_openai)
        import_module("openai")  # half a second that is not the first call's

    # -- asking ------------------------------------------------------------------------------

    def messages(self, request: Request) -> list[dict[str, Any]]:
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
        reply = self._read(answer.status_code, answer.headers, parsed(answer.content), body)
        return replace(reply, request_id=answer.headers.get("x-request-id"))

    def _error(self, status: int, body: Any) -> Reply | None:
        if status == 200:
            if not isinstance(body, dict) or not body.get("error"):
                return None
            # Some servers send errors with status 200.
            code = body["error"].get("code") if isinstance(body["error"], dict) else None
            status = code if isinstance(code, int) and code >= 400 else 500
        return self._failed(openai_failure(status, body, self._url, self.model), status)

    # -- the Batch API -----------------------------------------------------------------------
    # These raise Passing for what another try may mend, else ConfigurationError or ProviderError.

    async def upload_file(self, name: str, data: bytes) -> str:
        """Upload the input of a batch, JSON lines; returns the file's id."""
        file = (name, data, "application/jsonl")
        answer = await self._json(
            "post",
            "/files",
            "id",
            max(self.timeout, FILE_SECONDS),
            body={"purpose": "batch"},
            files={"file": file},
            options={"headers": {"Content-Type": "multipart/form-data"}},
        )
        return str(answer["id"])

    async def create_batch(self, input_file_id: str, metadata: Mapping[str, str]) -> dict[str, Any]:
        """Start a batch over an uploaded file, to be done within a day."""
        body = {
            "input_file_id": input_file_id,
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "metadata": dict(metadata),
        }
        return await self._json("post", "/batches", "id", body=body)

    async def retrieve_batch(self, batch_id: str) -> dict[str, Any]:
        """What has become of a batch."""
        return await self._json("get", f"/batches/{batch_id}", "status")

    async def list_batches(self, limit: int = 100) -> list[dict[str, Any]]:
        """The account's batches, newest first; `limit` is 100 at most."""
        params = {"params": {"limit": limit}}
        answer = await self._json("get", "/batches", options=params)
        data = answer.get("data")
        return [b for b in data if isinstance(b, dict)] if isinstance(data, list) else []

    async def file_content(self, file_id: str) -> bytes:
        """The bytes of an output or errors file."""
        seconds = max(self.timeout, FILE_SECONDS)
        return (await self._fetch("get", f"/files/{file_id}/content", seconds)).content

    async def _json(
        self, method: str, path: str, field: str = "", seconds: float | None = None, **more: Any
    ) -> dict[str, Any]:
        """The JSON of an answer; it has a text in `field`, if one is named."""
        answer = parsed((await self._fetch(method, path, seconds or self.timeout, **more)).content)
        if not isinstance(answer, dict):
            raise Passing(self._malformed("NotJSON", f"{self.host}{path} answered without JSON."))
        if field and not (isinstance(answer.get(field), str) and answer[field]):
            lacking = f"The answer of {self.host} lacks {field!r}."
            raise Passing(self._malformed("NoChoices", lacking))
        return answer

    async def _fetch(self, method: str, path: str, seconds: float, **more: Any) -> httpx2.Response:
        """The answer to a call that is not a question; raises unless its status is 200."""
        if self._key is None:
            self.check()
        reply, answer = await self._send(method, path, seconds, **more)
        if answer is not None:
            if answer.status_code == 200:
                return answer
            reply = self._error(answer.status_code, parsed(answer.content)) or reply
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

    def _new_client(self) -> AsyncOpenAI:
        import httpx2
        from openai import AsyncOpenAI

        timeout = httpx2.Timeout(None, connect=min(CONNECT_SECONDS, 0.5 * self.timeout))
        limits = httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        http_client = httpx2.AsyncClient(timeout=timeout, limits=limits, follow_redirects=False)
        return AsyncOpenAI(
            api_key=self._key,
            base_url=self._url,
            max_retries=0,
            timeout=timeout,
            http_client=http_client,
        )
