"""The parts of a model as graphs: traced by torch.export, written as ONNX, compared with torch.

A graph holds for any number of pictures, texts and classes. Mean and std are inside: pictures go in
as RGB in 0..1.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.deploy.description import CLIP_TOKENS
from lsmseg_model.deploy.sessions import open_session
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.networks.lsmseg import LsmSeg

EXAMPLES = ("a photo of a zebra", "the sky")
CLASSES = 40  # of the example that a whole network is traced with


@dataclass(frozen=True)
class Graph:
    """A part of a model.

    name: of its file. module: computes it. inputs: an example of each input, by its name; other:
    another one, of other sizes. free: of each input the axes that may have any size, by their
    names; at most: what bounds them. outputs: their names.
    """

    name: str
    module: nn.Module
    inputs: dict[str, Tensor]
    other: dict[str, Tensor]
    free: dict[str, dict[int, str]]
    outputs: tuple[str, ...]
    at_most: dict[str, int]


class _Dense(nn.Module):
    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone.encode_dense(images)


class _Texts(nn.Module):
    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, tokens: Tensor) -> Tensor:
        return self.backbone.encode_tokens(tokens)


class _Network(nn.Module):
    def __init__(self, network: LsmSeg) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        logits, kept = self.network(images, texts)
        if kept is None:
            kept = torch.arange(texts.shape[0]).expand(logits.shape[0], -1)
        return logits, kept


def dense_graph(backbone: Backbone) -> Graph:
    """Pictures [B, 3, S, S] to dense features [B, h, w, D] of length 1."""
    two, three = (_pictures(backbone, count) for count in (2, 3))
    free = {"images": {0: "pictures"}}
    return Graph("dense", _Dense(backbone), {"images": two}, {"images": three}, free,
                 ("features",), {})  # fmt: skip


def text_graph(backbone: Backbone, short_texts: bool) -> Graph:
    """Tokens [T, L] to embeddings [T, D] of length 1; of any length L where texts may be short."""
    tokens = backbone.tokenizer(EXAMPLES)
    other, free, at_most = tokens[[0, 1, 0]], {0: "texts"}, {}
    if short_texts:
        free[1], at_most = "length", {"length": tokens.shape[1]}
        tokens = tokens[:, : _longest(tokens)]
    return Graph("text", _Texts(backbone), {"tokens": tokens}, {"tokens": other},
                 {"tokens": free}, ("embeddings",), at_most)  # fmt: skip


def network_graph(network: LsmSeg) -> Graph:
    """Pictures [B, 3, S, S] and texts [N, D] to logits [B, K, h, w] and the classes kept [B, K]."""
    example, other = (
        {
            "images": _pictures(network.clip, pictures),
            "texts": F.normalize(torch.randn(classes, network.clip.embed_dim), dim=-1),
        }
        for pictures, classes in ((2, CLASSES), (3, 2 * CLASSES))
    )
    free = {"images": {0: "pictures"}, "texts": {0: "classes"}}
    return Graph("network", _Network(network), example, other, free, ("logits", "kept"), {})


def may_be_short(backbone: Backbone) -> bool:
    """Whether a text has the same embedding when nothing is filled up behind its end."""
    if backbone.tokenizer.name != CLIP_TOKENS:
        return False
    tokens = backbone.tokenizer(EXAMPLES)
    with torch.inference_mode():
        whole = backbone.encode_tokens(tokens)
        try:
            short = backbone.encode_tokens(tokens[:, : _longest(tokens)])
        except (RuntimeError, IndexError):  # a tower that takes the whole length alone
            return False
    return bool((whole - short).abs().max() < 1e-4)


def _longest(tokens: Tensor) -> int:
    """How many tokens the longest of CLIP's rows has, which are filled up with zeros."""
    return int(tokens.count_nonzero(dim=1).max())


def _pictures(backbone: Backbone, count: int) -> Tensor:
    side = backbone.view.window
    return torch.rand(count, 3, side, side)


def trace(graph: Graph) -> Any:
    """The graph as torch.export has it.

    Sizes that the tracer cannot compare, such as min(k, classes), become assertions in the graph,
    some of them needless, such as that there is more than one class: they are taken out. Results
    are compared with torch's instead.
    """
    dims = {
        name: torch.export.Dim(name, max=graph.at_most.get(name))
        for axes in graph.free.values()
        for name in axes.values()
    }
    shapes = {
        name: {axis: dims[free] for axis, free in axes.items()} for name, axes in graph.free.items()
    }
    module, inputs = graph.module.eval(), tuple(graph.inputs.values())
    with torch.no_grad(), _quiet():
        module(*inputs)  # what it keeps, such as `refinement.windows`, is then no tracer's
        traced = torch.export.export(
            module,
            inputs,
            dynamic_shapes=shapes,
            strict=False,
            prefer_deferred_runtime_asserts_over_guards=True,
        )
    nodes = traced.graph_module.graph
    for node in list(nodes.nodes):
        if node.target is torch.ops.aten._assert_scalar.default:
            nodes.erase_node(node)
    nodes.eliminate_dead_code()
    traced.graph_module.recompile()
    return traced


def write_onnx(graph: Graph, traced: Any, path: Path) -> float:
    """Write a traced graph as ONNX; the largest difference of its results from torch's."""
    with _quiet():
        program: Any = torch.onnx.export(
            traced,
            (),
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamo=True,
            verbose=False,
        )
        program.rename_axes(
            {
                given.shape[axis]: name
                for given in program.model.graph.inputs
                for axis, name in graph.free[given.name].items()
            }
        )
        program.save(path)
    session = open_session(path)
    run = session.run(None, {name: value.numpy() for name, value in graph.other.items()})
    return _difference(graph, [torch.from_numpy(np.asarray(one)) for one in run])


def write_torch(graph: Graph, traced: Any, path: Path) -> float:
    """Write a traced graph for torch.export.load, as `write_onnx`."""
    with _quiet():
        torch.export.save(traced, path)
        loaded = torch.export.load(path).module()
        with torch.no_grad():
            run = loaded(*graph.other.values())
    return _difference(graph, list(run) if isinstance(run, tuple) else [run])


def _difference(graph: Graph, results: list[Tensor]) -> float:
    """The largest difference from torch's own results; of logits of the same classes."""
    with torch.inference_mode():
        expected = graph.module(*graph.other.values())
    if isinstance(expected, Tensor):
        return float((expected - results[0]).abs().max())
    return float((_by_class(*expected) - _by_class(results[0], results[1])).abs().max())


def _by_class(logits: Tensor, kept: Tensor) -> Tensor:
    """The logits [B, K, h, w] in the order of the classes' numbers."""
    order = kept.argsort(dim=1)[..., None, None]
    return logits.gather(1, order.expand_as(logits))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes about what it could not fold."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
