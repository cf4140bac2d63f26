"""The token budget of the model that scores: what prompt sets are composed for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import lsmseg_model
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.files import is_path
from lsmseg_prompts.tokens import CLIP, CONTEXT_LENGTH, TokenBudget, find_budget

TINY = "lsmseg-tiny"
CONFIGS = Path(lsmseg_model.__file__).parent / "networks" / "backbones"
MOST = 100_000_000  # bytes of a header, as the library safetensors has it
OF_A_PLACE = ("hf-hub:", "local-dir:")
"""How a model is named that brings its own configuration, wherever open_clip's users write it."""


def budget_for(
    asked: str | None, model: str | None = None, pretrained: object = None
) -> TokenBudget:
    """The budget that was asked for, else that of the model in use.

    Args:
        asked: What --budget says.
        model: The CLIP, as --model or a network's configuration names it; None is lsmseg-tiny.
        pretrained: What --pretrained says: a place may be all that names the model.

    Raises:
        UsageError: For a budget that does not exist.
        ConfigurationError: Where the files of the model's tokenizer are not here.
        CheckpointError, DataError: For what the names ask for and cannot be had.
    """
    if asked is not None:
        return find_budget(asked)
    named = str(pretrained) if str(pretrained).startswith(OF_A_PLACE) else model
    try:
        return find_budget(named)
    except UsageError:
        return _of_ours(str(model or TINY), pretrained)
    except ConfigurationError:  # its tokenizer may lie beside the weights, or be fetched with them
        from lsmseg_model.pull.find import find

        return find_budget(named, find(str(model), str(pretrained or "") or None).tokenizer)


def _of_ours(model: str, pretrained: object) -> TokenBudget:
    """What a backbone of our configurations reads; CLIP's of a name that loading will refuse.

    Read without torch, as an ablation that is on file is answered without it.
    """
    if model == TINY and pretrained is None:
        return CLIP
    named = Path(model) if is_path(model) else CONFIGS / f"{model}.json"
    try:
        own = _inside(Path(str(pretrained))) if pretrained else None
        return context_budget((own or json.loads(named.read_text("utf-8")))["clip"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return CLIP


def _inside(file: Path) -> dict[str, Any] | None:
    """The configuration that weights of ours carry, in the header of their safetensors file."""
    if file.suffix != ".safetensors" or not file.is_file():
        return None
    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(min(size, MOST)))
    config: dict[str, Any] = json.loads(header.get("__metadata__", {}).get("config", "null"))
    return config


def budget_of_network(settings: Mapping[str, Any]) -> TokenBudget:
    """What the CLIP of a network's configuration reads, be it named or described there."""
    clip = settings["clip"]
    return budget_for(None, clip) if isinstance(clip, str) else context_budget(clip["clip"])


def context_budget(clip: Mapping[str, Any]) -> TokenBudget:
    """The budget of a text tower by the fields ``clip`` of a configuration of ours."""
    return find_budget(str(clip.get("text_cfg", {}).get("context_length", CONTEXT_LENGTH)))


def smallest(budgets: Iterable[TokenBudget]) -> TokenBudget:
    """The one that allows the fewest tokens, the first of equals."""
    return min(budgets, key=lambda budget: budget.limit)
