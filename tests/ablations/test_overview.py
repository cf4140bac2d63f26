"""A run in short: the name, an attribute, the combination both ways, refinement, the controls."""

from dataclasses import replace
from typing import Any

from support.ablation_fakes import ATTRIBUTES, board, by_table

from ablations.report.overview import overview_sheet
from ablations.search.combine import counterparts, path_rows, search
from ablations.search.options import BY_CLASS, SearchOptions
from ablations.search.path import Step
from ablations.search.scoreboard import REFINED, Candidate, Scoreboard
from ablations.search.single import singles

BOTH = SearchOptions(composition="both", strategy="beam")
SKILL = {"name": 0.2, "color": 0.4, "shape": 0.3, "color+shape": 0.6, "ensemble(color+shape)": 0.8}


def prompts(one: Scoreboard, options: SearchOptions = BOTH, refine: bool = False) -> list[str]:
    found = search(one, ATTRIBUTES, options)
    if refine:
        texts = one.prompt_set(one.benches[0], Candidate(("color",)))
        for kind in (None, "random", "shuffled"):
            made = replace(REFINED, control=kind)
            one.add(one.benches[0], made, replace(texts, name=made.name))
        found.steps.append(Step(REFINED, BY_CLASS, "accepted", None))
    sheet = overview_sheet(singles(one, ATTRIBUTES).rows, path_rows(one, found))
    assert sheet is not None
    assert sheet.columns == ("prompts", "mIoU", "seen", "unseen")
    return [line.cells[0] for line in sheet.lines]


CONTROLS = [f"control: {c}" for c in ("shuffled", "random", "typical", "cat-seg", "imagenet")]


def test_the_combination_stands_there_averaged_and_joined_before_the_controls() -> None:
    assert prompts(board(by_table(SKILL))) == [
        *("name", "best attribute: color", "averaged: color+shape *", "joined: color+shape"),
        *CONTROLS,
    ]


def test_what_was_refined_follows_the_combination() -> None:
    assert prompts(board(by_table({**SKILL, "refined": 0.9})), refine=True) == [
        *("name", "best attribute: color", "averaged: color+shape", "joined: color+shape"),
        *("refined *", *CONTROLS),
    ]


def test_a_combination_that_was_not_taken_is_said_to_be_none() -> None:
    shown = prompts(board(by_table({"name": 0.2, "color": 0.4, "color+shape": 0.3})))
    assert shown[1] == "best attribute: color *" and shown[2].startswith("not taken: ")
    assert shown[3:] == CONTROLS


def test_the_other_way_is_scored_only_where_both_were_searched() -> None:
    joined = search(board(by_table(SKILL)), ATTRIBUTES, SearchOptions(composition="concat"))
    assert joined.best.name == "color+shape" and counterparts(joined) == []
    both = search(board(by_table(SKILL)), ATTRIBUTES, BOTH)
    assert [one.name for one in counterparts(both)] == ["color+shape"]


def test_word_lists_have_none() -> None:
    rows: list[dict[str, Any]] = [{"prompts": "words:synonyms", "chosen": True}]
    assert overview_sheet(rows, []) is None
