"""The README from top to bottom, as a stranger runs it: all blocks in order, in one shell, in a
fresh clone. Only what `make` does is done before, and a local server stands for the LLM's provider.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from llm_server.client import LLMServer
from support.checkout import changed, fresh_clone, run_in
from support.command_line import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def script() -> str:
    """All blocks as one shell script, without the lines that begin with `make`."""
    lines = ["set -eu"]
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", README, re.M | re.S):
        if language == "python":
            block = f"python - <<'END'\n{block}END\n"
        lines += [line for line in block.splitlines() if not line.startswith("make ")]
    return "\n".join(lines)


def environment_of_make(clone: Path) -> None:
    """A `.venv` as `make run` leaves it, with this Python: the command is known once activated."""
    folder = clone / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name, module in (("python", ""), ("lsmseg-prompts", "-m cli")):
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        (folder / name).chmod(0o755)
    (folder / "activate").write_text(f'PATH="{folder}:$PATH"\n')


def test_nothing_in_the_readme_is_left_out() -> None:
    assert "<!--" not in README
    assert set(re.findall(r"^```(\w*)$", README, re.M)) == {"", "sh", "python"}
    assert script().count("lsmseg-prompts ") > 10


@pytest.mark.slow
@pytest.mark.process
def test_the_readme_runs_from_top_to_bottom(tmp_path: Path) -> None:
    clone = fresh_clone(tmp_path / "clone")
    environment_of_make(clone)
    with LLMServer() as server:
        done = run_in(clone, ["bash", "-xc", script()], OPENAI_BASE_URL=server.url)
        asked = server.requests()
    assert done.returncode == 0, done.stderr
    assert asked
    assert changed(clone) == []
