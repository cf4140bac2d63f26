"""Test-time augmentation: a picture mirrored and at several scales, its scores averaged.

Each view goes the model's own way; its scores (a CLIP's cosines, a network's probabilities) are
enlarged to the picture's size and mirrored back, then averaged, and only then compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from lsmseg_model.inference.best import at_pixel, best_of
from lsmseg_model.inference.embeddings import ClassEmbeddings
from lsmseg_model.inference.options import Augmentation
from lsmseg_model.inference.pictures import (
    CostMaps,
    EncodedPicture,
    Probabilities,
    encode_picture,
)
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.networks.base import Network
from lsmseg_model.networks.protocol import Protocol


def encode_views(
    model: Backbone | Network,
    image: np.ndarray,
    augmentation: Augmentation,
    name: str = "a picture",
) -> EncodedPicture | EncodedViews:
    """The features of all views of a picture, uint8 [H, W, 3]; see `encode_picture`.

    Args:
        model: A CLIP, or a whole network.
        image: The picture.
        augmentation: The views.
        name: What an error calls the picture.
    """
    if augmentation.plain:
        return encode_picture(model, image, name)
    shown = [(image, False)]
    if augmentation.flip:
        shown.append((np.ascontiguousarray(image[:, ::-1]), True))
    return EncodedViews(
        [
            (encode_picture(scaled(model, scale), picture, name), flip)
            for scale in augmentation.scales
            for picture, flip in shown
        ]
    )


def scaled(model: Backbone | Network, scale: float) -> Backbone | Network:
    """The same model, by which pictures are seen larger or smaller; the weights are shared.

    A CLIP resizes the short side to so much more, but never to less than its window; a network
    squashes to the nearest side that its crops cover exactly (`Protocol.scaled`).
    """
    if scale == 1:
        return model
    other = copy(model)
    if isinstance(other, Backbone):
        view = other.view
        short_side = max(view.window, round(view.short_side * scale))
        other.view = replace(view, short_side=short_side)
    else:
        other.protocol = (other.protocol or Protocol()).scaled(scale)
    return other


@dataclass(frozen=True)
class EncodedViews:
    """Encoded views of one picture, each with whether it is mirrored; see `EncodedPicture`."""

    views: Sequence[tuple[EncodedPicture, bool]]

    def decode(self, text: Tensor | ClassEmbeddings) -> MeanScores:
        """The averaged scores of texts in the picture."""
        return MeanScores([(view.decode(text), flip) for view, flip in self.views], len(text))


class MeanScores:
    """Scores averaged over views; methods as of `CostMaps`."""

    def __init__(self, views: Sequence[tuple[CostMaps | Probabilities, bool]], texts: int) -> None:
        self.views, self.texts = views, texts

    def label(self, owners: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The best text of every pixel and its score: int64 [H, W] and float32 [H, W].

        owners: for each text the class that it stands for; the classes are returned then.
        """
        size = self.views[0][0].size
        where, best = best_of(self.scores, self._able(), size)
        return (where if owners is None else np.asarray(owners)[where]), best

    def scores(self, wanted: Sequence[int]) -> np.ndarray:
        """float32 [W, H, W]: the mean scores of some of the texts."""
        total = None
        for view, flip in self.views:
            scores = view.scores(wanted)
            scores = scores[..., ::-1] if flip else scores
            total = scores.copy() if total is None else total + scores
        assert total is not None
        return total / np.float32(len(self.views))

    def at(self, wanted: Sequence[int], pixel: tuple[int, int]) -> np.ndarray:
        """float32 [W]: the mean scores of some of the texts at one pixel, a row and a column."""
        return at_pixel(self.scores, wanted, pixel)

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest score of any view."""
        low, high = zip(*(view.range for view, _ in self.views), strict=True)
        return min(low), max(high)

    def _able(self) -> list[int]:
        """The texts that may win, in order: those that any view of a network has kept."""
        kept = [view.views.kept for view, _ in self.views if isinstance(view, Probabilities)]
        if not kept:
            return list(range(self.texts))
        return sorted({int(one) for some in kept for one in some.unique()})
