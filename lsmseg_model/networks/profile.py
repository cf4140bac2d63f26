"""What a network is made of, and what it takes: parameters, operations, memory.

Nothing is computed: the tensors have shapes only, torch counts the operations of its matrix
products and convolutions (a multiplication and an addition are two), and `memory.py` the bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lsmseg_model.errors import UsageError
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.networks.backbones.convolutional import Convolutional
from lsmseg_model.networks.base import Network
from lsmseg_model.networks.build import build, read_network
from lsmseg_model.networks.lsmseg import LsmSeg
from lsmseg_model.networks.memory import kept_for_backward, peak
from lsmseg_model.networks.protocol import Protocol

# Table 7 of the paper: learnable parameters in millions, GFLOPs and milliseconds (ViT-L/14).
PAPER = {
    "cat-seg-l": {"learnable_millions": 70.3, "gflops": 3459.7, "latency_ms": 535.2},
    "lsmseg-l": {"learnable_millions": 73.4, "gflops": 3140.6, "latency_ms": 426.0},
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
HOST, REST = "host", "beside"
MOST, LARGEST = 100_000, 4096  # classes, and pixels of a side


@dataclass(frozen=True)
class NetworkProfile:
    """`parts`: rows of part, parameters, trainable, and GFLOPs of a view (of the texts: of all).

    A picture of `side` x `side` pixels is seen in `views` views of `crop` x `crop` pixels;
    `gflops`: of a view, `gflops_picture`: of all of them, `gflops_texts`: of the classes' texts,
    one of `tokens` tokens each, all that its tower reads. memory: megabytes of 32-bit floats,
    estimated (`memory.py`):
    `weights`; in a forward pass of one view `forward`, of all at once `picture`; in training
    beside the weights `gradients`, `adamw`, and for a batch of one picture `kept` for the
    gradients, `kept_texts` of the texts, where the text tower learns.
    """

    name: str
    title: str
    parts: list[dict[str, Any]]
    parameters: int
    trainable: int
    gflops: float
    gflops_picture: float
    gflops_texts: float
    memory: dict[str, float]
    crop: int
    side: int
    views: int
    classes: int
    tokens: int
    paper: dict[str, float] | None


def profile(
    name: str,
    classes: int = 171,
    learns: str | None = None,
    size: int | None = None,
    **changes: Any,
) -> NetworkProfile:
    """Parameters, operations and memory of a network; nothing is computed.

    Args:
        name: A network, see `read_network`.
        classes: Classes to tell apart.
        learns: Which of CLIP's projections, see `LsmSeg.trainable` (default: "qv", of a tower of
            convolutions "freeze").
        size: The side that pictures are squashed to (default: that of its protocol).
        changes: Fields instead of the network's, see `read_network`.

    Raises:
        UsageError: For an unknown name, and for more than it can count.
        ConfigError: For a wrong field or value.
    """
    for what, number, most in (("classes", classes, MOST), ("size", size, LARGEST)):
        if number is not None and not 1 <= number <= most:
            raise UsageError(f"--{what} must be from 1 to {most}, not {number}.")
    settings = {**read_network(name, **changes), "classes": [f"class {n}" for n in range(classes)]}
    with torch.device("meta"):
        network = build(settings).eval()
        learns = learns or _learns(network)
        network.trainable(learns)
        protocol: Protocol = network.protocol
        if size is not None:
            protocol = replace(protocol, side=size)
        views, crop = len(protocol.places) + 1, settings["crop"]
        images = torch.empty(views, 3, crop, crop)
        texts = torch.empty(classes, network.clip.embed_dim)
        budget = network.clip.token_budget if isinstance(network.clip, Backbone) else 0
        tokens = torch.zeros(classes, budget, dtype=torch.long)
        operations, forward = _operations(network, images[:1], texts, tokens[:1])
        operations["CLIP, texts"] *= classes
        memory = _memory(network, images, texts, tokens, forward)
    rows = _parts(network, learns, operations)
    of_a_view = sum(operations.values()) - operations["CLIP, texts"]
    total = sum(row["parameters"] for row in rows)
    return NetworkProfile(
        name=settings["name"],
        title=settings["title"],
        parts=rows,
        parameters=total,
        trainable=sum(row["trainable"] for row in rows),
        gflops=of_a_view,
        gflops_picture=views * of_a_view,
        gflops_texts=operations["CLIP, texts"],
        memory=memory,
        crop=crop,
        side=protocol.side,
        views=views,
        classes=classes,
        tokens=budget,
        paper=None if changes else PAPER.get(settings["name"]),
    )


def _learns(network: Network) -> str:
    """Which of CLIP's projections learn where nothing else is said."""
    if isinstance(network, LsmSeg):
        return "freeze" if isinstance(network.clip, Convolutional) else "qv"
    return str(network.settings.get("train", {}).get("clip", "freeze"))


def _places(network: Network) -> dict[str, tuple[str, ...]]:
    """Part -> how the names of its parameters begin, see PARTS; beside LSMSeg, child by child."""
    if isinstance(network, LsmSeg):
        return PARTS
    read = isinstance(network.clip, Backbone)
    ours = {p: PARTS[p] for p in ("CLIP, pictures", "CLIP, texts")} if read else {HOST: ("clip.",)}
    others = [name for name, _ in network.named_children() if name != "clip"]
    return {**ours, **{name: (f"{name}.",) for name in others}, REST: ("",)}


