"""A server that speaks the Hugging Face hub's protocol, as far as fetching files goes.

Built on file_server.py, whose ranges, breaks and statuses count for the bytes of files here too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.file_server import FileServer, handler, serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 1000  # bytes


@dataclass
class HubServer(FileServer):
    """repositories: org/model -> its files. gated: which of them want the token "secret".

    wrong: names of files whose bytes are not those of the checksum. Large files lie on another
    host, to which the hub sends whoever asks for them: the same server by another name.
    """

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    wrong: set[str] = field(default_factory=set)
    heads: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)  # the files whose bytes were asked for


@contextmanager
def serving_hub() -> Iterator[HubServer]:
    about = HubServer()
    with serving(about, _hub_handler(about)):
        yield about


@contextmanager
def at_hub(hub: HubServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """huggingface_hub in this process asks that server, and keeps what it fetches below `home`.

    It reads the environment when it is imported, which other tests may have done already.
    """
    from huggingface_hub import constants

    with monkeypatch.context() as patch:
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN", "http_proxy",
                     "HTTP_PROXY", "all_proxy", "ALL_PROXY"):  # fmt: skip
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(home))
        patch.setattr(constants, "ENDPOINT", hub.address)
        template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        yield hub


def _hub_handler(about: HubServer) -> type:
    class Handler(handler(about)):
        def do_HEAD(self) -> None:
            about.heads.append(self.path)
            if self.path in about.files:  # a plain address
                self.send_response(200)
                self.send_header("Content-Length", str(len(about.files[self.path])))
                self.end_headers()
            elif found := self._resolve():
                self._about(*found)
                self.end_headers()

        def do_GET(self) -> None:
            if api := re.fullmatch("/api/models/([^/]+/[^/]+)/(tree|revision)/.*", self.path):
                self._list(*api.groups())
            elif "/resolve/" not in self.path:
                assert "Authorization" not in self.headers, "a token must not leave the hub"
                super().do_GET()
            elif found := self._resolve():
                name, body = found
                about.fetched.append(name)
                if len(body) > LARGE:
                    self._about(name, body)
                    self.end_headers()
                else:
                    about.files[self.path] = body
                    super().do_GET()

        def _about(self, name: str, body: bytes) -> None:
            """What the hub says of a file; a large one lies elsewhere."""
            large = len(body) > LARGE
            self.send_response(302 if large else 200)
            if large:
                path = f"/cdn/{hashlib.sha256(body).hexdigest()}"
                about.files[path] = bytes(len(body)) if name in about.wrong else body
                elsewhere = about.address.replace("127.0.0.1", "localhost")
                self.send_header("Location", f"{elsewhere}{path}")
                self.send_header("X-Linked-Etag", f'"{hashlib.sha256(body).hexdigest()}"')
                self.send_header("X-Linked-Size", str(len(body)))
            self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
            self.send_header("Content-Length", "0" if large else str(len(body)))
            self.send_header("X-Repo-Commit", COMMIT)

        def _resolve(self) -> tuple[str, bytes] | None:
            """The name and bytes of the file that a path asks for; else an error is sent."""
            asked = re.fullmatch("/(.+?)/resolve/([^/]+)/(.+)", self.path)
            repo, revision, name = asked.groups() if asked else ("", "", "")
            error = ""
            if repo not in about.repositories:
                error, status = "RepoNotFound", 404
            elif repo in about.gated and self.headers.get("Authorization") != "Bearer secret":
                error, status = "GatedRepo", 403
            elif revision not in ("main", COMMIT):
                error, status = "RevisionNotFound", 404
            elif name not in about.repositories[repo]:
                error, status = "EntryNotFound", 404
            if not error:
                return name, about.repositories[repo][name]
            self.send_response(status)
            self.send_header("X-Error-Code", error)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None

        def _list(self, repo: str, what: str) -> None:
            files = about.repositories.get(repo, {})
            names = [{"rfilename": name} for name in files]
            tree = [
                {"type": "file", "path": n, "size": len(b), "oid": "0"} for n, b in files.items()
            ]
            answer = tree if what == "tree" else {"id": repo, "sha": COMMIT, "siblings": names}
            about.files[self.path] = json.dumps(answer).encode()
            super().do_GET()

    return Handler
