"""A local HTTP server that speaks OpenAI's and DashScope's protocols, for tests and benchmarks.

    cd tests
    python -m llm_server.server --port 0 [--script FILE] [--log FILE] [--latency 0.2]

prints {"port": n} when it listens. What it answers is scripted: see rules.py, and
client.py for how tests start it. `POST /__script` replaces the script.

The log has a line when a call arrives ("received") and one when its answer is handed to the socket
("answered"; first noted, so that no client has it sooner) or the client went away before that
("aborted"), joined by their number `n`.

Written by hand on asyncio's Protocol because it shares two cores with the client that is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from llm_server.batches import Batches
from llm_server.message_batches import MessageBatches
from llm_server.rules import Answer, Call, Script
from llm_server.shapes import DASHSCOPE, DASHSCOPE_PICTURES, OPENAI, Shape, request_id

REASONS = {status.value: status.phrase for status in HTTPStatus}


class Server:
    """What all connections share: the script, the log, the batches."""

    def __init__(self, script: dict[str, Any], latency: float, log: Path | None) -> None:
        self.latency = latency
        self.script = Script(script, latency)
        self.log = None if log is None else open(log, "ab", buffering=0)  # noqa: SIM115
        self.forget()
        self.number = 0
        self.connections = 0
        self.waiting = 0
        self.kept: list[Callable[[], None]] = []  # answers that go out together

    def forget(self) -> None:
        """No batches yet: those of one test would go on during the next."""
        self.batches = Batches(self.ask_in_batch)
        self.messages = MessageBatches(self.ask_in_batch)

    def keep(self, send: Callable[[], None], together: int) -> None:
        """Answer once so many calls wait."""
        self.kept.append(send)
        if len(self.kept) >= together:
            self.let_go()

    def let_go(self) -> None:
        kept, self.kept = self.kept, []
        for send in kept:
            send()

    def note(self, **facts: Any) -> None:
        if self.log is not None:
            facts |= {"monotonic": time.monotonic(), "time": time.time()}
            self.log.write(json.dumps(facts, ensure_ascii=False).encode() + b"\n")

    def ask(
        self, path: str, shape: Shape, body: dict[str, Any], key: str, **more: Any
    ) -> tuple[int, Answer]:
        """Log a call and choose its answer."""
        self.number += 1
        batch = more.pop("batch", None)
        call = Call(self.number, path, shape, body, key, batch)
        self.script.read(call)
        answer = self.script.answer(call)
        self.note(
            event="received",
            n=call.number,
            path=path,
            model=call.model,
            cell=call.question.cell,
            nth=call.nth,
            prompt=call.last,
            messages=len(call.messages),
            parameters=call.parameters,
            rule=answer.rule,
            batch=batch,
            **more,
        )
        return call.number, answer

    def ask_in_batch(self, body: dict[str, Any], batch: str) -> Answer:
        key = self.script.key or ""
        number, answer = self.ask("/v1/chat/completions", OPENAI, body, key, batch=batch)
        self.note(event="answered", n=number, status=answer.status)
        return answer

    def other(
        self, method: str, path: str, query: str, headers: dict[str, str], body: bytes
    ) -> Answer:
        """Everything but questions: models, files, batches, the script."""
        if path == "/__script":
            script = json.loads(body or b"{}")
            if script.pop("forget", False):
                self.forget()
            self.script = Script(script, self.latency, self.number)
            self.let_go()
            return Answer(json.dumps({"waiting": self.waiting}).encode())
        path = path[path.find("/v1/") + 3 :] if "/v1/" in path else path
        self.note(event="other", method=method, path=path)
        status, value = self._other(method, path, dict(parse_qsl(query)), headers, body)
        create = method == "POST" and path.endswith("/batches")
        what = "create" if create else path.rpartition("/")[2].replace("content", "results")
        manner = "hang" if what == self.script.batch.get("hang") else "send"
        if isinstance(value, bytes):
            return Answer(value, status, content_type="application/octet-stream", manner=manner)
        return Answer(json.dumps(value).encode(), status, manner=manner)

    def _other(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        headers: dict[str, str],
        body: bytes,
    ) -> tuple[int, Any]:
        if path.startswith("/messages/batches"):
            rest = path.removeprefix("/messages/batches").strip("/")
            return self.messages.answer(method, rest, query, headers, body, self.script)
        room, _, rest = path.strip("/").partition("/")
        number, _, verb = rest.partition("/")
        return self._look(method, room, number if room != "models" else rest, verb,
                          query, headers, body)  # fmt: skip

    def _look(
        self,
        method: str,
        room: str,
        number: str,
        verb: str,
        query: dict[str, str],
        headers: dict[str, str],
        body: bytes,
    ) -> tuple[int, Any]:
        key, batches = _key(headers), self.batches
        if self.script.key is not None and key != self.script.key:
            return OPENAI.error(0, "", {"status": 401})
        if room == "models" and method == "GET":
            known = self.script.listed or self.script.models or ["test-model"]
            if not number:
                return 200, {"object": "list", "data": [_model(name) for name in known]}
            if self.script.models is None or number in known:
                return 200, _model(number)
            return OPENAI.error(0, number, {"status": 404})
        if room == "files":
            if method == "POST":
                return batches.upload(headers.get("content-type", ""), body)
            if method == "DELETE":
                return batches.delete(number)
            return batches.content(number) if verb == "content" else batches.file(number)
        if room == "batches":
            if method == "POST":
                return batches.cancel(number) if number else batches.create(body, self.script)
            return batches.get(number, self.script) if number else batches.list(query)
        return 404, {"error": {"message": f"Invalid URL ({method} {room})",
                               "type": "invalid_request_error", "param": None,
                               "code": None}}  # fmt: skip


class Connection(asyncio.Protocol):
    """One client: reads a request, answers it, reads on; so pipelined ones keep their order."""

    transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self.server = server
        self.buffer = bytearray()
        self.busy = False
        self.pending: tuple[int, asyncio.TimerHandle | None] | None = None
        self.keep_alive = True
        self.continued = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.connections += 1
        self.number = self.server.connections

    def connection_lost(self, exc: Exception | None) -> None:
        if self.pending is not None:
            number, timer = self.pending
            self.pending = None
            self.server.waiting -= 1
            if timer is not None:
                timer.cancel()
            self.server.note(event="aborted", n=number)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.busy:
            self.read()

    def read(self) -> None:
        """Take the next whole request out of the buffer, if there is one."""
        end = self.buffer.find(b"\r\n\r\n")
        if self.buffer[:1] == b"\x16":  # a TLS handshake, where plain HTTP is spoken
            self.keep_alive = False
            self.write(Answer(b"", 400))
        if end < 0:
            return
        first, *lines = self.buffer[:end].decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("expect") and not self.continued:
            self.continued = True
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        start = end + 4
        if "chunked" in headers.get("transfer-encoding", ""):
            whole = _dechunk(self.buffer, start)
            if whole is None:
                return
            body, start = whole
        else:
            length = int(headers.get("content-length", 0))
            if len(self.buffer) < start + length:
                return
            body = bytes(self.buffer[start : start + length])
            start += length
        del self.buffer[:start]
        self.continued = False
        method, target, _ = first.split(" ", 2)
        self.keep_alive = headers.get("connection", "").lower() != "close"
        self.busy = True
        self.route(method, target, headers, body)

    def route(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        proxied = target.startswith("http")  # asked as a proxy is: with the whole address
        if proxied:
            target = "/" + target.split("/", 3)[3]
        path, _, query = target.partition("?")
        shape = _shape(path)
        if shape is None or method != "POST":
            answer = self.server.other(method, path, query, headers, body)
            if answer.manner != "hang":
                self.write(answer)
            return
        try:
            asked = json.loads(body)
        except ValueError:
            _, error = OPENAI.error(0, "", {"status": 400, "message": "The body is not JSON."})
            self.write(Answer(json.dumps(error).encode(), 400))
            return
        server = self.server
        server.waiting += 1
        number, answer = server.ask(path, shape, asked, _key(headers), proxied=proxied,
                                    connection=self.number, waiting=server.waiting)  # fmt: skip
        latency = server.script.latency if answer.latency is None else answer.latency
        timer = None
        if answer.manner != "hang" and not answer.together:
            timer = asyncio.get_running_loop().call_later(latency, self.send, number, answer)
        self.pending = number, timer
        if answer.together:
            server.keep(partial(self.send, number, answer), answer.together)

    def send(self, number: int, answer: Answer) -> None:
        """The latency is over: put the answer on the wire as its rule says."""
        if self.pending is None:  # kept for others, and the client has gone
            return
        if answer.manner == "trickle":
            self.trickle(number, answer, self.head(number, answer) + answer.body)
            return
        self.answered(number, answer)
        if answer.manner == "reset":  # closing without lingering makes it a RST
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        elif answer.manner == "close":
            self.transport.close()
        elif answer.manner == "truncate":
            self.transport.write(self.head(number, answer) + answer.body[: len(answer.body) // 2])
            self.transport.close()
        else:
            self.transport.write(self.head(number, answer) + answer.body)
        self.next()

    def trickle(self, number: int, answer: Answer, rest: bytes) -> None:
        """Ten bytes now, the rest bit by bit: each piece comes soon, the whole never does."""
        if len(rest) <= 10:
            self.answered(number, answer)
            self.transport.write(rest)
            self.next()
            return
        self.transport.write(rest[:10])
        timer = asyncio.get_running_loop().call_later(
            answer.pause, self.trickle, number, answer, rest[10:]
        )
        self.pending = number, timer

    def answered(self, number: int, answer: Answer) -> None:
        status = answer.status if answer.manner in ("send", "trickle") else None
        self.server.note(event="answered", n=number, status=status, manner=answer.manner)
        self.server.waiting -= 1
        self.pending = None

    def head(self, number: int, answer: Answer) -> bytes:
        lines = [
            f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Unknown')}",
            f"content-type: {answer.content_type}",
            f"content-length: {len(answer.body)}",
            f"x-request-id: {request_id(number)}",
            *(f"{name}: {value}" for name, value in answer.headers.items()),
        ]
        if not self.keep_alive:
            lines.append("connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def write(self, answer: Answer) -> None:
        """Answer at once what is no question."""
        self.transport.write(self.head(0, answer) + answer.body)
        self.next()

    def next(self) -> None:
        self.busy = False
        if not self.keep_alive:
            self.transport.close()
        elif self.buffer:
            self.read()


def _shape(path: str) -> Shape | None:
    if path.endswith("/chat/completions"):
        return OPENAI
    if path.endswith("/services/aigc/text-generation/generation"):
        return DASHSCOPE
    if path.endswith("/services/aigc/multimodal-generation/generation"):
        return DASHSCOPE_PICTURES
    return None


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "tests"}


def _key(headers: dict[str, str]) -> str:
    return headers.get("authorization", "").removeprefix("Bearer ")


def _dechunk(buffer: bytearray, place: int) -> tuple[bytes, int] | None:
    """A chunked body and where it ends, or None while some of it is missing."""
    body = bytearray()
    while True:
        end = buffer.find(b"\r\n", place)
        if end < 0:
            return None
        size = int(buffer[place:end].split(b";")[0], 16)
        if len(buffer) < end + 2 + size + 2:
            return None
        body += buffer[end + 2 : end + 2 + size]
        place = end + 2 + size + 2
        if size == 0:
            return bytes(body), place


async def serve(arguments: argparse.Namespace) -> None:
    script = json.loads(arguments.script.read_text()) if arguments.script else {}
    server = Server(script, arguments.latency, arguments.log)
    secure = None
    if arguments.certificate:
        secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        secure.load_cert_chain(arguments.certificate)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(
        lambda: Connection(server), "127.0.0.1", arguments.port, backlog=1024, ssl=secure
    )
    print(json.dumps({"port": listening.sockets[0].getsockname()[1]}), flush=True)
    if arguments.end_with_stdin:  # so that no server outlives the tests, however they end
        end = asyncio.Event()
        loop.add_reader(sys.stdin, end.set)
        await end.wait()
    else:
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", type=Path, help="JSON, see rules.py")
    parser.add_argument("--log", type=Path, help="a file for one JSON line an event")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--certificate", help="PEM with certificate and key: speak HTTPS")
    parser.add_argument("--end-with-stdin", action="store_true")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
