"""The file under the attribute store: where it lies, how it is opened, what its errors mean.

The way in is `store.py`; this is the part of it that knows SQLite.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from errno import EINVAL, EISDIR
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from lsmseg_prompts.errors import StoreError, StoreLocked

if TYPE_CHECKING:
    from sqlite_utils import Database

STORE_NAME = "attribute_store.sqlite"
STORE_VARIABLE = "LSMSEG_PROMPTS_STORE"
BUSY_SECONDS = 30.0

JSON_COLUMNS: Mapping[tuple[str, str], type] = {
    ("answers", "files"): dict,
    ("attempts", "attributes"): list,
    ("attempts", "history"): list,
    ("attempts", "parameters"): dict,
    ("batches", "calls"): list,
    ("captions", "objects"): list,
    ("captions", "relations"): list,
    ("classes", "synonyms"): list,
    ("descriptions", "other_tokens"): dict,
    ("edits", "new_row"): dict,
    ("edits", "old_row"): dict,
    ("evaluations", "attributes"): list,
    ("evaluations", "details"): dict,
    ("refinement_candidates", "attempts"): list,
    ("refinement_rounds", "attempts"): list,
    ("refinement_rounds", "confusions"): list,
    ("refinement_texts", "texts"): list,
}
"""(table, column) -> what its text is."""

_TABLE = re.compile(r"\b(?:FROM|JOIN)\s+(\w+)", re.I)
_NUMBERS = ("INTEGER", "REAL")


def shipped_store_path() -> Path:
    """The store with the bundled descriptions: in the wheel, or at the top of a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / STORE_NAME
    return inside if inside.exists() else package.parent / STORE_NAME


def working_store_path(option: str | os.PathLike[str] | None = None) -> Path:
    """Where results go: `option` (--store), else $LSMSEG_PROMPTS_STORE, else ./runs/."""
    named = option or os.environ.get(STORE_VARIABLE)
    return Path(os.path.expanduser(named)) if named else Path("runs") / STORE_NAME


def existing_store_path(option: str | os.PathLike[str] | None = None) -> Path | None:
    """The working store for reading; None where nobody named one and there is none.

    Raises StoreError for one that is named (--store) and is not there: what is read would silently
    be something else, and nothing is made for reading.
    """
    path = working_store_path(option)
    if path.exists():
        return path
    if option is not None:
        raise absent(path)
    return None


class _Cursor(sqlite3.Cursor):
    """A cursor whose rows, too, arrive without errors of SQLite's: text that is not UTF-8, say."""

    path: Path

    def fetchone(self) -> Any:
        with translated(self.path):
            return super().fetchone()

    def fetchall(self) -> list[Any]:
        with translated(self.path):
            return super().fetchall()

    def __next__(self) -> Any:
        with translated(self.path):
            return super().__next__()


