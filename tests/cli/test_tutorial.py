"""The tutorial from top to bottom, in one shell, in a fresh clone; a local server is the LLM's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from llm_server.client import LLMServer
from support.checkout import changed, fresh_clone, run_in
from support.command_line import ROOT
from support.documented import environment_of_make, shell_script

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text("utf-8")


def test_blocks_that_are_only_parsed_are_left_out() -> None:
    text = (
        "```sh\nmake run\na\n```\n\n<!-- test: options only (x) -->\n```sh\nb\n```\n```sh\nc\n```\n"
    )
    assert shell_script(text) == "set -eu\na\nc"
    script = shell_script(TUTORIAL)
    assert "--llm gpt-4" in script and "my_photographs" not in script


@pytest.mark.slow
@pytest.mark.process
def test_the_tutorial_runs_from_top_to_bottom(tmp_path: Path) -> None:
    clone = fresh_clone(tmp_path / "clone")
    environment_of_make(clone)
    script = f". .venv/bin/activate\n{shell_script(TUTORIAL)}"
    with LLMServer() as server:
        done = run_in(clone, ["bash", "-xc", script], OPENAI_BASE_URL=server.url)
        asked = server.requests()
    assert done.returncode == 0, done.stderr
    assert asked
    best = json.loads((clone / "runs/refined/best_prompts.json").read_text("utf-8"))
    classes = (clone / "examples/my_classes.txt").read_text("utf-8").splitlines()
    assert [one["name"] for one in best["classes"]] == classes
    assert changed(clone) == []
