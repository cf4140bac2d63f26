"""What a network is made of, as a value: fields, their checks, and changes given as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from lsmseg_model.encoders.registry import ENCODERS
from lsmseg_model.errors import ConfigError
from lsmseg_model.networks.fusion import FUSIONS

REFINEMENTS = {
    "both": (True, True),
    "spatial": (True, False),
    "class": (False, True),
    "none": (False, False),
}
CHOICES: dict[str, Sequence[str]] = {
    "encoder": [*ENCODERS, "none"],
    "fusion": [*FUSIONS, "none"],
    "cost_map": ["clip", "fused"],
    "refinement": list(REFINEMENTS),
}
MAY_BE_ZERO = ("blocks", "encoder_size", "pad_len", "layers")
BESIDE = {"clip": "", "crop": 0}  # what may be changed beside the fields of the network


@dataclass(frozen=True)
class NetworkConfig:
    """What a network is made of, beside its CLIP.

    blocks: CLIP's blocks (from 0) whose outputs guide the decoder. encoder: the second encoder
    ("sam-b", "dinov2-b", ... or "none"), fused by `fusion`, which sees pictures of `encoder_size`
    pixels (0: as it was trained, SAM 1024, DINOv2 518). cost_map: from CLIP's dense features
    ("clip", the paper) or the fused ones ("fused", the thesis). refinement: "both", "spatial",
    "class" or "none". k: classes that the category filter keeps. pad_len: see `HeadSizes`.
    pooling: before the class refinement, in training and at test.
    """

    blocks: tuple[int, int] = (3, 7)
    encoder: str = "none"
    encoder_size: int = 0
    fusion: str = "none"
    cost_map: str = "clip"
    refinement: str = "both"
    k: int = 32
    pad_len: int = 0
    hidden: int = 128
    guidance: tuple[int, int] = (256, 128)
    projected: tuple[int, int] = (32, 16)
    decoder: tuple[int, int] = (64, 32)
    layers: int = 2
    heads: int = 4
    window: int = 12
    resolution: int = 24
    pooling: tuple[int, int] = (2, 1)

    @classmethod
    def read(cls, values: dict[str, Any], where: str) -> NetworkConfig:
        """From the field `network` of a configuration; `where` names it in messages.

        Raises ConfigError for an unknown field or value, with the nearest right one.
        """
        known = {f.name: f.default for f in fields(cls)}
        given: dict[str, Any] = {}
        for name, value in values.items():
            if name not in known:
                raise ConfigError(f"{where}: the network has no field {_near(name, known)}")
            given[name] = _checked(name, value, known[name], where)
        made = cls(**given)
        if (made.encoder == "none") != (made.fusion == "none"):
            raise ConfigError(
                f"{where}: encoder is {made.encoder} and fusion is {made.fusion}, but they go "
                "together: name both, or none for both."
            )
        if made.cost_map == "fused" and made.fusion == "none":
            raise ConfigError(f"{where}: a fused cost map needs a fusion.")
        if made.hidden % made.heads:
            raise ConfigError(f"{where}: hidden ({made.hidden}) is no multiple of heads.")
        if any(channels % 16 for channels in made.decoder):
            raise ConfigError(
                f"{where}: decoder is {made.decoder[0]},{made.decoder[1]}, but it takes multiples "
                "of 16 channels, such as 64,32."
            )
        return made


@dataclass(frozen=True)
class Protocol:
    """How a picture is looked at, in pixels: squashed to `side` x `side`, then crops of `crop` x
    `crop` every `stride`, and the whole. Crops as large as the side: the whole alone.

    Raises ConfigError where the crops would not cover the picture exactly.
    """

    side: int = 640
    crop: int = 384
    stride: int = 256

    def __post_init__(self) -> None:
        side, crop, stride = self.side, self.crop, self.stride
        if min(side, crop, stride) < 1 or crop > side:
            raise ConfigError(
                f"crops of {crop} every {stride} do not fit a picture of {side}; "
                "choose 1 <= crop <= side and stride >= 1."
            )
        if side > crop and (stride > crop or (side - crop) % stride):
            raise ConfigError(
                f"crops of {crop} every {stride} do not cover a picture of {side}; "
                "choose a stride that divides side - crop and is at most crop."
            )

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Top and left of the crops in the squashed picture."""
        if self.crop == self.side:
            return ()
        steps = range(0, self.side - self.crop + 1, self.stride)
        return tuple((top, left) for top in steps for left in steps)


