"""How far a long run is stands in a file, and a process that is gone is told from one that runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lsmseg_model import progress_file as module
from lsmseg_model.progress_file import (
    MOST_LOSSES,
    ProgressFile,
    is_alive,
    process_born,
    progress_file,
    read_progress,
)

FILE = Path("o/.progress")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("o").mkdir()


def test_a_run_says_how_far_it_is_and_takes_the_file_away() -> None:
    with progress_file(FILE, "train") as file:
        file.update("training", 3, 10, 0.5)
        told = read_progress(FILE)
        assert told is not None
        assert (told.command, told.state, told.what) == ("train", "running", "training")
        assert (told.done, told.total, told.cost_usd, told.pid) == (3, 10, 0.5, os.getpid())
    assert os.listdir("o") == []


def test_it_is_written_at_each_step_and_else_once_a_second(monkeypatch) -> None:
    now, written = [100.0], []
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module, "write_whole", lambda path, write: written.append(now[0]))
    file = ProgressFile(FILE, "ablate")
    for done in range(30):
        file.update("stage 3", done, 30)
        now[0] += 0.25
    file.update("stage 4", 0, 5)
    assert written == [100.0 + n for n in range(8)] + [107.5]


def test_the_time_left_is_that_of_the_step(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    file = ProgressFile(None, "train")
    left = []
    for what, done, total in (
        ("a", 0, 0),
        ("a", 500, 800),
        ("a", 510, 800),
        ("b", 0, 4),
        ("b", 2, 4),
    ):
        file.update(what, done, total)
        left.append(file._told["left"])
        now[0] += 5.0
    assert left == [None, None, 5.0 * 290 / 10, None, 5.0]


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [(KeyboardInterrupt(), "stopped", ""), (ValueError("bad"), "failed", "ValueError: bad")],
)
def test_what_did_not_end_well_stays_and_says_so(error, state, said) -> None:
    Path("o/last.pt").touch()
    with pytest.raises(type(error)), progress_file(FILE, "train"):
        raise error
    told = read_progress(FILE)
    assert told is not None and (told.state, told.error) == (state, said)


def test_nothing_stays_in_a_folder_without_results() -> None:
    with pytest.raises(KeyboardInterrupt), progress_file(FILE, "train"):
        raise KeyboardInterrupt
    assert os.listdir("o") == []


def test_a_run_goes_on_where_its_file_cannot_be_written() -> None:
    Path("o").rmdir()
    Path("o").touch()
    with progress_file(FILE, "train") as file:
        file.update("training", 1, 2)


def test_the_curve_stays_short_and_holds_means() -> None:
    file = ProgressFile(None, "train")
    for step in range(1, MOST_LOSSES * 4 + 1):
        file.loss(step, float(step))
    assert len(file._losses) == MOST_LOSSES // 2
    assert file._losses[0] == [8, 4.5]  # the mean of 1 to 8
    assert file._losses[-1] == [960, 956.5]


def test_a_process_that_is_gone_is_not_running() -> None:
    ProgressFile(FILE, "train").write()
    about = json.loads(FILE.read_text())
    for changed in ({"pid": 2**22 + 1}, {"born": 1.0}, {"pid": 0}, {"host": "x", "updated": 1.0}):
        FILE.write_text(json.dumps(about | changed))
        told = read_progress(FILE)
        assert told is not None and told.state == "stopped", changed


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.process
def test_a_child_that_ended_and_was_not_waited_for_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    born = process_born(child.pid)
    assert born is not None and is_alive(child.pid, born) and not is_alive(child.pid, born + 1)
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and still a zombie
    assert not is_alive(child.pid, born)
    child.wait()


@pytest.mark.parametrize(
    "changed",
    [
        {"pid": "1"}, {"losses": [[1]]}, {"losses": [["a", 1.0]]}, {"losses": [[1, 1.0]] * 300},
        {"what": 5}, {"done": True},
        {"more": 1}, {"started": None}, {"typed": ["x"]},
    ],
)  # fmt: skip
def test_a_file_of_another_kind_is_none(changed) -> None:
    ProgressFile(FILE, "train").write()
    assert read_progress(FILE) is not None
    FILE.write_text(json.dumps({**json.loads(FILE.read_text()), **changed}))
    assert read_progress(FILE) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b" " * (1 << 21)])
def test_a_damaged_file_is_none(content: bytes) -> None:
    FILE.write_bytes(content)
    assert read_progress(FILE) is None


def test_passwords_in_addresses_are_left_out(monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/x/cli.py", "generate", "--base-url", "http://a:b@h/v1"])
    assert module.typed_command() == "lsmseg-prompts generate --base-url http://h/v1"
