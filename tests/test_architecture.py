"""The rooms, held from the imports themselves: cli -> ablations -> lsmseg_prompts, lsmseg_model.

The order of the packages and of the folders inside each, no circles, files and functions that fit
in the head, and imports that stay light. `docs/architecture.md` draws what is held here.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

PACKAGES = {
    "cli": {"ablations", "lsmseg_prompts"},
    "ablations": {"lsmseg_prompts", "lsmseg_model"},
    "lsmseg_prompts": set(),
    "lsmseg_model": set(),
}
"""Which packages each may import, beside itself."""

ORDER = {
    "lsmseg_prompts": (
        "export", "generation", "curation", "prompts", "descriptions", "llm", "store", "templates",
        "attributes", "vocabularies", "tokens", "terminal", "files", "english", "errors",
    ),
    "lsmseg_model": (
        "train pretrain predict evaluate", "deploy", "segmenter", "training", "inference",
        "networks", "encoders", "data", "pull", "kernels", "metrics", "processes", "progress_file",
        "files", "seeds", "errors",
    ),
    "ablations": (
        "commands", "studio", "recipes", "runs", "report", "refinement", "search", "scoring",
    ),
}  # fmt: skip
"""Folders and files right below each package: each may import itself and those to its right."""

LINES, FUNCTION_LINES, PARAMETERS = 400, 60, 10

LONG_FUNCTIONS = {
    "ablations/commands/": "Typer wants every option declared as a parameter",
    "lsmseg_model/data/ministuff/": "a drawing is one sequence of strokes",
}
"""Where functions may be longer than FUNCTION_LINES or have more than PARAMETERS, and why."""

HEAVY = {
    "torch", "open_clip", "pandas", "matplotlib", "numpy", "sqlite_utils", "jinja2", "openai",
    "dashscope", "aiohttp",
}  # fmt: skip
LIBRARY = HEAVY | {"pydantic", "rich", "typer"}
"""What importing a package does not load either (Typer itself needs pydantic and rich)."""


@cache
def modules() -> dict[str, Path]:
    """Every module of the packages by its dotted name."""
    found = {"cli": ROOT / "cli.py"}
    for package in ("ablations", "lsmseg_prompts", "lsmseg_model"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports(source: ast.Module, known: frozenset[str] | None = None) -> Iterator[str]:
    """What a file imports anywhere in it, by full names; of `known` modules down to the module."""
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                yield below if known and below in known else str(node.module)


@cache
def graph() -> dict[str, set[str]]:
    """Module -> the modules of ours that it imports, wherever in the file the import stands."""
    known = frozenset(modules())
    return {
        name: {i for i in imports(tree(path), known) if i in known and i != name}
        for name, path in modules().items()
    }


def room(module: str) -> str:
    """The folder or file right below its package that a module belongs to."""
    return module.split(".")[1] if "." in module else ""


def position(module: str) -> int | None:
    """Where a module's room stands in the order of its package; None of a package itself."""
    for place, names in enumerate(ORDER[module.split(".")[0]]):
        if room(module) in names.split():
            return place
    return None


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach one another (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(arrows.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(group := stack[at:]) > 1:
                found.append(sorted(group))
            del stack[at:]

    for node in sorted(arrows):
        if node not in index:
            visit(node)
    return found


def excused(path: Path, function: str) -> bool:
    where = f"{path.relative_to(ROOT)}:{function}"
    return any(where.startswith(place) for place in LONG_FUNCTIONS)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    a = function.args
    named = [x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
    return [name for name in named if name not in ("self", "cls")]


# -- the checks --------------------------------------------------------------------------


def test_the_checks_see_what_they_look_for() -> None:
    source = ast.parse("import os\ndef f():\n    from a.b import c\nif X:\n    import pandas\n")
    assert sorted(imports(source, frozenset({"a.b.c"}))) == ["a.b.c", "os", "pandas"]
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_packages_import_only_those_below() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, others in graph().items()
        for other in sorted(others)
        if (mine := name.split(".")[0]) != (theirs := other.split(".")[0])
        and theirs not in PACKAGES[mine]
    ]
    assert wrong == []


def test_every_room_has_a_place() -> None:
    unplaced = {m for m in modules() if room(m) and position(m) is None}
    assert unplaced == set()


@pytest.mark.parametrize("package", ORDER)
def test_rooms_import_only_those_below(package: str) -> None:
    wrong = []
    for name, others in graph().items():
        for other in sorted(others):
            if not name.startswith(f"{package}.") or not other.startswith(f"{package}."):
                continue
            here, there = position(name), position(other)
            if here is not None and there is not None and there < here:
                wrong.append(f"{name} imports {other}")
    assert wrong == []


def test_files_import_one_another_in_no_circle() -> None:
    assert circles(graph()) == []


def test_files_fit_in_the_head() -> None:
    long = {n: len(p.read_text("utf-8").splitlines()) for n, p in modules().items()}
    assert {name: lines for name, lines in long.items() if lines > LINES} == {}


def test_functions_are_short() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{f.name}": size
        for path in modules().values()
        for f in functions(path)
        if (size := (f.end_lineno or 0) - f.lineno + 1) > FUNCTION_LINES
        and not excused(path, f.name)
    }
    assert long == {}


def test_functions_have_few_parameters() -> None:
    many = {
        f"{path.relative_to(ROOT)}:{f.name}": len(parameters(f))
        for path in modules().values()
        for f in functions(path)
        if len(parameters(f)) > PARAMETERS and not excused(path, f.name)
    }
    assert many == {}


def test_functions_with_many_parameters_say_what_each_is() -> None:
    """Public ones with more than three have an Args section (ruff's D417 holds its names)."""
    silent = [
        f"{path.relative_to(ROOT)}:{f.name}"
        for path in modules().values()
        for f in functions(path)
        if len(parameters(f)) > 3
        and not f.name.startswith("_")
        and not excused(path, f.name)
        and "Args:" not in (ast.get_docstring(f) or "")
    ]
    assert silent == []


def test_nothing_is_caught_as_a_dict() -> None:
    assert [n for n, p in modules().items() if "locals()" in p.read_text("utf-8")] == []


def test_every_exception_is_needed() -> None:
    for place in LONG_FUNCTIONS:
        assert any(
            f"{path.relative_to(ROOT)}:{f.name}".startswith(place)
            and ((f.end_lineno or 0) - f.lineno >= FUNCTION_LINES
                 or len(parameters(f)) > PARAMETERS)
            for path in modules().values()
            for f in functions(path)
        ), place  # fmt: skip


@pytest.mark.process
@pytest.mark.parametrize(
    ("code", "banned"),
    [
        ("import lsmseg_prompts, lsmseg_prompts.store.store", LIBRARY),
        ("import lsmseg_prompts.descriptions.loading", LIBRARY),
        ("import lsmseg_model", LIBRARY),
        ("import ablations", LIBRARY),
        ("import cli", HEAVY),
        ("import cli; cli.main(['--help'])", HEAVY),
        ("import cli; cli.main(['ablate', '--help'])", HEAVY),
    ],
)
def test_imports_stay_light(code: str, banned: set[str]) -> None:
    code = (
        f"import sys, contextlib\nwith contextlib.suppress(SystemExit): {code}\n"
        f"sys.exit(', '.join({banned!r} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
