"""A studio in this process, with a client that is let in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ablations.studio.options import StudioOptions

pytest.importorskip("starlette", reason="the extra [studio] is not installed")

from starlette.testclient import TestClient

from ablations.studio.app import create_app
from ablations.studio.state import Studio

HERE = "http://127.0.0.1:7877"


@pytest.fixture
def open_studio(tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """Open one with a store and a runs folder of its own: `open_studio(public=True, ...)`.

    The client has the token; ``client.studio`` is the studio.
    """
    opened: list[TestClient] = []

    def make(token: bool = True, **options: Any) -> TestClient:
        given = {"store": str(tmp_path / "store.sqlite"), "runs": tmp_path / "runs", **options}
        studio = Studio(StudioOptions(**given))
        client = TestClient(create_app(studio), base_url=HERE)
        if token:
            client.headers["authorization"] = f"Bearer {studio.token}"
        client.studio = studio  # type: ignore[attr-defined]
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def client(open_studio: Callable[..., TestClient]) -> TestClient:
    """The client of a studio with the options that it has by default."""
    return open_studio()
