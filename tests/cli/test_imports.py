"""The arrows of the design: cli -> ablations -> lsmseg_prompts, lsmseg_model; never sideways."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def imported(source: str, only_at_import_time: bool) -> Iterator[str]:
    """Full names of the modules a file imports; optionally only those outside functions."""
    skipped: set[int] = set()
    tree = ast.parse(source)
    for node in ast.walk(tree):
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if (inside and only_at_import_time) or (
            # `if TYPE_CHECKING:` runs only in a type checker
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        ):
            body = node.body if isinstance(node.body, list) else [node.body]
            skipped |= {id(child) for part in body for child in ast.walk(part)}
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def offences(room: str, banned: set[str], only_at_import_time: bool = False) -> list[str]:
    found = []
    for path in sorted((ROOT / room).rglob("*.py")):
        for name in imported(path.read_text(encoding="utf-8"), only_at_import_time):
            if name.split(".")[0] in banned:
                found.append(f"{path.relative_to(ROOT)} imports {name}")
    return found


def test_the_checker_sees_an_import() -> None:
    source = "import os\ndef f():\n    import torch\nif TYPE_CHECKING:\n    import pandas\n"
    assert list(imported(source, only_at_import_time=False)) == ["os", "torch"]
    assert list(imported(source, only_at_import_time=True)) == ["os"]


def test_language_room_knows_no_vision() -> None:
    assert offences("lsmseg_prompts", {"lsmseg_model", "ablations", "cli"}) == []


def test_language_room_imports_nothing_heavy_at_import_time() -> None:
    heavy = {"torch", "open_clip", "pandas", "matplotlib", "sqlite_utils", "jinja2", "rich"}
    heavy |= {"openai", "httpx2", "dashscope", "aiohttp"}
    assert offences("lsmseg_prompts", heavy, only_at_import_time=True) == []


def test_vision_room_knows_no_language() -> None:
    banned = {"lsmseg_prompts", "ablations", "cli", "openai", "dashscope", "sqlite_utils"}
    assert offences("lsmseg_model", banned) == []


def test_ablations_do_not_know_the_command_line() -> None:
    """But for ablations/commands, which cli.py mounts."""
    found = offences("ablations", {"cli", "typer"})
    assert [line for line in found if not line.startswith("ablations/commands/")] == []
    assert offences("ablations/commands", {"cli"}) == []


@pytest.mark.parametrize(
    "module", ["cli", "lsmseg_prompts.store.store", "lsmseg_prompts.descriptions.loading"]
)
def test_importing_pulls_in_nothing_heavy(module: str) -> None:
    code = (
        f"import {module}, sys; heavy = {{'torch', 'open_clip', 'pandas', 'matplotlib', 'numpy', "
        "'sqlite_utils', 'jinja2'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
