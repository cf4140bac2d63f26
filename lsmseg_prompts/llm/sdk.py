"""Files and batches through OpenAI's SDK, which knows how they are sent.

Questions go without it: it takes half a second to load. Its own retries are off, and a stranger's
host gets nothing of what the environment holds for OpenAI (OPENAI_ORG_ID, OPENAI_PROJECT_ID,
OPENAI_CUSTOM_HEADERS).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2
import openai
from typing_extensions import override


class _Client(openai.AsyncOpenAI):
    """The SDK's client for one host."""

    is_openais = True

    @property
    @override
    def default_headers(self) -> dict[str, str | openai.Omit]:
        if self.is_openais:
            return super().default_headers
        return {"Accept": "application/json", "Content-Type": "application/json"}


async def call(
    http: httpx2.AsyncClient,
    url: str,
    path: str,
    headers: Mapping[str, str | None],
    is_openais: bool,
    **content: Any,
) -> httpx2.Response:
    """The answer to one call, whatever its status.

    Args:
        http: the connections.
        url: the base URL.
        path: after it.
        headers: the key and the like; None keeps the SDK from sending one.
        is_openais: whether the host is OpenAI's own.
        **content: json, data, files or params, as the HTTP library takes them; without json and
            data it is a GET.

    Raises:
        OSError: No answer came; its causes say why.
    """
    client = _Client(
        api_key="in-the-headers", base_url=url, max_retries=0, timeout=http.timeout,
        http_client=http,
    )  # fmt: skip
    client.is_openais = is_openais
    given = {name: openai.Omit() if value is None else value for name, value in headers.items()}
    options: Any = {"headers": given, "params": content.get("params") or {}}
    try:
        if "files" in content:
            options["headers"]["Content-Type"] = "multipart/form-data"
            files, data = content["files"], content.get("data")
            return await client.post(
                path, cast_to=httpx2.Response, body=data, files=files, options=options
            )
        if "json" in content:
            body = content["json"]
            return await client.post(path, cast_to=httpx2.Response, body=body, options=options)
        return await client.get(path, cast_to=httpx2.Response, options=options)
    except openai.APIStatusError as error:
        return error.response
    except openai.OpenAIError as error:
        raise OSError(str(error)) from error
