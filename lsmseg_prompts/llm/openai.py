"""LLMs behind OpenAI's chat protocol: OpenAI itself and every server that speaks it.

Questions go out through the HTTP library of OpenAI's SDK without the SDK, which takes half a second
to load and hands on HTML or half an answer as if it were one; files and batches go through the SDK
(sdk.py). Proxies, NO_PROXY and SSL_CERT_FILE are honoured by the library. Redirects are not
followed: a key is for the host that was named.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsmseg_prompts.errors import ConfigurationError, ProviderError
from lsmseg_prompts.llm.base import Reply, Request
from lsmseg_prompts.llm.chat import ChatLLM
from lsmseg_prompts.llm.errors import (
    Gone,
    Passing,
    connection_failure,
    openai_failure,
    unusable,
)
from lsmseg_prompts.llm.http import CONNECT_SECONDS, data_url, parsed, retry_after, tls
from lsmseg_prompts.llm.keys import PLACEHOLDER
from lsmseg_prompts.llm.options import AskOptions
from lsmseg_prompts.llm.providers import Provider, at, called
from lsmseg_prompts.llm.streams import is_stream, whole_answer
from lsmseg_prompts.llm.time_limit import time_limit

if TYPE_CHECKING:
    import httpx2

MOST = 2048  # connections
ACCOUNT = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
"""Which of OpenAI's accounts is to pay, in the variables of its SDK."""
NOT_THERE = (404, 405, 410, 501)


