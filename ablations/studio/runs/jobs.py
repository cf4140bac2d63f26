"""Jobs: commands that the studio started, each a process of its own with its record on disk.

They outlive the page and the studio. A record holds the words, the process and when that process
was born, so that another process with its number is never taken for it, nor stopped.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ablations.studio.runs import job_process
from ablations.studio.runs.commands import shown
from lsmseg_model.progress_file import is_alive, process_born
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.files import write_whole
from lsmseg_prompts.terminal import printable

FOLDER = ".jobs"  # in the folder of runs; hidden, so that it is none of them
RECORD, OUT, ERR = "job.json", "stdout", "stderr"
MOST_RUNNING = 4
KEPT = 50  # jobs that are over
TAIL = 16_384  # bytes of the end of what a job wrote
STOPPED = (130, 143)
PARTLY = 3  # the exit code of a command some of whose cells failed


@dataclass(frozen=True)
class Job:
    """A command that the studio started.

    Attributes:
        id: Its name.
        words: The command, without the program's name.
        started: When, in seconds since 1970.
        pid: Its process; 0 until that is there.
        born: What tells that process from a later one of the same number.
        pressed: How often it was asked to stop.
    """

    id: str
    words: Sequence[str]
    started: float
    pid: int = 0
    born: float | None = None
    pressed: int = 0


class Jobs:
    """The jobs of a folder of runs."""

    def __init__(self, runs: Path) -> None:
        self.folder = runs / FOLDER
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def start(self, words: Sequence[str]) -> Job:
        """Start a command.

        Its keys are those of the studio's own environment. Raises UsageError where MOST_RUNNING
        run already, ConfigurationError where the folder cannot be written.
        """
        with self._lock:
            there = self._all()
            if sum(self.state(job)["state"] == "running" for job in there) >= MOST_RUNNING:
                raise UsageError(f"{MOST_RUNNING} commands run already: stop one, or wait.")
            for old in there[KEPT - 1 :]:
                if self.state(old)["state"] != "running":
                    shutil.rmtree(self.folder / old.id, ignore_errors=True)
            stamp = datetime.now().astimezone().strftime("%Y%m%dT%H%M%S")
            job = Job(f"{stamp}-{secrets.token_hex(3)}", list(words), time.time())
            self._write(job)
            child = self._popen(job)
            self._children[job.id] = child
            job = Job(job.id, job.words, job.started, child.pid, process_born(child.pid))
            self._write(job)
            return job

    def all(self) -> list[Job]:
        """The jobs, the latest first."""
        with self._lock:
            return self._all()

    def get(self, id: str) -> Job:
        """A job by its name. Raises UsageError where there is none."""
        for job in self.all():
            if job.id == id:
                return job
        raise UsageError("There is no such job any more: load the page again.")

    def stop(self, id: str) -> Job:
        """Ask a job to stop: as Ctrl-C does, so that nothing is lost; the second time by SIGTERM.

        Raises UsageError where there is none.
        """
        job = self.get(id)
        with self._lock:
            if self.state(job)["state"] != "running":
                return job
            wanted = signal.SIGINT if not job.pressed else signal.SIGTERM
            job = Job(**{**asdict(job), "pressed": job.pressed + 1})
            self._write(job)
            with suppress(ProcessLookupError, PermissionError):
                if hasattr(os, "killpg"):
                    os.killpg(job.pid, wanted)
                else:
                    os.kill(job.pid, signal.SIGTERM)
        return job

    def state(self, job: Job) -> dict[str, Any]:
        """How a job is: {state, code}; state is running, done, partly, stopped or failed."""
        if (child := self._children.get(job.id)) is not None and child.poll() is not None:
            del self._children[job.id]
        code = self._code(job)
        if code is not None:
            known = {0: "done", PARTLY: "partly", **dict.fromkeys(STOPPED, "stopped")}
            return {"state": known.get(code, "failed"), "code": code}
        if self._lives(job):
            return {"state": "running", "code": None}
        if (code := self._code(job)) is not None:  # it ended between the two looks
            return self.state(job)
        return {"state": "stopped" if job.pressed else "failed", "code": None}

    def _lives(self, job: Job) -> bool:
        """Whether it runs; a record that does not say when its process began names any process."""
        return (job.born is not None or sys.platform != "linux") and is_alive(job.pid, job.born)

    def shown(self, job: Job) -> dict[str, Any]:
        """What a page is told of a job."""
        told = {key: value for key, value in asdict(job).items() if key not in ("born", "words")}
        return {**told, **self.state(job), "command": shown(list(job.words))}

    def tail(self, job: Job) -> dict[str, str]:
        """The end of what a job wrote: {stdout, stderr}, of at most TAIL bytes each."""
        return {name: _end_of(self.folder / job.id / name) for name in (OUT, ERR)}

    def _all(self) -> list[Job]:
        found = []
        with suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    job = _read(Path(entry.path) / RECORD, entry.name)
                    found += [job] if job else []
        return sorted(found, key=lambda job: (-job.started, job.id))

    def _write(self, job: Job) -> None:
        write_whole(self.folder / job.id / RECORD, json.dumps(asdict(job)))

    def _code(self, job: Job) -> int | None:
        try:
            return int((self.folder / job.id / job_process.EXIT).read_text()[:8])
        except (OSError, ValueError):
            return None

    def _popen(self, job: Job) -> subprocess.Popen[bytes]:
        """Its process: no shell, a group of its own, nothing on stdin."""
        found = find_spec("cli")
        if found is None or found.origin is None:
            raise ConfigurationError("The command line cannot be found: install lsmseg-prompts.")
        folder = self.folder / job.id
        program = [sys.executable, "-P", str(Path(job_process.__file__).resolve())]
        try:
            with (folder / OUT).open("wb") as out, (folder / ERR).open("wb") as err:
                return subprocess.Popen(
                    [*program, str(folder.resolve()), found.origin, *job.words],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                    env={**os.environ, "PYTHONUNBUFFERED": "1"},
                )
        except OSError as error:
            raise ConfigurationError(
                f"Cannot start the command: {error.strerror}; choose another folder with --runs."
            ) from error


def _read(path: Path, name: str) -> Job | None:
    """A job's record; None where it is not one, or another's."""
    try:
        job = Job(**json.loads(path.read_bytes()[: 1 << 16]))
        numbers = (job.started, job.pid, job.pressed, job.born or 0.0)
        whole = all(isinstance(n, int | float) for n in numbers) and isinstance(job.words, list)
        return (
            job if whole and job.id == name and all(isinstance(w, str) for w in job.words) else None
        )
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _end_of(path: Path) -> str:
    """The last TAIL bytes of a file as text, from the beginning of a line."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            data = file.read(TAIL)
    except OSError:
        return ""
    if size > TAIL:
        data = data.partition(b"\n")[2]
    return printable(data.decode("utf-8", "replace"))
