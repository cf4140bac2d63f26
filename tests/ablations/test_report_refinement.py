"""What a run shows of refinement: in the terminal, in words, on the page."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.ablation_fakes import ATTRIBUTES, board, by_table
from support.refined import START, refinement, trial
from support.report_pages import EVIL, Reader, leave

from ablations.report import class_plots, refinement_tables
from ablations.report.html import report
from ablations.report.pictures import show_classes
from ablations.report.plots import pyplot
from ablations.report.summary import cards, summary
from ablations.report.tables import print_result
from ablations.search.combine import path_rows, search
from ablations.search.options import BY_CLASS
from ablations.search.path import Search, Step
from ablations.search.scoreboard import GIVEN, REFINED, Candidate, Scoreboard
from ablations.search.single import singles

SKILL = {"name": 0.2, "color": 0.4, "shape": 0.3, "color+shape": 0.6, "refined": 0.8}


def searched() -> tuple[Scoreboard, Search]:
    """A search whose best set was refined."""
    one = board(by_table(SKILL))
    found = search(one, ATTRIBUTES)
    bench = one.benches[0]
    texts = one.prompt_set(bench, Candidate(("color",)))
    for made in (REFINED, replace(REFINED, control="random"), replace(REFINED, control="shuffled")):
        one.add(bench, made, replace(texts, name=made.name))
    found.steps.append(Step(REFINED, BY_CLASS, "accepted", None))
    return one, found


def shown(record: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    one = board(by_table(SKILL))
    path = path_rows(one, search(one, ATTRIBUTES))
    rows = singles(one, ATTRIBUTES).rows
    best = {"summary": "All."}
    print_result(
        SimpleNamespace(
            single=rows,
            combinations=path,
            best=best,
            directory=Path("d"),
            files={},
            refinement=record,
        )
    )
    return capsys.readouterr().out


def test_the_terminal_shows_rounds_and_what_they_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = shown(refinement(), capsys)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    (head,) = [line for line in lines if line.startswith("round  ")]
    assert head.split()[:5] == ["round", "half", "tried", "proposed", "kept"] and "dollars" in head
    at = lines.index(head)
    assert lines[at + 1].split() == [
        *("1", "first", "50", "3", "2", "+3.0", "[+1.0,", "+5.0]", "0.00"),
    ]
    assert lines[at + 2].split()[-1] == "0.25"
    assert lines[at + 3].split() == ["3", "first", "150", "0", "0", "0.00"]
    zebra = [line.split() for line in lines if line.startswith("zebra")]
    assert zebra[0] == ["zebra", "1", "start", "->", "contrast:sky", "+2.00", "+1.50"]
    assert zebra[1][:4] == ["zebra", "2", "contrast:sky", "->"] and zebra[1][-1] == "-0.10"
    assert "against start" in text and "+5.0 [+4.0, +6.0]" in text


def test_a_refinement_that_kept_nothing_has_no_table_of_classes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = refinement()
    record["loops"]["all"] |= {"rounds": record["loops"]["all"]["rounds"][2:], "changed": []}
    record |= {"classes": [], "seen_classes": []}
    assert "Kept, class by class" not in shown(record, capsys)
    one = board(by_table(SKILL))
    found = search(one, ATTRIBUTES)
    record["loops"]["all"]["gain"] = record["loops"]["control"]["gain"] = None
    text = summary(path_rows(one, found), found, [], record)
    assert "Refinement tried 300 candidates, and nothing held" in text


def test_the_summary_says_what_choosing_alone_gains_before_what_refinement_does() -> None:
    one, found = searched()
    text = summary(path_rows(one, found), found, [], refinement())
    parts = [
        "The best set for all classes, color+shape, reaches an mIoU of",
        "Refining with the texts of other classes gains +2.0 [+1.0, +3.0] points over this set",
        "Refined class by class, it reaches",
        "a difference from the best set for all of +5.0 [+4.0, +6.0] points, and of +12.0 "
        "[+11.0, +13.0] points on the unseen classes.",
        "2 classes have other texts, out of 300 candidates. They were chosen with the labels of "
        "all classes, unseen ones too.",
        "With the labels of seen classes only, the difference is +0.0 [-1.0, +1.0] points, and "
        "-2.0 [-3.0, -1.0] points on the unseen classes.",
    ]
    places = [text.find(part) for part in parts]
    assert -1 not in places and places == sorted(places)
    without = summary(path_rows(one, found), found, [], refinement(control=0.005))
    assert "texts of other classes gains" not in without  # its interval holds 0


def test_the_head_has_name_best_set_for_all_and_refined() -> None:
    one, found = searched()
    path = path_rows(one, found)
    numbers = cards(path, ["color+shape", "refined"])
    told = [(n["label"].rpartition(" ")[0], n["detail"].split()[0], n["best"]) for n in numbers]
    sets = [("name", False), ("color+shape", False), ("refined", True)]
    assert told == [(what, *one) for what in ("mIoU, all", "mIoU, unseen") for one in sets]


def test_a_set_that_was_given_is_called_so() -> None:
    one, found = searched()
    bench = one.benches[0]
    one.add(bench, GIVEN, replace(one.prompt_set(bench, REFINED), name="given"))
    found.steps.insert(-1, Step(GIVEN, BY_CLASS, "accepted", None))
    record = {**refinement(), "start": "given"}
    text = summary(path_rows(one, found), found, [], record)
    assert text.startswith("The set to start from, given, reaches an mIoU of 5")
    assert "The best set for all classes, color+shape, reaches 4" in text
    assert "a difference from given of +5.0" in text


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The record that a refined run left."""
    folder = leave(tmp_path_factory.mktemp("left"), refinement=refinement())
    return json.loads((folder / "run.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture
def refined(tmp_path: Path, left: dict[str, Any]) -> Path:
    """Its folder, without figures."""
    (tmp_path / "run.json").write_text(json.dumps(left))
    return tmp_path


def test_the_page_tells_it_escaped(refined: Path) -> None:
    text = report(refined).read_text(encoding="utf-8").replace("<wbr>", "")
    reader = Reader()
    reader.feed(text)
    assert not reader.open and reader.seen.count("script") == 1
    assert "<script>alert" not in text
    section = text[text.index('<h2 id="refinement">') : text.index('<h2 id="classes">')]
    for expected in (
        "gpt-4 was asked 5 times, for $0.25",
        "Round 1: 3 proposed, 2 kept: zebra, sky",
        "mIoU went from 40.0 % to 43.0 %",
        "turned down",
        "zebra (unseen)",
        "A zebra by contrast:sky.".replace("contrast:sky", f"{START} &amp; contrast:sky"),
        "contrast:sky -&gt; start &amp; contrast:sky",
        "3 rounds were asked for",
        "+12.0 [+11.0,\N{NO-BREAK SPACE}+13.0]",
    ):
        assert expected in section, expected
    assert section.count("&lt;script&gt;") == 6  # 3 confusions, 2 texts now, 1 before
    tables = re.findall("<table.*?</table>", section, re.DOTALL)
    assert tables and all(table.count("<caption") == 1 for table in tables)


def test_a_run_without_it_has_no_such_section(refined: Path, left: dict[str, Any]) -> None:
    old = {key: value for key, value in left.items() if key != "refinement"}
    for record in (old, {**old, "refinement": None}):
        (refined / "run.json").write_text(json.dumps(record))
        assert "refinement" not in report(refined).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("start",), None),
        (("loops", "control"), None),
        (("loops", "all", "gain", "miou", "value"), "much"),
        (("loops", "all", "rounds", 0, "half"), 2),
        (("loops", "all", "rounds", 0, "kept", 0, "texts"), "one"),
        (("classes", 0, "before"), None),
        (("curve",), []),
    ],
)
def test_a_damaged_record_is_refused(
    refined: Path, call: Any, path: tuple[Any, ...], wrong: Any
) -> None:
    file = refined / "run.json"
    record = json.loads(file.read_text())
    part = record["refinement"]
    for key in path[:-1]:
        part = part[key]
    if wrong is None:
        del part[path[-1]]
    else:
        part[path[-1]] = wrong
    file.write_text(json.dumps(record))
    done = call("report", str(refined))
    assert done.code == 4 and "Traceback" not in done.err
    field = ".".join(map(str, ("refinement", *path)))
    assert f"{'lacks' if wrong is None else 'has a wrong value in'} the field '{field}'" in done.err