def _operations(
    network: Network, images: Tensor, texts: Tensor, tokens: Tensor
) -> tuple[dict[str, float], int]:
    """GFLOPs of every part for these pictures and these sentences; bytes that the pictures need."""
    from torch.utils.flop_counter import FlopCounterMode

    def count(run: Callable[[], Any]) -> tuple[Callable[[str], float], int]:
        with FlopCounterMode(display=False) as counter:
            most = peak(run)
        counts = counter.get_flop_counts()
        return lambda module: sum(counts.get(module, {}).values()) / 1e9, most

    inside, forward = count(lambda: network(images, texts))
    if not isinstance(network, LsmSeg):
        name = type(network).__name__
        parts = {part: inside(f"{name}.{part}") for part in _places(network)}
        read = isinstance(network.clip, Backbone)
        seen = "CLIP, pictures" if read else HOST
        parts[seen] = inside("Global") - sum(parts.values())
        told = (lambda: network.clip.encode_tokens(tokens)) if read else (lambda: None)
        return {**parts, "CLIP, texts": count(told)[0]("Global")}, forward
    refinement = ["conv1", "guidance_projection", "text_guidance_projection"]
    refinement += [f"layers.{i}" for i in range(len(network.transformer.layers))]
    gflops = {
        "second encoder": inside("LsmSeg.sam"),
        "fusion": inside("LsmSeg.fusion"),
        "guidance": inside("LsmSeg.upsample1") + inside("LsmSeg.upsample2"),
        "refinement": sum(inside(f"LsmSeg.transformer.{part}") for part in refinement),
    }
    gflops["decoder"] = inside("LsmSeg.transformer") - gflops["refinement"]
    gflops["CLIP, pictures"] = inside("LsmSeg") - sum(gflops.values())
    of_texts, _ = count(lambda: network.clip.encode_tokens(tokens))
    gflops["CLIP, texts"] = of_texts("Global")
    return gflops, forward


def _memory(
    network: Network, images: Tensor, texts: Tensor, tokens: Tensor, forward: int
) -> dict[str, float]:
    """Megabytes, see `NetworkProfile`; `forward` of them, in bytes, is known."""
    learning = sum(p.numel() for p in network.parameters() if p.requires_grad)
    texts_learn = isinstance(network.clip, Backbone) and any(
        p.requires_grad
        for name, p in network.clip.model.named_parameters()
        if not name.startswith("visual.")
    )
    sizes = {
        "weights": 4 * sum(p.numel() for p in network.parameters()),
        "forward": forward,
        "picture": forward if len(images) == 1 else peak(lambda: network(images, texts)),
        "gradients": 4 * learning,
        "adamw": 8 * learning,
    }
    network.train()
    sizes["kept"] = kept_for_backward(lambda: network(images[:1], texts), network)
    sizes["kept_texts"] = (
        kept_for_backward(lambda: network.clip.encode_tokens(tokens), network) if texts_learn else 0
    )
    return {name: size / 1e6 for name, size in sizes.items()}


def _parts(network: Network, clip: str, operations: dict[str, float]) -> list[dict[str, Any]]:
    places = _places(network)
    rows: dict[str, dict[str, Any]] = {
        part: {"part": part, "parameters": 0, "trainable": 0, "gflops": round(operations[part], 1)}
        for part in places
    }
    projections = network.clip.learning_rows(clip) if clip not in ("full", "freeze") else []
    learning = {id(weight): int(learn.sum()) for weight, learn in projections}
    for name, parameter in network.named_parameters():
        part = next(p for p, starts in places.items() if name.startswith(starts))
        rows[part]["parameters"] += parameter.numel()
        rows[part]["trainable"] += _learning(parameter, learning.get(id(parameter)))
    return [row for row in rows.values() if row["parameters"]]


def _learning(parameter: nn.Parameter, rows: int | None) -> int:
    """How many numbers of a parameter learn; rows: of a projection of CLIP's, how many of them."""
    if not parameter.requires_grad:
        return 0
    return parameter.numel() if rows is None else rows * parameter.shape[1]


def summary_lines(p: NetworkProfile) -> list[str]:
    """What a profile says below its parts."""
    need = p.memory
    beside = need["gradients"] + need["adamw"] + need["kept"] + need["kept_texts"]
    lines = [
        f"{p.title}: {p.parameters / 1e6:.2f} million parameters, "
        f"{p.trainable / 1e6:.2f} million of them learn",
        f"A picture of {p.side} x {p.side} pixels, {p.classes} classes: "
        f"{p.gflops_picture:.1f} GFLOPs, {p.views} views of {p.crop} x {p.crop} "
        f"pixels and {p.gflops:.1f} each; once for all pictures {p.gflops_texts:.1f} for "
        f"texts of {p.tokens} tokens",
        f"Memory, estimated: weights {need['weights']:.0f} MB; beside them {need['forward']:.0f} "
        f"MB for a view, {need['picture']:.0f} MB for all views of a picture at once",
        f"In training, estimated, a batch of one: {beside:.0f} MB beside the weights (gradients "
        f"{need['gradients']:.0f}, AdamW {need['adamw']:.0f}, kept for the gradients "
        f"{need['kept']:.0f} of the picture, {need['kept_texts']:.0f} of the texts)",
    ]
    if p.paper:
        lines.append(
            f"Table 7 of the paper: {p.paper['learnable_millions']} million that learn, "
            f"{p.paper['gflops']} GFLOPs. It does not say the picture's size, the classes, "
            "the views, whether the texts count, and whether a multiplication and an addition are "
            "one operation or two (docs/network.md)."
        )
    return lines
