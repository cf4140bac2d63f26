"""A copy of the store in one file, whole and of one moment, while others write."""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from lsmseg_prompts.errors import ConfigurationError, StoreError
from lsmseg_prompts.files import check_free, new_folder
from lsmseg_prompts.store.migrations import schema_version
from lsmseg_prompts.store.sqlite import (
    BUSY_SECONDS,
    absent,
    connect,
    translated,
    working_store_path,
)


def backup(
    target: str | os.PathLike[str],
    store: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Path:
    """Copy the working store to `target`: all of it, or nothing is left there.

    Raises ConfigurationError where `target` exists (`force` replaces it), is the store itself or
    is in use; StoreError where the store or the disk refuses.
    """
    source, target = working_store_path(store), Path(os.path.realpath(os.path.expanduser(target)))
    if not source.exists():
        raise absent(source)
    if target.exists() and target.samefile(source):
        raise ConfigurationError(f"{target} is the store itself: name another file.")
    if target.exists() and not target.is_file():
        raise ConfigurationError(f"Cannot write {target}: it is not a file; give a file name.")
    check_free(target, force)
    for beside in (f"{target}-wal", f"{target}-journal"):
        if os.path.exists(beside):  # it would be taken for the copy's own
            raise ConfigurationError(f"{beside} exists, so {target} is in use: name another file.")
    with translated(target), new_folder(target.parent):
        _copy(source, target)
    return target


def _copy(source: Path, target: Path) -> None:
    """Copy the store to a file beside the target, which then takes its place."""
    temporary = target.parent / f".lsmseg-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        with translated(source), closing(_open(source)) as original:
            schema_version(original, str(source))
            with translated(target), closing(sqlite3.connect(temporary)) as copy:
                original.backup(copy)  # in one step: one moment of the store
                copy.execute("PRAGMA journal_mode = delete")  # nothing beside it
                said = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if said != "ok":
            raise StoreError(f"The store {source} is damaged ({said}): nothing was copied.")
        with translated(target):
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, target)
    finally:
        for rest in (temporary, Path(f"{temporary}-journal"), Path(f"{temporary}-wal")):
            with suppress(OSError):
                rest.unlink()


def _open(source: Path) -> sqlite3.Connection:
    """The store for reading, with its log.

    In a folder that cannot be written, where there is no log, without.
    """
    connection = connect(source, "ro", BUSY_SECONDS)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        connection.close()
        log = Path(f"{source}-wal")
        if log.exists() and log.stat().st_size:
            raise
        return connect(source, "ro&immutable=1", BUSY_SECONDS)
    return connection
