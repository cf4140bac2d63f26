"""Requests to an ASGI application in this process, with any bytes in their paths and headers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

HOST = "127.0.0.1:7877"


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class Caller:
    """Sends requests one after the other, in one event loop."""

    def __init__(self, app: Any, token: str | None) -> None:
        self.app, self.loop = app, asyncio.new_event_loop()
        self.token = token

    def close(self) -> None:
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def __call__(
        self,
        method: str,
        address: str,
        body: bytes | Iterable[bytes] = b"",
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """``address``: the path, %-quoted, and the query, as they go over the wire."""
        return self.loop.run_until_complete(self._ask(method, address, body, headers or {}))

    async def _ask(self, method: str, address: str, body: Any, headers: dict[str, str]) -> Reply:
        path, _, query = address.partition("?")
        sent = {"host": HOST, **headers}
        if self.token is not None:
            sent.setdefault("authorization", f"Bearer {self.token}")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote_to_bytes(path).decode("utf-8", "replace"),
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(k.encode("latin-1"), v.encode("latin-1")) for k, v in sent.items()],
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 7877),
        }
        parts = iter([body] if isinstance(body, bytes) else body)
        told: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(0)  # as a server waits for it
            part = next(parts, None)
            return {"type": "http.request", "body": part or b"", "more_body": part is not None}

        async def send(message: dict[str, Any]) -> None:
            told.append(message)

        try:
            await self.app(scope, receive, send)
        except Exception:  # the server would log it; what was answered before is what counts
            if not told:
                raise
        lines = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in told[0]["headers"]}
        return Reply(told[0]["status"], lines, b"".join(one.get("body", b"") for one in told[1:]))
