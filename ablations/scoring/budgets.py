"""The token budget of the model that scores: what prompt sets are composed for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.tokens import CLIP, CONTEXT_LENGTH, TokenBudget, find_budget

TINY = "lsmseg-tiny"
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
    """What a backbone of our configurations reads; CLIP's of a name that loading will refuse."""
    if model == TINY and pretrained is None:
        return CLIP
    from lsmseg_model.encoders.checkpoints import read_metadata
    from lsmseg_model.errors import LsmsegModelError
    from lsmseg_model.networks.backbones.load import read_config

    try:
        file = Path(str(pretrained))
        own = read_metadata(file).get("config") if pretrained and file.is_file() else None
        return context_budget((own or read_config(model))["clip"])
    except (LsmsegModelError, LookupError, TypeError):
        return CLIP


def budget_of_network(settings: Mapping[str, Any]) -> TokenBudget:
    """What the CLIP of a network's configuration reads, be it named or described there."""
    clip = settings["clip"]
    return budget_for(None, clip) if isinstance(clip, str) else context_budget(clip["clip"])


def context_budget(clip: Mapping[str, Any]) -> TokenBudget:
    """The budget of a text tower by the fields ``clip`` of a configuration of ours."""
    return find_budget(str(clip.get("text_cfg", {}).get("context_length", CONTEXT_LENGTH)))
