"""The three attentions of an LLMFormer, with the alternatives that its ablations compare.

Shapes: B pictures, q queries (mask embeddings), m channels, K objects, L maps, P positions of all
maps together, n heads. Each adds what it finds and normalises, as Mask2Former's layers do.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.networks.llmformer.config import LlmFormerOptions
from lsmseg_model.networks.llmformer.priors import Priors

LEVELS = 4


@dataclass(frozen=True)
class Maps:
    """The maps, one behind the other: keys (with positions) and values [B, P, m].

    sizes: the positions of each. outside: bool [B, q, P], where a query does not look.
    """

    keys: Tensor
    values: Tensor
    sizes: list[int]
    outside: Tensor


class Attention(nn.Module):
    """The projections of multi-head attention; what makes weights of the scores is the caller's."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Q K^T / sqrt(m / n): [B, q, m] and [B, P, m] -> [B, n, q, P]."""
        q, k = self._heads(self.query(queries)), self._heads(self.key(keys))
        return (q * q.shape[-1] ** -0.5) @ k.mT

    def mix(self, weights: Tensor, values: Tensor) -> Tensor:
        """What the weights [B, n, q, P] take of the values [B, P, m]: [B, q, m]."""
        found: Tensor = self.out((weights @ self._heads(self.value(values))).mT.flatten(1, 2).mT)
        return found

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class SemanticAttention(nn.Module):
    """(a): queries ask, priors answer: Q <- Norm(Q + MHA(Q, [e_obj; e_att], [e_obj; e_att])).

    A_sem [B, q, K] is what each query gives to each object, the mean over heads. Decided: it is the
    softmax over objects and attributes, its part of the attributes left out; "add" is equal
    weights; of "none" it is zero, so that neither attributes nor relations reach the queries. A
    picture without objects leaves its queries as they are.
    """

    def __init__(self, options: LlmFormerOptions) -> None:
        super().__init__()
        self.kind = options.semantic
        self.types = nn.Parameter(torch.randn(2, options.width) * 0.02)
        self.attention = Attention(options.width, options.heads)
        self.norm = nn.LayerNorm(options.width)

    def forward(self, queries: Tensor, known: Priors) -> tuple[Tensor, Tensor]:
        """The queries [B, q, m] with what they are told, and A_sem [B, q, K]."""
        q, k = queries.shape[1], known.objects.shape[1]
        named = (known.objects != 0).any(dim=-1)
        if self.kind == "none":
            return queries, torch.zeros_like(known.objects[..., 0])[:, None].expand(-1, q, -1)
        priors, there = known.objects + self.types[0], named
        if self.kind != "objects":
            priors = torch.cat([priors, known.attributes + self.types[1]], dim=1)
            there = torch.cat([there, (known.attributes != 0).any(dim=-1)], dim=1)
        if self.kind == "concat":
            priors = torch.cat([priors, queries], dim=1)
            there = F.pad(there, (0, q), value=True)
        scores = self.attention.scores(queries, priors)
        if self.kind == "add":
            scores = torch.zeros_like(scores)
        heads = hidden(scores, ~there[:, None]).softmax(dim=-1)
        told = self.norm(queries + self.attention.mix(heads, priors))
        some = named.any(dim=1)[:, None, None]
        return torch.where(some, told, queries), heads.mean(dim=1)[..., :k] * named[:, None]


class ScaledVisualAttention(nn.Module):
    """(b): Q <- Norm(Q + sum_l s_ql CrossAttention(Q, V_l)), s_q = softmax(MLP(a_q)).

    a_q = sum_k A_sem[q, k] e_att[k]. One attention serves all maps. Decided: plain attention, not
    Mask2Former's deformable one, whose kernel no CPU has; "one" is the backbone's own grid.
    """

    def __init__(self, options: LlmFormerOptions, layer: int) -> None:
        super().__init__()
        self.kind, self.hard, self.layer = options.scales, options.selection == "hard", layer
        width = options.width
        self.attention = Attention(width, options.heads)
        self.select = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, LEVELS))
        self.norm = nn.LayerNorm(width)

    def scores(self, queries: Tensor, attributes: Tensor) -> Tensor:
        """Scale scores s [B, q, L] of queries and their attribute embeddings a, [B, q, m] each."""
        if self.kind in ("round_robin", "one"):
            level = 1 if self.kind == "one" else LEVELS - 1 - self.layer % LEVELS
            only = torch.tensor(level, device=queries.device).expand(queries.shape[:2])
            return F.one_hot(only, LEVELS).to(queries.dtype)
        found = self.select(attributes if self.kind == "attributes" else queries)
        if self.hard and not self.training:
            return F.one_hot(found.argmax(dim=-1), LEVELS).to(found.dtype)
        scores: Tensor = found.softmax(dim=-1)
        return scores

    def forward(
        self, queries: Tensor, places: Tensor, attributes: Tensor, maps: Maps
    ) -> tuple[Tensor, Tensor]:
        """The queries that have looked, and the scale scores.

        Args:
            queries: [B, q, m].
            places: [q, m], the queries' own positions.
            attributes: [B, q, m], a.
            maps: The L maps.
        """
        scales = self.scores(queries, attributes)
        scores = hidden(self.attention.scores(queries + places, maps.keys), maps.outside)
        each = zip(scores.split(maps.sizes, dim=-1), scales.split(1, dim=-1), strict=True)
        weights = torch.cat([part.softmax(dim=-1) * s[:, None] for part, s in each], dim=-1)
        return self.norm(queries + self.attention.mix(weights, maps.values)), scales


class RelationAttention(nn.Module):
    """(c): Q <- Norm(Q + softmax(Q K^T / sqrt(m / n) + A_sem R A_sem^T) V), one bias a head."""

    def __init__(self, options: LlmFormerOptions) -> None:
        super().__init__()
        self.kind, self.hard = options.relations, options.mapping == "hard"
        self.attention = Attention(options.width, options.heads)
        self.norm = nn.LayerNorm(options.width)

    def forward(self, queries: Tensor, places: Tensor, weights: Tensor, graph: Tensor) -> Tensor:
        """The queries that know of one another.

        Args:
            queries: [B, q, m].
            places: [q, m].
            weights: A_sem [B, q, K].
            graph: R [B, n, K, K].
        """
        bias = between_masks(weights, graph, self.hard)
        scores = bias
        if self.kind != "prior":
            scores = self.attention.scores(queries + places, queries + places)
            scores = scores + bias if self.kind == "both" else scores
        return self.norm(queries + self.attention.mix(scores.softmax(dim=-1), queries))


def between_masks(weights: Tensor, graph: Tensor, hard: bool = False) -> Tensor:
    """R_mask = A_sem R A_sem^T: [B, q, K] and [B, n, K, K] -> [B, n, q, q].

    hard: a query is wholly the object that it attends to most; the gradient is that of A_sem.
    """
    if hard:
        most = F.one_hot(weights.argmax(dim=-1), weights.shape[-1]).to(weights)
        weights = most * (weights.amax(dim=-1, keepdim=True) > 0) + weights - weights.detach()
    return weights[:, None] @ graph @ weights[:, None].mT


def hidden(scores: Tensor, where: Tensor) -> Tensor:
    """Scores [B, n, q, P] whose keys get no weight `where`, bool [B, 1 or q, P]."""
    return scores.masked_fill(where[:, None], torch.finfo(scores.dtype).min)
