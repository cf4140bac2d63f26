"""The schema of the attribute store, as numbered steps: m001_initial.sql, m002_generation.sql ...

The number of the last step applied stands in the file's `PRAGMA user_version`.
`PRAGMA application_id` marks the file as an attribute store, so that some other SQLite database
named by mistake is refused instead of filled.

A step that has been released is never edited; a change of the schema is a new file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from importlib.resources import files
from sqlite3 import Connection

from lsmseg_prompts.errors import StoreError

APPLICATION_ID = 0x4C534D53  # "LSMS"


def _apply(script: str, db: Connection) -> None:
    """Run the statements of a step one by one: `executescript` would commit before the first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""


_SCRIPTS = [path for path in files(__name__).iterdir() if path.name.endswith(".sql")]
MIGRATIONS: list[Callable[[Connection], object]] = [
    partial(_apply, path.read_text("utf-8"))
    for path in sorted(_SCRIPTS, key=lambda path: path.name)
]
SCHEMA_VERSION = len(MIGRATIONS)


def migrate(db: Connection, where: str) -> None:
    """Bring `db` to SCHEMA_VERSION. `where` names the file in messages.

    Raises StoreError for a newer schema and for a database that is not an attribute store.
    Several processes may call it at once: the version is read again under the write lock.
    """
    if schema_version(db, where) == SCHEMA_VERSION:
        return
    # A table that others point at can only be made anew while nobody looks at where they point;
    # this cannot be switched inside a transaction.
    db.execute("PRAGMA foreign_keys = OFF")
    # IMMEDIATE takes the write lock before the first read; a deferred BEGIN that reads and
    # then writes fails with "database is locked" as soon as another process writes between.
    db.execute("BEGIN IMMEDIATE")
    try:
        for number in range(schema_version(db, where) + 1, SCHEMA_VERSION + 1):
            MIGRATIONS[number - 1](db)
            db.execute(f"PRAGMA user_version = {number}")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        if dangling := db.execute("PRAGMA foreign_key_check").fetchone():
            raise StoreError(f"The store {where} is damaged: a row of {dangling[0]} hangs loose.")
        db.execute("COMMIT")
    except BaseException:
        db.rollback()
        raise
    finally:
        db.execute("PRAGMA foreign_keys = ON")


def readable(db: Connection, where: str) -> Connection:
    """`db` itself, or where its schema is older, a copy in memory that has been migrated.

    Raises StoreError for an empty file, and what `schema_version` raises.
    """
    version = schema_version(db, where)
    if version == SCHEMA_VERSION:
        return db
    if version == 0:
        raise StoreError(f"The store {where} is empty: name another file, or fill it first.")
    copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with closing(db):
        db.backup(copy)
    migrate(copy, where)
    return copy


def schema_version(db: Connection, where: str) -> int:
    """The schema number of `db`, 0 for an empty file.

    Raises StoreError for a database that is not an attribute store, or of a newer schema.
    """
    objects = int(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    application_id = int(db.execute("PRAGMA application_id").fetchone()[0])
    if application_id != APPLICATION_ID:
        if objects or application_id:
            raise StoreError(
                f"{where} is a database, but not an attribute store: name another file with "
                "--store or LSMSEG_PROMPTS_STORE."
            )
        return 0
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"The store {where} has schema {version}, newer than this version of "
            f"lsmseg-prompts ({SCHEMA_VERSION}): upgrade lsmseg-prompts, or name another file "
            "with --store."
        )
    return version