PUBLISHED_PROTOCOL = Protocol()
"""CAT-Seg's, which the paper follows."""


def parse_changes(texts: Iterable[str]) -> dict[str, Any]:
    """["k=64", "fusion=mean", "blocks=7,15"] -> {"k": 64, "fusion": "mean", "blocks": (7, 15)}.

    For `read_network(name, **changes)`: fields of the network, and clip and crop. Raises
    ConfigError for text of another form, an unknown field or a wrong value.
    """
    known = {**{f.name: f.default for f in fields(NetworkConfig)}, **BESIDE}
    changes: dict[str, Any] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not value:
            raise ConfigError(f"{text!r} is no change; write a field and its value, like k=64.")
        if name not in known:
            raise ConfigError(f"the network has no field {_near(name, known)}")
        read: Any = value
        if not isinstance(known[name], str):
            with suppress(ValueError):  # what is no number is refused below
                numbers = [int(part) for part in value.strip("[]()").split(",")]
                read = numbers[0] if len(numbers) == 1 else numbers
        changes[name] = _checked(name, read, known[name], text)
    return changes


def changed(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The settings of a network with `changes` as `parse_changes` gives them."""
    beside = {k: v for k, v in changes.items() if k in BESIDE}
    inner = {k: v for k, v in changes.items() if k not in BESIDE}
    return {**settings, **beside, "network": {**settings["network"], **inner}}


def overlay(base: dict[str, Any], own: dict[str, Any], where: str) -> dict[str, Any]:
    """The settings `base` with what a file says beside its field "base".

    Fields that hold fields ("network", "test", "train") are joined. Raises ConfigError for a
    field that settings do not have.
    """
    known = {**base, "name": "", "title": "", "test": {}, "train": {}}
    joined = dict(base)
    for name, value in own.items():
        if name == "base":
            continue
        if name not in known:
            raise ConfigError(f"{where}: there is no field {_near(name, known)}")
        inside = isinstance(known[name], dict)
        if inside and not isinstance(value, dict):
            raise ConfigError(f"{where}: {name} must hold fields, not {value!r}.")
        joined[name] = {**base.get(name, {}), **value} if inside else value
    return joined


def check_settings(settings: dict[str, Any], where: str) -> None:
    """Raise ConfigError for a field of the settings that is of another kind than it should be."""
    kinds: dict[str, Any] = {
        "name": str,
        "clip": (str, dict),
        "network": dict,
        "test": dict,
        "train": dict,
    }
    words = {"name": "text", "clip": "a name or fields"}
    for name, kind in kinds.items():
        value = settings.get(name, {})
        if not isinstance(value, kind):
            word = words.get(name, "fields")
            raise ConfigError(f"{where}: {name} must hold {word}, not {value!r}.")
    if not re.fullmatch(r"[\w.+-]+", settings["name"]):
        raise ConfigError(
            f"{where}: the name {settings['name']!r} is no name for a file; use letters and digits."
        )
    _checked("crop", settings["crop"], 0, where)


def _checked(name: str, value: Any, default: Any, where: str) -> Any:
    """`value` as the field takes it: text, a whole number or two of them."""
    if isinstance(default, str):
        allowed = CHOICES.get(name)
        if not isinstance(value, str) or (allowed and value not in allowed):
            near = get_close_matches(str(value), allowed or (), 1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            choices = f"choose {', '.join(allowed)}" if allowed else "it must be a name"
            raise ConfigError(f"{where}: {name} is {value!r}; {choices}{hint}")
        return value
    least = 0 if name in MAY_BE_ZERO else 1
    pair = isinstance(default, tuple)
    numbers = value if pair and isinstance(value, list | tuple) else [value]
    fits = len(numbers) == (2 if pair else 1)
    if not fits or not all(type(n) is int and n >= least for n in numbers):
        kind = "two whole numbers" if pair else "a whole number"
        example = ",".join(map(str, default)) if pair else str(default or 384)
        raise ConfigError(
            f"{where}: {name} must be {kind} from {least} on, such as {example}, not {value!r}."
        )
    return tuple(numbers) if pair else numbers[0]


def _near(name: str, known: Iterable[str]) -> str:
    """The name, and the nearest right one."""
    names = list(known)
    near = get_close_matches(name, names, 1)
    return f"{name!r}; " + (f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}.")
