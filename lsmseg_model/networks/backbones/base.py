"""What every backbone is: a picture tower with dense features and a text tower beside it.

A family says in a file of its own how a picture goes through its tower (`_walk`) and what its
model makes of the whole picture (`pooled`). All families go through one suite of tests
(tests/model/test_backbones.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.encoders.base import FrozenEncoder, resized
from lsmseg_model.errors import CheckpointError, UsageError
from lsmseg_model.kernels.onednn import use_onednn
from lsmseg_model.kernels.threads import in_threads
from lsmseg_model.networks.backbones.dense import (
    DENSE,
    NEEDS_PROXY,
    SAM_PROXY,
    LastBlock,
    check_dense,
    sam_proxy,
)
from lsmseg_model.networks.backbones.text import Tokenizer
from lsmseg_model.networks.backbones.text_tower import (
    encode_tokens,
    reading_lengths,
    text_projections,
    text_tower,
)
from lsmseg_model.networks.fields import Whole

MEAN = (0.48145466, 0.4578275, 0.40821073)  # OpenAI CLIP, RGB in 0..1
STD = (0.26862954, 0.26130258, 0.27577711)


Projection = tuple[nn.Parameter, str]
"""A weight whose rows make queries, keys or values, and which, in their order: "qkv", "q", "kv"."""


@dataclass(frozen=True)
class View:
    """How a picture is shown to a backbone, in pixels: resized, then cut into windows."""

    short_side: Whole
    window: Whole
    stride: Whole


class Backbone(nn.Module):
    """An open_clip model seen as a segmentation network: dense features and text embeddings.

    ``name``, ``view`` and ``weights_hash`` identify what computed a score. ``dense`` names how
    the picture tower's end gives a feature for each position, one of ``VARIANTS``; ``proxy`` is the
    encoder that "sam-proxy" takes. patch_size: pixels a position. image_size: the side that it was
    trained with. embed_dim: channels of texts and dense features. widths: channels that each block
    puts out, strides: pixels a position of it. Of the variants ``TRAINING_FREE`` is the default of
    a model that is used as it is, ``TRAINED`` that of a network that is trained on top. The
    picture tower of a family that is ``STEADY`` stays in evaluation mode in training.
    ``precision``, ``compiled``: how pictures go through it, see `inference/precision.py` and
    `inference/compiled.py`.
    """

    VARIANTS: ClassVar[tuple[str, ...]]
    STEADY: ClassVar[bool] = False
    TRAINING_FREE: ClassVar[str]
    TRAINED: ClassVar[str]
    precision, compiled = "fp32", False
    patch_size: int
    image_size: int
    embed_dim: int
    widths: list[int]
    strides: list[int]

    def __init__(
        self,
        model: Any,
        name: str,
        dense: str,
        view: View | None,
        weights_hash: str,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        check_dense(dense, self.VARIANTS, name)
        self.model = model
        self.proxy: FrozenEncoder | None = None
        self.loaded: Any = None  # published_towers.Towers
        self._measure()
        if not hasattr(self, "strides"):
            self.strides = [self.patch_size] * len(self.widths)
        self.name, self.dense, self.weights_hash = name, dense, weights_hash
        self.view = view or self.default_view()
        self._tokenizer = tokenizer or Tokenizer(text_tower(model).context_length)
        shown = getattr(model.visual, "preprocess_cfg", {})
        mean, std = shown.get("mean", MEAN), shown.get("std", STD)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        use_onednn(model)

    def train(self, mode: bool = True) -> Self:
        """The mode of training, but of a picture tower whose statistics and depth stay."""
        super().train(mode)
        if self.STEADY:
            self.model.visual.eval()
        return self

    @classmethod
    def fits(cls, model: Any) -> bool:
        """Whether an open_clip model is of this family."""
        raise NotImplementedError

    def _measure(self) -> None:
        """Set patch_size, image_size, embed_dim, widths; strides where they are not the patch's."""
        raise NotImplementedError

    def default_view(self) -> View:
        """How a picture is shown where nothing else is said: as large as trained, half overlapping.

        The short side is one and a half windows, as in NACLIP's protocol for 224 pixels.
        """
        window, patch = self.image_size, self.patch_size
        return View(3 * window // 2, window, max(1, window // patch // 2) * patch)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def tokenizer(self) -> Tokenizer:
        """Raises CheckpointError where the text tower would read its tokens as other words."""
        known, tokenizer = text_tower(self.model).vocab_size, self._tokenizer
        if tokenizer.vocab_size != known:
            raise CheckpointError(
                f"The text tower of {self.name} knows {known} tokens, but its tokenizer "
                f"({tokenizer.name}) has {tokenizer.vocab_size}: it would read other words; its "
                "configuration must name its own tokenizer (hf_tokenizer_name)."
            )
        return tokenizer

    @property
    def token_budget(self) -> int:
        """The tokens of a text, start and end included, that the text tower reads."""
        return self._tokenizer.context_length

    @property
    def grid(self) -> tuple[int, int]:
        """Positions down and across of a picture of `image_size`."""
        side = self.image_size // self.patch_size
        return side, side

    def _walk(
        self, images: Tensor, wanted: tuple[int, ...], proxy: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Dense features [B, h, w, D] and the wanted blocks' outputs, [B, h', w', width] each.

        images: [B, 3, H, W] RGB in 0..1. proxy: see `encode_dense`.
        """
        raise NotImplementedError

    def pooled(self, images: Tensor) -> Tensor:
        """images: [B, 3, H, W] RGB in 0..1 -> [B, D], the model's own embeddings, of length 1.

        By the walk of the dense features, pooled as the model pools.
        """
        raise NotImplementedError

    def _projections(self) -> list[Projection]:
        """The weights that make queries, keys and values in the picture tower's attentions.

        Raises UsageError where there are none.
        """
        raise NotImplementedError

    def learning_rows(self, parts: str) -> list[tuple[nn.Parameter, Tensor]]:
        """The weights of both towers whose rows make queries, keys or values of ``parts`` ("qv").

        With each bool [rows, 1], which rows these are. Raises UsageError where a tower has none.
        """
        rows = []
        for weight, makes in [*self._projections(), *text_projections(self.model, self.name)]:
            learn = torch.tensor([[part in parts] for part in makes], device="cpu")
            if learn.any():
                rows.append((weight, learn.repeat_interleave(len(weight) // len(makes), dim=0)))
        return rows

    def _positions(
        self,
        block: LastBlock,
        x: Tensor,
        grid: tuple[int, int],
        images: Tensor,
        proxy: Tensor | None,
    ) -> Tensor:
        """What the last block gives for each position by the variant ``dense``, [B, h*w, D].

        For towers with a class token; x: [B, 1 + h*w, D], what the block sees.
        """
        if self.dense == SAM_PROXY:
            other = resized(self.proxy_features(images) if proxy is None else proxy, grid)
            return sam_proxy(block, x[:, 1:], other.flatten(2).mT)
        return DENSE[self.dense](block, x, grid)[:, 1:]

    def encode_dense(self, images: Tensor, proxy: Tensor | None = None) -> Tensor:
        """images: [B, 3, H, W] RGB in 0..1, H and W multiples of the patch size.

        proxy: [B, C, h, w], what another encoder sees there, for the variant "sam-proxy" (by
        default from `proxy_features`); resized to this grid.
        Returns [B, H / patch, W / patch, D] features of length 1 (F_c of Eq. 1).
        """
        return F.normalize(self._walk(images, (), proxy)[0], dim=-1)

    @torch.no_grad()
    def proxy_features(self, images: Tensor) -> Tensor:
        """images: [B, 3, H, W] RGB in 0..1 -> [B, C, h, w], the last features of ``proxy``.

        It sees them squashed to the size that it was trained with. Raises UsageError without one.
        """
        if self.proxy is None:
            raise UsageError(NEEDS_PROXY)
        side = self.proxy.size
        large = F.interpolate(
            images, (side, side), mode="bilinear", align_corners=False, antialias=True
        )
        return self.proxy(large)[-1]

    def encode_layers(self, images: Tensor, blocks: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """Dense features and what some blocks (from 0) put out, without the class token.

        images: as `encode_dense`. Returns [B, D, h, w], not normalised, and [B, width, h', w']
        each: h' is the picture's height by the block's stride.
        """
        wanted = sorted(set(blocks))
        dense, between = self._walk(images, tuple(wanted))
        layers = [between[wanted.index(block)].permute(0, 3, 1, 2) for block in blocks]
        return dense.permute(0, 3, 1, 2), layers

    def encode_tokens(self, tokens: Tensor, embeddings: Tensor | None = None) -> Tensor:
        """tokens: [T, L] -> [T, D] text features of length 1; see `text_tower.encode_tokens`."""
        return encode_tokens(self.model, tokens, embeddings)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[Sequence[str]], batch_size: int | None = None) -> Tensor:
        """texts: N classes of one or more sentences -> [N, D] class embeddings of length 1.

        Each sentence is embedded and normalised, a class's sentences are averaged and the mean
        normalised again (open_clip's zero-shot classifier). Equal sentences are embedded once.
        Raises UsageError for a class without text or a sentence over the token budget,
        CheckpointError for embeddings that are NaN or infinite.
        """
        sentences = list(dict.fromkeys(s for group in texts for s in group))
        if any(not group for group in texts) or not sentences:
            raise UsageError("Every class needs at least one text.")
        tokens = self.tokenizer(sentences)
        lengths = reading_lengths(self.model, tokens)
        order = sorted(range(len(sentences)), key=lambda i: int(lengths[i]))
        features = torch.empty(len(sentences), self.embed_dim, device=self.device)

        def embed(rows: list[int]) -> Tensor:
            with torch.inference_mode():  # each thread's own
                batch = tokens[rows, : int(lengths[rows].max())]
                return self.encode_tokens(batch.to(self.device))

        batch_size = batch_size or (64 if self.device.type == "cpu" else 256)
        batches = [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
        for rows, embedded in zip(batches, in_threads(embed, batches, self.device), strict=True):
            features[rows] = embedded
        where = {s: i for i, s in enumerate(sentences)}
        means = [features[[where[s] for s in group]].mean(dim=0) for group in texts]
        embeddings = F.normalize(torch.stack(means), dim=-1)
        if not bool(embeddings.isfinite().all()):
            wrong = int((~embeddings.isfinite().all(dim=-1)).nonzero()[0])
            raise CheckpointError(
                f"{self.name} (weights {self.weights_hash}) gives NaN or infinite values for the "
                f"text {texts[wrong][0]!r}: nothing can be scored with these weights."
            )
        return embeddings