class StoreFile:
    """An open SQLite file whose errors all arrive as StoreError; a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection
        self.busy_seconds = connection.execute("PRAGMA busy_timeout").fetchone()[0] / 1000
        self._entered: set[tuple[str, str | None]] = set()
        self._columns: dict[str, dict[str, str]] = {}  # of each table: their kinds

    @cached_property
    def db(self) -> Database:
        """The same file for sqlite-utils, with its tables, schemas and search."""
        from sqlite_utils import Database  # pulls in pandas: a quarter of a second

        return Database(self.connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the last one to close a WAL database folds the log into it."""
        self.connection.close()

    def execute(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> sqlite3.Cursor:
        """Run one statement; outside a transaction it is committed at once."""
        with translated(self.path):
            parameters = dict(values) if isinstance(values, Mapping) else tuple(values)
            cursor = self.connection.cursor(_Cursor)
            cursor.path = self.path
            return cursor.execute(sql, parameters)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows of a SELECT as dictionaries.

        Raises StoreError also where a value is of another kind than its column, or is JSON that
        cannot be read: SQLite lets other programs write anything.
        """
        rows = self.rows_as_they_are(sql, values)
        if not rows:
            return rows
        tables = _TABLE.findall(sql)
        for name in rows[0]:
            column = [row[name] for row in rows]
            types = set(map(type, column))
            kinds = {kind for table in tables if (kind := self._kinds(table).get(name))}
            is_wrong = bytes in types and "BLOB" not in kinds
            if str in types:
                forms = [JSON_COLUMNS[t, name] for t in tables if (t, name) in JSON_COLUMNS]
                is_wrong |= bool(kinds) and kinds.issubset(_NUMBERS)
                is_wrong |= not all(_is_json(value, form) for form in forms for value in column)
            if is_wrong:
                raise StoreError(
                    f"The store {self.path} is damaged ({name} is not as it was written): "
                    "`lsmseg-prompts store check` says where; restore a backup."
                )
        return rows

    def _kinds(self, table: str) -> dict[str, str]:
        """The columns of a table, and which kind of value is theirs."""
        if table not in self._columns:
            found = self.execute("SELECT name, type FROM pragma_table_info(?)", [table])
            self._columns[table] = dict(found.fetchall())
        return self._columns[table]

    def rows_as_they_are(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows of a SELECT, whatever another program has put into them."""
        with translated(self.path):
            cursor = self.connection.execute(sql, tuple(values))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    @contextmanager
    def patience(self, seconds: float) -> Iterator[None]:
        """Wait so long for another program's lock, at most `busy_seconds`; then StoreLocked."""
        self.execute(f"PRAGMA busy_timeout = {round(1000 * min(seconds, self.busy_seconds))}")
        try:
            yield
        finally:
            self.execute(f"PRAGMA busy_timeout = {round(1000 * self.busy_seconds)}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write several rows at once or none; inside another transaction it joins that one."""
        if self.connection.in_transaction:
            yield
            return
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            self._entered.clear()
            self.connection.rollback()
            raise

    def once(self, table: str, name: str, more: str | None = None) -> bool:
        """Whether this is the first time that this open file hears of a row of `table`."""
        key = (f"{table} {name}", more)
        new = key not in self._entered
        self._entered.add(key)
        return new

    def write(self, table: str, row: Mapping[str, Any], update: str = "NOTHING") -> sqlite3.Cursor:
        """One INSERT ... ON CONFLICT DO `update`: the single-statement upsert."""
        columns = ", ".join(row)
        places = ", ".join(f":{column}" for column in row)
        return self.execute(
            f"INSERT INTO {table} ({columns}) VALUES ({places}) ON CONFLICT DO {update}", row
        )


def connect(path: Path, mode: str, busy_seconds: float) -> sqlite3.Connection:
    """Open the file in autocommit mode: only our own BEGIN IMMEDIATE begins a transaction."""
    if path.is_dir():
        raise IsADirectoryError(EISDIR, "it is a folder", str(path))
    if path.is_fifo():  # SQLite would wait for whoever writes into it
        raise OSError(EINVAL, "it is a pipe", str(path))
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}",
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,  # generate() may run in a helper thread inside a notebook
    )
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def enable_wal(connection: sqlite3.Connection, busy_seconds: float) -> None:
    """Switch to WAL; where the file system cannot do that, SQLite keeps its rollback journal."""
    end = time.monotonic() + busy_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = wal")
            # In WAL mode a kill loses nothing that was committed, synced or not; only a power
            # cut may lose the last moments. A sync for every reply would cost a slow disk's pace.
            connection.execute("PRAGMA synchronous = NORMAL")
            return
        except sqlite3.OperationalError as error:
            # The switch does not wait for the busy timeout when two processes do it at once.
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > end:
                raise
            time.sleep(0.02)


def utc_now() -> str:
    """The time now as ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def absent(path: Path) -> StoreError:
    return StoreError(
        f"There is no attribute store at {path}: `lsmseg-prompts generate` makes one, or name "
        "another with --store."
    )


def _is_json(value: Any, form: type) -> bool:
    """Whether a text is JSON of that form; what is no text is not looked at."""
    try:
        return not isinstance(value, str) or isinstance(json.loads(value), form)
    except (ValueError, RecursionError):
        return False


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's and the file system's errors into one sentence."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise StoreError(f"The store {path} refused a row: {error}.") from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", None) or ""
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise StoreLocked(
                f"The store {path} is locked by another program: wait for that to end and try "
                "again."
            ) from error
        raise StoreError(_sentence(path, code, str(error))) from error
    except OSError as error:
        reason = error.strerror or error
        if isinstance(error, FileExistsError):  # mkdir says so of a file in a folder's place
            reason = f"{error.filename} is a file, not a folder"
        raise StoreError(
            f"Cannot open the store {path}: {reason}; name another place with "
            "--store or LSMSEG_PROMPTS_STORE."
        ) from error


def _sentence(path: Path, code: str, message: str) -> str:
    if code.startswith("SQLITE_NOTADB"):
        return f"{path} is not a SQLite database: name another file with --store, or delete it."
    if code.startswith("SQLITE_CORRUPT"):
        return f"The store {path} is damaged: restore a copy, or delete it and generate again."
    if code.startswith("SQLITE_FULL"):
        return f"The disk is full, so the store {path} cannot grow: free some space and try again."
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return (
            f"The store {path} cannot be written ({message}): check the permissions, or name "
            "another place with --store or LSMSEG_PROMPTS_STORE."
        )
    if code.startswith("SQLITE_IOERR"):
        return f"Reading or writing the store {path} failed ({message}): check the disk."
    if "decode to UTF-8" in message or message.startswith("no such "):
        return f"The store {path} is damaged ({message}): restore a backup."
    return f"The store {path} failed ({message}): `lsmseg-prompts store check` looks for damage."
