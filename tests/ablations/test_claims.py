"""What may be claimed: nothing of too few pictures, and never more than controls give as well."""

import numpy as np
import pytest
from support.ablation_fakes import ATTRIBUTES, board, by_table

from ablations.recipes.request import RecipeRequest
from ablations.report import plots
from ablations.report.class_tables import class_note
from ablations.report.classwise import per_class
from ablations.report.sheet import score, signed
from ablations.report.summary import summary
from ablations.report.tables import candidate_sheet, combination_sheets, single_sheets
from ablations.runs.request import AblationRequest
from ablations.search.claims import as_good
from ablations.search.combine import path_rows, search
from ablations.search.options import SearchOptions
from ablations.search.scoreboard import NAME, TYPICAL, Candidate
from ablations.search.single import TEMPLATES, singles
from ablations.search.statistics import Draws
from lsmseg_prompts.errors import UsageError

SKILL = {"name": 0.2, "color": 0.3, "shape": 0.4, "shape+color": 0.9}
FEW = "too few pictures (19, at least 20 are needed)"


@pytest.mark.parametrize("strategy", ["greedy", "beam", "chain", "exhaustive"])
@pytest.mark.parametrize("rule", ["interval", "paper"])
def test_19_pictures_are_too_few_for_a_step_20_are_not(strategy: str, rule: str) -> None:
    options = SearchOptions(rule, strategy, orders=True)
    found = search(board(by_table(SKILL), pictures=19), ATTRIBUTES, options)
    assert [(s.candidate.name, s.status) for s in found.steps] == [("shape", "start")]
    assert found.tried == 3 and found.too_few == found.record()["too_few"] == FEW
    assert found.note() == (
        f"No combination was tried: the selection split has {FEW} to choose by. shape is the best "
        "single attribute on these pictures."
    )
    enough = search(board(by_table(SKILL), pictures=20), ATTRIBUTES, options)
    assert enough.best.name.count("+") == 1 and enough.too_few is None


def test_the_smallest_of_several_benchmarks_decides() -> None:
    one = board(by_table(SKILL), names=("large", "small"))
    for scorer in one.benches[1].scorers.values():
        scorer.benchmark._pictures = 19  # type: ignore[attr-defined]
    assert search(one, ATTRIBUTES).too_few == FEW
    rows = {r["benchmark"]: r for r in singles(one, ATTRIBUTES).rows if r["prompts"] == "color"}
    assert rows["large"]["miou_low"] is not None and rows["large"]["no_interval"] is None
    for name in ("small", "average"):
        assert rows[name]["miou_low"] is None and rows[name]["no_interval"] == FEW


def test_no_table_of_19_pictures_has_an_interval_and_each_says_why() -> None:
    one = board(by_table(SKILL), pictures=19)
    alone, found = singles(one, ATTRIBUTES), search(one, ATTRIBUTES)
    path = path_rows(one, found)
    classes = per_class(one, one.benches[0], found.best)
    for row in [*alone.rows, *path, *found.candidates, *classes]:
        assert row["no_interval"] == FEW
        ends = [key for key in row if key.endswith(("_low", "_high"))]
        assert ends and all(row[key] is None for key in ends)
    sheets = [
        *single_sheets(alone.rows),
        *combination_sheets(path),
        candidate_sheet(found.candidates),
    ]
    for sheet in sheets:
        assert sheet.note.startswith("Too few pictures (19, at least 20 are needed) for intervals.")
        assert not any("[" in cell for line in sheet.lines for cell in line.cells)
    assert class_note(classes).endswith(f"there are {FEW} to tell for which surely.")
    text = summary(path, found, None)
    assert text.startswith(f"The report split has {FEW} to claim anything. shape reaches")
    assert "best of 3 single attributes on the selection split, which has too few" in text
    assert "more than" not in text and "[" not in text
    assert as_good(*_scores(one, found.best)) is None
    assert "too few pictures" in plots._measured("mIoU, %", path)


