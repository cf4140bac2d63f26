"""Datasette over a store: the canned queries run by SQLite alone, and the pages in this process."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple

from lsmseg_prompts.curation.datasette import metadata

HOST = {"_header_host": "localhost", "_header_x_forwarded_proto": ""}
"""What Datasette itself fills in."""


class _Fields(dict[str, str]):
    """The values of a form: those that are not given are empty, as Datasette has them."""

    def __missing__(self, name: str) -> str:
        return ""


def query(store: str | Path, name: str, **fields: str) -> list[dict[str, Any]]:
    """The rows of a canned query."""
    (database,) = metadata(store)["databases"].values()
    return answered(store, database["queries"][name]["sql"], fields)


def answered(store: str | Path, sql: str, fields: dict[str, str]) -> list[dict[str, Any]]:
    """The rows of a SELECT of the metadata; fields that are not given are empty."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        cursor = connection.execute(sql, _Fields(**HOST, **fields))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


class Page(NamedTuple):
    path: str
    status: int
    text: str

    @property
    def links(self) -> list[str]:
        """Where its cells lead to that hold a whole URL, from the root on."""
        return [
            unescape(href) for href in re.findall(r'<a href="http://localhost(/[^"]+)"', self.text)
        ]


def pages(store: str | Path, paths: Sequence[str]) -> list[Page]:
    """What Datasette answers, with the metadata of the store."""
    from datasette.app import Datasette

    app = Datasette([str(store)], metadata=metadata(store))

    async def fetch() -> list[Page]:
        found = []
        for path in paths:
            answer = await app.client.get(path)
            found.append(Page(path, answer.status_code, answer.text))
        return found

    try:
        return asyncio.run(fetch())
    finally:
        for database in app.databases.values():
            database.close()
        app.executor.shutdown()
