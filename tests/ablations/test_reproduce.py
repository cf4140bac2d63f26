"""The commands a report gives: they are ones the program takes, with every option named."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import typer

import cli
from ablations.runs.reproduce import ablate_command, commands
from ablations.runs.request import AblationRequest
from ablations.search.scoreboard import Candidate

COLOR = Candidate(("color",))
AVERAGED = Candidate(("color", "size"), composition="ensemble")


def parsed(words: list[str]) -> dict[str, Any]:
    """What the command line makes of the words after the program's name."""
    group = typer.main.get_command(cli.app)
    command = group.get_command(None, words[0])  # type: ignore[attr-defined]
    return command.make_context(words[0], words[1:]).params


def request(**more: Any) -> AblationRequest:
    """The request of `ablate` as it is by default, and some."""
    return AblationRequest(**{"attributes": ["color", "shape"], **more})


def test_every_option_of_ablate_comes_back() -> None:
    mine = request(
        data=["ministuff", "a folder"],
        limit=7,
        rule="paper",
        strategy="greedy",
        composition="concat,ensemble",
        picture=["a", "b"],
    )
    words = ablate_command(mine, "bundled", Path("runs/it's"))
    found = parsed(words)
    assert found["data"] == ["ministuff", "a folder"] and found["llm"] == ["bundled"]
    assert str(found["out"]) == "runs/it's" and found["attributes"] == "color,shape"
    for key, value in asdict(mine).items():
        if key not in ("data", "attributes", "out", "llm", "refinement"):
            value = list(value) if isinstance(value, tuple) else value
            assert (found[key] or None) == (value or None), key
    assert "--beam-width" not in words  # refused without --strategy beam
    beam = request(beam_width=2)
    assert parsed(ablate_command(beam, "me", Path("o")))["beam_width"] == 2
    assert parsed(ablate_command(request(cache=False), "me", Path("o")))["no_cache"] is True


def test_steps_are_commands_and_say_which_texts_are_asked_for() -> None:
    mine = request(store="s.sqlite", composition="ensemble")
    steps = commands(mine, "gpt-4", ["camvid", "camvid", "coco-stuff"], AVERAGED, Path("o"))
    lines = [shlex.split(step["command"]) for step in steps]
    assert all(line[0] == "lsmseg-prompts" for line in lines)
    assert [line[1] for line in lines] == [
        *("generate", "generate", "ablate", "report", "export", "export"),
    ]
    for line in lines:
        parsed(line[1:])
    assert parsed(lines[0][1:])["vocab"] == "camvid"
    assert parsed(lines[4][1:])["composition"] == "ensemble"
    assert parsed(lines[4][1:])["attributes"] == "color,size"
    offline = commands(mine, "bundled", ["camvid"], COLOR, Path("o"))
    assert [shlex.split(step["command"])[1] for step in offline] == ["ablate", "report", "export"]
    (*_, own) = commands(request(vocab="a/my.txt"), "bundled", ["my"], COLOR, Path("o"))
    assert "--vocab a/my.txt" in own["command"]  # not the name of what is in it


@pytest.mark.parametrize("odd", ["a; rm -rf x", "$(x)", "it's"])
def test_odd_names_are_quoted(odd: str) -> None:
    (step, *_) = commands(request(vocab=odd), "bundled", [odd], COLOR, Path(odd))
    words = shlex.split(step["command"])
    assert words[words.index("--vocab") + 1] == odd and words[-1] == odd
