"""The query `leaderboard` of `store datasette` has the rows of the call, number by number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.datasette_pages import answered, query

from ablations.runs.leaderboard import leaderboard
from ablations.search import enough
from lsmseg_prompts.curation.datasette import LEAST_PICTURES, metadata
from lsmseg_prompts.store.store import Store, open_store

SPLITS = [None, "report", "val: report half (seed 0)", "a: b: selection", "val:report", "selection"]
MIOUS = st.sampled_from([None, 0.0, 0.25, 0.5, 0.75])
EVALUATIONS = st.fixed_dictionaries(
    {
        "benchmark": st.sampled_from(["ministuff", "ministuff#half", "#"]),
        "split": st.sampled_from(SPLITS),
        "pictures": st.sampled_from([None, 19, 20]),
        "model": st.just("tiny"),
        "prompt_set": st.sampled_from(["color", "color+shape"]),
        "subset": st.sampled_from(["all", "seen", "unseen", "other"]),
        "miou": MIOUS,
        "miou_low": MIOUS.filter(lambda value: value is not None),
        "miou_high": MIOUS.filter(lambda value: value is not None),
        "details": st.sampled_from([{}, {"groups": None}, {"groups": 1}, {"groups": 25}]),
    }
)


def add(file: Store, rows: list[dict[str, Any]]) -> None:
    """These evaluations and no others."""
    with file.transaction():
        file.execute("DELETE FROM evaluations")
        for number, row in enumerate(rows):
            attributes = row["prompt_set"].split("+")
            file.add_evaluation(**row, attributes=attributes, run=f"r{number}", llm="bundled")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store that stays open."""
    with open_store(tmp_path_factory.mktemp("scores") / "s.sqlite") as opened:
        opened.execute("PRAGMA synchronous = OFF")
        yield opened


@pytest.fixture(scope="module")
def sql(file: Store) -> str:
    """Its query."""
    (database,) = metadata(file.path)["databases"].values()
    return str(database["queries"]["leaderboard"]["sql"])


def same(store: Path, split: str | None = "report", **wanted: str) -> list[dict[str, Any]]:
    """The rows of the query, which are those of the call."""
    fields = {"split": "all" if split is None else split, **wanted}
    found = query(store, "leaderboard", **fields)
    links = [row.pop("link") for row in found]
    attribute = wanted.pop("attribute", None)
    attributes = None if attribute is None else [attribute]
    assert found == leaderboard(store=store, split=split, attributes=attributes, **wanted)
    assert all(link.startswith("http://localhost/s/evaluations/") for link in links)
    return found


def test_the_query_needs_as_many_pictures() -> None:
    assert LEAST_PICTURES == enough.MIN_PICTURES


def test_intervals_subsets_and_what_was_scored_again(file: Store) -> None:
    one = {"benchmark": "ministuff#a", "split": "report", "model": "tiny", "prompt_set": "color",
           "pictures": 200, "subset": "all", "miou": 0.5, "miou_low": 0.4, "miou_high": 0.6,
           "details": {}}  # fmt: skip
    add(
        file,
        [
            one, {**one, "subset": "seen", "miou": 0.7}, {**one, "subset": "unseen", "miou": 0.3},
            {**one, "miou": 0.45}, {**one, "subset": "unseen", "miou": 0.35},
            {**one, "pictures": 5, "miou": 0.9}, {**one, "details": {"groups": 1}, "split": "b"},
        ],
    )  # fmt: skip
    few, again = same(file.path)
    assert (few["miou"], few["low"]) == (0.9, None) and "(5, at least 20" in few["no_interval"]
    assert [again[c] for c in ("miou", "low", "high", "seen", "unseen")] == [
        0.45, 0.4, 0.6, None, 0.35,
    ]  # fmt: skip
    (grouped,) = same(file.path, "b")
    assert "(1 group, at least 20" in grouped["no_interval"]
    assert len(same(file.path, None, model="tiny", attribute="color")) == 3
    row = json.loads(json.dumps(query(file.path, "leaderboard", benchmark="ministuff")))
    assert len(row) == 2, "nothing is asked of the split: those to report"


LATER = {
    "benchmark": "ministuff", "split": None, "pictures": 20, "model": "tiny",
    "prompt_set": "color", "subset": "all", "miou": 0.5, "miou_low": 0.25, "miou_high": 0.75,
    "details": {},
}  # fmt: skip


@example(rows=[{**LATER, "miou": None}, LATER], split=None)  # it fills the row, of the first run
@given(rows=st.lists(EVALUATIONS, max_size=8), split=st.sampled_from([None, "report", "selection"]))
def test_any_scores(file: Store, sql: str, rows: list[dict[str, Any]], split: str | None) -> None:
    add(file, rows)
    found = answered(file.path, sql, {"split": split or "all"})
    for row in found:
        del row["link"]
    assert found == leaderboard(store=file.path, split=split)
