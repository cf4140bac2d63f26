"""Which model is loaded, and how pictures go through it, as values; loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from lsmseg_model.errors import UsageError
from lsmseg_model.networks.backbones.proxy import NEEDS_PROXY, SAM_PROXY

DEFAULT = "lsmseg-tiny"


PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How many pictures are dealt with at a time; the scores do not depend on it.

    batch_size: on a GPU views, the windows of pictures, that are encoded together; None: `BATCH`,
    and half as many as often as its memory does not suffice. On a CPU pictures side by side; None:
    one for each core. workers: threads; on a GPU they read pictures ahead, on a CPU each takes one
    through the model. None: one for each core.
    Raises UsageError for numbers below 1.
    """

    batch_size: int | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        for option in ("batch_size", "workers"):
            value = getattr(self, option)
            if value is not None and value < 1:
                raise UsageError(f"--{option.replace('_', '-')} must be at least 1.")


AUTO = RunOptions()


def check_precision(precision: str) -> None:
    """Raise UsageError for one that there is not."""
    if precision not in PRECISIONS:
        raise UsageError(
            f"There is no precision {precision!r} to segment in: choose {', '.join(PRECISIONS)}."
        )


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model is loaded, and where to.

    model, pretrained: a CLIP, see `load_backbone`. checkpoint: a whole network instead; format
    "lsmseg" (as `train` leaves it) or "cat-seg" (as published), see `load_network`; a ``model``
    other than the default then says which network it must be. format "sed" or "fc-clip": only the
    towers of a published checkpoint, as a CLIP, see `load_towers`.
    dense, sam: of a CLIP, the last block's variant, and the encoder that the variant "sam-proxy"
    uses, see `load_second_encoder`. cache: of a network, a folder that keeps the features of its
    second encoder (`LsmSeg.keep_features`). precision: of what the model does to pictures, one of
    `PRECISIONS`. compile: let `torch.compile` make the model faster. captions: what describes the
    pictures to a network that wants it, see `open_captions`.
    Raises UsageError for options that exclude each other.
    """

    model: str = DEFAULT
    pretrained: str | Path | None = None
    checkpoint: str | Path | None = None
    format: str = "lsmseg"
    device: str = "cpu"
    dense: str | None = None
    sam: str | Path | None = None
    cache: str | Path | None = None
    precision: str = "fp32"
    compile: bool = False
    captions: str | None = None

    def __post_init__(self) -> None:
        check_precision(self.precision)
        if self.checkpoint is None:
            if (self.sam is not None) != (self.dense == SAM_PROXY):
                raise UsageError(NEEDS_PROXY)
            if self.format != "lsmseg":
                raise UsageError(f"--format {self.format} is about a --checkpoint FILE: name one.")
            if self.cache is not None:
                raise UsageError(
                    "--cache keeps the features of a network's second encoder: give --checkpoint "
                    "FILE too."
                )
        elif self.pretrained is not None:
            raise UsageError(
                "Give --checkpoint, a whole network, or --pretrained, a CLIP's weights; not both."
            )
        elif self.format in ("sed", "fc-clip") and self.cache is not None:
            raise UsageError(f"--cache keeps what --format {self.format} does not read.")
        elif self.dense is not None or self.sam is not None:
            raise UsageError(
                "--dense and --sam change a CLIP (--model, --pretrained); a whole network "
                "(--checkpoint) has its own."
            )


@dataclass(frozen=True)
class Augmentation:
    """Which views of a picture are averaged: at each scale one, with ``flip`` its mirror image too.

    Raises UsageError for scales that are no sizes, and where one comes twice.
    """

    flip: bool = False
    scales: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", tuple(self.scales))
        wrong = [s for s in self.scales if not (isfinite(s) and 0 < s <= 16)]
        if wrong or not self.scales or len(set(self.scales)) < len(self.scales):
            raise UsageError(
                f"--scales {','.join(f'{s:g}' for s in self.scales)}: give different numbers above "
                "0, at most 16, such as 0.5,1,1.5."
            )

    @property
    def plain(self) -> bool:
        """Whether the picture as it is would be the only view."""
        return not self.flip and self.scales == (1.0,)


NONE = Augmentation()


def drawings_note(model: str) -> str:
    """The warning about a model that was trained on MiniStuff's drawings alone."""
    return (
        f"WARNING: {model} knows drawings only and finds next to nothing in photographs; "
        "for those give a real CLIP: --model ViT-B-16 --pretrained openai (docs/data.md: others)."
    )
