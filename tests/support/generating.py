"""Running `generate` against the local LLM server, and reading what it left in the store.

The fixture `generate` of tests/prompts/conftest.py runs the command in this process; `start` starts
the installed one, to be killed or sent a signal. After every run the key is looked for in all it
wrote: the store, stdout, stderr.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import cache
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
from llm_server.client import LLMServer

from support.command_line import ROOT, Outcome, environment

KEY = "sk-proj-Zebra7f3Q9xLmW2vKt84bNcRyHdUe"
STORE = Path("s.sqlite")
MODEL = {
    "openai": "openai/test-model",
    "anthropic": "claude-test-5",
    "dashscope": "qwen2.5-72b-instruct",
}


def classes(*names: str) -> str:
    """A vocabulary file of some classes."""
    Path("classes.txt").write_text("".join(f"{name}\n" for name in names))
    return "classes.txt"


def arguments(
    server: LLMServer | str,
    *more: str,
    provider: str = "openai",
    attribute: str | None = "color",
    vocab: str = "classes.txt",
    store: Path = STORE,
) -> list[str]:
    """`generate` for a vocabulary; `server` may also be a base URL."""
    address = server if isinstance(server, str) else server.url
    host = ["--base-url", address] if provider == "openai" else []
    only = [] if attribute is None else ["--attribute", attribute]
    return [
        "generate", "--llm", MODEL[provider], *host, "--vocab", vocab, *only,
        "--store", str(store), *more,
    ]  # fmt: skip


def variables(server: LLMServer | str, **more: str) -> dict[str, str | None]:
    """What the environment must hold: both keys, the address for DashScope, no proxy."""
    address = server if isinstance(server, str) else server.dashscope_url
    keys = {"LSMSEG_PROMPTS_KEY": KEY, "DASHSCOPE_HTTP_BASE_URL": address}
    if not isinstance(server, str):
        keys["ANTHROPIC_BASE_URL"] = server.url
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    return {**dict.fromkeys(proxies), **keys, **more}


class Running:
    """A command in a process of its own; the names are those of subprocess.Popen."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        folder = Path(tempfile.mkdtemp(prefix="command-", dir=Path.cwd().parent))
        self._files = (folder / "stdout", folder / "stderr")
        self._stopped = folder / "stopped"
        place = str(Path.cwd())
        self._process = _forks().Process(
            target=_run, args=(command, env, place, *self._files, self._stopped)
        )
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)

    def is_stopping(self) -> bool:
        """Whether it has heard of a signal."""
        return self._stopped.exists()

    def wait(self, timeout: float) -> None:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutError

    def communicate(self, timeout: float = 120) -> tuple[str, str]:
        self.wait(timeout)
        out, err = (path.read_text("utf-8") if path.exists() else "" for path in self._files)
        return out, err


@cache
def _forks() -> Any:
    """Processes forked from one that has loaded what `generate` needs, which takes a second."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["support.generating", "support.preloaded"])
    with pytest.MonkeyPatch.context() as patched:  # Python 3.11 does not hand on sys.path
        patched.setenv("PYTHONPATH", os.pathsep.join((str(ROOT), str(ROOT / "tests"))))
        forkserver.ensure_running()
    return context


def _run(
    command: list[str], env: dict[str, str], place: str, out: Path, err: Path, stopped: Path
) -> None:
    """In the new process: become the command."""
    os.environ.clear()
    os.environ.update(env)
    os.chdir(place)
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.argv = ["lsmseg-prompts", *command]
    import cli
    from lsmseg_prompts.generation.limits import Stop

    stop = Stop.set

    def told(run: Stop, error: BaseException) -> None:
        stop(run, error)
        stopped.touch()

    Stop.set = told
    cli.main()


def start(server: LLMServer, *more: str, store: Path = STORE, **options: Any) -> Running:
    """Start it and leave it running."""
    env = {**environment(), **variables(server)}
    return Running(
        arguments(server, *more, store=store, **options),
        {name: value for name, value in env.items() if value is not None},
    )


def ended(process: Running, store: Path = STORE) -> Outcome:
    """Wait for a started one."""
    out, err = process.communicate()
    keyless(store, out, err)
    assert "Traceback" not in err, err
    assert process.returncode is not None
    return Outcome(process.returncode, out, err)


def keyless(store: Path, *texts: str) -> None:
    """The key, and even its second half, is nowhere."""
    tail = KEY[len(KEY) // 2 :]
    assert all(tail not in text for text in texts)
    for path in store.parent.glob(f"{store.name}*"):
        try:
            held = path.read_bytes()
        except FileNotFoundError:  # another process has just tidied it up
            continue
        assert tail.encode() not in held, path


def rows(query: str, *values: Any, store: Path = STORE) -> list[dict[str, Any]]:
    connection = sqlite3.connect(f"file:{store}?mode=rw", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(query, values)]
    finally:
        connection.close()


def attempts(store: Path = STORE) -> list[dict[str, Any]]:
    """All attempts in the order they were made."""
    return rows("SELECT * FROM attempts ORDER BY id", store=store)


def descriptions(store: Path = STORE) -> list[dict[str, Any]]:
    return rows("SELECT * FROM descriptions ORDER BY class_index, attribute", store=store)


def described(store: Path = STORE) -> dict[tuple[int, str], str]:
    """(class index, attribute) -> text of what is done."""
    return {
        (row["class_index"], row["attribute"]): row["text"]
        for row in descriptions(store)
        if row["status"] == "done"
    }


def span(attempt: dict[str, Any]) -> tuple[float, float]:
    """When it began and ended: seconds of the client's clock, to the millisecond."""
    began = datetime.fromisoformat(attempt["started_at"]).timestamp()
    return began, began + attempt["duration_seconds"]


def asked(server: LLMServer) -> list[tuple[str, str]]:
    """(class, attribute) of every request, in the order of arrival."""
    return [(call["cell"]["class"], call["cell"]["attribute"]) for call in server.requests()]


def summary(outcome: Outcome) -> dict[str, Any]:
    """What `--json` printed."""
    read: dict[str, Any] = json.loads(outcome.out)
    return read


def whole(store: Path = STORE) -> None:
    """The store is sound and nothing in it is still under way."""
    assert rows("PRAGMA integrity_check", store=store) == [{"integrity_check": "ok"}]
    assert rows("SELECT * FROM claims", store=store) == []
    assert all(row["state"] != "sent" for row in attempts(store))


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Look again and again until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.005)
