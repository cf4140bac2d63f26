"""A small HTTP server inside the test's own event loop: it answers from a list, byte by byte.

For what the provider classes make of each answer; the server of llm_server.py is for whole runs.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

HANG = object()  # the request is read, an answer never comes
CUT = object()  # the connection is closed without an answer


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> bytes:
    """The bytes of an answer; a body that is neither bytes nor text becomes JSON."""
    if isinstance(body, str):
        body = body.encode()
    kind = "text/html" if isinstance(body, bytes) else "application/json"
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + data


@dataclass
class Call:
    path: str
    headers: dict[str, str]
    data: bytes

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.data)


@dataclass
class Scripted:
    """The server: its address and the calls so far. The last answer is given for ever."""

    script: list[Any]
    address: str = ""
    calls: list[Call] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                first = await reader.readexactly(1)
                if first == b"\x16":  # TLS, which this server does not speak
                    if self.script[0] is HANG:
                        await asyncio.Event().wait()
                    if self.script[0] is not CUT:
                        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    return
                head = (first + await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = dict(_header(line) for line in head[1:] if line)
                data = await reader.readexactly(int(headers.get("content-length", 0)))
                self.calls.append(Call(head[0].split()[1], headers, data))
                given = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                if given is HANG:
                    await asyncio.Event().wait()
                if given is CUT:
                    return
                writer.write(given)
                await writer.drain()
                if b"\r\nContent-Length: 999999\r\n" in given:  # cut off in the middle
                    return
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip()


def with_server(
    script: Sequence[Any],
    use: Callable[[Scripted], Awaitable[T]],
    tls: ssl.SSLContext | None = None,
) -> T:
    """What `use` returns, given a server with this script."""

    async def main() -> T:
        scripted = Scripted(list(script))
        server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        scripted.address = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        try:
            return await use(scripted)
        finally:
            server.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

    return asyncio.run(main())
