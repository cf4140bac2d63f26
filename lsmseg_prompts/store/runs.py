"""Which of the runs that a store has on file are alive: by their pid, or by their silence."""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import Any

from lsmseg_prompts.store.store import Store

SILENCE = 60.0  # seconds after which a run that has not been seen counts as dead

_watched: dict[str, tuple[float, float]] = {}
"""Of runs whose clock is ahead of ours: what they last wrote, and since when on our own clock."""


def dead_runs(store: Store) -> list[str]:
    """The runs that were killed and still hold what they claimed."""
    runs = store.rows("SELECT id, host, pid, seen_at FROM runs WHERE ended_at IS NULL")
    return [row["id"] for row in runs if not _is_alive(row)]


def is_under_way(store: Store, run: str) -> bool:
    """Whether a run has not ended and is alive."""
    rows = store.rows(
        "SELECT id, host, pid, seen_at FROM runs WHERE id = ? AND ended_at IS NULL", [run]
    )
    return any(map(_is_alive, rows))


def _is_alive(row: dict[str, Any]) -> bool:
    silent = time.time() - row["seen_at"]
    if silent < -SILENCE:  # another machine's clock is ahead: what counts is whether it goes on
        seen_at, since = _watched.get(row["id"], (None, 0.0))
        if seen_at != row["seen_at"]:
            since = time.monotonic()
            _watched[row["id"]] = row["seen_at"], since
        silent = time.monotonic() - since
    if silent > SILENCE:
        return False
    if row["host"] != socket.gethostname() or sys.platform == "win32":
        return True
    try:
        os.kill(row["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def who_else(store: Store, vocabulary: str, llm: str, run: str) -> list[dict[str, Any]]:
    """The other runs that have claimed cells: {id, host, pid, cells}.

    Args:
        store: the store.
        vocabulary: whose cells.
        llm: who is asked.
        run: the run that wants to know.
    """
    return store.rows(
        "SELECT r.id, r.host, r.pid, count(*) AS cells FROM claims AS c JOIN runs AS r "
        "ON r.id = c.owner WHERE c.vocabulary = ? AND c.llm = ? AND r.id <> ? GROUP BY r.id",
        [vocabulary, llm, run],
    )
