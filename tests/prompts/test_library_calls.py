"""The calls of the package: each there, lazy, and under the names of the commands."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cli
import lsmseg_prompts
from lsmseg_prompts import export, load_vocabulary, prompt_set


@pytest.mark.parametrize("name", lsmseg_prompts.__all__)
def test_every_name_can_be_imported(name: str) -> None:
    assert getattr(lsmseg_prompts, name).__doc__
    assert name in dir(lsmseg_prompts)


def test_the_stub_lists_what_there_is() -> None:
    stub = Path(lsmseg_prompts.__file__).with_suffix(".pyi").read_text("utf-8")
    (listed,) = (n.value for n in ast.parse(stub).body if isinstance(n, ast.Assign))
    assert set(ast.literal_eval(listed)) == set(lsmseg_prompts.__all__)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'no_such_call'"):
        lsmseg_prompts.no_such_call  # type: ignore[attr-defined]  # noqa: B018


def test_a_call_keeps_its_name_beside_the_folder_of_that_name() -> None:
    import lsmseg_prompts.attributes
    import lsmseg_prompts.export.formats

    assert callable(lsmseg_prompts.export) and callable(lsmseg_prompts.attributes)


@pytest.mark.process
def test_importing_the_package_loads_none_of_its_rooms() -> None:
    program = (
        "import sys, lsmseg_prompts; print([m for m in sys.modules if 'lsmseg_prompts.' in m])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_every_command_of_this_room_is_a_call_of_the_same_name() -> None:
    import typer

    group = typer.main.get_command(cli.app)
    names = set()
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", {})
        names |= {f"{name}_{one}" for one in below} or {name}
    mine = {n for n in names if n.partition("_")[0] in ("store", "vocab", "llm")}
    assert mine | {"generate", "attributes", "export"} <= set(lsmseg_prompts.__all__)


def test_the_calls_work_together(tmp_path) -> None:
    prompts = prompt_set("camvid", ["color"])
    path = tmp_path / "prompts.json"
    assert export(prompts, load_vocabulary("camvid"), path) == prompts
    assert lsmseg_prompts.load_export(path, "native", load_vocabulary("camvid")) == prompts
