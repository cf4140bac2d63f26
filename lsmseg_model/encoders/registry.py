"""The second encoders by name: building them, and their weights from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lsmseg_model.encoders.base import FrozenEncoder
from lsmseg_model.encoders.checkpoints import differences, read_state_dict
from lsmseg_model.encoders.sam import Sam
from lsmseg_model.encoders.sources import encoder_weights
from lsmseg_model.encoders.timm_encoder import TimmEncoder
from lsmseg_model.errors import CheckpointError, UsageError, nearest

ENCODERS: dict[str, tuple[type[FrozenEncoder], dict[str, Any]]] = {
    name: (kind, sizes)
    for kind, file in ((Sam, "sam.json"), (TimmEncoder, "timm.json"))
    for name, sizes in json.loads((Path(__file__).parent / file).read_text("utf-8")).items()
}


def second_encoder(name: str) -> FrozenEncoder:
    """An encoder with random weights, by a name of ours or timm's own.

    Raises UsageError for an unknown name.
    """
    if name in ENCODERS:
        kind, sizes = ENCODERS[name]
        return kind(name, sizes)
    if "_" in name:
        return TimmEncoder(name, {"timm": name})
    raise UsageError(f"There is no second encoder {name!r}; {nearest(name, ENCODERS)}")


def load_second_encoder(
    name: str | None,
    checkpoint: str | Path,
    *,
    device: str = "cpu",
    half: bool | str = False,
) -> FrozenEncoder:
    """An encoder with the weights of a file, or with published ones, by its name.

    Args:
        name: The network (None: whichever the file fits).
        checkpoint: A name of `encoder_names` or of timm, whose weights are fetched if they are not
            here; or a file: as Meta publishes it (.pth; of SAM `image_encoder.*` is taken), or
            safetensors of the same names or timm's.
        device: Where it computes.
        half: Compute in "bf16" (True; on a CPU a third of the time) or "fp16" (GPUs; nearer to
            full precision).

    Raises:
        CheckpointError: If the file is missing, cannot be had, is damaged or of another network.
        UsageError: For an unknown name.
    """
    name, path = encoder_weights(name, checkpoint)
    state, _ = read_state_dict(path)
    if name is None and (name := _fitting(state)) is None:
        raise CheckpointError(
            f"{path} is not a second encoder's weights; there are {', '.join(ENCODERS)}."
        )
    encoder = second_encoder(name)
    own = encoder.translate(state, encoder.encoder)
    if wrong := differences(own, encoder.encoder.state_dict()):
        other = _fitting(state)
        belongs = f"; they are those of {other}." if other else f", for example {wrong[0]}."
        raise CheckpointError(
            f"{path} does not hold the weights of {name}: {len(wrong)} keys differ{belongs}"
        )
    encoder.encoder.load_state_dict(own)
    if half:
        encoder.set_precision(half if isinstance(half, str) else "bf16")
    return encoder.to(device)


def _fitting(state: dict[str, Tensor]) -> str | None:
    """The encoder that these weights fit."""
    widths = {side for value in state.values() for side in value.shape}
    for name, (_, sizes) in ENCODERS.items():
        if sizes["embed_dim"] not in widths:
            continue
        with torch.device("meta"):
            made = second_encoder(name)
        own = made.translate(state, made.encoder)
        if not differences(own, made.encoder.state_dict()):
            return name
    return None
