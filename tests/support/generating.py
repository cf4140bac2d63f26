"""Running `generate` against the local LLM server, and reading what it left in the store.

Every run is the installed command as a process of its own, and after every run the key is looked
for in all it wrote: the store, stdout, stderr.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llm_server.client import LLMServer

from support.command_line import COMMAND, Outcome, environment

KEY = "sk-proj-Zebra7f3Q9xLmW2vKt84bNcRyHdUe"
STORE = Path("s.sqlite")
MODEL = {"openai": "openai/test-model", "dashscope": "qwen2.5-72b-instruct"}


def classes(*names: str) -> str:
    """A vocabulary file of some classes."""
    Path("classes.txt").write_text("".join(f"{name}\n" for name in names))
    return "classes.txt"


def command(
    server: LLMServer | str,
    *more: str,
    provider: str = "openai",
    attribute: str = "color",
    vocab: str = "classes.txt",
    store: Path = STORE,
) -> list[str]:
    """`generate` for a vocabulary; `server` may also be a base URL."""
    address = server if isinstance(server, str) else server.url
    host = ["--base-url", address] if provider == "openai" else []
    return [
        *COMMAND, "generate", "--llm", MODEL[provider], *host, "--vocab", vocab,
        "--attribute", attribute, "--store", str(store), *more,
    ]  # fmt: skip


def variables(server: LLMServer | str, **more: str) -> dict[str, str]:
    """The environment: both keys, and the address for DashScope."""
    address = server if isinstance(server, str) else server.dashscope_url
    keys = {"OPENAI_API_KEY": KEY, "DASHSCOPE_API_KEY": KEY, "DASHSCOPE_HTTP_BASE_URL": address}
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        keys[name] = ""
    found = environment(**{**keys, **more})
    return {name: value for name, value in found.items() if value or name in more}


def generate(
    server: LLMServer | str,
    *more: str,
    code: int | None = None,
    env: dict[str, str] | None = None,
    store: Path = STORE,
    **options: Any,
) -> Outcome:
    """Run it; the exit code must be `code`, where one is given."""
    done = subprocess.run(
        command(server, *more, store=store, **options), env=variables(server, **(env or {})),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    outcome = Outcome(done.returncode, done.stdout, done.stderr)
    keyless(store, outcome.out, outcome.err)
    assert "Traceback" not in outcome.err, outcome.err
    if code is not None:
        assert outcome.code == code, (outcome.code, outcome.out, outcome.err)
    return outcome


def start(
    server: LLMServer, *more: str, store: Path = STORE, **options: Any
) -> subprocess.Popen[str]:
    """Start it and leave it running."""
    return subprocess.Popen(
        command(server, *more, store=store, **options), env=variables(server),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # What is started in the background has Ctrl-C ignored, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip


def ended(process: subprocess.Popen[str], store: Path = STORE) -> Outcome:
    """Wait for a started one."""
    out, err = process.communicate(timeout=120)
    keyless(store, out, err)
    assert "Traceback" not in err, err
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
