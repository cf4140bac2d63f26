"""What a network is made of, as values: their fields, checks, and changes given as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Annotated, Any

from pydantic import Field

from lsmseg_model.encoders.registry import ENCODERS
from lsmseg_model.errors import ConfigError, nearest
from lsmseg_model.networks.closed_set.config import ClosedSetOptions
from lsmseg_model.networks.fields import (
    Fields,
    OneOf,
    Pair,
    PairOrZero,
    Text,
    Whole,
    WholeOrZero,
    read_field,
)
from lsmseg_model.networks.fusion import FUSIONS
from lsmseg_model.networks.llmformer.config import LlmFormerOptions

REFINEMENTS = {
    "both": (True, True),
    "spatial": (True, False),
    "class": (False, True),
    "none": (False, False),
}
CLIP_PARTS = ("freeze", "qk", "kv", "qv", "full")
CHANGEABLE = ("clip", "crop")  # fields of the file that may be changed beside the network's


@dataclass(frozen=True)
class NetworkConfig:
    """What a network is made of, beside its CLIP.

    blocks: CLIP's blocks (from 0) whose outputs guide the decoder. encoder: the second encoder
    ("sam-b", "dinov3-b", ..., a name of
    timm's, or "none"), fused by `fusion`, which sees pictures of `encoder_size`
    pixels (0: as it was trained, SAM 1024, DINOv2 518). cost_map: from CLIP's dense features
    ("clip", the paper) or the fused ones ("fused", the thesis). refinement: "both", "spatial",
    "class" or "none". k: classes that the category filter keeps. pad_len: classes that
    the class refinement is filled up to (CAT-Seg: 256; 0: none). guidance: channels of what guides
    the decoder at two and four times the resolution; projected: what they are made. pooling: see
    `ClassRefinement`, in training and at test.

    Raises ConfigError for values that do not go together.
    """

    blocks: PairOrZero = (3, 7)
    encoder: Annotated[str, OneOf(*ENCODERS, "none", like=r"^\w+_[\w.]+$")] = "none"
    encoder_size: WholeOrZero = 0
    fusion: Annotated[str, OneOf(*FUSIONS, "none")] = "none"
    cost_map: Annotated[str, OneOf("clip", "fused")] = "clip"
    refinement: Annotated[str, OneOf(*REFINEMENTS)] = "both"
    k: Whole = 32
    pad_len: WholeOrZero = 0
    hidden: Whole = 128
    guidance: Pair = (256, 128)
    projected: Pair = (32, 16)
    decoder: Pair = (64, 32)
    layers: WholeOrZero = 2
    heads: Whole = 4
    window: Whole = 12
    resolution: Whole = 24
    pooling: Pair = (2, 1)

    def __post_init__(self) -> None:
        if (self.encoder == "none") != (self.fusion == "none"):
            raise ConfigError(
                f"The encoder is {self.encoder} and the fusion is {self.fusion}, but they go "
                "together: name both, or none for both."
            )
        if self.cost_map == "fused" and self.fusion == "none":
            raise ConfigError("A fused cost map needs a fusion.")
        if self.hidden % self.heads:
            raise ConfigError(f"The hidden channels ({self.hidden}) are not a multiple of heads.")
        if any(channels % 16 for channels in self.decoder):
            raise ConfigError(
                f"The decoder is {self.decoder[0]},{self.decoder[1]}, but it takes multiples of 16 "
                "channels, such as 64,32."
            )


KINDS = {"lsmseg": NetworkConfig, "closed-set": ClosedSetOptions, "llmformer": LlmFormerOptions}
"""A kind of networks -> the class of its field `network`."""


@dataclass(frozen=True)
class NetworkFile:
    """The file of a network.

    kind: one of KINDS. clip: a name, or the fields of a CLIP of our own (`ClipFile`); of a network
    with closed classes any host (`closed_set/hosts.py`). crop: pixels of a view. network: see
    KINDS. test: see `Protocol`. train: see `TrainOptions`.
    """

    name: Annotated[
        str, Field(pattern=r"^[\w.+-]+$", description="be letters and digits, as a file's name")
    ]
    title: Text
    clip: Annotated[str | dict[str, Any], Field(description="hold a name or fields")]
    crop: Whole
    network: Fields
    kind: Annotated[str, OneOf(*KINDS)] = "lsmseg"
    test: Fields = field(default_factory=dict)
    train: Fields = field(default_factory=dict)


def parse_changes(texts: Iterable[str]) -> dict[str, Any]:
    """["k=64", "fusion=mean", "blocks=7,15"] -> {"k": 64, "fusion": "mean", "blocks": (7, 15)}.

    For `read_network(name, **changes)`: fields of the network, of whichever kind, and clip and
    crop. Raises ConfigError for text of another form, an unknown field or a wrong value.
    """
    owners: dict[str, type] = {}
    for cls in KINDS.values():  # LSMSeg's fields are the first to be named
        owners |= {f.name: cls for f in fields(cls) if f.name not in owners}
    owners |= dict.fromkeys(CHANGEABLE, NetworkFile)
    changes: dict[str, Any] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not value:
            raise ConfigError(f"{text!r} is not a change; write a field and its value, like k=64.")
        if name not in owners:
            raise ConfigError(f"The network has no field {name!r}; {nearest(name, owners)}")
        read: Any = {"true": True, "false": False}.get(value, value)
        with suppress(ValueError):  # text stays text
            read = float(read) if "." in value and "," not in value else read
            numbers = [int(part) for part in value.strip("[]()").split(",")]
            read = numbers[0] if len(numbers) == 1 else numbers
        changes[name] = read_field(owners[name], name, read, text)
    return changes


def changed(settings: dict[str, Any], changes: Mapping[str, object]) -> dict[str, Any]:
    """The settings of a network with `changes` as `parse_changes` gives them."""
    beside = {k: v for k, v in changes.items() if k in CHANGEABLE}
    inner = {k: v for k, v in changes.items() if k not in CHANGEABLE}
    return {**settings, **beside, "network": {**settings["network"], **inner}}


def overlay(base: dict[str, Any], own: dict[str, Any], where: str) -> dict[str, Any]:
    """The settings `base` with what a file says beside its field "base".

    Fields that hold fields ("network", "test", "train") are joined; where they do not, ConfigError.
    """
    joined = {name: value for name, value in {**base, **own}.items() if name != "base"}
    for name in own.keys() & {"network", "test", "train"}:
        added = read_field(NetworkFile, name, own[name], where)
        joined[name] = {**base.get(name, {}), **added}
    return joined
