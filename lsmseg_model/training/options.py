"""How a network is trained: CAT-Seg's recipe by default, which the paper follows.

Decided here, as the texts leave it open: the length of the warm-up (CAT-Seg has none, warmup=0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from lsmseg_model.errors import ConfigError
from lsmseg_model.networks.lsmseg import CLIP_PARTS

IGNORED = ("leave", "zero")


@dataclass(frozen=True)
class TrainOptions:
    """The field `train` of a network's settings.

    batch_size: pictures of one step, over all processes and accumulated parts. accumulate: parts
    that a step is computed in, one after the other. clip: see `LsmSeg.trainable`;
    clip_lr_factor: of `lr`, for what learns in CLIP. warmup: steps of a linear rise before the
    cosine. clip_grad: the largest norm of all gradients together. ignored: unlabelled pixels
    "leave" the loss, or are "zero", of no class, as in CAT-Seg. short_side: pixels that a
    picture's short side is resized to, times a factor drawn from `scale`; the crop is the
    network's.
    """

    iterations: int = 80_000
    batch_size: int = 4
    accumulate: int = 1
    lr: float = 2e-4
    clip_lr_factor: float = 0.01
    weight_decay: float = 1e-4
    warmup: int = 1500
    clip_grad: float = 0.01
    clip: str = "qv"
    ignored: str = "leave"
    short_side: int = 384
    scale: tuple[float, float] = (1.0, 1.0)
    evaluate_every: int = 5000
    checkpoint_every: int = 1000

    @classmethod
    def read(cls, values: dict[str, Any], where: str) -> TrainOptions:
        """From the field `train`; `where` names the settings in messages. Raises ConfigError."""
        kinds = {f.name: f.type for f in fields(cls)}
        for name, value in values.items():
            if name not in kinds:
                near = get_close_matches(name, kinds, 1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(kinds)}."
                raise ConfigError(f"{where}: training has no field {name!r}{hint}")
            right: Any = {"int": int, "float": (int, float), "str": str}.get(str(kinds[name]), list)
            inside = value if isinstance(value, list) else [value]
            fits = isinstance(value, right) and not any(isinstance(v, bool) for v in inside)
            if right is list:
                fits = fits and all(isinstance(v, int | float) for v in inside)
            if not fits:
                raise ConfigError(f"{where}: {name} is {value!r}, not of the kind {kinds[name]}.")
        given: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        made = cls(**given)
        made.check(where)
        return made

    def check(self, where: str) -> None:
        """Raise ConfigError for a value that cannot be."""
        for name, allowed in (("clip", CLIP_PARTS), ("ignored", IGNORED)):
            if getattr(self, name) not in allowed:
                near = get_close_matches(getattr(self, name), allowed, 1)
                hint = f"; did you mean {near[0]!r}?" if near else "."
                raise ConfigError(
                    f"{where}: {name} is {getattr(self, name)!r}; choose {', '.join(allowed)}{hint}"
                )
        for name in ("iterations", "batch_size", "accumulate", "lr", "clip_grad", "short_side"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{where}: {name} must be a number above 0.")
        for name in (
            "evaluate_every",
            "checkpoint_every",
            "warmup",
            "weight_decay",
            "clip_lr_factor",
        ):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{where}: {name} must be a number from 0 on.")
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"{where}: scale must be two factors, the lower first.")

    def part(self, processes: int) -> int:
        """Pictures that one process looks at together. Raises ConfigError if it is no number."""
        parts = processes * self.accumulate
        if self.batch_size % parts:
            raise ConfigError(
                f"a batch of {self.batch_size} pictures cannot be dealt out to {processes} "
                f"process(es) in {self.accumulate} part(s): choose a --batch-size that {parts} "
                "divides."
            )
        return self.batch_size // parts
