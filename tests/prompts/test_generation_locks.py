"""A store that another program locks while requests are on their way: nothing is paid for twice."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.generating import asked, attempts, classes, described, ended, start, wait_for, whole

from lsmseg_prompts.store.store import open_store

NAMES = ("zebra", "cat", "tree", "car", "dog", "bus", "boat", "bird", "cow", "horse", "sheep")
# Four calls are on their way together, after the first, and answered after 0.2 s.
CALLS = 5
SLOWLY = [{"match": {"from": 2, "to": CALLS}, "latency": 0.2}]
LIMITS = ("-j", "4", "--timeout", "0.5")


@contextmanager
def locked(server: Any, calls: int = CALLS) -> Iterator[None]:
    """Another program takes the lock when so many requests were sent."""
    wait_for(lambda: len(server.requests()) >= calls)
    holder = sqlite3.connect("s.sqlite", isolation_level=None, check_same_thread=False)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        holder.close()  # which ends its transaction


def lock_for_a_second(server: Any, calls: int = CALLS) -> None:
    """Until the answers have come and the timeouts of their calls are over."""
    with locked(server, calls):
        began = time.monotonic()
        wait_for(lambda: time.monotonic() > began + 0.7)
        assert len(server.requests()) == len(attempts())  # nothing is sent that is not on file


def once_each(server: Any) -> None:
    """Every cell was asked once, and its answer is on file as one."""
    assert Counter(asked(server)) == Counter((name, "color") for name in NAMES)
    assert [(row["state"], row["error_class"]) for row in attempts()] == [("ended", None)] * 11
    assert len(described()) == len(NAMES)
    assert not list(Path().glob("*rescued*"))
    whole()


@pytest.fixture
def aside() -> Iterator[Callable[..., Any]]:
    """Do something in another thread."""
    with ThreadPoolExecutor() as pool:
        yield pool.submit


@pytest.mark.parametrize("provider", ["openai", "dashscope"])
def test_an_answer_that_cannot_be_filed_yet_is_not_a_timeout(server, generate, aside, provider):
    classes(*NAMES)
    server.reset(SLOWLY)
    lock = aside(lock_for_a_second, server)
    generate(server, *LIMITS, provider=provider, code=0)
    lock.result()
    once_each(server)


@pytest.mark.slow
@pytest.mark.process
def test_two_processes_wait_for_the_lock(server, aside):
    classes(*NAMES)
    slowly = {"match": {"from": 3, "to": 10}, "latency": 0.2}
    server.reset([{"match": {"from": 1, "to": 2}, "together": 2}, slowly])
    running = [start(server, *LIMITS) for _ in range(2)]
    lock_for_a_second(server, 10)
    assert [ended(process).code for process in running] == [0, 0]
    once_each(server)


def test_a_lock_that_does_not_end(server, generate, aside, monkeypatch):
    monkeypatch.setattr(open_store, "__defaults__", (True, 0.3))  # it waits half a minute
    classes(*NAMES)
    server.reset(SLOWLY)
    lock = locked(server)
    taken = aside(lock.__enter__)
    said = generate(server, *LIMITS, code=8).err
    taken.result()
    assert "locked by another program" in said
    assert len(server.requests()) == CALLS
    (rescued,) = Path().glob("*rescued*")
    assert len(rescued.read_text().splitlines()) == CALLS - 1
    lock.__exit__(None, None, None)
    with open_store("s.sqlite") as store:
        store.execute("UPDATE runs SET seen_at = 0")  # its process lives: it is this one
    generate(server, code=0)
    once_each(server)


@pytest.mark.slow
@pytest.mark.process
def test_an_interrupt_while_the_store_is_locked(server):
    classes(*NAMES)
    server.reset(SLOWLY)
    process = start(server, *LIMITS)
    with locked(server):
        wait_for(lambda: all(call["sent"] for call in server.requests()))
        process.send_signal(signal.SIGINT)
        wait_for(process.is_stopping)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.wait(10)  # it does not wait half a minute
    assert process.returncode == 130
    server.script()
    process = start(server)
    assert ended(process).code == 0
    once_each(server)
