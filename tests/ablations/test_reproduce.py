"""The commands a report gives: they are ones the program takes, with every option named."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import typer

import cli
from ablations.refinement.asking import Asking
from ablations.refinement.options import RefineOptions
from ablations.runs.reproduce import ablate_command, commands
from ablations.runs.request import AblationRequest
from ablations.search.scoreboard import REFINED, Candidate
from lsmseg_prompts.generation.limits import Limits

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
    second, *steps = commands(mine, "gpt-4#2", ["camvid"], AVERAGED, Path("o"))
    assert "generate --llm gpt-4 --samples 2 --vocab camvid" in second["command"]
    assert [shlex.split(step["command"])[1] for step in steps] == ["ablate", "report", "export"]
    second = commands(mine, "bundled#2", ["camvid"], AVERAGED, Path("o"))[0]
    assert " ablate " in second["command"]
    offline = commands(mine, "bundled", ["camvid"], COLOR, Path("o"))
    assert [shlex.split(step["command"])[1] for step in offline] == ["ablate", "report", "export"]
    (*_, own) = commands(request(vocab="a/my.txt"), "bundled", ["my"], COLOR, Path("o"))
    assert "--vocab a/my.txt" in own["command"]  # not the name of what is in it


def refined(**more: Any) -> list[list[str]]:
    """The words of the steps of a refined run but the first."""
    mine = AblationRequest(**{"refinement": RefineOptions(rounds=3), **more})
    steps = commands(mine, mine.llm, ["camvid"], REFINED, Path("runs/o"))
    return [shlex.split(step["command"])[1:] for step in steps]


def test_a_refined_run_is_repeated_by_refine() -> None:
    refine, report, export = refined(samples=300, store="s.sqlite", data=["camvid"])
    found = parsed(refine)
    assert refine[0] == "refine" and found["rounds"] == 3 and found["rule"] == "set"
    assert (found["data"], found["samples"], str(found["out"])) == ("camvid", 300, "runs/o")
    assert found["proposers"] == "attributes,edit,names,sources,contrast" and found["run"] is None
    assert report == ["report", "runs/o"] and str(found["store"]) == "s.sqlite"
    assert str(parsed(export)["prompts"]) == "runs/o/best_prompts.json"


def test_what_refine_cannot_say_is_said_to_ablate_before_it() -> None:
    for more in (
        {"attributes": ["color", "shape"]},
        {"composition": "concat", "strategy": "greedy"},
        {"picture": ["a"]},
    ):
        ablate, refine, *_ = refined(**more)
        assert [ablate[0], refine[0]] == ["ablate", "refine"]
        assert str(parsed(ablate)["out"]) == "runs/o-one-set" == str(parsed(refine)["run"])
        assert "--refinement" not in ablate and "--data" not in refine
        assert str(parsed(refine)["out"]) == "runs/o"


def test_whom_refinement_asked_is_told() -> None:
    ask = Asking("gpt-4", look=True, limits=Limits(max_cost=5.0))
    how = RefineOptions(ask=ask)
    generate, refine, *_ = refined(llm="gpt-4", refinement=how)
    found = parsed(refine)
    assert generate[0] == "generate" and found["llm"] == "gpt-4" and found["run"] is None
    assert (found["look"], found["max_cost"], found["max_calls"]) == (True, 5.0, None)
    assert found["proposers"].endswith("rewrite,picture")
    ablate, refine, *_ = refined(refinement=how)  # descriptions of bundled, asked another
    assert parsed(ablate)["llm"] == ["bundled"] and parsed(refine)["llm"] == "gpt-4"


@pytest.mark.parametrize("odd", ["a; rm -rf x", "$(x)", "it's"])
def test_odd_names_are_quoted(odd: str) -> None:
    (step, *_) = commands(request(vocab=odd), "bundled", [odd], COLOR, Path(odd))
    words = shlex.split(step["command"])
    assert words[words.index("--vocab") + 1] == odd and words[-1] == odd
