"""The blocks of a document as one shell script, as a stranger runs it from top to bottom."""

from __future__ import annotations

import re
import sys
from pathlib import Path

_BLOCK = re.compile(r"^(<!-- test: options only [^\n]+ -->\n)?```(\w+)\n(.*?)^```$", re.M | re.S)


def shell_script(document: str) -> str:
    """All blocks but those that are only parsed, and lines that begin with `make`."""
    lines = ["set -eu"]
    for marker, language, block in _BLOCK.findall(document):
        if marker:
            continue
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
