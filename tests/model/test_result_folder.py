"""A result folder is held by one run at a time, and nobody is held up by one that is over."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.command_line import arguments_for, environment, listing, refused

from lsmseg_model import files
from lsmseg_model.errors import DataError
from lsmseg_model.files import LOCK, check_folder, locked, result_folder
from lsmseg_model.processes import Processes
from lsmseg_model.training.loop import training_folder
from lsmseg_model.training.options import TrainRequest

fcntl = pytest.importorskip("fcntl")


def done(folder: Path) -> bool:
    return (folder / "done").exists()


@contextmanager
def another_run(folder: str) -> Iterator[None]:
    """One in this process: two open files of the same lock are as apart as two processes."""
    Path(folder).mkdir()
    with locked(Path(folder, LOCK), "train"):
        yield


def test_a_second_training_is_refused(call, data: Path, weights: Path) -> None:
    with another_run("o"):
        before = listing()
        said = f"Another run is writing into o (process {os.getpid()} on "
        refused(call(*arguments_for("pretrain", weights)), 4, said, "wait for it", "--out")
        refused(call("train", "--out", "o"), 4, said)
        refused(call("train", "--out", "o", "--resume", "--force"), 4, said)
        assert listing() == before
    assert call(*arguments_for("pretrain", weights)).code == 0
    assert not Path("o", LOCK).exists()


def test_a_second_run_is_refused(call) -> None:
    with another_run("o"):
        for command in ("ablate", "recipes run table3"):
            outcome = call("-q", *command.split(), "--out", "o")
            refused(outcome, 4, "Another run is writing into o (process ")
    assert listing() == {"o": "folder"}


def test_of_several_processes_the_first_holds_the_folder() -> None:
    request = TrainRequest(texts=[], vocabulary_name="v", out=Path("o"))
    first, second = Processes(0, 2, "cpu"), Processes(1, 2, "cpu")
    with training_folder(request, "train", "net", first):
        with training_folder(request, "train", "net", second):
            assert Path("o", LOCK).is_file()
        with pytest.raises(DataError), training_folder(request, "train", "net", first):
            pass


def test_what_was_cut_short_is_known_again() -> None:
    folder = Path("new/er")
    with pytest.raises(KeyboardInterrupt), result_folder(folder, "ablate", done):
        raise KeyboardInterrupt
    assert not Path("new").exists()  # nothing was in it
    with pytest.raises(KeyboardInterrupt), result_folder(folder, "ablate", done):
        (folder / "half").touch()
        raise KeyboardInterrupt
    check_folder(folder, "ablate", done)
    with pytest.raises(DataError, match="holds half, which is no result of `train`"):
        check_folder(folder, "train", done)
    with result_folder(folder, "ablate", done):
        (folder / "done").touch()
    assert sorted(os.listdir(folder)) == ["done", "half"]


def test_what_was_forced_once_is_no_folder_of_the_command() -> None:
    Path("mine").mkdir()
    Path("mine/file").touch()
    with pytest.raises(KeyboardInterrupt), result_folder(Path("mine"), "ablate", done, force=True):
        raise KeyboardInterrupt
    with pytest.raises(DataError, match="holds file"):
        check_folder(Path("mine"), "ablate", done)


def test_who_waits_for_a_lock_goes_on_when_it_is_removed(monkeypatch) -> None:
    """The file that was waited for is gone then: a third one would make another."""
    holder = os.open("lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(holder, fcntl.LOCK_EX)
    flock, waited = files._flock, []

    def ends(handle: int, wait: bool) -> None:
        if wait:
            waited.append(handle)
            Path("lock").unlink()
            os.close(holder)
        flock(handle, wait)

    monkeypatch.setattr(files, "_flock", ends)
    with locked(Path("lock"), "ablate", wait=True):
        assert len(waited) == 1 and Path("lock").is_file()
        with pytest.raises(DataError), locked(Path("lock"), "ablate"):
            pass
    assert not Path("lock").exists()


@pytest.mark.parametrize("lacking", ["the module", "the disk"])
def test_where_there_are_no_locks_nobody_is_held_up(lacking: str, monkeypatch) -> None:
    def unable(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    if lacking == "the module":  # Windows
        monkeypatch.setitem(sys.modules, "fcntl", None)
    else:
        monkeypatch.setattr(fcntl, "flock", unable)
    with result_folder(Path("o"), "train", done), result_folder(Path("o"), "train", done):
        pass


def test_a_forked_process_does_not_hold_the_lock() -> None:
    """As those that read pictures would, for seconds after a kill of the training."""
    ours, theirs = os.pipe()
    with locked(Path("lock"), "train"):
        if (child := os.fork()) == 0:
            os.close(theirs)
            os.read(ours, 1)  # lives until it is told to end
            os._exit(0)
    with locked(Path("lock"), "train"):
        pass
    os.close(theirs)
    os.close(ours)
    os.waitpid(child, 0)


@pytest.mark.process
def test_kill_9_leaves_no_stale_lock() -> None:
    program = (
        "import sys, pathlib\nfrom lsmseg_model.files import result_folder\n"
        "with result_folder(pathlib.Path('o'), 'train', lambda o: False):\n"
        "    pathlib.Path('o/half').touch()\n    print(flush=True)\n    sys.stdin.read()\n"
    )
    pipe = subprocess.PIPE
    run = subprocess.Popen(
        [sys.executable, "-c", program], cwd=Path.cwd(), env=environment(), stdin=pipe, stdout=pipe
    )
    with run:
        assert run.stdout is not None and run.stdout.readline()
        with (
            pytest.raises(DataError, match=rf"process {run.pid} on "),
            result_folder(Path("o"), "train", done),
        ):
            pass
        run.send_signal(signal.SIGKILL)
    assert Path("o", LOCK).is_file()
    with result_folder(Path("o"), "train", done):  # at once, and as its own
        Path("o/done").touch()
    assert sorted(os.listdir("o")) == ["done", "half"]
