"""The README from top to bottom, as a stranger runs it: all blocks in order, in one shell, in a
fresh clone. Only what `make` does is done before, and a local server stands for the LLM's provider.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from llm_server.client import LLMServer
from support.checkout import changed, fresh_clone, run_in
from support.command_line import ROOT
from support.documented import environment_of_make, shell_script

README = (ROOT / "README.md").read_text("utf-8")


def test_nothing_in_the_readme_is_left_out() -> None:
    assert "<!--" not in README
    assert set(re.findall(r"^```(\w*)$", README, re.M)) == {"", "sh", "python"}
    assert shell_script(README).count("lsmseg-prompts ") > 10


@pytest.mark.slow
@pytest.mark.process
def test_the_readme_runs_from_top_to_bottom(tmp_path: Path) -> None:
    clone = fresh_clone(tmp_path / "clone")
    environment_of_make(clone)
    with LLMServer() as server:
        done = run_in(clone, ["bash", "-xc", shell_script(README)], OPENAI_BASE_URL=server.url)
        asked = server.requests()
    assert done.returncode == 0, done.stderr
    assert asked
    assert changed(clone) == []
