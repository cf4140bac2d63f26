"""What the commands print fits the terminal: 80 columns where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsmseg_prompts.store.store import open_store
from lsmseg_prompts.terminal import print_table

LONG = "openai/Qwen/Qwen2.5-7B-Instruct"
TABLES = [
    "attributes",
    "vocab list",
    "vocab show voc-20",
    "vocab check own.txt",
    "store status",
    "store show fence --vocab camvid",
    "store show fence --vocab camvid --edits",
    "store check",
    "store costs",
    "store costs --by model",
    "model list",
    "llm list",
    "llm list mistral",
    "recipes list",
    "leaderboard",
    "leaderboard --sort unseen",
    "generate --vocab camvid --attributes color",
]
FEWER = [
    "store status",
    "store costs",
    "recipes list",
    "leaderboard",
    "vocab show camvid",
    "llm list",
]
"""Those that leave columns out where there is no room."""


@pytest.fixture
def filled(call) -> None:
    """A store with descriptions, an edit and scores; a list of classes with ambiguous names."""
    assert call("generate", "--vocab", "camvid", "-q").code == 0
    edit = ("store", "edit", "fence", "color", "--vocab", "camvid", "--text")
    assert call(*edit, "A fence is white, brown or grey, or it has no paint at all.").code == 0
    Path("own.txt").write_text("crane\nthing-other\nnight stand\n")
    scores = {"miou": 0.4567, "miou_low": 0.4, "miou_high": 0.5}
    with open_store("runs/attribute_store.sqlite") as file, file.transaction():
        for llm in ("bundled", LONG):
            file.add_evaluation(
                run="2026-11-28T12-00-00", stage="3", benchmark="coco-stuff", model="ViT-B-16",
                weights_hash="0123456789abcdef", llm=llm, composition="concat", split="report",
                prompt_set="color+shape+texture+pattern+material+size", pictures=40, subset="all",
                **scores,
            )  # fmt: skip


def test_tables_fit_80_columns_without_a_terminal(call, filled) -> None:
    wide = {}
    for command in [*TABLES, *(f"{command} -v" for command in FEWER)]:
        result = call(*command.split(), env={"COLUMNS": None})
        assert result.code == 0, result.err
        wide[command] = [line for line in result.out.splitlines() if len(line) > 80]
    assert {command: lines for command, lines in wide.items() if lines} == {}


def test_columns_come_back_where_there_is_room(call, filled) -> None:
    def head(*words: str, columns: str) -> list[str]:
        return call(*words, env={"COLUMNS": columns}).out.splitlines()[0].split()

    few = ["store", "vocabulary", "llm", "done", "pairs", "failed", "review", "evaluations"]
    assert head("store", "status", columns="80") == few
    assert {*few, "classes", "locked", "stale"} < {*head("store", "status", columns="150")}
    shown = call("store", "status", "-v", env={"COLUMNS": "80"}).out
    assert "\nlocked " in shown and "\nstale " in shown, "lines of key and value, nothing left out"
    assert "varies" not in head("recipes", "list", columns="80")
    assert "varies" in head("recipes", "list", columns="200")


def test_what_is_sorted_by_is_shown(call, filled) -> None:
    assert "unseen" not in call("leaderboard").out
    assert "pictures" in call("leaderboard").out, "else a run of few looks like one of all"
    assert "unseen" in call("leaderboard", "--sort", "unseen").out


def test_long_names_are_folded_where_they_have_parts(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    print_table([{"llm": LONG, "prompts": "color+shape+texture+pattern", "cells": 1710}])
    shown = capsys.readouterr().out
    assert [line.split() for line in shown.splitlines()] == [
        ["llm", "prompts", "cells"],
        ["openai/Qwen/", "color+shape+texture+", "1710"],
        ["Qwen2.5-7B-Instruct", "pattern"],
    ]
    assert max(map(len, shown.splitlines())) <= 50


def test_a_name_without_parts_is_not_broken(capsys, monkeypatch) -> None:
    """Where it leaves no room for the others, each row becomes lines of key and value."""
    monkeypatch.setenv("COLUMNS", "39")
    print_table([{"name": "a" * 30, "picture": 12345678}])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [["name", "a" * 30], ["picture", "12345678"]]
