"""The category filter: only the classes that respond most go on (Eq. 2 to 4).

CAT-Seg does the same with 256 classes; LSMSeg keeps 32, in training too. There a class of the
labels that would be dropped is forced back in: its logit would be a constant, a loss without a
gradient.
"""

import torch
from torch import Tensor

from lsmseg_model.kernels.pieces import pieces

CLASSES_AT_ONCE = 1024


@torch.no_grad()
def respond(features: Tensor, texts: Tensor) -> Tensor:
    """How much each class responds: the cosine at its best position (Eq. 2), [B, N].

    features: [B, D, H, W], texts: [B, N, D], both of length 1. Some classes at a time.
    """
    flat = features.flatten(2)
    return torch.cat([(t @ flat).amax(dim=2) for t in pieces(texts, CLASSES_AT_ONCE, dim=1)], dim=1)


def keep(response: Tensor, k: int, wanted: Tensor | None = None) -> Tensor:
    """The classes to keep: int64 [B, min(k, N)], in no order.

    response: [B, N]. wanted: bool [B, N], classes of the labels, kept first (the best of them
    where they are more than k).
    """
    if wanted is not None:
        response = torch.where(wanted, response + 3.0, response)  # a cosine is at most 1
    return response.topk(torch.sym_min(k, response.shape[1]), dim=1, sorted=False).indices


def gather(texts: Tensor, kept: Tensor) -> Tensor:
    """The embeddings of the kept classes (Eq. 4). texts: [B, N, D] -> [B, k, D]."""
    return texts.gather(1, kept[..., None].expand(-1, -1, texts.shape[2]))
