"""What the runs of a folder say of single classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.refined import refinement, trial
from support.report_pages import EVIL, leave

from ablations.runs.class_records import class_records
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary

NAMES = ("zebra", "sky", "orange", "fork")
FOUR = Vocabulary("four", "Four", tuple(ClassEntry(i, n, n) for i, n in enumerate(NAMES)))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs: an earlier one, and a later one that refined."""
    for name, created, more in (
        ("first", "2025-01-01T00:00:00+00:00", {}),
        ("second", "2025-02-01T00:00:00+00:00", {"refinement": refinement()}),
    ):
        folder = tmp_path / name
        folder.mkdir()
        leave(folder, name=name, created=created, **more)
    return tmp_path


def of_class(index: int, after: str) -> dict[str, Any]:
    """A row of the table of classes."""
    row = {"benchmark": "fake", "index": index, "name": NAMES[index], "seen": None, "pictures": 9}
    scores = {"baseline": 0.25, "best": 0.5, "difference": 0.25}
    interval = {"difference_low": 0.125, "difference_high": 0.375, "no_interval": None}
    texts = {"before": [NAMES[index]], "after": [after]}
    return {**row, "labelled": 100, **scores, **interval, **texts}


def record(runs: Path, name: str, change: Any) -> None:
    path = runs / name / "run.json"
    run = json.loads(path.read_text("utf-8"))
    change(run)
    path.write_text(json.dumps(run), "utf-8")


def test_the_latest_score_of_a_text_that_was_scored(runs: Path) -> None:
    def change(run: dict[str, Any]) -> None:
        text = f"A zebra is big. It is {run['name']}."
        run["per_class"] = [of_class(0, text), {**of_class(1, "x"), "best": None}]

    for name in ("first", "second"):
        record(runs, name, change)
    found = class_records(FOUR, runs)
    rows = found.scores[0]
    assert [row["run"] for row in rows] == ["second", "first"]
    assert (rows[0]["prompts"], rows[0]["iou"], rows[0]["low"]) == ("color+shape", 0.5, 0.125)
    assert 1 not in found.scores, "a class that is in no label"
    assert found.score_of(0, "A zebra is big.") == rows[0], "joined with another text"
    assert found.score_of(0, "It is first.") == rows[1]
    assert found.score_of(0, "A zebra is small.") is None and found.score_of(0, ".") is None
    assert class_records(FOUR, runs, most=1).scores[0] == rows[:1]


def test_what_was_proposed_and_why(runs: Path) -> None:
    first, second = class_records(FOUR, runs).proposals[0]
    assert (first["run"], first["loop"], first["round"]) == ("second", "all labels", 1)
    assert first["before"] == ["A zebra.", EVIL] and first["proposer"] == "contrast"
    assert first["texts"] == trial("zebra", "contrast:sky", 0.0, 0.0)["texts"]
    assert (first["gain"], first["decided"], first["kept"]) == (0.02, 0.015, True)
    assert (first["round_gain"], first["round_low"], first["round_high"]) == (0.03, 0.01, 0.05)
    assert [pair["predicted"] for pair in first["confused"]] == [EVIL]
    assert second["before"] == first["texts"], "what the round before put there"
    (sky,) = class_records(FOUR, runs).proposals[1]
    assert sky["kept"] and sky["confused"] == []


def test_what_is_turned_down_is_there_too(runs: Path) -> None:
    def index(run: dict[str, Any]) -> None:
        run["per_class"] = [of_class(2, "An orange.")]

    record(runs, "second", index)
    (orange,) = class_records(FOUR, runs).proposals[2]
    assert not orange["kept"] and orange["decided"] == -0.002
    assert orange["before"] == ["An orange."], "as it is in the end: nothing replaced it"


def test_nothing_is_said_by_no_runs_and_damaged_ones(runs: Path, tmp_path: Path) -> None:
    assert class_records(FOUR, tmp_path / "none").scores == {}
    (runs / "second" / "run.json").write_text('{"format": "lsmseg-prompts/run"', "utf-8")
    assert class_records(FOUR, runs).proposals == {}
