"""The leaderboard: filters, order, one row for what was scored twice, as table, CSV and JSON."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from support.command_line import refused

from ablations.runs.leaderboard import COLUMNS, leaderboard
from lsmseg_prompts.errors import StoreError, UsageError
from lsmseg_prompts.store.store import open_store

STORE = "runs/attribute_store.sqlite"


def add(prompts: str, miou: float | None, **more: Any) -> None:
    row: dict[str, Any] = {
        "run": "r1",
        "benchmark": "ministuff",
        "split": "report",
        "pictures": 200,
        "model": "tiny",
        "weights_hash": "0123",
        "llm": "bundled",
        "composition": "concat",
        "prompt_set": prompts,
        "attributes": prompts.partition("(")[2].rstrip(")").split("+") if "(" in prompts
        else prompts.split("+"),
        "subset": "all",
        "miou": miou,
        "created_at": "2026-01-01T00:00:00.000Z",
    }  # fmt: skip
    with open_store(STORE) as store:
        store.add_evaluation(**{**row, **more})


@pytest.fixture
def filled() -> None:
    add("color", 0.4, miou_low=0.3, miou_high=0.5)
    add("color", 0.6, subset="seen")
    add("color", 0.2, subset="unseen")
    add("color+shape", 0.5)
    add("color", 0.45, split="selection")
    add("color", 0.7, benchmark="pc-59", split="val: report half (seed 0)")
    add("name", 0.3, llm="none", attributes=["name"])
    add("shape", None)
    add("color", 0.1, model="ViT-B-16")
    add("shuffled(color)", 0.15)


def prompts(**options: Any) -> list[tuple[str, Any]]:
    return [(row["prompts"], row["miou"]) for row in leaderboard(**options)]


def test_best_first_and_undefined_last(filled: None) -> None:
    assert prompts(benchmark="ministuff", model="tiny") == [
        ("color+shape", 0.5), ("color", 0.4), ("name", 0.3), ("shuffled(color)", 0.15),
        ("shape", None),
    ]  # fmt: skip


def test_subsets_stand_side_by_side(filled: None) -> None:
    row = leaderboard(benchmark="ministuff", model="tiny", attributes=["color"], top=2)[1]
    assert tuple(row) == COLUMNS
    assert [row[c] for c in ("miou", "low", "high", "seen", "unseen")] == [0.4, 0.3, 0.5, 0.6, 0.2]


def test_filters(filled: None) -> None:
    assert prompts(attributes=["shape", "color"]) == [("color+shape", 0.5)]
    assert prompts(benchmark="pc-59") == [("color", 0.7)]
    assert prompts(llm="none") == [("name", 0.3)]
    assert prompts(split="selection") == [("color", 0.45)]
    assert prompts(split="val: report half (seed 0)") == [("color", 0.7)]
    for split in ("test: report", "val: report half by group (seed 3)"):
        add("color", 0.8, benchmark=split, split=split)
        assert prompts(benchmark=split) == prompts(split=split) == [("color", 0.8)]
    assert len(prompts(split=None)) == 10
    assert prompts(model="ViT-B-16", llm="none") == []  # both are there, not together


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"benchmark": "ministuf"}, r"the benchmark 'ministuf' \(did .* are ministuff, pc-59\."),
        ({"model": "other"}, r"the model 'other'; there are ViT-B-16, tiny\."),
        ({"llm": "gpt-4"}, r"the llm 'gpt-4'; there are bundled, none\."),
        ({"attributes": ["color", "colr"]}, r"the attribute 'colr' \(did you mean color\?\)"),
        ({"split": "tset"}, r"the split 'tset'; there are report, selection, val: report half"),
    ],
)
def test_what_nothing_is_called(filled: None, wanted: dict[str, Any], says: str, call: Any) -> None:
    with pytest.raises(UsageError, match=f"Nothing in the store has {says}"):
        leaderboard(**wanted)
    option, value = next((f"--{k}", ",".join(v) if k == "attributes" else v)
                         for k, v in wanted.items())  # fmt: skip
    refused(call("leaderboard", option, value), 2, "Nothing in the store has")


def test_an_empty_store_has_no_names(call: Any) -> None:
    open_store(STORE).close()
    nothing = call("leaderboard", "--llm", "gpt-4")
    assert (nothing.code, nothing.out) == (0, "") and "Nothing like that" in nothing.err


def test_order(filled: None) -> None:
    assert [p for p, _ in prompts(sort="prompts", top=4)] == ["color"] * 3 + ["color+shape"]
    assert prompts(sort="prompts", top=3) == [("color", 0.7), ("color", 0.4), ("color", 0.1)]
    assert prompts(sort="unseen", top=1) == [("color", 0.4)]
    with pytest.raises(UsageError, match="did you mean unseen"):
        leaderboard(sort="unsen")


def test_what_was_scored_again_counts_once(filled: None) -> None:
    add("color", 0.42, run="r2")
    add("color", 0.25, subset="unseen", run="r2")
    add("color", 0.9, weights_hash="4567", run="r3")  # other weights: another row
    rows = leaderboard(benchmark="ministuff", model="tiny", attributes=["color"])
    rows = [r for r in rows if r["prompts"] == "color"]
    assert [(r["miou"], r["run"]) for r in rows] == [(0.9, "r3"), (0.42, "r2")]
    assert (rows[1]["seen"], rows[1]["unseen"]) == (None, 0.25)  # of one run, never of two


def test_the_command(call: Any, filled: None) -> None:
    shown = call("leaderboard", "--benchmark", "ministuff", "--csv", "board.csv")
    assert shown.code == 0 and "50.0" in shown.out
    with Path("board.csv").open(newline="") as file:
        assert [row["miou"] for row in csv.DictReader(file)] == [
            "0.5",
            "0.4",
            "0.3",
            "0.15",
            "0.1",
            "",
        ]
    rows = json.loads(call("leaderboard", "--attributes", "color,shape", "--json").out)
    assert [row["miou"] for row in rows] == [0.5]
    assert len(json.loads(call("leaderboard", "--split", "all", "--top", "3", "--json").out)) == 3
    nothing = call("leaderboard", "--llm", "none", "--model", "ViT-B-16")
    assert (nothing.code, nothing.out) == (0, "") and "Nothing like that" in nothing.err
    assert call("leaderboard", "--sort", "colour").code == 2


def test_without_a_store(call: Any) -> None:
    assert call("leaderboard").code == 8
    with pytest.raises(StoreError):
        leaderboard()
    assert not Path("runs").exists()


def test_few_pictures_have_no_interval(filled: None, call: Any) -> None:
    add("few", 0.99, miou_low=0.9, miou_high=1.0, pictures=19)
    add("flat", 0.98, miou_low=0.98, miou_high=0.98)
    few, flat, third = leaderboard(top=3)
    assert few["no_interval"] == "too few pictures (19, at least 20 are needed)"
    assert (flat["no_interval"], third["no_interval"]) == (None, None)
    assert few["low"] is few["high"] is flat["low"] is None
    shown = call("leaderboard", "--top", "1")
    assert "fewer than 20 pictures have too few pictures for an interval" in shown.out
    assert "90.0" not in shown.out and "no_interval" not in shown.out
    assert "Rows of fewer" not in call("leaderboard", "--model", "ViT-B-16").out


def test_a_score_that_is_no_number_is_an_error(filled: None, call: Any) -> None:
    add("color", float("inf"), model="broken")
    done = call("leaderboard")
    assert done.code == 4 and done.out == ""
    assert "inf as a score of color by broken on ministuff" in done.err
