"""Which of the runs that a store has on file are alive: by their pid, or by their silence."""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import Any

from lsmseg_prompts.store.store import Store

SILENCE = 60.0  # seconds after which a run that has not been seen counts as dead


def dead_runs(store: Store) -> list[str]:
    """The runs that were killed and still hold what they claimed."""
    runs = store.rows("SELECT id, host, pid, seen_at FROM runs WHERE ended_at IS NULL")
    return [row["id"] for row in runs if not _is_alive(row)]


def is_under_way(store: Store, run: str) -> bool:
    """Whether a run has not ended and is alive."""
    rows = store.rows(
        "SELECT host, pid, seen_at FROM runs WHERE id = ? AND ended_at IS NULL", [run]
    )
    return any(map(_is_alive, rows))


def _is_alive(row: dict[str, Any]) -> bool:
    if time.time() - row["seen_at"] > SILENCE:
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
