"""The shape of every command: global options anywhere, panels of options, an example, width."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from support.commands import leaves, parse, tree

from ablations.commands.app import EVERYWHERE, PANELS
from ablations.commands.output import Shown, reset

LEAVES = dict(leaves())
GROUPS = sorted({name.split()[0] for name in LEAVES if " " in name})
QUICK = (
    "attributes", "generate", "export", "store path", "store status", "store show", "store edit",
    "store lock", "store lint", "vocab list", "vocab show", "vocab check", "model list",
    "recipes list", "recipes show", "llm list",
)  # fmt: skip
"""Commands whose example runs at once, offline."""


def words_of(name: str) -> tuple[str, ...]:
    """The example in a command's help, without the program's name."""
    epilog = LEAVES[name].epilog
    heading, command = epilog.split("\n\n")
    assert heading == "Example:" and command.startswith(f"lsmseg-prompts {name}")
    return tuple(shlex.split(command)[1:])


@pytest.mark.parametrize("name", LEAVES)
def test_global_options_may_stand_after_every_command(name: str) -> None:
    for options in (["-q", "-v", "--debug"], ["--quiet", "--verbose", "--debug"]):
        reset()
        assert parse((*words_of(name), *options)) == name
        assert (Shown.quiet, Shown.verbose, Shown.debug) == (True, True, True)


@pytest.mark.parametrize("at", range(4))
def test_global_options_may_stand_anywhere(at: int, call) -> None:
    words = ["store", "show", "fence", "--vocab=no-such"]
    result = call(*words[:at], "--debug", *words[at:])
    assert result.code == 2 and "Traceback" in result.err
    assert "Traceback" not in call(*words).err, "an option holds for one call"


def test_verbose_of_store_import_is_the_global_one(call) -> None:
    Path("texts.json").write_text(json.dumps({"fence": ["It has posts.", "A fence is tall."]}))
    words = ("store", "import", "texts.json", "--llm", "cupl", "--vocab", "camvid",
             "--format", "cupl")  # fmt: skip
    assert "left out of" not in call(*words).out
    for shown in (call(*words, "-v"), call("-v", *words), call("store", "-v", *words[1:])):
        assert "left out of fence" in shown.out


@pytest.mark.parametrize("name", LEAVES)
def test_the_example_of_every_command_is_understood(name: str) -> None:
    assert parse(words_of(name)) == name


@pytest.mark.parametrize("name", QUICK)
def test_examples_run(name: str, call) -> None:
    Path("my_classes.txt").write_text("sky\nzebra\nsofa\n")
    if name in ("store edit", "store lock"):
        call("generate", "--vocab", "camvid", "-q")
    result = call(*words_of(name))
    assert result.code == 0, result.err


@pytest.mark.parametrize("name", ["", *GROUPS, *LEAVES])
def test_help_has_panels_and_fits_80_columns(name: str, call) -> None:
    result = call(*name.split(), "--help", env={"COLUMNS": "80"})
    assert result.code == 0
    assert max(map(len, result.out.splitlines())) <= 80
    assert "\N{HORIZONTAL ELLIPSIS}" not in result.out, "something is cut"
    titles = re.findall(r"^╭─ (.+?) ─+╮$", result.out, re.M)
    if name in LEAVES:  # an option without a panel: see `PANELS` in ablations/commands/app.py
        panels = [title for title in titles if title != "Arguments"]
        assert [title for title in PANELS if title in panels] == panels
        assert f"lsmseg-prompts {name}" in result.out.split("Example:")[1]
    assert all(f"--{option} " in result.out for option in EVERYWHERE)


def test_the_commands_stand_in_panels_by_stage(call) -> None:
    titles = re.findall(r"^╭─ (.+?) ─+╮$", call("--help").out, re.M)
    assert titles == ["General", "Prompts", "Measure", "Train and use", "Look"]


def test_no_name_stands_in_two_panels() -> None:
    names = [name for panel in PANELS.values() for name in panel.split()]
    assert sorted(names) == sorted(set(names))
    used = {p.name for c in [tree(), *LEAVES.values()] for p in c.params} | {"help"}
    assert set(names) - used == set(), "no command has such an option"


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_help_without_colours_where_none_are_wanted(env: dict[str, str], call) -> None:
    assert not re.search(r"\x1b\[[\d;]*3\d", call("vocab", "--help", env=env).out)
