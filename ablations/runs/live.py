"""What is going on: the runs, trainings and generations of this moment, wherever they were begun.

Each leaves a small file in its folder while it lasts, generations beside the store
(`lsmseg_model.progress_file`); what the store itself has on file of who is asking counts too.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsmseg_model.files import PROGRESS
from lsmseg_model.progress_file import (
    RUNNING,
    STOPPED,
    Progress,
    ProgressFile,
    progress_file,
    read_progress,
)
from lsmseg_prompts.errors import StoreError
from lsmseg_prompts.store.runs import is_under_way
from lsmseg_prompts.store.sqlite import working_store_path
from lsmseg_prompts.store.store import Store, open_store_readonly
from lsmseg_prompts.terminal import progress_to

if TYPE_CHECKING:
    from lsmseg_prompts.generation.cells import Filling
    from lsmseg_prompts.generation.run import OnUpdate

DEEPEST = 3  # folders below the runs folder: of a comparison's LLMs, of a recipe's networks
MOST_FOLDERS = 5000
BESIDE = ".progress-"  # between a store's name and a process number
_OF_COMMAND = re.compile(r"lsmseg-prompts (?:-\S+ )*(recipes run|\w+)")
_SPENT = (
    "SELECT r.id, r.host, r.pid, r.started_at, count(a.id) AS requests, "
    "sum(a.cost_usd) AS cost_usd, max(a.llm) AS llm, max(a.vocabulary) AS vocabulary, "
    "coalesce(sum(a.verdict IS NOT NULL), 0) AS judged "
    "FROM runs AS r LEFT JOIN attempts AS a ON a.run = r.id AND a.id > ? "
    "WHERE r.ended_at IS NULL GROUP BY r.id"
)
_BATCHES = (
    "SELECT vocabulary, llm, remote_id, status, json_array_length(calls) AS requests, created_at "
    "FROM batches WHERE ended_at IS NULL"
)
LATEST = 50_000  # attempts; what a run sent before them is not looked for


@dataclass(frozen=True)
class Activity:
    """Something that is going on, or that did not come to its end.

    Attributes:
        kind: The command: run, ablate, refine, train, generate, ...; or batch.
        name: The folder below the runs folder, or whose descriptions are asked for.
        folder: Where its results go; None of what fills the store.
        state: running, stopped or failed.
        what: The step it is at.
        done: How much of the step is done.
        total: How much there is; 0 where that is not known.
        left: Seconds that the rest of the step takes at its rate so far; None where not known.
        cost_usd: What was paid so far; None where nothing is, or no price is known.
        losses: [step, loss] of a training.
        started: When, in seconds since 1970.
        command: As it was typed; "" where that is not known.
        pid: Its process; None where that is not known.
        host: The machine.
        error: What it failed with.
    """

    kind: str
    name: str
    folder: Path | None
    state: str
    what: str = ""
    done: int = 0
    total: int = 0
    left: float | None = None
    cost_usd: float | None = None
    losses: Sequence[Sequence[float]] = ()
    started: float = 0.0
    command: str = ""
    pid: int | None = None
    host: str = ""
    error: str = ""


def activity(
    runs: str | os.PathLike[str] = "runs", store: str | os.PathLike[str] | None = None
) -> list[Activity]:
    """What is going on in a folder of runs and in a store, and what was cut short there.

    Running first, then the latest first. Nothing is written; a store that cannot be read at this
    moment counts as one where nothing goes on.

    Args:
        runs: The folder; it need not be there.
        store: The attribute store; by default the working store.
    """
    found = [
        _of_folder(name, folder, progress)
        for name, folder in result_folders(Path(runs))
        if (progress := read_progress(folder / PROGRESS)) is not None
    ]
    for one in _generations(_existing(store)):
        same = [n for n, other in enumerate(found) if _is_same(one, other)]
        for n in same:  # a run that asks, such as refine: what that costs is its own
            found[n] = replace(found[n], cost_usd=one.cost_usd)
        if not same:
            found.append(one)
    return sorted(found, key=lambda one: (one.state != RUNNING, -one.started))


def _is_same(one: Activity, other: Activity) -> bool:
    """Whether two tell of one process that runs."""
    both = one.state == other.state == RUNNING and one.pid is not None
    return both and (one.host, one.pid) == (other.host, other.pid)


def result_folders(runs: Path) -> list[tuple[str, Path]]:
    """The folders below a folder of runs, as (name, path), parents first; names have slashes.

    Neither links nor hidden folders are followed, nor names with signs that cannot be shown, and
    none deeper than DEEPEST.
    """
    found: list[tuple[str, Path]] = []
    level = [("", runs)]
    for _ in range(DEEPEST):
        below: list[tuple[str, Path]] = []
        for name, folder in level:
            try:
                with os.scandir(folder) as entries:
                    names = [
                        e.name
                        for e in entries
                        if not e.name.startswith(".")
                        and e.name.isprintable()
                        and e.is_dir(follow_symlinks=False)
                    ]
            except OSError:
                continue
            below += [(f"{name}/{one}" if name else one, folder / one) for one in sorted(names)]
        found += below
        level = below
        if len(found) > MOST_FOLDERS:
            break
    return found[:MOST_FOLDERS]


@contextmanager
def generation_progress(
    store: Path, command: str = "generate", on_update: "OnUpdate | None" = None
) -> "Iterator[OnUpdate]":
    """Leave a file beside the store that says how far a generation is, while the block runs.

    Args:
        store: The store that is filled.
        command: Whose generation it is.
        on_update: Told too.
    """
    with _beside(store, command) as file:

        def update(fillings: "Sequence[Filling]") -> None:
            if on_update is not None:
                on_update(fillings)
            tallies = [filling.tally for filling in fillings]
            costs = [filling.asker.usage.cost_usd for filling in fillings]
            paid = None if None in costs else sum(costs)  # type: ignore[arg-type]
            what = "; ".join(map(_in_words, fillings))
            file.update(what, sum(t.settled for t in tallies), sum(t.to_ask for t in tallies), paid)

        yield update


@contextmanager
def counted_progress(store: Path, command: str) -> Iterator[None]:
    """`generation_progress` of a generation that is shown by progress bars, which are listened to.

    Args:
        store: The store that is filled.
        command: Whose generation it is.
    """
    with _beside(store, command) as file, progress_to(file.update):
        yield


@contextmanager
def _beside(store: Path, command: str) -> Iterator[ProgressFile]:
    """The file of this process beside a store; those of processes that were killed go."""
    for path in _files_beside(store):
        progress = read_progress(path)
        if progress is None or progress.state != RUNNING:
            with suppress(OSError):
                path.unlink()
    place = Path(f"{store}{BESIDE}{os.getpid()}") if store.parent.is_dir() else None
    with progress_file(place, command, stays=False) as file:
        yield file


def _files_beside(store: Path) -> list[Path]:
    name = re.sub(r"([*?[])", r"[\1]", store.name)  # a pattern that only it fits
    return sorted(store.parent.glob(f"{name}{BESIDE}*"))


def _existing(store: str | os.PathLike[str] | None) -> Path | None:
    path = working_store_path(store)
    return path if path.is_file() else None


def _in_words(filling: "Filling") -> str:
    failed = filling.tally.failed
    told = f", {failed} failed" if failed else ""
    return f"{filling.writer.vocabulary.name}, {filling.plan.llm}{told}"


def _of_folder(name: str, folder: Path, progress: Progress) -> Activity:
    return Activity(
        _kind(progress),
        name,
        folder,
        progress.state,
        progress.what,
        progress.done,
        progress.total,
        progress.left,
        progress.cost_usd,
        progress.losses,
        progress.started,
        progress.typed,
        progress.pid,
        progress.host,
        progress.error,
    )


def _kind(progress: Progress) -> str:
    """The command: of refine and run the file has the one that they end in."""
    typed = _OF_COMMAND.match(progress.typed)
    return typed[1] if typed else progress.command


def _generations(store: Path | None) -> list[Activity]:
    """Who fills a store: by their files beside it, by the runs that it has on file, by batches."""
    if store is None:
        return []
    found: list[Activity] = []
    for path in _files_beside(store):
        progress = read_progress(path)
        if progress is not None:
            name = progress.what.partition(";")[0] or store.name
            found.append(replace(_of_folder(name, store, progress), folder=None))
    told = {(one.host, one.pid) for one in found}
    try:
        with open_store_readonly(store) as file:
            found += [one for one in _on_file(file) if (one.host, one.pid) not in told]
    except StoreError:
        pass
    return found


def _on_file(store: Store) -> Iterator[Activity]:
    last = store.rows("SELECT coalesce(max(id), 0) AS last FROM attempts")[0]["last"]
    for row in store.rows(_SPENT, [last - LATEST]):
        name = ", ".join(filter(None, [row["vocabulary"], row["llm"]])) or "a generation"
        state = RUNNING if is_under_way(store, row["id"]) else STOPPED
        yield Activity(
            "generate",
            name,
            None,
            state,
            f"{row['requests']:,} requests",
            row["judged"],
            cost_usd=row["cost_usd"],
            started=_seconds(row["started_at"]),
            pid=row["pid"],
            host=row["host"],
        )
    for row in store.rows(_BATCHES):
        yield Activity(
            "batch",
            f"{row['vocabulary']}, {row['llm']}",
            None,
            RUNNING,
            f"batch {row['remote_id'] or 'without a name yet'}: {row['status']}",
            0,
            row["requests"],
            started=_seconds(row["created_at"]),
        )


def _seconds(time: Any) -> float:
    """A time of the store, such as 2026-01-31T12:00:00+00:00, in seconds since 1970."""
    try:
        read = datetime.fromisoformat(str(time))
    except ValueError:
        return 0.0
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