class OpenAIChat(ChatLLM):
    """One model behind OpenAI's protocol; see `lsmseg_prompts.llm.base.LLM`.

    `base_url` wins over the provider's variable (OPENAI_BASE_URL), which wins over its address.
    """

    def __init__(
        self,
        name: str,
        model: str,
        base_url: str | None = None,
        key_file: str | Path | None = None,
        timeout: float = 120.0,
        provider: Provider | None = None,
        options: AskOptions | None = None,
    ) -> None:
        provider = provider or called("openai")
        url = base_url or provider.address()
        if url is None:
            variable = provider.endpoint_variable
            how = f"set the environment variable {variable}, or " if variable else ""
            raise ConfigurationError(
                f"{name} needs the address of its server: {how}give --base-url."
            )
        super().__init__(
            name, model, at(provider, url), url, key_file, timeout, options or AskOptions()
        )
        # Of a server of one's own, until it has answered once.
        self._failures_at_first = 0 if self.provider.is_own else None

    # -- before the first call ---------------------------------------------------------------

    def check(self) -> None:
        super().check()
        import_module("httpx2")  # which is not the first call's time

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

    async def _exchange(self, body: dict[str, Any], request: Request) -> Reply:
        reply, answer = await self._call("POST", "/chat/completions", json=body)
        if answer is None:
            return reply
        read = parsed(answer.content)
        if isinstance(read, str) and is_stream(answer.content):  # although it was not asked for
            read = whole_answer(answer.content)
        reply = self._read(answer.status_code, answer.headers, read, body, request.room)
        if answer.status_code != 500:
            self._failures_at_first = None
        elif self._failures_at_first is not None:
            self._failures_at_first += 1
            if self._failures_at_first == 2:
                reply = await self._unlisted(reply)
        return replace(reply, request_id=answer.headers.get("x-request-id"))

    async def _unlisted(self, reply: Reply) -> Reply:
        """`reply`, a failure, or that the server does not list the model at all.

        Some fail on a name they do not know (`transformers serve`): waiting would be of no use.
        """
        _, answer = await self._call("GET", "/models")
        listed = parsed(answer.content) if answer is not None else None
        data = listed.get("data") if isinstance(listed, dict) else None
        every = data if isinstance(data, list) else []
        names = [str(one.get("id")) for one in every if isinstance(one, dict)]
        if not names or self.model in names:
            return reply
        shown = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
        said = (reply.error_message or "").rstrip(". ")
        message = f"{self.host} fails and does not list the model {self.model!r}: it has {shown}"
        return replace(
            reply,
            error_scope="setup",
            error_class="NotFound",
            error_message=f"{message} ({said}).",
        )

    def _error(self, status: int, body: Any) -> Reply | None:
        if 200 <= status < 300:
            if not isinstance(body, dict) or not body.get("error"):
                return None
            # Some servers send errors with status 200.
            code = body["error"].get("code") if isinstance(body["error"], dict) else None
            status = code if isinstance(code, int) and code >= 400 else 500
        return self._failed(openai_failure(status, body, self._url, self.model), status)

    # -- beside the questions: files and batches ----------------------------------------------
    # These raise Passing for what another try may mend, Gone for what is not there, else
    # ConfigurationError or ProviderError.

    async def fetch_json(
        self, method: str, path: str, field: str = "", seconds: float | None = None, **more: Any
    ) -> dict[str, Any]:
        """The JSON of an answer; `fetch` says more.

        Args:
            method: "GET" or "POST".
            path: after the base URL.
            field: what must be a text in it.
            seconds: the least time it is given.
            **more: as of `_call`.
        """
        answer = parsed((await self.fetch(method, path, seconds, **more)).content)
        if not isinstance(answer, dict):
            raise Passing(self._malformed("NotJSON", f"{self.host}{path} answered without JSON."))
        if field and not (isinstance(answer.get(field), str) and answer[field]):
            lacking = f"The answer of {self.host} lacks {field!r}."
            raise Passing(self._malformed("NoChoices", lacking))
        return answer

    async def fetch(
        self, method: str, path: str, seconds: float | None = None, **more: Any
    ) -> httpx2.Response:
        """The answer to a call that is not a question; raises unless its status is 2xx.

        Args:
            method: "GET" or "POST".
            path: after the base URL.
            seconds: the least time it is given.
            **more: as of `_call`.
        """
        if self._key is None:
            self.check()
        reply, answer = await self._call(method, path, seconds, by_sdk=True, **more)
        if answer is not None:
            if 200 <= answer.status_code < 300:
                return answer
            reply = self._error(answer.status_code, parsed(answer.content)) or reply
            reply = replace(reply, retry_after_seconds=retry_after(answer.headers))
        message = reply.error_message or "The call failed."
        if reply.http_status in NOT_THERE:
            raise Gone(message)
        if reply.error_scope in ("passing", "throttled"):
            raise Passing(reply)
        kind = ProviderError if reply.error_scope == "account" else ConfigurationError
        raise kind(message)

    def key_in(self, header: str) -> dict[str, str | None]:
        """Headers for a call that wants the key in `header` alone."""
        if self._key is None:
            self.check()
        return {"Authorization": None, header: self._key}

    # -- the wire ----------------------------------------------------------------------------

    async def _call(
        self,
        method: str,
        path: str,
        seconds: float | None = None,
        headers: Mapping[str, str | None] | None = None,
        by_sdk: bool = False,
        **content: Any,
    ) -> tuple[Reply, httpx2.Response | None]:
        """The raw answer, whatever its status; else None, and the reply says what was wrong.

        Args:
            method: "GET" or "POST".
            path: after the base URL.
            seconds: the least time it is given.
            headers: beside the usual ones; None takes one of these away.
            by_sdk: whether OpenAI's SDK sends it.
            **content: json, data, files or params, as the HTTP library takes them.
        """
        import httpx2

        timeout = max(self.timeout, seconds or 0.0)
        given = {**self._headers(), **(headers or {})}
        try:
            client = self._connected()
            if by_sdk:
                from lsmseg_prompts.llm import sdk

                openais = self.provider.name == "openai"
                sending = sdk.call(client, self._url, path, given, openais, **content)
            else:
                kept = {name: value for name, value in given.items() if value is not None}
                request = client.build_request(method, self._url + path, headers=kept, **content)
                sending = client.send(request)
        except (httpx2.InvalidURL, ValueError, ImportError) as error:
            return self._failed(unusable(error, self._url)), None
        try:
            async with time_limit(timeout):
                return Reply(None, self.model), await sending
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return self._failed(connection_failure(error, self._url, timeout)), None

    def _new_client(self) -> httpx2.AsyncClient:
        import httpx2

        return httpx2.AsyncClient(
            verify=tls(httpx2.create_ssl_context),
            timeout=httpx2.Timeout(None, connect=self._connect_seconds),
            limits=httpx2.Limits(max_connections=MOST, max_keepalive_connections=MOST),
            follow_redirects=False,
        )

    @property
    def _connect_seconds(self) -> float:
        return min(CONNECT_SECONDS, 0.5 * self.timeout)

    def _headers(self) -> dict[str, str]:
        """What goes along with a call: the key, and which account is to pay."""
        key = self._key or PLACEHOLDER
        headers = {"Authorization": f"Bearer {key}", "User-Agent": "lsmseg-prompts"}
        if self.provider.key_header:
            headers[self.provider.key_header] = key
        if self.provider.name == "openai":
            given = {header: os.environ.get(variable) for header, variable in ACCOUNT.items()}
            headers |= {header: value for header, value in given.items() if value}
        return headers

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
