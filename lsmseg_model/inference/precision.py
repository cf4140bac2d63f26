"""In how many bits pictures go through a model: `--precision`.

What a model does to pictures, its picture towers and a network's head, may be computed in 16 bits.
Texts, cost maps, and the means of what windows and views see stay in 32.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch

KINDS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Model(Protocol):
    """A backbone or a whole network."""

    precision: str
    compiled: bool

    @property
    def device(self) -> torch.device:
        """Where it computes."""


def how(model: Model) -> str:
    """What features and counts depend on beside the model: "" where it is as it always was."""
    parts = [model.precision] * (model.precision != "fp32") + ["compiled"] * model.compiled
    return " ".join(parts)


def lowered(model: Model) -> AbstractContextManager[object]:
    """Around what a model does to pictures; autocast, unless its precision is fp32."""
    kind = KINDS[model.precision]
    return nullcontext() if kind is None else torch.autocast(model.device.type, kind)