def test_what_was_taken_over_from_seen_classes_was_never_tried() -> None:
    record = refinement()
    row = {**trial("zebra", "color", 0.0, 0.02), "gain": None, "index": 0, "seen": False}
    record["seen_classes"] = [{**row, "before": ["A zebra."]}]
    sheet = refinement_tables.changed_sheet(record, "seen_classes")
    assert sheet is not None and "taken over from the seen classes" in sheet.note
    assert sheet.lines[0].cells[-2:] == ("-", "+2.00")
    assert sheet.lines[0].cells[1:3] == ("A zebra.", f"A zebra by color.\n{EVIL}")


def test_rounds_and_classes_are_left_as_csv(refined: Path) -> None:
    report(refined)
    with (refined / "rounds.csv").open(newline="") as stream:
        rounds = list(csv.DictReader(stream))
    assert [row["loop"] for row in rounds] == ["all labels"] * 3 + ["seen labels only", "control"]
    first = rounds[0]
    assert (first["half"], first["kept"], first["gain"]) == ("first", "2", "0.030000")
    with (refined / "refined_classes.csv").open(newline="") as stream:
        zebra, sky = csv.DictReader(stream)
    assert (zebra["class"], zebra["seen"], sky["seen"]) == ("zebra", "False", "True")
    assert zebra["before"] == f"A zebra. | {EVIL}" and sky["recipe"] == "color"


@pytest.mark.parametrize("dollars", [0.0, 0.1])
def test_the_curve_has_dollars_where_there_are_any(tmp_path: Path, dollars: float) -> None:
    points = [{**p, "cost_usd": dollars * p["round"]} for p in refinement()["curve"]]
    points[1]["report_unseen"] = None
    with pytest.MonkeyPatch.context() as patch:
        drawn: list[Any] = []
        patch.setattr(class_plots, "save", lambda figure, path: drawn.append(figure))
        assert class_plots.curve_plot(points, tmp_path / "c.png") is (dollars > 0)
    (figure,) = drawn
    assert len(figure.axes) == (4 if dollars else 2)
    tried = figure.axes[0].lines[1].get_xydata()
    assert tried.tolist() == [[0, 39], [50, pytest.approx(40)], [100, pytest.approx(41)]]
    pyplot().close(figure)


def test_classes_that_changed_most_are_shown_each_in_a_picture_of_its_own() -> None:
    covered = np.zeros((4, 3))
    covered[:, 1] = 0.01  # too small to be shown
    covered[[0, 1], 0] = 0.2, 0.5
    covered[[0, 2], 2] = 0.21, 0.6
    assert show_classes(covered, [2, 1, 0]) == [(0, 2), (1, 0)]
    assert show_classes(covered, [2, 1, 0], 1) == [(0, 2)]
