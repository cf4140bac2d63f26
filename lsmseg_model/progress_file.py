"""How far a long run is: a small file that it leaves while it lasts, for whoever watches.

`progress_file` writes it, whole and about once a second; `read_progress` says whether its process
still lives. A run that ends well takes the file away; one that failed, or was stopped, says so in
it; one that was killed is known by its process, which is gone.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lsmseg_model.errors import DataError
from lsmseg_model.files import write_whole

EVERY = 1.0  # seconds between two writes
SILENCE = 600.0  # seconds after which a run on another machine counts as over
LARGEST = 1 << 20  # bytes; a larger file is not ours
MOST_LOSSES = 240  # points of the curve; beyond them every second one is left out
LONGEST = 300  # signs of an error
RUNNING, STOPPED, FAILED = "running", "stopped", "failed"
_PROGRAMS = ("lsmseg-prompts", "cli")


@dataclass(frozen=True)
class Progress:
    """What a progress file says.

    Attributes:
        command: Whose run it is: ablate, train, ...
        typed: The command as it was typed; "" for a call from Python.
        pid: Its process.
        born: What tells that process from a later one of the same number; None where the system
            does not say.
        host: The machine.
        state: running, stopped or failed.
        what: The step it is at.
        done: How much of the step is done.
        total: How much there is; 0 where that is not known.
        left: Seconds that the rest of the step takes at its rate so far; None where not known.
        cost_usd: What was paid so far; None where nothing is asked, or no price is known.
        losses: [step, mean loss since the point before], of a training.
        started: When, in seconds since 1970.
        updated: When it was last written.
        error: What it failed with.
    """

    command: str
    typed: str = ""
    pid: int = 0
    born: float | None = None
    host: str = ""
    state: str = RUNNING
    what: str = ""
    done: int = 0
    total: int = 0
    left: float | None = None
    cost_usd: float | None = None
    losses: Sequence[Sequence[float]] = ()
    started: float = 0.0
    updated: float = 0.0
    error: str = ""


class ProgressFile:
    """The file of one run; `update` and `loss` are called as often as one likes."""

    def __init__(self, path: Path | None, command: str) -> None:
        self.path = path
        self._told: dict[str, Any] = asdict(Progress(command))
        self._told |= {
            "typed": typed_command(),
            "pid": os.getpid(),
            "born": process_born(os.getpid()),
            "host": platform.node(),
            "started": time.time(),
        }
        self._written = float("-inf")
        self._began = (time.monotonic(), 0)  # when the step was at how much
        self._losses: list[list[float]] = []
        self._width, self._sum, self._count = 1, 0.0, 0

    def update(self, what: str, done: int, total: int, cost_usd: float | None = None) -> None:
        """Say which step the run is at, and how much of it is done.

        Args:
            what: The step.
            done: How much of it is done.
            total: How much there is; 0 where that is not known.
            cost_usd: What was paid so far.
        """
        now, told = time.monotonic(), self._told
        if total != told["total"] or done < told["done"]:
            self._began = (now, done)
        since, there = self._began
        left = (now - since) * (total - done) / (done - there) if total and done > there else None
        new = what != told["what"]
        told |= {"what": what, "done": int(done), "total": int(total), "left": left}
        told["cost_usd"] = cost_usd
        if new or now - self._written >= EVERY:
            self.write()

    def loss(self, step: int, value: float) -> None:
        """Note the loss of a step; the curve holds means of equally many steps."""
        self._sum, self._count = self._sum + value, self._count + 1
        if self._count < self._width:
            return
        self._losses.append([step, self._sum / self._count])
        self._sum, self._count = 0.0, 0
        if len(self._losses) >= MOST_LOSSES:
            pairs = zip(self._losses[::2], self._losses[1::2], strict=True)
            self._losses = [[b[0], (a[1] + b[1]) / 2] for a, b in pairs]
            self._width *= 2

    def write(self, **changed: Any) -> None:
        """Write the file now; where the disk refuses, the run goes on without."""
        self._written = time.monotonic()
        self._told |= {"updated": time.time(), "losses": self._losses, **changed}
        if self.path is not None:
            with suppress(OSError, DataError, ValueError):
                text = json.dumps(self._told, allow_nan=False)
                write_whole(self.path, lambda temporary: temporary.write_text(text, "utf-8"))

    def remove(self) -> None:
        """Take the file away."""
        if self.path is not None:
            with suppress(OSError):
                self.path.unlink()


@contextmanager
def progress_file(path: Path | None, command: str, stays: bool = True) -> Iterator[ProgressFile]:
    """Keep a progress file while the block runs.

    Args:
        path: The file; None: nothing is written.
        command: Whose run it is.
        stays: Whether it stays where the block fails or is stopped, and says so, if there is
            anything else in its folder but hidden files.
    """
    file = ProgressFile(path, command)
    file.write()
    try:
        yield file
    except BaseException as error:
        stopped = not isinstance(error, Exception)
        said = "" if stopped else f"{type(error).__name__}: {error}"[:LONGEST]
        if path is not None and stays and _holds_more(path.parent):
            file.write(state=STOPPED if stopped else FAILED, error=said)
        else:
            file.remove()
        raise
    file.remove()


def _holds_more(folder: Path) -> bool:
    """Whether there is anything in a folder but hidden files."""
    with suppress(OSError):
        return any(not one.name.startswith(".") for one in folder.iterdir())
    return False


def read_progress(path: Path) -> Progress | None:
    """What a progress file says, its state as it is now; None where there is none to be read.

    A run whose process is gone is stopped, whatever the file says.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        told: Any = json.loads(data) if len(data) <= LARGEST else None
        progress = Progress(**told)
        _check(progress)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    if progress.state == RUNNING and not _lives(progress):
        return replace(progress, state=STOPPED)
    return progress


def _check(progress: Progress) -> None:
    """Raise TypeError for values of other kinds than a run writes: anybody can write a file."""
    usual = asdict(Progress(""))
    for name, value in vars(progress).items():
        if name in ("born", "left", "cost_usd"):
            right = value is None or _is_number(value)
        elif name == "losses":
            right = isinstance(value, list) and len(value) <= MOST_LOSSES
            right = right and all(
                isinstance(p, list) and len(p) == 2 and all(map(_is_number, p)) for p in value
            )
        elif name in ("started", "updated"):
            right = _is_number(value)
        else:
            right = type(value) is type(usual[name])
        if not right:
            raise TypeError(name)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _lives(progress: Progress) -> bool:
    if progress.host != platform.node():
        return time.time() - progress.updated < SILENCE
    return is_alive(progress.pid, progress.born)


def is_alive(pid: int, born: float | None) -> bool:
    """Whether a process of this machine runs, and is the one that was born then."""
    if pid <= 0:
        return False
    if (now := process_born(pid)) is not None:
        return born is None or now == born
    if sys.platform == "linux":
        return False
    if sys.platform == "win32":  # os.kill would end it
        return True
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def process_born(pid: int) -> float | None:
    """When a process began, in the system's own count; None for one that is gone or unknown.

    A process that has ended and only waits for its parent counts as gone.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else float(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def typed_command() -> str:
    """The command as it was typed, without passwords in addresses; "" for a call from Python."""
    if not sys.argv or Path(sys.argv[0]).stem not in _PROGRAMS:
        return ""
    words = [re.sub(r"(?<=://)[^/@]*@", "", word) for word in sys.argv[1:]]
    return shlex.join([_PROGRAMS[0], *words])