def _scores(one, best: Candidate):  # type: ignore[no-untyped-def]
    controls = [TYPICAL, *TEMPLATES, Candidate(best.attributes, "shuffled")]
    choice, *others = one.score("report", [best, *controls])
    return choice, others


def test_controls_that_do_as_well_are_said_first() -> None:
    """cat-seg has the choice's own skill, imagenet a higher one; typical and shuffled lose."""
    table = {**SKILL, "typical": 0.5, "cat-seg": 0.9, "imagenet": 0.95}
    one = board(by_table(table))
    found = search(one, ATTRIBUTES)
    rows = as_good(*_scores(one, found.best))
    assert rows is not None and [r["prompts"] for r in rows] == ["cat-seg", "imagenet"]
    same, better = rows
    assert (same["difference"], same["difference_low"]) == (0, None)
    # skill s: intersection s, prediction and label 1, so IoU = s / (2 - s)
    assert better["difference"] == pytest.approx(0.9 / 1.1 - 0.95 / 1.05, abs=0.01)
    assert better["difference_low"] < better["difference"] < better["difference_high"] < 0
    text = summary(path_rows(one, found), found, rows)
    first, _, rest = text.partition(". ")
    assert first.startswith("Controls do as well as shape+color or better: cat-seg (the names in ")
    assert "imagenet (the names in CLIP's seven templates) reaches 8" in first
    assert "differs from it by +0.0 points; imagenet" in first
    assert rest.startswith("shape+color reaches") and "more than the plain name's" in rest


def test_a_choice_that_beats_all_its_controls_says_nothing_of_them() -> None:
    one = board(by_table(SKILL))
    found = search(one, ATTRIBUTES)
    assert as_good(*_scores(one, found.best)) == []
    text = summary(path_rows(one, found), found, [])
    assert text.startswith("shape+color reaches an mIoU of") and "Controls" not in text


def test_of_several_benchmarks_each_part_stands_beside_the_average() -> None:
    one = board(by_table({**SKILL, "typical": 0.9}), names=("x", "y"))
    found = search(one, ATTRIBUTES)
    rows = as_good(*_scores(one, found.best))
    assert rows is not None and [r["benchmark"] for r in rows] == ["x", "y", "average"]
    text = summary(path_rows(one, found), found, rows)
    assert "differs from it by +0.0 points (x +0.0; y +0.0)." in text


def test_an_interval_that_seems_to_have_no_width_is_not_shown() -> None:
    narrow = {"miou": 0.4, "miou_low": 0.4, "miou_high": 0.4, "gain": 0.0001}
    assert score(narrow, "miou") == "40.0"
    assert score({**narrow, "miou_low": 0.39951, "miou_high": 0.40049}, "miou") == "40.0"
    assert signed({**narrow, "gain_low": -0.0001, "gain_high": 0.0002}, "gain") == "+0.0"
    assert score({**narrow, "miou_low": 0.399}, "miou") == "40.0 [39.9, 40.0]"


def test_a_difference_of_nothing_is_no_claim() -> None:
    same = Draws(0.4, np.full(300, 0.4), 200)
    gap = (same - same).interval()
    assert (gap.value, gap.low, gap.missing) == (0, 0, None)
    one = board(by_table(SKILL))
    name = one.score("report", [NAME])[0]
    rows = as_good(name, [name])
    assert rows is not None and rows[0]["difference_low"] is None


@pytest.mark.parametrize("request_of", [AblationRequest, lambda **a: RecipeRequest("table2", **a)])
def test_samples_have_a_floor(request_of) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match="samples must be at least 200, not 199"):
        request_of(samples=199)
    request_of(samples=200)


@pytest.mark.parametrize("command", [["ablate"], ["recipes", "run", "table2"]])
def test_samples_have_a_floor_in_commands(call, command: list[str]) -> None:  # type: ignore[no-untyped-def]
    done = call(*command, "--samples", "199")
    assert done.code == 2 and "200" in done.err and "--samples" in done.err
