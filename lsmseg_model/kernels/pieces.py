"""Large tensors in pieces that fit the memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def pieces(x: Tensor, size: int, dim: int = 0) -> Sequence[Tensor]:
    """`x.split(size, dim)`; all of x in one where it is compiled or exported.

    Splitting would write the number of pieces into the graph, which then held for no other size.
    """
    return (x,) if torch.compiler.is_compiling() else x.split(size, dim)
