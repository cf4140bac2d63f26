"""The modules of a reader's checkout, and what of them is run."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

from lsmseg_prompts.english import excerpt


class OtherVersionError(Exception):
    """The checkout is not of the project, or of a version that lacks what is run."""


def load(name: str) -> Any:
    """A module of the checkout. Raises OtherVersionError if it does not import."""
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise OtherVersionError(f"{name} does not import ({said(error)})") from error


def having(module: Any, attribute: str) -> Any:
    """The class of a module that defines the method `attribute`, the last one.

    Raises OtherVersionError if none does.
    """
    found = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and attribute in vars(each) and each.__module__ == module.__name__
    ]
    if not found:
        raise OtherVersionError(f"{module.__name__} has no class with {attribute}")
    return found[-1]


def function(module: Any, name: str) -> Any:
    """A function of a module. Raises OtherVersionError if it has none."""
    if name not in vars(module):
        raise OtherVersionError(f"{module.__name__} has no {name}")
    return vars(module)[name]


def cut_out(file: Path, names: tuple[str, ...], known: dict[str, Any]) -> dict[str, Any]:
    """Functions and assignments of a script that cannot be imported, run among the names `known`.

    Raises OtherVersionError if it lacks one.
    """
    found: list[ast.stmt] = []
    have = set()
    for node in ast.parse(file.read_text("utf-8"), str(file)).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        called = {t.id for t in targets if isinstance(t, ast.Name)}
        called |= {node.name} if isinstance(node, ast.FunctionDef) else set()
        if called & set(names):
            found.append(node)
            have |= called
    if missing := [name for name in names if name not in have]:
        raise OtherVersionError(f"{file.name} has no {missing[0]}")
    space = dict(known)
    exec(compile(ast.Module(found, []), str(file), "exec"), space)
    return space


def said(error: BaseException) -> str:
    """An error in one line."""
    text = excerpt(" ".join(str(error).split()), 200)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
