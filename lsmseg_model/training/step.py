"""One step of training: texts, network, loss; and the optimizer with its schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lsmseg_model.data.descriptions import Description
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.networks.backbones.text_tower import reading_lengths
from lsmseg_model.networks.base import Batch, Network
from lsmseg_model.training.options import PretrainOptions, TrainOptions


class Step(nn.Module):
    """What torchrun's processes compute together: the loss of some pictures."""

    def __init__(self, network: Network, ignored: str) -> None:
        super().__init__()
        self.network, self.ignored = network, ignored

    def forward(
        self,
        images: Tensor,
        labels: Tensor,
        texts: Tensor,
        descriptions: Sequence[Description] | None = None,
    ) -> Tensor:
        """The loss, see `Network.training_loss`.

        Args:
            images: See `Batch`, as for the others.
            labels: int64 [B, H, W].
            texts: [N, D] embeddings, or int64 [N, L] tokens, which are embedded with a gradient.
            descriptions: One a picture.
        """
        if not texts.is_floating_point():
            texts = embed(self.network.clip, texts)
        batch = Batch(images, labels, texts, self.ignored, descriptions)
        return self.network.training_loss(batch)


def pixels(labels: Tensor, ignored: str) -> int:
    """How many pixels a loss sums over."""
    return int((labels >= 0).sum()) if ignored == "leave" else labels.numel()


def embed(
    clip: Backbone, tokens: Tensor, dropped: Tensor | None = None, together: int = 32
) -> Tensor:
    """The sentences' embeddings with a gradient, in batches cut to their longest sentence.

    Args:
        clip: Its text tower.
        tokens: int64 [T, L].
        dropped: [T, L, width], the tokens' own embeddings with some left out, or None.
        together: Sentences of a batch.

    Returns [T, D] of length 1.
    """
    lengths = reading_lengths(clip.model, tokens)
    order = lengths.argsort(stable=True)
    parts = []
    for rows in order.split(together):  # short sentences do not pay for the longest
        length = int(lengths[rows].max())
        some = None if dropped is None else dropped[rows, :length]
        parts.append(clip.encode_tokens(tokens[rows, :length], some))
    return torch.cat(parts)[order.argsort()]


class Texts:
    """The texts of the classes, embedded once while the text tower is frozen."""

    def __init__(self, network: Network, groups: Sequence[Sequence[str]], trains: bool) -> None:
        """groups: one or more sentences for every class; one of them is drawn in each step."""
        self.groups = [list(group) for group in groups]
        sentences = list(dict.fromkeys(s for group in self.groups for s in group))
        self.row = {sentence: row for row, sentence in enumerate(sentences)}
        device = network.clip.device
        if trains:
            self.table = network.clip.tokenizer(sentences).to(device)
        else:
            self.table = network.clip.encode_texts([[s] for s in sentences]).clone()

    def draw(self, rng: Any) -> Tensor:
        """One sentence of every class: rows of tokens [N, L], or of embeddings [N, D]."""
        chosen = [group[int(rng.integers(len(group)))] for group in self.groups]
        return self.table[[self.row[sentence] for sentence in chosen]]


class Optimizer:
    """AdamW or SGD: CLIP at a lower rate, norms without decay, all gradients clipped.

    Of CLIP's joint projections only the rows that learn may decay: AdamW would shrink them all, so
    that is done here.
    """

    def __init__(self, network: Network, options: TrainOptions) -> None:
        norms = {
            id(p)
            for m in network.modules()
            if isinstance(m, nn.LayerNorm | nn.GroupNorm | nn.BatchNorm2d)
            for p in m.parameters()
        }
        some = options.clip not in ("full", "freeze")
        projections = network.clip.learning_rows(options.clip) if some else []
        self.partly = [(weight, rows.to(weight.device)) for weight, rows in projections]
        decayed_here = {id(parameter) for parameter, _ in self.partly}
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in network.named_parameters():
            if not parameter.requires_grad:
                continue
            decay = 0.0 if id(parameter) in norms | decayed_here else options.weight_decay
            factor = options.clip_lr_factor if name.startswith("clip.") else 1.0
            groups.setdefault((factor, decay), []).append(parameter)
        self.options = options
        self.parameters = [p for group in groups.values() for p in group]
        settings = [
            {"params": parameters, "factor": factor, "weight_decay": decay}
            for (factor, decay), parameters in groups.items()
        ]
        self.rule: torch.optim.Optimizer
        if options.optimizer == "sgd":
            self.rule = torch.optim.SGD(settings, lr=options.lr, momentum=0.9)
        else:
            self.rule = torch.optim.AdamW(settings, lr=options.lr)

    def step(self, rate: float) -> None:
        """One update; `rate` is the head's learning rate."""
        for group in self.rule.param_groups:
            group["lr"] = rate * group["factor"]
        shrink = 1 - rate * self.options.clip_lr_factor * self.options.weight_decay
        with torch.no_grad():
            for parameter, rows in self.partly:
                parameter.mul_(torch.where(rows, shrink, 1.0))
        self.rule.step()
        self.rule.zero_grad(set_to_none=True)


def rate_at(step: int, options: TrainOptions | PretrainOptions) -> float:
    """The learning rate: a linear rise, then down to zero at the last iteration."""
    if step < options.warmup:
        return options.lr * (step + 1) / options.warmup
    along = (step - options.warmup) / max(1, options.iterations - options.warmup)
    if getattr(options, "schedule", "cosine") == "poly":
        return options.lr * (1 - min(1.0, along)) ** 0.9
    return options.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, along)))
