"""Every message that the source raises on purpose, found in its syntax tree."""

import ast
import re
from functools import cache
from typing import NamedTuple

import lsmseg_model.errors
import lsmseg_prompts.errors
from tests.support.command_line import ROOT

FOLDERS = ("lsmseg_prompts", "lsmseg_model", "ablations")
MODULES = (lsmseg_prompts.errors, lsmseg_model.errors)
CODES = {"BadParameter": 2} | {
    name: kind.exit_code
    for module in MODULES
    for name, kind in vars(module).items()
    if hasattr(kind, "exit_code")
}


class Raised(NamedTuple):
    """One message: "…" stands for what is filled in."""

    text: str
    exit_code: int
    where: str


@cache
def raised_messages() -> tuple[Raised, ...]:
    """The messages of every error with an exit code that is made anywhere."""
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    trees = {path: ast.parse(path.read_text("utf-8")) for path in files}
    functions = {
        path: [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        for path, tree in trees.items()
    }
    found: list[Raised] = []
    by_name = {function.name: function for some in functions.values() for function in some}
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
            if name in CODES:
                around = [f for f in functions[path] if f.lineno <= node.lineno <= f.end_lineno]
                variables = _assigned(around[-1]) if around else {}
                where = f"{path.relative_to(ROOT)}:{node.lineno}"
                for text in texts(node.args[0], variables, by_name):
                    found.append(Raised(re.sub("…+", "…", text), CODES[name], where))
    return tuple(found)


def _assigned(function: ast.FunctionDef) -> dict[str, list[ast.expr]]:
    """What is assigned to each name in a function."""
    values: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values.setdefault(node.targets[0].id, []).append(node.value)
    return values


def texts(
    node: ast.expr,
    variables: dict[str, list[ast.expr]],
    functions: dict[str, ast.FunctionDef],
) -> list[str]:
    """What an expression of text can be: all branches, and "…" for what is computed."""

    def inside(part: ast.expr) -> list[str]:
        return texts(part, variables, functions)

    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        plain = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
        return ["".join(map(str, plain))]
    if isinstance(node, ast.IfExp):
        return inside(node.body) + inside(node.orelse)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [a + b for a in inside(node.left) for b in inside(node.right)]
    if isinstance(node, ast.Name) and node.id in variables:
        return [text for value in variables[node.id] for text in texts(value, {}, functions)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions:
        function = functions[node.func.id]
        returned = [n.value for n in ast.walk(function) if isinstance(n, ast.Return) and n.value]
        return [text for value in returned for text in texts(value, _assigned(function), {})]
    return ["…"]
