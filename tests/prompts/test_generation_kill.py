"""Kills, signals, full disks, locked stores and other processes: nothing paid for is lost."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llm_server.client import LLMServer
from support.generating import (
    asked,
    attempts,
    classes,
    described,
    descriptions,
    ended,
    rows,
    start,
    wait_for,
    whole,
)

from lsmseg_prompts.store.sqlite import BUSY_SECONDS
from lsmseg_prompts.store.store import open_store

NAMES = [
    "zebra", "cat", "tree", "car", "dog", "bus", "boat", "bird", "cow", "horse", "sheep", "fox",
    "bear", "mouse", "clock", "fork", "spoon", "knife", "bowl", "cup", "bed", "chair", "table",
    "lamp", "door", "wall", "roof", "road", "river", "hill", "cloud", "sun", "moon", "shoe", "hat",
    "coat", "glove", "scarf", "ball", "kite",
]  # fmt: skip


def count(server: LLMServer, status: int | None = 200) -> int:
    return sum(call["status"] == status for call in server.requests())


# -- 16: kill -9 -------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.process
def test_killed_again_and_again(server):
    """kill -9 at random moments; the same command, until it is through."""
    names = NAMES[:24]
    classes(*names)
    chance = random.Random(16)
    acknowledged: dict[int, str] = {}  # attempt id -> reply, of every reply on file so far
    on_the_way: dict[int, int] = {}  # attempt -> class, of those on their way at a kill
    kills = 0
    server.reset(latency=0.03)
    while True:
        process = start(server, "-j", "4")
        before, wanted = len(server.requests()), chance.randrange(0, 7)
        wait_for(lambda: process.poll() is not None  # noqa: B023
                 or len(server.requests()) >= before + wanted)  # noqa: B023 # fmt: skip
        time.sleep(chance.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        kills += 1
        if Path("s.sqlite").exists() and rows("SELECT 1 FROM sqlite_master LIMIT 1"):
            on_file = kept(attempts())
            assert all(on_file[number] == reply for number, reply in acknowledged.items())
            acknowledged = on_file
            on_the_way |= {r["id"]: r["class_index"] for r in attempts() if r["state"] == "sent"}
    calls = Counter(asked(server))
    assert kills >= 5
    assert set(described()) == {(index, "color") for index in range(len(names))}
    for index, name in enumerate(names):
        # Once, and once more for each kill that it was on its way at.
        assert calls[name, "color"] <= 1 + list(on_the_way.values()).count(index), name
        answered = [r for r in attempts() if r["class_index"] == index and r["state"] == "ended"]
        assert len(answered) == 1 and answered[0]["reply"] == described()[index, "color"]
    lost = {row["id"]: row for row in attempts() if row["state"] == "lost"}
    assert lost.keys() == on_the_way.keys() and len(lost) <= 4 * kills
    assert all("killed" in row["error_message"] for row in lost.values())
    whole()


def kept(made: list[dict[str, Any]]) -> dict[int, str]:
    return {row["id"]: row["reply"] for row in made if row["state"] == "ended"}


def test_a_reply_on_file_is_never_asked_for_again(server, generate):
    """Killed between the reply and its judgement: the next run judges it, without asking."""
    classes("zebra", "cat")
    generate(server, code=0)
    with sqlite3.connect("s.sqlite") as store:
        store.execute("UPDATE attempts SET verdict = NULL")
        store.execute("DELETE FROM descriptions")
    store.close()
    generate(server, code=0)
    assert len(server.requests()) == 2 and len(described()) == 2


# -- signals -----------------------------------------------------------------------------


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.process
def test_a_signal_waits_for_what_is_on_its_way(server, generate, sent, code):
    classes(*NAMES)
    server.reset([{"match": {"from": 2}, "together": len(NAMES)}])
    process = start(server, "-j", "4")
    wait_for(lambda: len(server.requests()) >= 5)
    process.send_signal(sent)
    wait_for(process.is_stopping)
    server.script()  # only now the four get their answers
    outcome = ended(process)
    calls = server.requests()
    assert outcome.code == code, outcome.err
    assert not any(call["aborted"] for call in calls)
    assert len(described()) == len(calls) == len(attempts()) == 5
    assert "the same command" in outcome.err
    whole()
    server.reset()
    generate(server, code=0)
    assert len(server.requests()) == len(NAMES) - len(calls)


@pytest.mark.process
def test_the_second_ctrl_c_ends_at_once(server):
    classes("zebra", "cat", "dog")
    server.reset([{"match": {"from": 2}, "hang": True}])
    process = start(server, "-j", "2")
    wait_for(lambda: len(server.requests()) >= 3)
    process.send_signal(signal.SIGINT)
    with pytest.raises(TimeoutError):
        process.wait(0.5)
    process.send_signal(signal.SIGINT)
    assert ended(process).code == 130
    wait_for(lambda: sum(call["aborted"] for call in server.requests()) == 2)
    assert len(described()) == 1
    assert [row["state"] for row in attempts()] == ["ended", "lost", "lost"]
    whole()


@pytest.mark.process
def test_ctrl_c_during_a_long_pause(server):
    classes("zebra", "cat")
    server.reset([{"match": {"from": 2}, "status": 429, "retry_after": 500}])
    process = start(server)
    wait_for(lambda: count(server, 429) == 1)
    process.send_signal(signal.SIGINT)
    assert ended(process).code == 130
    assert len(server.requests()) == 2
    whole()


# -- 17: a full disk ---------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def fill(folder: Path) -> Path:
    """Use up all the room that is left."""
    path = folder / "filler"
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 16, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return path


@pytest.mark.process
def test_a_full_disk_stops_cleanly(server, generate, small_disk):
    classes(*NAMES)
    store = small_disk / "s.sqlite"
    server.reset(latency=0.3)
    process = start(server, "-j", "4", store=store)
    wait_for(lambda: count(server) >= 5)
    filler = fill(small_disk)
    outcome = ended(process, store)
    assert outcome.code == 8, outcome.err
    assert "full" in outcome.err
    assert len(server.requests()) < 20
    filler.unlink()
    generate(server, store=store, code=0)
    # No reply that came was lost, none was paid for twice.
    assert Counter(asked(server)) == Counter((name, "color") for name in NAMES)
    assert len(described(store)) == len(NAMES)
    assert sorted(path.name for path in small_disk.iterdir()) == ["s.sqlite"]
    whole(store)


def test_a_disk_that_is_full_from_the_start(server, generate, small_disk):
    classes("zebra")
    fill(small_disk)
    server.reset()
    said = generate(server, store=small_disk / "s.sqlite", code=8).err
    assert server.requests() == []
    assert "full" in said or "no room" in said or "space" in said


# -- the store ---------------------------------------------------------------------------


def test_a_newer_store_is_not_touched(server, generate):
    classes("zebra")
    generate(server, code=0)
    with sqlite3.connect("s.sqlite") as store:
        store.execute("PRAGMA user_version = 99")
    store.close()
    said = generate(server, "--redo", code=8).err
    assert "schema 99" in said and len(server.requests()) == 1


def test_a_locked_store_costs_nothing(server, generate, monkeypatch):
    assert open_store.__defaults__ == (True, BUSY_SECONDS)
    monkeypatch.setattr(open_store, "__defaults__", (True, 0.5))  # it waits half a minute
    classes("zebra")
    generate(server, code=0)
    holder = sqlite3.connect("s.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    said = generate(server, "--redo", code=8).err
    holder.execute("ROLLBACK")
    holder.close()
    assert "locked by another program" in said and len(server.requests()) == 1


# -- 18: several processes ---------------------------------------------------------------


@pytest.mark.parametrize("processes", [2, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.process
def test_several_processes_fill_one_store_together(server, processes):
    classes(*NAMES)
    both = "color,size"
    # The second to the fourth call wait for one another: neither process can have all of them.
    server.reset([{"match": {"n": [2, 3, 4]}, "together": 3}], latency=0.02)
    running = [start(server, "-j", "2", attribute=both) for _ in range(processes)]
    outcomes = [ended(process) for process in running]
    cells = Counter(asked(server))
    connections = {call["connection"] for call in server.requests()}
    assert [outcome.code for outcome in outcomes] == [0] * processes, outcomes
    assert set(cells.values()) == {1} and len(cells) == 2 * len(NAMES)
    assert len(described()) == len(attempts()) == 2 * len(NAMES)
    assert len(connections) >= 2
    assert len({row["run"] for row in attempts()}) >= 2  # they did share the work
    whole()


@pytest.mark.process
def test_the_cells_of_a_killed_process_pass_to_another(server):
    classes(*NAMES[:12])
    server.reset([{"match": {"n": [2, 3]}, "hang": True}])
    first = start(server, "-j", "2")
    wait_for(lambda: len(server.requests()) >= 3)
    second = start(server, "-j", "2")
    wait_for(lambda: len(described()) >= 9)  # the first holds up to three
    assert second.poll() is None  # it waits for what the first one asks
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert ended(second).code == 0
    assert len(server.requests()) == 14
    assert len(descriptions()) == len(described()) == 12
    assert Counter(row["state"] for row in attempts()) == {"ended": 12, "lost": 2}
    whole()


@pytest.mark.process
def test_the_reply_of_a_killed_process_is_not_asked_for_again(server):
    """Its reply is on file but was never looked at, and another process waits for the cell."""
    classes("zebra", "cat", "dog")
    server.reset([{"match": {"n": 2}, "hang": True}])
    first = start(server, "-j", "1")
    wait_for(lambda: len(server.requests()) >= 2)
    second = start(server, "-j", "1")
    wait_for(lambda: len(described()) == 2)
    with sqlite3.connect("s.sqlite") as store:
        store.execute(
            "UPDATE attempts SET state = 'ended', reply = 'A cat is black.', "
            "finish_reason = 'stop', http_status = 200 WHERE class_index = 1"
        )
    store.close()
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert ended(second).code == 0
    assert len(server.requests()) == 3
    assert described()[1, "color"] == "A cat is black."
    whole()
