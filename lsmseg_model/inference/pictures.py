"""Whole pictures through a model: encoded once, then decoded with any number of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsmseg_model.data.parallel import OnProgress
from lsmseg_model.errors import DataError, UsageError
from lsmseg_model.inference import protocol as sliding
from lsmseg_model.inference.best import at_pixel
from lsmseg_model.inference.embeddings import ClassEmbeddings
from lsmseg_model.inference.finite import check_finite
from lsmseg_model.inference.geometry import neighbours, resized_for_views
from lsmseg_model.inference.windows import picture_features
from lsmseg_model.kernels.argmax import best_class
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.networks.base import Network
from lsmseg_model.networks.cost_map import cost_map, upsample
from lsmseg_model.networks.protocol import Protocol

TEXTS_AT_ONCE = 256


def encode_texts(
    clip: Backbone, texts: Sequence[Sequence[str]], on_progress: OnProgress | None = None
) -> Tensor:
    """texts: N classes of one or more sentences -> [N, D] embeddings of length 1.

    See `Backbone.encode_texts`. Raises UsageError for no text and for one over 77 tokens.
    """
    if not texts:
        raise UsageError("Name at least one class.")
    parts = []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        parts.append(clip.encode_texts(texts[start : start + TEXTS_AT_ONCE]))
        if on_progress:
            on_progress(start + len(parts[-1]), len(texts))
    return torch.cat(parts)


def encode_picture(
    model: Backbone | Network, image: np.ndarray, name: str = "a picture"
) -> EncodedPicture:
    """The features of a picture, uint8 [H, W, 3], which no text changes.

    Raises DataError where the GPU's memory does not suffice, and for features that are NaN or
    infinite, as all that follows does; the latter names the picture.
    """
    features: Any
    with torch.inference_mode(), enough_memory():
        if isinstance(model, Backbone):
            features = check_finite(picture_features(model, image), model, name)
        else:
            protocol = model.protocol or Protocol()
            shown = resized_picture(image, protocol.side).to(model.clip.device)
            features = sliding.encode(model, shown, protocol, model.describe(name))
    return EncodedPicture(model, features, (image.shape[0], image.shape[1]), name)


@dataclass(frozen=True)
class EncodedPicture:
    """Features of one picture: dense ones of a CLIP, or what a network's `encode` makes."""

    model: Backbone | Network
    features: Any
    size: tuple[int, int]
    name: str = "a picture"

    def decode(self, text: Tensor | ClassEmbeddings) -> CostMaps | Probabilities:
        """The scores of texts in the picture: [N, D], or of a CLIP as any reading has them."""
        model = self.model
        if isinstance(text, Tensor):
            text = ClassEmbeddings(text)
        if isinstance(model, Backbone):
            return CostMaps(self.features, text.to(self.features.device), self.size)
        with enough_memory():
            rows = text.rows.to(model.clip.device)
            views = sliding.decode(model, self.features, rows, model.protocol or Protocol())
            check_finite(views.logits, model, self.name)
        return Probabilities(views, self.size)


class CostMaps:
    """The cosines of a CLIP's dense features [h, w, D] with the texts of N classes.

    A class's cosine is the highest of its rows, see `ClassEmbeddings`.
    """

    def __init__(self, features: Tensor, text: ClassEmbeddings, size: tuple[int, int]) -> None:
        self.features, self.text, self.size = features, text.of(features), size
        self.row_owners = text.owners

    def label(self, owners: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The best text of every pixel and its score: int64 [H, W] and float32 [H, W].

        owners: for each text the class that it stands for; the classes are returned then.
        """
        if self.row_owners is not None:
            owners = [at if owners is None else owners[at] for at in self.row_owners]
        with torch.inference_mode(), enough_memory():
            return _owned(*best_class(self.features, self.text, self.size), owners)

    def scores(self, wanted: Sequence[int]) -> np.ndarray:
        """float32 [W, H, W]: the cost maps of some of the texts."""
        with torch.inference_mode(), enough_memory():
            if self.row_owners is None:
                return self._enlarged(list(wanted)).cpu().numpy()
            rows = [[r for r, owner in enumerate(self.row_owners) if owner == w] for w in wanted]
            return torch.stack([self._enlarged(some).amax(dim=0) for some in rows]).cpu().numpy()

    def at(self, wanted: Sequence[int], pixel: tuple[int, int]) -> np.ndarray:
        """float32 [W]: the cosines of some of the texts at one pixel, a row and a column."""
        with torch.inference_mode():
            columns = self.features.shape[1], self.size[1]
            left, right, across = neighbours(*columns, pixel[1])
            above, below, down = neighbours(self.features.shape[0], self.size[0], pixel[0])
            pair = self.features[[above, below]]
            pair = pair[:, left] * (1 - across) + pair[:, right] * across
            cosines = (self.text @ (pair[0] * (1 - down) + pair[1] * down)).cpu().numpy()
        if self.row_owners is None:
            return cosines[list(wanted)]
        owners = np.asarray(self.row_owners)
        return np.stack([cosines[owners == one].max() for one in wanted])

    def _enlarged(self, rows: list[int]) -> Tensor:
        return upsample(cost_map(self.features[None], self.text[rows]), self.size)[0]

    @cached_property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest cosine anywhere."""
        flat = self.features.flatten(0, 1)
        parts = [flat @ some.T for some in self.text.split(256)]
        return min(float(p.min()) for p in parts), max(float(p.max()) for p in parts)


class Probabilities:
    """The probabilities that a whole network gives texts; methods as of `CostMaps`."""

    range = (0.0, 1.0)

    def __init__(self, views: sliding.Views, size: tuple[int, int]) -> None:
        self.views, self.size = views, size

    def label(self, owners: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        with enough_memory():
            return _owned(*sliding.label(self.views, self.size), owners)

    def scores(self, wanted: Sequence[int]) -> np.ndarray:
        with enough_memory():
            some = torch.tensor(list(wanted), device=self.views.kept.device)
            return sliding.scores(self.views, some, self.size).cpu().numpy()

    def at(self, wanted: Sequence[int], pixel: tuple[int, int]) -> np.ndarray:
        return at_pixel(self.scores, wanted, pixel)


@contextmanager
def enough_memory() -> Iterator[None]:
    """DataError instead of CUDA's own where the GPU's memory does not suffice."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DataError(
            "The GPU's memory does not suffice; name fewer classes, free the GPU, or use "
            "--device cpu."
        ) from error


def _owned(
    where: Tensor, best: Tensor, owners: Sequence[int] | None
) -> tuple[np.ndarray, np.ndarray]:
    if owners is not None:
        where = torch.tensor(owners, device=where.device)[where]
    return where.cpu().numpy(), best.cpu().numpy()


def resized_picture(image: np.ndarray, side: int) -> Tensor:
    """float32 [3, h, w] in 0..1, see `resized_for_views`."""
    shown = np.array(resized_for_views(image, side))
    return torch.from_numpy(shown).permute(2, 0, 1).float().div(255)
