"""The token budget of the model that scores: what prompt sets are composed for."""

from __future__ import annotations

from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.tokens import CLIP, TokenBudget, find_budget

OF_A_PLACE = ("hf-hub:", "local-dir:")
"""How a model is named that brings its own configuration, wherever open_clip's users write it."""


def budget_for(
    asked: str | None, model: str | None = None, pretrained: object = None
) -> TokenBudget:
    """The budget that was asked for, else that of the model in use.

    Args:
        asked: What --budget says.
        model: The CLIP, as --model or a network's configuration names it; None is one of CLIP's
            own 77 tokens.
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
    except UsageError:  # a network of ours, or a name that loading it will refuse
        return CLIP
    except ConfigurationError:  # its tokenizer may lie beside the weights, or be fetched with them
        from lsmseg_model.pull.find import find

        return find_budget(named, find(str(model), str(pretrained or "") or None).tokenizer)
