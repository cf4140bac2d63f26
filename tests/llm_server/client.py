"""Starting the LLM server of llm_server/server.py from a test and reading its log."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
SERVER = ("-m", "llm_server.server")


class LLMServer:
    """The server as a process of its own, on a free port, for as long as the `with` lasts.

    url: for OpenAI's interface; dashscope_url: for DashScope's. `rules` and the further keys of
    the script (rpm_limit=..., key=..., batch=...) are those of llm_server/rules.py.
    """

    def __init__(
        self,
        rules: Iterable[dict[str, Any]] = (),
        *,
        latency: float = 0.0,
        certificate: str | Path | None = None,
        **script: Any,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="llm-server-")
        self.log = Path(self._folder.name) / "log.jsonl"
        self.log.touch()
        file = Path(self._folder.name) / "script.json"
        file.write_text(json.dumps({"rules": list(rules), **script}))
        self._command = [
            sys.executable, *SERVER, "--port", "0", "--script", str(file), "--log",
            str(self.log), "--latency", str(latency), "--end-with-stdin",
            *(["--certificate", str(certificate)] if certificate else []),
        ]  # fmt: skip
        self._scheme = "https" if certificate else "http"
        self._process: subprocess.Popen[bytes] | None = None
        self._begin = 0  # where in the log the calls since reset() begin
        self.port = 0

    def __enter__(self) -> LLMServer:
        self._process = subprocess.Popen(
            self._command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.port = json.loads(self._process.stdout.readline())["port"]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._folder.cleanup()

    @property
    def root(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.root}/v1"

    @property
    def dashscope_url(self) -> str:
        return f"{self.root}/api/v1"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def script(self, rules: Iterable[dict[str, Any]] = (), **script: Any) -> int:
        """Replace the script; rules count anew from here. Returns how many calls are in flight."""
        data = json.dumps({"rules": list(rules), **script}).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.root}/__script", data, timeout=10) as answer:
            waiting: int = json.loads(answer.read())["waiting"]
        return waiting

    def reset(self, rules: Iterable[dict[str, Any]] = (), **script: Any) -> None:
        """Begin as a new server would: another script, no batches, no calls in requests()."""
        rules = list(rules)
        end = time.monotonic() + 10
        while self.script(rules, forget=True, **script):  # calls of a client that has just gone
            assert time.monotonic() < end, "calls are still in flight"
            time.sleep(0.005)
        self._begin = self.log.stat().st_size

    def requests(self) -> list[dict[str, Any]]:
        """The calls so far, in the order they arrived.

        Each has n, path, model, cell, nth, prompt (the last user message), messages (how many),
        parameters, rule, batch, waiting (calls in flight, itself included), connection, proxied,
        `received` and `received_at` (monotonic, UTC seconds); `sent`, `sent_at` and `status`
        once answered, else None; aborted (the client went away before).
        """
        calls: dict[int, dict[str, Any]] = {}
        with self.log.open("rb") as file:
            file.seek(self._begin)
            whole, _, _ = file.read().rpartition(b"\n")  # the last may be half written
        for line in whole.splitlines():
            entry = json.loads(line)
            event, when, at = entry.pop("event"), entry.pop("monotonic"), entry.pop("time")
            if event == "other":  # see others()
                continue
            if event == "received":
                more = {"received": when, "received_at": at, "sent": None, "sent_at": None}
                calls[entry["n"]] = {**entry, **more, "status": None, "aborted": False}
            elif event == "answered":
                calls[entry["n"]] |= {**entry, "sent": when, "sent_at": at}
            else:
                calls[entry["n"]] |= {"aborted": True, "aborted_after": when}
        return list(calls.values())

    def others(self) -> list[tuple[str, str]]:
        """(method, path below /v1) of the calls so far that are not questions."""
        with self.log.open("rb") as file:
            file.seek(self._begin)
            entries = [json.loads(line) for line in file.read().rpartition(b"\n")[0].splitlines()]
        return [(e["method"], e["path"]) for e in entries if e["event"] == "other"]

    def stop(self) -> None:
        """End the server; its log can still be read."""
        if self._process is None:
            return
        process, self._process = self._process, None
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        process.terminate()  # a process forked since then would keep its stdin open
        process.wait(timeout=10)
        process.stdout.close()


def gaps(requests: list[dict[str, Any]]) -> list[float]:
    """Seconds from each answer (or loss) to the next request's arrival."""
    return [
        later["received"] - (earlier["sent"] or earlier.get("aborted_after") or earlier["received"])
        for earlier, later in pairwise(requests)
    ]
