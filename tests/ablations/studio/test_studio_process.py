"""The studio as a process: how it ends, and what it does while others write into its store."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from llm_server.client import LLMServer
from support.command_line import ROOT, environment
from support.generating import MODEL, descriptions, ended, rows, start, wait_for, whole

pytest.importorskip("starlette", reason="the extra [studio] is not installed")

STORE = "s.sqlite"


class Studio:
    """A studio that runs; `ask` sends it JSON."""

    def __init__(self, *more: str) -> None:
        command = [sys.executable, str(ROOT / "cli.py"), "studio", "--no-browser", "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--store", STORE, *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.address, _, self.token = self.process.stdout.readline().strip().partition("/?token=")

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self.token}"}
        with urlopen(Request(self.address + path, data, headers), timeout=60) as reply:
            return json.load(reply)

    def ended(self, number: int) -> tuple[int, str, float]:
        """Send a signal; the exit code, stderr, and the seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err, time.monotonic() - began


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: Any) -> Iterator[Callable[..., Studio]]:
    """Start one in an empty folder: `studio("--llm", "x")`."""
    monkeypatch.chdir(tmp_path)
    started: list[Studio] = []

    def make(*more: str) -> Studio:
        started.append(Studio(*more))
        return started[-1]

    yield make
    for one in started:
        one.process.kill()
        one.process.communicate()


def again_and_again(work: Callable[[], Any]) -> None:
    """In the background, until it fails."""

    def go_on() -> None:
        with suppress(OSError, ValueError):
            while True:
                work()

    threading.Thread(target=go_on, daemon=True).start()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.slow
@pytest.mark.process
def test_it_ends_at_once_whatever_goes_on(studio: Any, number: int, code: int) -> None:
    """While the model loads, a comparison waits for it, and a page asks again and again."""
    one = studio()
    sets = [{"kind": "name"}, {"kind": "attributes", "attributes": ["color"]}]
    body = {"first": sets[0], "second": sets[1], "split": "report"}
    assert one.ask("/api/compare/split", body)["state"] == "running"
    again_and_again(lambda: one.ask("/api/runs/now"))
    trial = {"picture": "report-0000", "lines": [f"thing {at}" for at in range(2000)]}
    again_and_again(lambda: one.ask("/api/try/segment", trial))
    time.sleep(0.3)
    ended, err, seconds = one.ended(number)
    assert ended == code
    assert "Traceback" not in err and err.endswith("Interrupted; what was finished is kept.\n")
    assert seconds < 10  # it takes 1.5; loading and computing would go on for longer


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no terminals that hang up")
def test_what_was_started_outlives_the_terminal(studio: Any) -> None:
    one = studio()
    body = {"command": "generate", "values": {"llm": "bundled", "dry_run": True}}
    job = one.ask("/api/runs/start", body)
    os.killpg(one.process.pid, signal.SIGHUP)
    one.process.communicate(timeout=60)
    left = Path("runs", ".jobs", job["id"], "exit")
    wait_for(left.exists)
    assert left.read_text() == "0"


def test_a_port_in_use_is_one_sentence(call: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = call("studio", "--no-browser", "--port", str(port))
    assert outcome.code == 4 and f"port {port}: " in outcome.err
    assert "choose another --port" in outcome.err and "Traceback" not in outcome.err


@pytest.mark.slow
@pytest.mark.process
def test_edits_beside_a_generation_lose_nothing(studio: Any) -> None:
    """25 edits a second from each of two clients, in cells that are being filled and in others."""
    rate, seconds, llm = 25, 3, MODEL["openai"]
    with LLMServer(latency=0.3) as server:
        one = studio("--vocab", "camvid")
        one.ask("/api/texts/table?limit=1")  # the store is there
        generation = start(
            server, "--concurrency", "4", attribute=None, vocab="camvid", store=Path(STORE)
        )
        wait_for(lambda: bool(descriptions(Path(STORE))))
        texts: list[list[str]] = [[], []]

        def edit(client: int, writer: str) -> None:
            began = time.monotonic()
            for at in range(rate * seconds):
                time.sleep(max(0.0, began + at / rate - time.monotonic()))
                text = f"Edit {at} of client {client}."
                place = {"index": at % 11, "attribute": ("color", "shape")[at % 2]}
                one.ask("/api/texts/edit", {**place, "llm": writer, "text": text, "force": True})
                texts[client].append(text)

        began = time.monotonic()
        clients = [threading.Thread(target=edit, args=pair) for pair in ((0, llm), (1, "bundled"))]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        reached = sum(map(len, texts)) / (time.monotonic() - began)
        outcome = ended(generation, Path(STORE))
    assert outcome.code == 0, outcome.err
    assert [len(of) for of in texts] == [rate * seconds] * 2
    history = {row["new_text"] for row in rows("SELECT new_text FROM edits", store=Path(STORE))}
    now = {row["text"] for row in descriptions(Path(STORE))}
    assert set(texts[0]) | set(texts[1]) <= history | now
    mine = [row for row in descriptions(Path(STORE)) if row["llm"] == llm]
    assert all(row["status"] == "done" and row["text"] for row in mine)
    assert {row["class_index"] for row in mine} == set(range(11))
    whole(Path(STORE))
    print(f"{reached:.0f} edits a second")
