"""The mask decoder: four maps of the backbone's features, layers of three attentions, two heads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.networks.llmformer.attention import (
    LEVELS,
    Maps,
    RelationAttention,
    ScaledVisualAttention,
    SemanticAttention,
)
from lsmseg_model.networks.llmformer.config import LlmFormerOptions
from lsmseg_model.networks.llmformer.priors import Priors


@dataclass(frozen=True)
class Masks:
    """What the decoder says of B pictures after one of its layers.

    classes: [B, q, D], of length 1, to be compared with texts. masks: logits [B, q, 2h, 2w].
    semantic: A_sem [B, q, K]; scales: [B, q, L] (both zero before the first layer).
    """

    classes: Tensor
    masks: Tensor
    semantic: Tensor
    scales: Tensor


class Pyramid(nn.Module):
    """Dense features [B, D, h, w] -> maps [B, m, ., .] at 2, 1, 1/2 and 1/4 times their grid."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.reduce = nn.Sequential(
            nn.Conv2d(dim, width, 1),
            nn.GroupNorm(4, width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.finer = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.coarser = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride=2, padding=1) for _ in range(LEVELS - 2)
        )

    def forward(self, features: Tensor) -> list[Tensor]:
        """The four maps, the finest first."""
        maps = [self.reduce(features)]
        for smaller in self.coarser:
            maps.append(smaller(F.relu(maps[-1])))
        return [self.finer(F.relu(maps[0])), *maps]


class Layer(nn.Module):
    """Semantic, scaled visual and relation attention, then a feed-forward part."""

    def __init__(self, options: LlmFormerOptions, layer: int) -> None:
        super().__init__()
        width = options.width
        self.semantic = SemanticAttention(options)
        self.visual = ScaledVisualAttention(options, layer)
        self.relation = RelationAttention(options)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width)
        )
        self.norm = nn.LayerNorm(width)

    def forward(
        self, queries: Tensor, places: Tensor, known: Priors, maps: Maps
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The queries after this layer, A_sem and the scale scores.

        Args:
            queries: [B, q, m].
            places: [q, m].
            known: The priors.
            maps: Of the features.
        """
        queries, weights = self.semantic(queries, known)
        queries, scales = self.visual(queries, places, weights @ known.attributes, maps)
        queries = self.relation(queries, places, weights, known.relations)
        return self.norm(queries + self.feed(queries)), weights, scales


class MaskDecoder(nn.Module):
    """Features and priors in, masks with class embeddings out.

    Decided, as in Mask2Former: a query looks only where its mask of the layer before is (anywhere
    if that is nowhere), keys carry sine positions, and the first masks come from the learned
    queries. The linear maps of the priors and R's weights serve all layers. A class embedding is
    linear(Q), near zero at the start, plus the mean dense feature under the mask, as FC-CLIP pools
    it, plus A_sem e_obj: what learns from few classes alone carries no name that it never saw.
    """

    def __init__(self, dim: int, options: LlmFormerOptions) -> None:
        super().__init__()
        width = options.width
        self.pyramid = Pyramid(dim, width)
        self.level = nn.Parameter(torch.randn(LEVELS, width) * 0.02)
        self.start = nn.Parameter(torch.randn(options.queries, width))
        self.places = nn.Parameter(torch.randn(options.queries, width))
        self.objects, self.attributes = nn.Linear(dim, width), nn.Linear(dim, width)
        self.graph = nn.Linear(dim, options.heads)  # w . e_rel + b0
        nn.init.normal_(self.graph.weight)  # e_rel has length 1, A_sem is below 1
        self.layers = nn.ModuleList(Layer(options, at) for at in range(options.layers))
        self.norm = nn.LayerNorm(width)
        self.to_class = nn.Linear(width, dim)
        nn.init.normal_(self.to_class.weight, std=0.05 / math.sqrt(width))
        nn.init.zeros_(self.to_class.bias)
        self.to_mask = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width),
        )  # fmt: skip
        self.pixels = nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor, priors: Priors) -> list[Masks]:
        """features: [B, D, h, w] -> the masks before the first layer and after each."""
        pyramid = self.pyramid(features)
        pixels = self.pixels(F.relu(pyramid[0]))
        keys, values = self._in_a_row(pyramid)
        known = self.known(priors)
        queries = self.start.repeat(len(features), 1, 1)
        read = (pixels, F.normalize(features, dim=1), priors.objects)
        weights = queries.new_zeros(*queries.shape[:2], priors.objects.shape[1])
        found = [self._masks(queries, weights, weights.new_zeros(*queries.shape[:2], LEVELS), read)]
        for layer in self.layers:
            outside = [_outside(found[-1].masks.detach(), one) for one in pyramid]
            sizes = [part.shape[-1] for part in outside]
            maps = Maps(keys, values, sizes, torch.cat(outside, dim=-1))
            queries, weights, scales = layer(queries, self.places, known, maps)
            found.append(self._masks(queries, weights, scales, read))
        return found

    def known(self, priors: Priors) -> Priors:
        """The priors in the decoder's width, and R; what is missing stays zero."""
        layers = (self.objects, self.attributes, self.graph)
        each = zip(layers, vars(priors).values(), strict=True)
        objects, attributes, graph = (f(x) * (x != 0).any(dim=-1, keepdim=True) for f, x in each)
        return Priors(objects, attributes, graph.permute(0, 3, 1, 2))

    def _in_a_row(self, pyramid: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Keys and values [B, P, m] of all maps, one behind the other."""
        values = [one.flatten(2).mT + self.level[at] for at, one in enumerate(pyramid)]
        places = [sine_positions(one.shape[2:], one.shape[1]) for one in pyramid]
        together = torch.cat(values, dim=1)
        return together + torch.cat(places).to(together), together

    def _masks(
        self, queries: Tensor, weights: Tensor, scales: Tensor, read: tuple[Tensor, Tensor, Tensor]
    ) -> Masks:
        """The two heads. read: pixel features, normalised dense features, object embeddings."""
        pixels, dense, objects = read
        queries = self.norm(queries)
        masks = torch.einsum("bqm,bmhw->bqhw", self.to_mask(queries), pixels)
        inside = F.adaptive_avg_pool2d(masks.detach().sigmoid(), (dense.shape[2], dense.shape[3]))
        pooled = F.normalize(torch.einsum("bqhw,bdhw->bqd", inside, dense), dim=-1)
        classes = self.to_class(queries) + pooled + weights @ objects
        return Masks(F.normalize(classes, dim=-1), masks, weights, scales)


def _outside(masks: Tensor, one: Tensor) -> Tensor:
    """The positions of a map where each query's mask is not, bool [B, q, P]; none if all are."""
    small = F.interpolate(masks, one.shape[2:], mode="bilinear", align_corners=False)
    outside = small.flatten(2) < 0
    return outside & ~outside.all(dim=-1, keepdim=True)


def sine_positions(size: Sequence[int], channels: int) -> Tensor:
    """Sines and cosines of the rows and columns of a grid, [h * w, channels] (DETR's)."""
    rates = 10_000.0 ** (-torch.arange(channels // 4) / (channels // 4))
    along = [2 * math.pi * (torch.arange(n) + 1)[:, None] / n * rates for n in size]
    y, x = (torch.cat([a.sin(), a.cos()], dim=-1) for a in along)
    height, width = size
    both = [y[:, None].expand(-1, width, -1), x[None].expand(height, -1, -1)]
    return torch.cat(both, dim=-1).flatten(0, 1)
