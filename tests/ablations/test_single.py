"""Stage 3: what is chosen where, in which order, beside which controls."""

import pytest
from support.ablation_fakes import ATTRIBUTES, DESCRIPTIONS, board, by_table

from ablations.report.tables import single_sheet
from ablations.search.single import singles

SKILL = {"name": 0.3, "color": 0.5, "shape": 0.6, "action": 0.2, "typical": 0.4}


def test_rows_are_sorted_between_baseline_and_controls() -> None:
    found = singles(board(by_table({**SKILL, "random(shape)": 0.25})), ATTRIBUTES)
    assert found.best.name == "shape"
    for split in ("selection", "report"):
        rows = [row for row in found.rows if row["split"] == split]
        assert [row["prompts"] for row in rows] == [
            *("name", "shape", "color", "action", "typical"),
            *("cat-seg", "imagenet", "random(shape)", "shuffled(shape)"),
        ]
        assert [row["kind"] for row in rows] == [
            *("baseline", "attribute", "attribute", "attribute", "typical"),
            *("control", "control", "control", "control"),
        ]
        assert [row["prompts"] for row in rows if row["chosen"]] == ["shape"]


def test_the_best_is_chosen_on_selection_and_reported_on_report() -> None:
    """On the report split another attribute is ahead; the choice does not follow it."""

    def skill(name: str, split: str) -> float:
        return (
            {"color": 0.5, "shape": 0.4}.get(name, 0.1)
            if split == "selection"
            else SKILL.get(name, 0.1)
        )

    def safe(name: str, split: str) -> float:
        return 0.1 if "(" in name else skill(name, split)

    found = singles(board(safe), ATTRIBUTES)
    assert found.best.name == "color"
    report = [row for row in found.rows if row["split"] == "report"]
    assert [row["prompts"] for row in report][1:3] == ["shape", "color"]
    assert report[-1]["prompts"] == "shuffled(color)"


def test_scores_intervals_and_paired_differences() -> None:
    rows = {r["prompts"]: r for r in singles(board(by_table(SKILL)), ATTRIBUTES).rows}
    shape = rows["shape"]
    # intersection 0.6, prediction and label 1: IoU = 0.6 / 1.4
    assert shape["miou"] == pytest.approx(0.6 / 1.4, abs=0.01)
    assert shape["miou_low"] < shape["miou"] < shape["miou_high"]
    assert shape["difference"] == pytest.approx(shape["miou"] - rows["name"]["miou"])
    assert 0 < shape["difference_low"] < shape["difference"] < shape["difference_high"]
    assert shape["unseen_difference_low"] > 0 and rows["action"]["difference_high"] < 0
    assert rows["name"]["difference"] == 0
    assert {"seen", "seen_low", "unseen_high", "miou_union"} <= shape.keys()


def test_typical_is_left_out_where_it_is_not_described() -> None:
    some = {cell: text for cell, text in DESCRIPTIONS.items() if cell != (2, "typical")}
    found = singles(board(by_table(SKILL), descriptions=some), ATTRIBUTES)
    assert "typical" not in {row["prompts"] for row in found.rows}


def test_several_benchmarks_are_averaged_beside_their_parts() -> None:
    rows = singles(board(by_table(SKILL), names=("one", "two")), ATTRIBUTES).rows
    shape = {r["benchmark"]: r for r in rows if r["prompts"] == "shape" and r["split"] == "report"}
    assert list(shape) == ["one", "two", "average"]
    assert shape["average"]["miou"] == pytest.approx(
        (shape["one"]["miou"] + shape["two"]["miou"]) / 2
    )
    # two independent benchmarks are surer together than each alone
    width = {k: r["miou_high"] - r["miou_low"] for k, r in shape.items()}
    assert width["average"] < min(width["one"], width["two"])
    sheet = single_sheet(rows)
    assert sheet.columns[:4] == ("prompts", "one", "two", "average")


def test_nothing_is_scored_twice() -> None:
    one = board(by_table(SKILL))
    singles(one, ATTRIBUTES)
    for scorer in one.benches[0].scorers.values():
        assert len(scorer.scored) == len(set(scorer.scored)) == 9  # type: ignore[attr-defined]
