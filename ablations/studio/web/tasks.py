"""What takes longer than a request: done in the background, asked after, called off."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lsmseg_prompts.errors import UsageError

KEPT = 50  # tasks that are over and can still be asked after


class Cancelled(Exception):
    """The task was called off."""


@dataclass
class Task:
    """One of them; ``state``: running, done, failed or cancelled."""

    what: str
    id: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    state: str = "running"
    done: int = 0
    total: int = 0
    message: str = ""
    error: str | None = None
    result: Any = None
    cancelled: threading.Event = field(default_factory=threading.Event)

    def progress(self, done: int, total: int) -> None:
        """Say how far it is. Raises Cancelled where nobody wants it any more."""
        self.done, self.total = done, total
        if self.cancelled.is_set():
            raise Cancelled

    def shown(self) -> dict[str, Any]:
        """What a page is told of it; the result once it is there."""
        told = ("id", "what", "state", "done", "total", "message", "error", "result")
        return {name: getattr(self, name) for name in told}


class Tasks:
    """All tasks of a studio; they end with the process."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}

    def start(self, what: str, work: Callable[[Task], Any]) -> Task:
        """Do ``work`` in a thread of its own; what it returns becomes the result."""
        task = Task(what)
        over = [one.id for one in list(self._tasks.values()) if one.state != "running"]
        for id in over[: max(0, len(over) - KEPT + 1)]:
            self._tasks.pop(id, None)
        self._tasks[task.id] = task
        threading.Thread(target=_run, args=(task, work), name=what, daemon=True).start()
        return task

    def get(self, id: str) -> Task:
        """Raises UsageError where there is none of this id."""
        task = self._tasks.get(id)
        if task is None:
            raise UsageError("There is no such task in this studio any more: start it again.")
        return task

    def running(self) -> list[Task]:
        return [task for task in list(self._tasks.values()) if task.state == "running"]


def _run(task: Task, work: Callable[[Task], Any]) -> None:
    try:
        task.result = work(task)
        task.state = "done"
    except Cancelled:
        task.state = "cancelled"
    except Exception as error:
        from ablations.studio.web.replies import report, sentence_of

        if getattr(error, "exit_code", None) is None:
            report(error)
        task.error, task.state = sentence_of(error), "failed"
