"""What a network is made of, and what one forward pass takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .lsmseg import LsmSeg
from .networks import build_network, read_network

# Table 7 of the paper: learnable parameters in millions and GFLOPs (of ViT-L/14, on 640 pixels).
PAPER = {
    "cat-seg-l": {"learnable_millions": 70.3, "gflops": 3459.7},
    "lsmseg-l": {"learnable_millions": 73.4, "gflops": 3140.6},
}
PARTS = {
    "CLIP, pictures": ("clip.model.visual.",),
    "CLIP, texts": ("clip.model.",),
    "second encoder": ("sam.",),
    "fusion": ("fusion.",),
    "guidance": ("upsample1.", "upsample2."),
    "refinement": ("transformer.layers.", "transformer.conv1.", "transformer.guidance_projection.",
                   "transformer.text_guidance_projection."),
    "decoder": ("transformer.",),
}  # fmt: skip


@dataclass(frozen=True)
class Description:
    """`parts`: rows of part, parameters, trainable. `gflops`: of one view of one picture, without
    the texts; counted by torch (a multiplication and an addition are two)."""

    name: str
    title: str
    parts: list[dict[str, Any]]
    parameters: int
    trainable: int
    megabytes: float
    gflops: float
    crop: int
    classes: int
    paper: dict[str, float] | None


def describe(name: str, classes: int = 171, clip: str = "qv", **changes: Any) -> Description:
    """Describe a network without computing anything: its tensors have shapes only.

    clip: which of CLIP's projections learn, see `LsmSeg.trainable`. changes: fields of the
    network. Raises UsageError and ConfigError.
    """
    from torch.utils.flop_counter import FlopCounterMode

    settings = read_network(name, **changes)
    with torch.device("meta"):
        network = build_network(name, **changes).eval()
        network.trainable(clip)
        crop = settings["crop"]
        images = torch.empty(1, 3, crop, crop)
        texts = torch.empty(classes, network.clip.embed_dim)
        with FlopCounterMode(display=False) as counter:
            network(images, texts)
    rows = _parts(network, clip)
    total = sum(row["parameters"] for row in rows)
    return Description(
        name=settings["name"],
        title=settings["title"],
        parts=rows,
        parameters=total,
        trainable=sum(row["trainable"] for row in rows),
        megabytes=4 * total / 1e6,
        gflops=counter.get_total_flops() / 1e9,
        crop=crop,
        classes=classes,
        paper=PAPER.get(settings["name"]),
    )


def _parts(network: LsmSeg, clip: str) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {
        part: {"part": part, "parameters": 0, "trainable": 0} for part in PARTS
    }
    for name, parameter in network.named_parameters():
        part = next(p for p, starts in PARTS.items() if name.startswith(starts))
        rows[part]["parameters"] += parameter.numel()
        rows[part]["trainable"] += _learning(name, parameter, clip)
    return [row for row in rows.values() if row["parameters"]]


def _learning(name: str, parameter: nn.Parameter, clip: str) -> int:
    """How many numbers of a parameter learn: of CLIP's joint projections only some rows do."""
    if not parameter.requires_grad:
        return 0
    if name.endswith("attn.in_proj_weight") and clip not in ("full", "freeze"):
        return parameter.numel() * len(clip) // 3
    return parameter.numel()


def lines(found: Description) -> list[str]:
    """What a description says below its parts."""
    said = [
        f"{found.title}: {found.parameters / 1e6:.2f} million parameters, "
        f"{found.trainable / 1e6:.2f} million of them learn; {found.megabytes:.0f} MB as 32-bit "
        "floats",
        f"{found.gflops:.1f} GFLOPs for one view of {found.crop} x {found.crop} pixels and "
        f"{found.classes} classes, texts left out",
    ]
    if found.paper:
        said.append(
            f"Table 7 of the paper: {found.paper['learnable_millions']} million that learn, "
            f"{found.paper['gflops']} GFLOPs. Its picture size and what it counts as an operation "
            "are not told, so the GFLOPs cannot be compared."
        )
    return said
