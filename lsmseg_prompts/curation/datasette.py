"""The store in Datasette: metadata that names its tables and columns, and queries with links.

What there is to say is data: `datasette.json` has the titles and descriptions, `queries/` the SQL.
A word in braces there is filled in here. Written for Datasette 0.65, which needs no plugin for it:
foreign keys are links by themselves, and so is a cell that holds a URL alone.
"""

from __future__ import annotations

import json
import os
import re
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lsmseg_prompts.curation.reports import CELL_COSTS, GROUPS, SPENDING
from lsmseg_prompts.errors import LsmsegPromptsError
from lsmseg_prompts.files import check_free, packaged_json, write_whole
from lsmseg_prompts.store.sqlite import shipped_store_path, working_store_path
from lsmseg_prompts.store.store import Store, open_store, open_store_readonly
from lsmseg_prompts.tokens import CLIP, find_budget

LEAST_PICTURES = 20
"""What an interval needs: `ablations.search.enough.MIN_PICTURES`, as a test holds."""

_HERE = "lsmseg_prompts.curation"
_CLASS = (
    "(:vocabulary = '' OR c.vocabulary = :vocabulary) AND (c.name = :class COLLATE NOCASE "
    "OR c.readable = :class COLLATE NOCASE OR CAST(c.class_index AS TEXT) = :class)"
)
_STYLE = "td.col-link a{font-size:0} td.col-link a::after{content:'open';font-size:1rem}"
"""A cell that is a link must hold its whole URL, which would fill the page."""

_ESCAPED = {"%": "%25", "&": "%26", "#": "%23", "+": "%2B", " ": "%20"}  # % before the others


def metadata(
    store: str | os.PathLike[str] | None = None,
    file: str | Path | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """What `datasette STORE --metadata FILE` shows the working store with.

    Titles, what tables and columns hold, facets, and the queries `leaderboard`, `lint`,
    `costs_by_...`, `class_texts`, `cell_history` and others, whose rows link to one another. It
    counts for the store under its name: Datasette calls a database by its file.

    A store of an older schema is brought up to date first: Datasette reads the file itself.

    Args:
        store: the path of the store; None for the working store.
        file: where to write it, as JSON; None: nowhere.
        force: replace a file that is there.

    Raises:
        ConfigurationError: the file is there, or cannot be written.
        StoreError: the store cannot be read.
    """
    path = working_store_path(store)
    if file is not None:
        check_free(file, force, [path, shipped_store_path()])
    with open_store_readonly(path) as opened:
        budgets = _budgets(opened)
        (main, *_) = opened.rows_as_they_are("SELECT file FROM pragma_database_list ORDER BY seq")
    if not main["file"]:  # a copy in memory; Datasette reads the file itself
        open_store(path, create=False).close()
    found = _metadata(path.stem, budgets)
    if file is not None:
        write_whole(file, json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    return found


def _metadata(database: str, budgets: dict[str, int]) -> dict[str, Any]:
    said = packaged_json(_HERE, "datasette.json")
    queries = {name: {**query, "sql": _sql(name)} for name, query in said["queries"].items()}
    for by, (title, link) in said["costs"].items():
        about = {"title": title, "description": said["costs_description"], "params": []}
        queries[f"costs_by_{by}"] = {**about, "sql": _costs_sql(by, link)}
    links = ", ".join(
        f'<a href="{name}">{escape(query["title"].partition(":")[0])}</a>'
        for name, query in queries.items()
    )
    for query in queries.values():
        query["sql"] = _filled(query["sql"], database, budgets)
        query["hide_sql"] = True
        # Beside a description in HTML, the plain one is what a list of queries shows.
        text = escape(query["description"])
        query["description_html"] = f"<p>{text}</p>\n<p>Other queries: {links}</p>"
    return {
        "title": "lsmseg-prompts: attribute store",
        "description": "Vocabularies, what was asked, descriptions and scores.",
        "license": "The bundled descriptions: CC BY 4.0",
        "extra_css_urls": [f"data:text/css,{quote(_STYLE)}"],
        "license_url": "https://creativecommons.org/licenses/by/4.0/",
        "databases": {
            database: {
                "description": "Begin with the queries: their rows link to one another.",
                "queries": queries,
                "tables": said["tables"],
            }
        },
    }


def _sql(name: str) -> str:
    return (files(_HERE) / "queries" / f"{name}.sql").read_text("utf-8").strip()


def _costs_sql(by: str, link: str | None) -> str:
    """The query of `reports.costs`, grouped in one way. link: where a row leads to, in SQL."""
    place = f"CASE WHEN is_total THEN 'attempts' ELSE {link} END"
    words = {
        "cell_costs group": CELL_COSTS.format(group=GROUPS[by]),
        "cell_costs total": CELL_COSTS.format(group="'total'"),
        "group": GROUPS[by],
        "by": by,
        "spending": SPENDING.strip(),
        "link": "NULL" if link is None else f"{{base}} || {place}",
    }
    return _replaced(_sql("costs"), words)


def _filled(sql: str, database: str, budgets: dict[str, int]) -> str:
    """SQL with what is the same in all queries; {url x} is x as a part of a URL."""
    # Datasette makes a link of a cell that holds a whole URL. Only the request knows the host.
    scheme = "coalesce(nullif(:_header_x_forwarded_proto, ''), 'http')"
    limits = ", ".join(f"({_quoted(name)}, {limit})" for name, limit in budgets.items())
    words = {
        "base": f"{scheme} || '://' || :_header_host || '/{_tilde_encoded(database)}/'",
        "class c": _CLASS,
        "least": str(LEAST_PICTURES),
        "budgets": limits,
    }
    sql = re.sub(r"\{url ([\w.]+)\}", lambda match: _url(match[1]), sql)
    return _replaced(sql, words)


def _replaced(sql: str, words: dict[str, str]) -> str:
    return re.sub(r"\{([a-z_ ]+)\}", lambda match: words.get(match[1], match[0]), sql)


def _url(column: str) -> str:
    """A column in SQL, so that a URL may hold it."""
    for sign, code in _ESCAPED.items():
        column = f"replace({column}, '{sign}', '{code}')"
    return column


def _quoted(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def _tilde_encoded(name: str) -> str:
    """A database's name as Datasette has it in paths: `a b.c` is a+b~2Ec."""
    kept = re.compile(rb"[A-Za-z0-9_-]")
    signs = (bytes([byte]) for byte in name.encode())
    return "".join(
        sign.decode() if kept.match(sign) else "+" if sign == b" " else f"~{sign[0]:02X}"
        for sign in signs
    )


def _budgets(store: Store) -> dict[str, int]:
    """The limits of the token budgets that texts were written for, where they are known."""
    limits = {CLIP.name: CLIP.limit}
    for row in store.rows("SELECT DISTINCT budget FROM descriptions WHERE budget <> ''"):
        try:
            limits[row["budget"]] = find_budget(row["budget"]).limit
        except LsmsegPromptsError:  # its tokenizer is not here: `store check` says so
            continue
    return limits
