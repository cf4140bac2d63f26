"""What the studio may start is a table; nothing that a form says becomes an option of its own."""

from __future__ import annotations

import json
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

import cli
from ablations.studio.options import StudioOptions
from ablations.studio.runs.commands import forms, price_in_words, start_words, words_of
from ablations.studio.runs.startable import COMMANDS, Field
from ablations.studio.state import Studio
from lsmseg_prompts.errors import ConfigurationError, UsageError


def studio(**options: Any) -> Studio:
    return Studio(StudioOptions(store="s.sqlite", **options))


def left_a_run(name: str = "runs/one") -> None:
    Path(name).mkdir(parents=True)
    Path(name, "run.json").write_text(json.dumps({"format": "lsmseg-prompts/run"}))


@cache
def whole_command() -> Any:
    return typer.main.get_command(cli.app)


def test_forms_are_in_words() -> None:
    for command in forms(studio()):
        for field in command["fields"]:
            assert field["help"] and field["label"][0].isupper() and "_" not in field["label"]
    generate = forms(studio())[0]["fields"]
    assert [field["label"] for field in generate][:2] == ["LLM", "Vocabulary"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_the_table_is_one_of_the_command(name: str) -> None:
    command = whole_command()
    for word in name.split():
        command = command.commands[word]
    options = {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)}
    arguments = [p for p in command.params if not p.opts[0].startswith("-")]
    for field in COMMANDS[name].fields:
        assert field.first or field.flag in options, field.flag
    assert sum(field.first for field in COMMANDS[name].fields) == len(arguments)


def test_the_words_are_those_that_one_types() -> None:
    left_a_run()
    here = studio(data="camvid", data_root="/pictures", vocab="camvid", model="ViT-B-16")
    words = words_of(
        here, "ablate",
        {"llm": "bundled, gpt-4", "data": "camvid", "attributes": "color, shape", "limit": 40.0,
         "composition": "", "seed": 0, "out": "two"},
    )  # fmt: skip
    assert words == [
        "ablate", "--llm=bundled", "--llm=gpt-4", "--data=camvid", "--attributes=color,shape",
        "--limit=40", "--seed=0", "--out=runs/two", "--store=s.sqlite", "--data-root=/pictures",
        "--model=ViT-B-16",
    ]  # fmt: skip
    assert words_of(here, "refine", {"run": "one", "rounds": 2, "out": "x"}) == [
        "refine", "runs/one", "--rounds=2", "--out=runs/x", "--store=s.sqlite",
    ]  # fmt: skip
    network = words_of(studio(checkpoint="net.safetensors"), "ablate", {"out": "x"})
    assert network[-3:] == [
        "--scorer=trained", "--checkpoint=net.safetensors", "--format=lsmseg",
    ]  # fmt: skip
    run = words_of(here, "run", {"no_refine": True, "out": "x"})
    assert run == ["run", "--no-refine", "--out=runs/x", "--store=s.sqlite"]


BAD = (
    *("--help", "-x", "a\nb", "a b\x00", "../x", "$(x)", "`x`", "a;b", "x" * 400, "\u202ex"),
    *(7, ["a"], {"a": 1}, True),
)


@pytest.mark.parametrize("value", BAD, ids=str)
@pytest.mark.parametrize("field", ["llm", "vocab", "attributes", "max_cost", "retry_errors"])
def test_no_value_becomes_anything_else(field: str, value: Any) -> None:
    if [field, value] in (["max_cost", 7], ["retry_errors", True]):
        return
    with pytest.raises(UsageError):
        words_of(studio(), "generate", {field: value})


@pytest.mark.parametrize("out", ["../x", "/etc", ".hidden", "-x", "a/b", "a b", "", None, "x" * 90])
def test_results_go_into_a_new_folder_below_the_runs(out: Any) -> None:
    with pytest.raises(UsageError, match="--out"):
        words_of(studio(), "run", {"out": out})


def test_what_is_there_is_not_written_into() -> None:
    left_a_run()
    with pytest.raises(UsageError, match="runs/one exists: name another folder"):
        start_words(studio(), "run", {"out": "one"})
    assert "--resume" in start_words(studio(), "train", {"out": "one", "resume": True})
    assert "runs/one" in start_words(studio(), "refine", {"run": "one", "out": "new"})


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("store rm", {}), ("studio", {}), ("", {}), ("generate", {"base_url": "http://evil"}),
        ("generate", {"key_file": "/etc/passwd"}), ("generate", {"concurrency": 0}),
        ("generate", {"concurrency": 2.5}), ("generate", {"max_cost": float("nan")}),
        ("generate", {"max_cost": -1}), ("generate", {"limit": 10**400}),
        ("refine", {"run": "../one", "out": "x"}),
        ("refine", {"out": "x"}), ("recipes run", {"recipe": "/etc/passwd", "out": "x"}),
        ("train", {"config": "x.json", "out": "x"}), ("ablate", {"data": "/etc", "out": "x"}),
    ],
)  # fmt: skip
def test_other_commands_options_and_values_are_refused(name: str, values: dict) -> None:
    left_a_run()
    with pytest.raises(UsageError):
        words_of(studio(), name, values)


def test_a_folder_of_runs_is_no_option_either() -> None:
    left_a_run("-x/one")
    with pytest.raises(UsageError, match="begins with -"):
        words_of(studio(runs="-x"), "refine", {"run": "one", "out": "x"})


def test_nothing_that_costs_is_started_without_a_bound() -> None:
    asked = {"llm": "gpt-4"}
    told = price_in_words("generate", asked)
    assert told["asks"] and told["needs"] == "max_cost" and "per million tokens" in told["price"]
    with pytest.raises(UsageError, match="Give --max-cost"):
        start_words(studio(), "generate", asked)
    words = start_words(studio(), "generate", {**asked, "max_cost": 0.5})
    assert "--max-cost=0.5" in words
    assert "--dry-run" in start_words(studio(), "generate", {**asked, "dry_run": True})
    with pytest.raises(UsageError, match="Give --max-calls"):  # of no known price
        start_words(studio(), "generate", {"llm": "openai/unheard-of"})
    with pytest.raises(UsageError, match="takes no bound"):
        start_words(studio(), "run", {**asked, "out": "x"})
    assert price_in_words("generate", {"llm": "bundled"})["asks"] is False
    with pytest.raises((UsageError, ConfigurationError)):
        start_words(studio(), "generate", {"llm": "nobody-knows-this"})


def test_the_forms_offer_what_there_is() -> None:
    left_a_run()
    offered = {one["name"]: one for one in forms(studio(vocab="camvid"))}
    assert list(offered) == list(COMMANDS)
    fields = {f["name"]: f for f in offered["refine"]["fields"]}
    assert fields["run"]["choices"] == ["one"] and fields["out"]["default"] not in ("", "one")
    vocabularies = {f["name"]: f for f in offered["generate"]["fields"]}["vocab"]
    assert vocabularies["choices"][0] == vocabularies["default"] == "camvid"
    kinds = {f["kind"] for one in offered.values() for f in one["fields"]}
    assert kinds == {"llm", "names", "choice", "integer", "number", "flag", "folder"}


def test_a_command_to_copy_survives_a_shell() -> None:
    from ablations.studio.runs.commands import shown

    words = words_of(studio(), "generate", {"llm": "bundled", "classes": "stop sign, tree (oak)"})
    assert shlex.split(shown(words)) == ["lsmseg-prompts", *words]
    assert "--classes=stop sign,tree (oak)" in words
    assert Field("max_cost", "number", "x").flag == "--max-cost"
