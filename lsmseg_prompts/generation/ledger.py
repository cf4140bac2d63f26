"""What a run writes into the store while it asks: itself, its claims, its requests.

A request is on file before it is sent, and its reply as soon as it is there, so that a kill
loses nothing but what is on its way. A run that was killed is told by its pid or its silence;
its claims are then free for others, and its requests count as lost, at their worst cost.

While requests are on their way, the store is used by way of `Ledger.patiently` alone: SQLite's own
wait for a lock would hold the event loop, and calls would run into their timeouts although their
answers have come.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from lsmseg_prompts.errors import StoreError, StoreLocked
from lsmseg_prompts.generation.limits import Stop
from lsmseg_prompts.llm.base import LLM, Reply, Request
from lsmseg_prompts.store.runs import dead_runs
from lsmseg_prompts.store.sqlite import utc_now
from lsmseg_prompts.store.store import Store

HEARTBEAT = 10.0
BALLAST = 32 << 10  # bytes kept back on the disk for each reply on its way when it is full

FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.05  # seconds between tries at a locked store
LAST_PATIENCE = 0.5  # seconds for a lock that was waited for in vain, or at a run's early end

Cell = tuple[int, str]
_T = TypeVar("_T")


class Ledger:
    """The store as a run writes it. Use as a context manager: it enters the run and ends it.

    `on_their_way` is how many paid requests there can be at once.
    """

    def __init__(self, store: Store, on_their_way: int = 0) -> None:
        self.store = store
        self.run = uuid.uuid4().hex
        self.started = utc_now()
        self._bytes = BALLAST * on_their_way
        self._gave_up = False

    def __enter__(self) -> Ledger:
        free_dead_runs(self.store)
        restore_rescued(self.store)
        self.store.write(
            "runs",
            {
                "id": self.run,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "started_at": self.started,
                "seen_at": time.time(),
            },
        )
        try:
            if self._bytes:
                _ballast(self.store, self.run).write_bytes(os.urandom(self._bytes))
        except OSError as error:
            _drop_ballast(self.store, self.run)
            raise StoreError(
                f"There is no room beside the store {self.store.path} ({error.strerror}): free "
                f"{self._bytes >> 10} KB and more, so that no reply that is paid for gets lost."
            ) from error
        return self

    def __exit__(self, kind: type[BaseException] | None = None, *_: object) -> None:
        _drop_ballast(self.store, self.run)
        # An error that is already on its way says the same, and the next run does this too.
        with suppress(StoreError), self.store.patience(self._patience(hurry=kind is not None)):
            end_run(self.store, self.run, lost="the run was stopped before the reply came")

    def _patience(self, hurry: bool = False) -> float:
        """Seconds to wait for a lock."""
        most = LAST_PATIENCE if hurry or self._gave_up else self.store.busy_seconds
        return min(most, self.store.busy_seconds)

    async def patiently(self, work: Callable[[], _T], stop: Stop | None = None) -> _T:
        """Do some work in the store; while that is locked, the event loop goes on.

        Work that met a lock is begun anew, so it must change nothing but the store until its
        transaction is committed. Raises StoreLocked after the store's `busy_seconds`, or after
        LAST_PATIENCE where that has just happened, and Stopped as soon as `stop` is set; nothing
        is written then.
        """
        end, pause = time.monotonic() + self._patience(), FIRST_PAUSE
        while True:
            try:
                with self.store.patience(0.0):
                    result = work()
                self._gave_up = False
                return result
            except StoreLocked:
                if time.monotonic() > end:
                    self._gave_up = True
                    raise
            await (asyncio.sleep(pause) if stop is None else stop.sleep(pause))
            pause = min(2 * pause, LONGEST_PAUSE)

    def seen(self) -> None:
        """Say that this run is alive."""
        self.store.execute("UPDATE runs SET seen_at = ? WHERE id = ?", [time.time(), self.run])

    # -- requests ------------------------------------------------------------------------

    def sent(self, llm: LLM, request: Request, number: int, **fields: Any) -> int:
        """Enter a request that is about to be sent; see `record`.

        Raises StoreError where another process has taken this run for dead and its claims away.
        """
        ended = "SELECT ended_at FROM runs WHERE id = ?"
        if self.store.execute(ended, [self.run]).fetchone() != (None,):
            raise StoreError(
                "Another process took this run for dead (was it or the computer asleep?) and goes "
                "on in its place: the same command asks for what that one leaves."
            )
        own = {"asked_model": llm.model, "state": "sent", "run": self.run, "cost_is_bound": 1}
        return self.record(llm, request, number, **own, **fields)

    def record(self, llm: LLM, request: Request, number: int, **fields: Any) -> int:
        """Enter a request, the `number`th try at its cells; returns the id of the attempt.

        `fields` are further columns, as of `Store.record_attempt`.
        """
        parameters = {**request.parameters, "max_output_tokens": request.max_output_tokens}
        return self.store.record_attempt(
            request.vocabulary,
            request.entry.index if request.entry else None,
            request.attribute,
            llm.name,
            prompt=request.prompt,
            parameters={key: value for key, value in parameters.items() if value is not None},
            attributes=json.dumps(request.attributes) if len(request.attributes) > 1 else None,
            attempt_number=number,
            host=llm.host,
            system=request.system,
            history=json.dumps(request.history, ensure_ascii=False) if request.history else None,
            template_hash=request.template_hash,
            question=request.hash,
            budget=request.budget.named,
            **fields,
        )

    async def ended(self, attempt: int, reply: Reply, **fields: Any) -> None:
        """Enter what came back; `fields` are further columns.

        On a full disk the ballast makes room for it; where even that fails, or the wait for a
        locked store ends or is broken off, the reply goes into a file beside the store or in the
        folder for temporary files, and is entered by the next run.
        """
        given = {**reply.attempt_fields(), **fields}
        # An error is written also where there is none: the request may have counted as lost.
        fields = {"state": "ended"} | {
            key: value
            for key, value in given.items()
            if key.startswith("error_") or (value is not None and key != "asked_model")
        }
        enter = partial(self.store.update_attempt, attempt, **fields)
        try:
            await self.patiently(enter)
        except (StoreError, asyncio.CancelledError):
            _drop_ballast(self.store, self.run)
            try:
                with self.store.patience(0.0):
                    enter()
            except StoreError:
                if self._bytes:  # what was free can be had again
                    _rescue(self.store.path, self.run, attempt, fields)
            raise


def _ballast(store: Store, run: str) -> Path:
    return Path(f"{store.path}.ballast-{run}")


def _drop_ballast(store: Store, run: str) -> None:
    with suppress(OSError):
        _ballast(store, run).unlink()


def in_batches(store: Store, vocabulary: str, llm: str) -> set[Cell]:
    """The cells that are in a batch which has not been collected yet."""
    rows = store.rows(
        "SELECT class_index, attribute FROM claims WHERE vocabulary = ? AND llm = ? "
        "AND owner IN (SELECT id FROM batches WHERE ended_at IS NULL)",
        [vocabulary, llm],
    )
    return {(row["class_index"], row["attribute"]) for row in rows}


def free_dead_runs(store: Store) -> int:
    """End the runs that were killed; returns how many there were."""
    dead = dead_runs(store)
    for run in dead:
        end_run(store, run, lost="the run was killed before the reply came")
    return len(dead)


def end_run(store: Store, run: str, lost: str) -> None:
    """Free the claims of a run; its requests without a reply are lost, at their worst cost."""
    _drop_ballast(store, run)
    with store.transaction():
        store.execute("DELETE FROM claims WHERE owner = ?", [run])
        store.execute(
            "UPDATE attempts SET state = 'lost', error_class = 'Lost', error_message = ? "
            "WHERE run = ? AND state = 'sent'",
            [lost, run],
        )
        store.execute("UPDATE runs SET ended_at = ? WHERE id = ?", [utc_now(), run])


def _rescue(store: Path, run: str, attempt: int, fields: dict[str, Any]) -> None:
    """Put a reply that the store could not take into a file; `restore_rescued` reads it back."""
    line = json.dumps({"attempt": attempt, "fields": fields})
    for path in _rescue_paths(store, run):
        try:
            with open(path, "a", encoding="ascii") as file:
                file.write(line + "\n")
            return
        except OSError:
            continue
    print(f"This reply could not be stored: {line}", file=sys.stderr)


def _rescue_paths(store: Path, run: str) -> list[Path]:
    """Where a run's rescued replies may be; `run` is * for those of all runs."""
    store = store.resolve()
    name = f"lsmseg-rescued-{hashlib.sha256(os.fsencode(store)).hexdigest()[:12]}-{run}.jsonl"
    return [store.parent / name, Path(tempfile.gettempdir()) / name]


def restore_rescued(store: Store) -> int:
    """Enter the replies that an earlier run could not store; returns how many.

    Only into attempts of that run, and only into the columns that a reply fills: the folder for
    temporary files is open to others.
    """
    columns = {*Reply(None, "").attempt_fields(), "state", "cost_usd", "cost_is_bound"}
    count = 0
    for pattern in _rescue_paths(store.path, "*"):
        for path in sorted(pattern.parent.glob(pattern.name)):
            run = path.stem.rpartition("-")[2]
            try:
                lines = path.read_text("utf-8").split("\n")
            except (OSError, ValueError):
                continue
            with store.transaction():
                for line in lines:
                    with suppress(ValueError, LookupError, TypeError, AttributeError):  # cut off
                        saved = json.loads(line)
                        fields = {k: v for k, v in saved["fields"].items() if k in columns}
                        sql = "SELECT 1 FROM attempts WHERE id = ? AND run = ?"
                        if store.execute(sql, [saved["attempt"], run]).fetchone():
                            store.update_attempt(saved["attempt"], **fields)
                            count += 1
            with suppress(OSError):
                path.unlink()
    return count
