"""What has a name: the weights that open_clip lists, its configurations, and what we know of both.

open_clip's own table is read from its source. Importing open_clip would import torch too, seconds
that completion, `model list` and a message about a wrong name have no use for.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BYTES = 4  # of a parameter; weights on the hub are float32 with few exceptions


@cache
def open_clip_folder() -> Path:
    """Where open_clip is installed."""
    spec = find_spec("open_clip")
    assert spec and spec.origin
    return Path(spec.origin).parent


@cache
def tags() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """Model -> tag -> what open_clip says of these weights: address, mean, std, activation."""
    try:
        return _table(open_clip_folder())
    except Exception:  # another open_clip, written otherwise
        from open_clip import pretrained

        return dict(pretrained._PRETRAINED)


def _table(folder: Path) -> dict[str, dict[str, Any]]:
    """The table in open_clip's pretrained.py, by its constants and the functions that make it."""
    from copy import deepcopy
    from types import SimpleNamespace

    values: dict[str, Any] = {"copy": SimpleNamespace(deepcopy=deepcopy)}
    for name in ("constants.py", "pretrained.py"):
        tree = ast.parse((folder / name).read_text("utf-8"))
        wanted = [node for node in tree.body if _is_table(node)]
        exec(compile(ast.Module(wanted, []), str(folder / name), "exec"), values)
    table: dict[str, dict[str, Any]] = values["_PRETRAINED"]
    return table


def _is_table(node: ast.stmt) -> bool:
    if isinstance(node, ast.FunctionDef):
        return node.name.startswith("_") and node.name.endswith("cfg")
    if isinstance(node, ast.Expr):
        return "_PRETRAINED.update" in ast.unparse(node)
    return isinstance(node, ast.Assign | ast.For)


def tags_of(model: str) -> list[str]:
    """The tags of a model, none of what open_clip has no weights of."""
    return list(tags().get(model, ()))


def models_with(tag: str) -> list[str]:
    """The models that have weights of that tag."""
    return [model for model, those in tags().items() if clean(tag) in those]


def clean(tag: str) -> str:
    """A tag as open_clip's table has it."""
    return tag.lower().replace("-", "_")


def models() -> tuple[str, ...]:
    """The models that open_clip has a configuration of, those that a program gave it included."""
    if open_clip := sys.modules.get("open_clip"):
        return tuple(open_clip.list_models())
    return tuple(
        sorted(path.stem for path in (open_clip_folder() / "model_configs").glob("*.json"))
    )


def configuration(model: str) -> dict[str, Any]:
    """open_clip's configuration of a model; empty where it has none."""
    if model not in models():
        return {}
    path = open_clip_folder() / "model_configs" / f"{model}.json"
    if not path.is_file():
        return dict(sys.modules["open_clip"].get_model_config(model))
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def preprocessing(model: str) -> dict[str, Any]:
    """Mean, std and resizing that all weights of a model share; what they differ in is left out."""
    those = list(tags().get(model, {}).values())
    names = ("mean", "std", "interpolation", "resize_mode")
    return {name: those[0][name] for name in names if those and len({c[name] for c in those}) == 1}


@cache
def _known(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / name).read_text("utf-8"))
    return found


def licence(model: str, tag: str) -> str:
    """The licence of weights, where it is surely known; else ""."""
    repository = str(tags().get(model, {}).get(tag, {}).get("hf_hub", ""))
    for rule in _known("licences.json")["rules"]:
        if rule.get("tag", tag) == tag and repository.startswith(rule.get("repository", "")):
            return str(rule["licence"])
    return ""


def size(model: str) -> int | None:
    """About how many bytes the weights of a model have, by its parameters."""
    parameters = _known("sizes.json")["parameters"].get(model.removesuffix("-quickgelu"))
    return parameters and parameters * BYTES


def published_size(url: str) -> int | None:
    """The bytes of the file at an address, where they are published."""
    found: int | None = _known("sizes.json")["files"].get(url.rpartition("/")[2])
    return found
