"""A studio in this process, with a client that is let in, or served to a browser."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ablations.studio.options import StudioOptions

pytest.importorskip("starlette", reason="the extra [studio] is not installed")

from starlette.testclient import TestClient

from ablations.studio.app import create_app
from ablations.studio.serve import address_of, listen
from ablations.studio.state import Studio

if TYPE_CHECKING:
    from lsmseg_model.segmenter import Segmenter

HERE = "http://127.0.0.1:7877"


@pytest.fixture
def open_studio(tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """Open one with a store and a runs folder of its own: `open_studio(public=True, ...)`.

    The client has the token; ``client.studio`` is the studio. ``model``: one that is loaded, such
    as `tiny`; else the studio loads its own where it is asked for.
    """
    opened: list[TestClient] = []

    def make(token: bool = True, model: Any = None, **options: Any) -> TestClient:
        studio = Studio(options_of(tmp_path, options), model)
        client = TestClient(create_app(studio), base_url=HERE)
        if token:
            client.headers["authorization"] = f"Bearer {studio.token}"
        client.studio = studio  # type: ignore[attr-defined]
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.close()


def options_of(folder: Path, options: dict[str, Any]) -> StudioOptions:
    """Options with a store and a runs folder in a folder."""
    return StudioOptions(
        **{"store": str(folder / "store.sqlite"), "runs": folder / "runs", **options}
    )


@pytest.fixture(scope="session")
def tiny() -> Segmenter:
    """lsmseg-tiny, loaded once."""
    from lsmseg_model.segmenter import Segmenter

    return Segmenter()


@dataclass(frozen=True)
class Served:
    """A studio that a browser can open: at ``address + path``, at first at `entry`."""

    studio: Studio
    address: str

    def entry(self, path: str = "/") -> str:
        """The address of a page with the token, which lets the browser in."""
        return f"{self.address}{path}{'&' if '?' in path else '?'}token={self.studio.token}"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Serve one at a free port of this machine until the test is over: `served(model=tiny, ...)`.

    Arguments as of `open_studio`. The server is a thread: such tests are marked `slow`.
    """
    import uvicorn

    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def make(model: Any = None, **options: Any) -> Served:
        studio = Studio(options_of(tmp_path, {"port": 0, **options}), model)
        listener = listen(studio.options)
        config = uvicorn.Config(
            create_app(studio), log_level="warning", ws="none", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        running.append((server, thread))
        return Served(studio, address_of(listener, studio.options.host))

    yield make
    for server, _ in running:
        server.should_exit = True
    for _, thread in running:
        thread.join(10)


@pytest.fixture
def client(open_studio: Callable[..., TestClient]) -> TestClient:
    """The client of a studio with the options that it has by default."""
    return open_studio()
