"""`store datasette`: metadata that fits the schema, and queries that say what the commands say."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Outcome, refused
from support.datasette_pages import pages, query

import lsmseg_prompts
from lsmseg_prompts.curation.datasette import metadata
from lsmseg_prompts.descriptions.lint import lint
from lsmseg_prompts.store import migrations
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.store import Store, open_store
from lsmseg_prompts.vocabularies import load_vocabulary

CAMVID = load_vocabulary("camvid")
SKY, ROAD, FENCE = (CAMVID.find(name).index for name in ("sky", "road", "fence"))
ODD = "a&b #c+%/<b>\"'"
SCRIPT = "A sky <script>alert(1)</script> is blue."
STORE = Path('my "st&re" <b>.v1.sqlite')


@pytest.fixture
def store() -> Iterator[Store]:
    """Texts, good and bad, an edit, questions that cost, scores; a name that must be escaped."""
    with open_store(STORE) as opened:
        opened.execute("PRAGMA synchronous = OFF")
        with opened.transaction():
            opened.add_vocabulary(CAMVID)
            _texts(opened)
            _attempts(opened)
            opened.add_evaluation(
                benchmark="ministuff", split="report", model=ODD, prompt_set=SCRIPT, llm=ODD,
                pictures=40, miou=0.5, miou_low=0.4, miou_high=0.6,
            )  # fmt: skip
        yield opened


def _texts(store: Store) -> None:
    def put(index: int, attribute: str, text: str | None, llm: str = "gpt-4", **more: Any) -> None:
        tokens = None if text is None else 9
        store.put_description(Description("camvid", index, attribute, llm, text, tokens, **more))

    put(SKY, "color", SCRIPT, llm=ODD)
    put(SKY, "color", "The sky is blue.")
    put(SKY, "shape", "It is flat.", review="it may be another's")
    put(ROAD, "color", "A road and a fence are gray.")
    put(FENCE, "color", " a road and a FENCE are gray.")
    put(FENCE, "shape", None, status="failed", reason="no sentence came")
    put(ROAD, "size", "A road is wide.", budget="32")
    store.execute("UPDATE descriptions SET tokens = 40 WHERE attribute = 'size'")
    store.execute("UPDATE descriptions SET locked = 1 WHERE text = 'The sky is blue.'")
    store.mark_stale(CAMVID, "gpt-4", [(ROAD, "color")])
    edit = {"vocabulary": "camvid", "class_index": SKY, "attribute": "color", "llm": "gpt-4"}
    for number in (1, 2):
        texts = {"old_text": f"old {number}", "new_text": f"new {number}"}
        store.write("edits", {**edit, **texts, "edited_at": f"2026-01-0{number}"})


def _attempts(store: Store) -> None:
    """Sky's color cost 1 + 2, road's color and shape 4 together: cells of 3, 2 and 2."""
    for index, attribute, llm, fields in (
        (SKY, "color", "gpt-4", {"cost_usd": 1.0, "input_tokens": 7, "reasoning_tokens": 4}),
        (SKY, "color", "gpt-4", {"cost_usd": 2.0, "cost_is_bound": 1, "state": "lost"}),
        (SKY, "color#2", "gpt-4", {"error_class": "Refused", "output_tokens": 5}),
        (ROAD, None, "gpt-4", {"cost_usd": 4.0, "attributes": '["color", "shape"]'}),
        (ROAD, "color", ODD, {"cost_usd": 100.0, "state": "sent"}),
        (None, None, "total", {"cost_usd": 0.5, "purpose": "attributes", "served_model": "n"}),
    ):
        day = f"2026-01-{1 + (index or 0):02}T00:00:00.000Z"
        store.record_attempt("camvid", index, attribute, llm, asked_model="m", prompt=SCRIPT,
                             started_at=day, **fields)  # fmt: skip


# -- metadata ----------------------------------------------------------------------------


def test_every_table_and_column_is_explained(store: Store) -> None:
    (database,) = metadata(STORE)["databases"].values()
    kinds = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
    there = {
        row["name"]: [c["name"] for c in store.rows(f"PRAGMA table_info({row['name']})")]
        for row in store.rows(f"{kinds} AND name NOT LIKE 'sqlite%'")
    }
    assert {name: [*table["columns"]] for name, table in database["tables"].items()} == there
    for name, table in database["tables"].items():
        named = [*table.get("sortable_columns", ()), *table.get("facets", ())]
        named += [*table.get("units", ())]
        named += [table[key] for key in ("label_column", "sort_desc") if key in table]
        assert set(named) <= set(there[name]), name
        if "sort_desc" in table:
            assert table["sort_desc"] in table.get("sortable_columns", there[name]), name
    assert not set(database["queries"]) & set(there), "a query hides the table of its name"


def test_no_word_is_left_to_fill_in(store: Store) -> None:
    (database,) = metadata(STORE)["databases"].values()
    for name, one in database["queries"].items():
        assert not re.search(r"\{[a-z_ .]+\}", one["sql"]), name
        named = set(re.findall(r":([a-z]\w*)", one["sql"]))
        assert named == set(one["params"]), name


def test_an_older_store_is_brought_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "SCHEMA_VERSION", 3)
        open_store("old.sqlite").close()
    with sqlite3.connect("old.sqlite") as file:
        assert file.execute("PRAGMA user_version").fetchone() == (3,)
    metadata("old.sqlite")
    assert query("old.sqlite", "costs_by_day")[0]["day"] == "total"
    with sqlite3.connect("old.sqlite") as file:
        assert file.execute("PRAGMA user_version").fetchone() == (migrations.SCHEMA_VERSION,)


def test_the_command(store: Store, call: Callable[..., Outcome]) -> None:
    words = ("store", "datasette", "--store", str(STORE))
    printed = call(*words)
    assert json.loads(printed.out) == metadata(STORE)
    written = call(*words, "-o", "m d.json")
    assert (written.code, written.out) == (0, "m d.json\n")
    assert written.err.endswith(f": datasette '{STORE}' --metadata 'm d.json'\n")
    assert json.loads(Path("m d.json").read_text("utf-8")) == metadata(STORE)
    refused(call("-q", *words, "-o", "m d.json"), 4, "m d.json exists")
    assert call("-q", *words, "-o", "m d.json", "--force").err == ""
    refused(call("-q", *words, "-o", str(STORE), "--force"), 4, "the same command reads it")
    refused(call("-q", "store", "datasette", "--store", "none"), 8, "no attribute store")


# -- queries -----------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["llm", "model", "purpose", "day"])
def test_costs_are_those_of_the_command(store: Store, by: Any) -> None:
    expected = lsmseg_prompts.store_costs(STORE, by)
    if by == "llm":  # an LLM of that name is not the sum
        assert [row["llm"] for row in expected][-2:] == ["total", "total"]
        alone = lsmseg_prompts.store_costs(STORE, "purpose")[-1]
        expected[-2] |= {"cells": 0, "cell_usd": None, "cell_usd_sd": None}
        expected[-1] |= {key: alone[key] for key in ("cells", "cell_usd", "cell_usd_sd")}
    found = query(STORE, f"costs_by_{by}")
    for row in found:
        del row["link"]
    assert found == [pytest.approx(row) for row in expected]
    assert (found[-1]["cells"], found[-1]["cell_usd"]) == (3, pytest.approx(7 / 3))
    assert found[-1]["cell_usd_sd"] == pytest.approx((1 / 3) ** 0.5)


def test_lint_says_what_sql_can_tell(store: Store) -> None:
    def found(**fields: str) -> list[tuple[str, str, str]]:
        return [(r["class"], r["attribute"], r["rule"]) for r in query(STORE, "lint", **fields)]

    broken = [
        ("sky", "color", "locked"), ("sky", "shape", "class-named"), ("sky", "shape", "review"),
        ("road", "color", "duplicate"), ("road", "color", "stale"), ("road", "size", "tokens"),
        ("fence", "color", "duplicate"), ("fence", "shape", "failed"),
    ]  # fmt: skip
    assert sorted(found()) == sorted(b for b in broken if b != _first(broken))
    assert found(rule="tokens") == [("road", "size", "tokens")]
    assert found(rule="failed", llm=ODD) == found(vocabulary="other") == []
    (row,) = query(STORE, "lint", rule="tokens")
    assert row["finding"] == "40 tokens, 8 too many for 32"
    (row,) = query(STORE, "lint", rule="duplicate")
    assert re.fullmatch(r"the same text as (road|fence)/color", row["finding"])
    (row,) = query(STORE, "lint", rule="failed")
    assert row["finding"] == "no sentence came" and "--retry-errors" in row["what_to_do"]


def _first(broken: list[tuple[str, str, str]]) -> tuple[str, str, str]:
    """Of the two cells of one text, the one that is not reported: the first of the vocabulary."""
    same = [place for place in broken if place[2] == "duplicate"]
    return min(same, key=lambda place: CAMVID.find(place[0]).index)


def test_lint_agrees_with_the_command(store: Store) -> None:
    cells = {
        (row["class_index"], row["attribute"]): row["text"]
        for row in store.cells(CAMVID, "gpt-4", status="done")
    }
    findings = lint(cells, CAMVID)
    for rule in ("class-named", "duplicate"):
        expected = [(one.index, one.attribute) for one in findings if one.rule == rule]
        rows = query(STORE, "lint", rule=rule, vocabulary="camvid", llm="gpt-4")
        assert [(row["class_index"], row["attribute"]) for row in rows] == expected != []


def test_a_class_over_all_llms_and_the_past_of_a_cell(store: Store) -> None:
    for name in ("sky", "SKY", str(SKY)):
        rows = query(STORE, "class_texts", **{"class": name})
        assert [(row["attribute"], row["llm"]) for row in rows] == [
            ("color", ODD), ("color", "gpt-4"), ("shape", "gpt-4"),
        ]  # fmt: skip
    assert query(STORE, "class_texts", vocabulary="other", **{"class": "sky"}) == []
    cell = {"vocabulary": "camvid", "class": "sky", "attribute": "color", "llm": "gpt-4"}
    rows = query(STORE, "cell_history", **cell)
    past = lsmseg_prompts.store_edits("camvid", "sky", STORE)
    assert [row["new_text"] for row in rows[:-1]] == [row["new_text"] for row in past]
    assert [row["old_text"] for row in rows[:-1]] == ["old 1", "old 2"]
    assert (rows[-1]["new_text"], rows[-1]["what"]) == (
        "The sky is blue.", "now: done, source llm, locked",
    )  # fmt: skip
    for name, attribute, count in (
        ("sky", "color", 2),
        ("sky", "color#2", 1),
        ("road", "shape", 1),
    ):
        asked = lsmseg_prompts.store_attempts("camvid", name, ["gpt-4"], [attribute], STORE)
        cell = {"class": name, "attribute": attribute, "llm": "gpt-4"}
        rows = query(STORE, "cell_attempts", **cell)
        assert [row["id"] for row in rows] == [row["id"] for row in asked]
        assert len(rows) == count
    (sky,) = query(STORE, "classes_and_texts", word="SK")
    assert [sky[key] for key in ("llms", "done", "failed", "locked", "review")] == [2, 3, 0, 1, 1]


# -- Datasette itself --------------------------------------------------------------------


@pytest.mark.slow
def test_every_page_answers_and_every_link_leads_on(store: Store) -> None:
    ((name, database),) = metadata(STORE)["databases"].items()
    assert name == STORE.stem
    place = "/my+~22st~26re~22+~3Cb~3E~2Ev1"
    empty = {"class_texts", "cell_history", "cell_attempts"}
    queries = [f"{place}/{one}{'?class=sky' * (one in empty)}" for one in database["queries"]]
    first = pages(STORE, ["/", place, *queries, *(f"{place}/{t}" for t in database["tables"])])
    assert [page for page in first if page.status != 200] == []
    assert [page.path for page in first if "<script>alert" in page.text] == []
    assert sum("&lt;script&gt;alert" in page.text for page in first) >= 6
    assert all("&lt;b&gt;" in page.text for page in first[:2])
    assert all('href="data:text/css,td.col-link' in page.text for page in first)

    links = list(dict.fromkeys(link for page in first for link in page.links))
    assert [page.path for page in first if page.path in queries and not page.links] == [
        f"{place}/costs_by_model"
    ]
    second = {page.path: page for page in pages(STORE, links)}
    assert {page.path: page.status for page in second.values() if page.status != 200} == {}
    assert [path for path, page in second.items() if "0 results" in page.text] == []
    odd = [path for path in second if "cell_history" in path and "llm=a" in path]
    (texts,) = [re.findall(r'col-new_text">([^<]*)', second[path].text) for path in odd]
    assert texts == ["A sky &lt;script&gt;alert(1)&lt;/script&gt; is blue."]
    further = {link.partition("?")[0]: link for page in second.values() for link in page.links}
    assert {page.status for page in pages(STORE, [*further.values()])} == {200}


@pytest.mark.slow
def test_the_numbers_of_the_pages_and_writes_beside_it(store: Store) -> None:
    place = "/my+~22st~26re~22+~3Cb~3E~2Ev1"
    (page,) = pages(STORE, [f"{place}/leaderboard.json?_shape=array"])
    (row,) = json.loads(page.text)
    assert [row[key] for key in ("miou", "low", "high", "pictures")] == [0.5, 0.4, 0.6, 40]
    (page,) = pages(STORE, [f"{place}/costs_by_purpose"])
    assert '<td class="col-cost_usd">105.0</td>' in page.text
    put = Description("camvid", SKY, "size", "gpt-4", "The sky is wide and high.", 9)

    from datasette.app import Datasette

    app = Datasette([str(STORE)], metadata=metadata(STORE))
    path = f"{place}/class_texts?class=sky"

    async def read_and_write() -> None:
        assert "wide and high" not in (await app.client.get(path)).text
        database = app.get_database(STORE.stem)
        with sqlite3.connect(f"file:{STORE}?mode=ro", uri=True) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM descriptions").fetchone()
            with store.patience(0):
                store.put_description(put)
        assert database.is_mutable
        assert "wide and high" in (await app.client.get(path)).text

    asyncio.run(read_and_write())
