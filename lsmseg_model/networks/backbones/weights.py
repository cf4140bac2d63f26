"""Weights of published models under the names that open_clip's networks have.

What open_clip does when it loads a file, but for one thing: positions are not resized here, for a
file of another size is most often the file of another model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lsmseg_model.encoders.checkpoints import check_finite, differences, read_state_dict
from lsmseg_model.errors import CheckpointError

# Where segmentation networks that others trained keep CLIP's towers.
TOWERS = {"sed": "sem_seg_head.predictor.clip_model.", "fc-clip": "backbone.clip_model."}
POSITION_IDS = "text.transformer.embeddings.position_ids"  # transformers has them no more


def read_weights(path: Path) -> tuple[dict[str, Tensor], bool]:
    """`read_state_dict`; {} of big_vision's .npz files, which are read into the network itself.

    Of SED's and FC-CLIP's checkpoints the towers.
    """
    if path.suffix == ".npz":
        return {}, False
    state, openai_layout = read_state_dict(path)
    for prefix in TOWERS.values():
        convolutions = f"{prefix}visual.trunk.", f"{prefix}visual.attnpool."
        if any(key.startswith(convolutions) for key in state):
            state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    return state, openai_layout


def fill(model: Any, state: dict[str, Tensor], path: Path, name: str) -> None:
    """Load weights into a model; every key and shape must fit.

    Args:
        model: Takes them.
        state: The weights, see `read_weights`.
        path: Their file.
        name: The model's, for messages.

    Raises:
        CheckpointError: Where they do not fit.
    """
    if path.suffix == ".npz":
        _fill_big_vision(model, path, name)
        return
    expected = model.state_dict()
    state = _translated(model, state, expected)
    if odd := differences(state, expected):
        raise CheckpointError(
            f"{path} does not hold the weights of {name}: {len(odd)} keys are missing, unexpected "
            f"or of another shape (for example {odd[0]}); name the model that they belong to with "
            "--model."
        )
    model.load_state_dict({k: v.to(expected[k].dtype) for k, v in state.items()})


def _translated(
    model: Any, state: dict[str, Tensor], expected: dict[str, Tensor]
) -> dict[str, Tensor]:
    """The weights under the model's names, as open_clip's `load_checkpoint` makes them."""
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict

    try:
        state = convert_state_dict(model, state)
    except (KeyError, AttributeError, RuntimeError):  # of another model; the keys will tell
        return state
    if "positional_embedding" in state and "positional_embedding" not in expected:
        state = convert_to_custom_text_state_dict(state)
    state = {key: value for key, value in state.items() if key in expected or key != POSITION_IDS}
    if "logit_bias" in expected:
        state.setdefault("logit_bias", torch.zeros(()))
    for key in ("logit_scale", "logit_bias"):
        if key in state and key in expected and state[key].numel() == 1:
            state[key] = state[key].reshape(expected[key].shape)
    return state


def _fill_big_vision(model: Any, path: Path, name: str) -> None:
    """Load SigLIP's weights as Google publishes them."""
    from open_clip.convert import load_big_vision_weights

    try:
        with torch.no_grad():
            load_big_vision_weights(model, str(path))
    except Exception as error:  # whatever does not fit
        raise CheckpointError(
            f"{path} does not hold the weights of {name} in big_vision's layout "
            f"({type(error).__name__}): name the model that they belong to with --model."
        ) from error
    check_finite(path, model.state_dict())
