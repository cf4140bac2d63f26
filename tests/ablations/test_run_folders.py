"""What lies in a folder of runs is found by looking, never by joining what somebody says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ablations.runs.folders import find_file, find_result, list_files, list_results, training_curve
from lsmseg_prompts.errors import UsageError

RUN: dict[str, Any] = {
    "format": "lsmseg-prompts/run",
    "best": {"prompts": "color", "scores": {"report": {"all": {"value": 0.5}}}},
    "benchmarks": [{"name": "ministuff"}],
    "model": {"name": "tiny"},
    "llm": {"name": "bundled"},
    "command": "lsmseg-prompts ablate",
    "summary": "color is best",
}


def leave(name: str, when: int, **files: Any) -> Path:
    """A folder of results with files, of that time."""
    folder = Path("runs", name)
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        path = folder / file.replace("__", ".")
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        os.utime(path, (when, when))
    return folder


def test_each_kind_of_result_is_told_with_what_is_best() -> None:
    leave("one", 100, run__json=RUN, report__html="<p>", best_prompts__json="{}")
    comparison = {"format": "lsmseg-prompts/comparison", "llms": [{"name": "a"}, {"name": "b"}]}
    leave("both", 200, run__json=comparison)
    leave("both/a", 150, run__json={**RUN, "best": None, "benchmarks": [3], "model": []})
    leave("table3", 300, results__json={"recipe": "table3", "source": "Paper", "title": "Table 3"})
    weights = {"net__safetensors": "", "best__safetensors": ""}
    leave("network", 400, loss__csv="step,loss\n1,2\n", **weights)
    leave("young", 500, last__pt="")
    leave("cache", 600, features__bin="")
    found = [(r.name, r.kind, r.title, r.best, r.score, r.report) for r in list_results()]
    assert found == [
        ("young", "training", "", "", None, False),
        ("network", "training", "net", "", None, False),
        ("table3", "recipe", "Paper: Table 3", "", None, False),
        ("both", "comparison", "a and b", "", None, False),
        ("both/a", "run", "bundled", "", None, False),
        ("one", "run", "ministuff, tiny, bundled", "color", 0.5, True),
    ]
    leave("one", 100, run__json={**RUN, "summary": "another now"})
    assert find_result("runs", "one").summary == "another now"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": "x"}', "[" * 100_000])
def test_a_damaged_record_is_left_out(content: str) -> None:
    leave("one", 100, run__json=content)
    assert list_results() == []


def test_names_are_looked_up_and_never_joined(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "run.json").write_text(json.dumps(RUN))
    folder = leave("<script>alert(1)</script>".replace("/", ""), 100, run__json=RUN, a__csv="")
    Path("runs/link").symlink_to(secret)
    (folder / "key.csv").symlink_to(secret / "run.json")
    (folder / ".hidden.csv").touch()
    (folder / "program.sh").touch()
    (folder / os.fsdecode(b"\xff.csv")).touch()
    (folder / "sub.csv").mkdir()
    (one,) = list_results()
    assert list(list_files(one.path)) == ["a.csv", "run.json"]
    outside = str(secret)
    for name in ("..", ".", "", "link", outside, f"../{secret.name}", "<script>/../x", "a\x00"):
        with pytest.raises(UsageError, match="There is no run"):
            find_result("runs", name)
    for name in (
        "../run.json",
        "key.csv",
        ".hidden.csv",
        "program.sh",
        "sub.csv",
        "",
        "/etc/passwd",
    ):
        with pytest.raises(UsageError, match="There is no file"):
            find_file(one, name)
    linked = leave("linked", 200)
    (linked / "run.json").symlink_to(secret / "run.json")
    assert [r.name for r in list_results()] == [one.name]


def test_a_long_training_is_shown_by_means() -> None:
    rows = "".join(f"{n},{n}\n" for n in range(1, 801))
    scores = "step,miou\n400,0.25\n800,nan\n"
    curve = training_curve(leave("n", 1, loss__csv=f"step,loss\n{rows}", scores__csv=scores))
    assert len(curve["losses"]) == 400
    assert curve["losses"][:2] == [[2.0, 1.5], [4.0, 3.5]]
    assert curve["scores"] == [[400.0, 0.25]]
    assert training_curve(Path("nowhere")) == {"losses": [], "scores": []}
    assert training_curve(leave("m", 1, loss__csv="a,b\nx\n")) == {"losses": [], "scores": []}
