"""No score from numbers that are none: what a model makes of pictures and texts is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lsmseg_model.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


class Named(Protocol):
    """A CLIP or a whole network."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def weights_hash(self) -> str:
        """The hash of its weights."""


def check_finite(values: Tensor, model: Named, of: str) -> Tensor:
    """The values; raises DataError, naming the model, where any is NaN or infinite.

    Args:
        values: Features, embeddings or logits.
        model: What made them.
        of: What from, such as "picture a.png".
    """
    if not bool(values.isfinite().all()):
        raise not_finite(model, of)
    return values


def not_finite(model: Named, of: str) -> DataError:
    """The error of a model that gives NaN or infinite values."""
    return DataError(
        f"{model.name} (weights {model.weights_hash}) gives NaN or infinite values for {of}: "
        "nothing can be scored with these weights."
    )
