"""A small web server of files in this process, with ranges, and with everything that goes wrong."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class FileServer:
    """What it serves and how; ``asked`` are the requests so far: path and headers.

    files: path -> bytes. ranges: whether it knows ranges. marked: whether it sends an ETag.
    cuts: for each request, in turn, after how many bytes the connection breaks (None: not).
    statuses: for each request, in turn, an error instead of the file (None: the file).
    moved: path -> where it sends whoever asks for it. sized: whether it says how long a file is.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    marked: bool = True
    sized: bool = True
    cuts: list[int | None] = field(default_factory=list)
    statuses: list[int | None] = field(default_factory=list)
    moved: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    address: str = ""

    def asked_ranges(self) -> list[str | None]:
        return [headers.get("range") for _, headers in self.asked]


@contextmanager
def serving(
    about: FileServer | None = None, kind: type[BaseHTTPRequestHandler] | None = None
) -> Iterator[FileServer]:
    """The server while the block runs; `kind` answers otherwise than `handler`."""
    about = about or FileServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind or handler(about))
    server.daemon_threads = True
    about.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
    thread.start()
    try:
        yield about
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def handler(about: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            about.asked.append((self.path, headers))
            status = about.statuses.pop(0) if about.statuses else None
            if self.path in about.moved:
                self.send_response(302)
                self.send_header("Location", about.moved[self.path])
                self.end_headers()
            elif status or self.path not in about.files:
                self.send_error(status or 404)
            else:
                self._send(about.files[self.path], headers)

        def _send(self, body: bytes, headers: dict[str, str]) -> None:
            mark = f'"{hashlib.md5(body).hexdigest()}"'
            found = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
            start = int(found[1]) if found and about.ranges else 0
            if headers.get("if-range", mark) != mark:
                start = 0
            if start and start >= len(body):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            if about.marked:
                self.send_header("ETag", mark)
            if about.sized:
                self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            cut = about.cuts.pop(0) if about.cuts else None
            self.wfile.write(body[start:][:cut])

    return Handler
