"""Tables for a paper: what the files say, and that LaTeX sets them, where there is one."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.ablation_fakes import ATTRIBUTES, board, by_table

from ablations.report.classwise import per_class
from ablations.report.files import paper_sheets
from ablations.report.latex import escape, latex
from ablations.report.sheet import Line, Sheet, best_cells, numeric
from ablations.report.tables import candidate_sheet, combination_sheets, single_sheets
from ablations.search.combine import path_rows, search
from ablations.search.scoreboard import Candidate
from ablations.search.single import singles

NASTY = r"50 % of a_b & c #1 {x} ~ ^ $y$ <b> \input [z] * café"


def test_every_special_letter_is_escaped() -> None:
    assert escape("a_b & 50 % $") == r"a\_b \& 50 \% \$"
    assert escape("\\") == r"\textbackslash{}" and escape("[x]*") == "{[}x{]}{*}"


def test_a_table_with_its_groups_the_chosen_line_and_small_intervals() -> None:
    sheet = Sheet(
        "Title",
        ("prompts", "mIoU", "against name"),
        (
            Line("baseline", ("name", "41.2 [38.2, 44.9]", "")),
            Line("attribute", ("a_b *", "-1.5 [-2.0, +1.0]", "-"), chosen=True),
            Line("control", ("random(x)", "3.0", "+1.0")),
        ),
        "Note.",
    )
    text = latex(sheet, "single")
    assert r"\caption{Title. Note.}" in text and r"\label{tab:single}" in text
    assert r"\begin{tabular}{lrr}" in text
    assert r"name & 41.2 {\scriptsize {[}38.2, 44.9{]}} &  \\" in text
    assert r"\textbf{a\_b {*}} & $-$1.5 {\scriptsize {[}$-$2.0, +1.0{]}} & - \\" in text
    assert text.count(r"\midrule") == 3  # under the head, under the baseline, over the controls


def compared(*lines: tuple[str, ...], kinds: str = "", among: str = "") -> Sheet:
    """A sheet of lines that are compared; kinds, among: a letter a line (c: control)."""
    made = [
        Line("control" if kinds[n : n + 1] == "c" else "attribute", cells, among=among[n : n + 1])
        for n, cells in enumerate(lines)
    ]
    return Sheet("T", ("prompts", *"abcd"[: len(lines[0]) - 1]), tuple(made), "N.")


def test_the_best_of_each_column_is_bold_of_ties_all_and_nothing_unmeasured() -> None:
    sheet = compared(
        ("x", "41.2 [38.2, 44.9]", "-", "-3.0 [-4.0, -1.0]", ""),
        ("y", "9.7", "-", "-12.0", "5.0"),
        ("z", "41.2 [40.0, 42.0]", "-", "-", "-"),
    )
    assert best_cells(sheet) == {(0, 1), (2, 1), (0, 3)}  # the last column has one number
    text = latex(sheet, "t")
    assert (
        r"x & \textbf{41.2} {\scriptsize {[}38.2, 44.9{]}} & - & \textbf{$-$3.0} {\script" in text
    )
    assert r"y & 9.7 & - & $-$12.0 & 5.0 \\" in text
    assert r"z & \textbf{41.2} {\scriptsize" in text
    assert r"\caption{T. N. Bold: the best of each column, controls included.}" in text


def test_a_control_may_be_the_best_but_controls_alone_have_none() -> None:
    rows = (("x", "1.0", ""), ("y", "3.0", "2.0"), ("z", "2.0", "1.0"))
    assert best_cells(compared(*rows, kinds=" cc")) == {(1, 1)}
    assert best_cells(compared(*rows)) == {(1, 1), (1, 2)}


def test_lines_are_compared_with_their_like_only() -> None:
    rows = (("x", "1.0"), ("y", "3.0"), ("x", "7.0"), ("y", "5.0"))
    assert best_cells(compared(*rows, among="aabb")) == {(1, 1), (2, 1)}
    alone = tuple(Line("attribute", cells) for cells in rows)
    assert best_cells(Sheet("T", ("prompts", "m"), alone, "")) == set()


def test_several_benchmarks_never_show_an_average_without_its_parts() -> None:
    one = board(
        by_table({"name": 0.2, "color": 0.4, "shape": 0.3, "color+shape": 0.6}), names=("a", "b")
    )
    for scorer in one.benches[1].scorers.values():
        scorer.noise = 0.1  # type: ignore[attr-defined]
    alone, found = singles(one, ATTRIBUTES), search(one, ATTRIBUTES)
    sheets = [*single_sheets(alone.rows), *combination_sheets(path_rows(one, found))]
    assert len(sheets) == 7
    for sheet in sheets:
        assert sheet.columns[:4] == ("prompts", "a", "b", "average")
        for line in sheet.lines:
            assert all(line.cells[1:4]), (sheet.title, line)
    (_, *path), (_, *tried) = path_rows(one, found), found.candidates
    step = [row for row in path if row["prompts"] == "color+shape"]
    gains = [row["selection_gain"] for row in step]
    assert [row["benchmark"] for row in step] == ["a", "b", "average"]
    assert gains[2] == pytest.approx((gains[0] + gains[1]) / 2) and gains[0] != gains[1]
    candidates = candidate_sheet(found.candidates)
    assert candidates.columns == ("step", "prompts", "a", "b", "average", "decision")
    for row in tried:
        assert row["miou"] == pytest.approx((row["miou (a)"] + row["miou (b)"]) / 2)
    assert not {"against name", "union", "selection"} & {c for s in sheets for c in s.columns}


def test_classes_are_cut_to_those_that_changed_most() -> None:
    one = board(by_table({"name": 0.2, "color": 0.4}))
    rows = per_class(one, one.benches[0], Candidate(("color",)))
    many = [{**rows[0], "name": f"c{i}", "difference": i / 100} for i in range(25)]
    run = {"single": singles(one, ATTRIBUTES).rows, "combinations": [], "per_class": many}
    run |= {"confusions": [], "lengths": []}
    run["combinations"] = path_rows(one, search(one, ATTRIBUTES))
    sheet = dict(paper_sheets(run))["per_class"]
    assert sheet.title == "Classes that gained and that lost most (fake)"
    kept = [*range(24, 14, -1), *range(9, -1, -1)]
    assert [line.cells[0] for line in sheet.lines] == [f"c{i}" for i in kept]
    assert numeric(sheet) == [False, False, True, True, True, True]
    run["per_class"] = many[:20]
    assert len(dict(paper_sheets(run))["per_class"].lines) == 20


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.process
def test_latex_sets_the_tables(tmp_path: Path) -> None:
    one = board(by_table({"name": 0.2, "color": 0.4, "color+shape": 0.6}))
    alone, found = singles(one, ATTRIBUTES), search(one, ATTRIBUTES)
    run = {"single": alone.rows, "combinations": path_rows(one, found)}
    sheets = dict(paper_sheets(run))
    assert set(sheets) == {"single", "combinations", "seen_unseen"}
    lines = (Line("hurt", (NASTY, "[1]")), Line("hurt", ("*", "2")), Line("hurt", ("[a]", "-3")))
    sheets["nasty"] = Sheet(NASTY, (NASTY, "*"), lines, NASTY)
    for stem, sheet in sheets.items():
        (tmp_path / f"{stem}.tex").write_text(latex(sheet, stem), encoding="utf-8")
    inputs = "\n".join(rf"\input{{{stem}}}" for stem in sheets)
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}"
        f"\\begin{{document}}\n{inputs}\n\\end{{document}}\n"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert re.search(r"Output written on paper\.pdf", done.stdout)
