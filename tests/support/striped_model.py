"""A model for tests of the studio: what it finds depends on the texts in a way that one can see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class StripedModel:
    """The upper half of a picture is of the first prompt, the lower of one that the texts choose.

    The longer the first text, the later the prompt. ``on_encode`` is called for each picture.
    """

    on_encode: Callable[[], object] = lambda: None
    encoded: int = 0
    name: str = "striped"
    score: str = "cosine"
    weights_hash: str = "none"

    def default_texts(self, classes: Sequence[str]) -> list[list[str]]:
        return [[name] for name in classes]

    def embed(self, texts: Any, reading: Any = None) -> Any:
        return texts

    def encode(self, image: np.ndarray, name: str = "a picture") -> Any:
        self.encoded += 1
        self.on_encode()
        return StripedPicture((image.shape[0], image.shape[1]))


@dataclass
class StripedPicture:
    """A picture of this size."""

    size: tuple[int, int]

    def decode(self, text: Any) -> StripedScores:
        return StripedScores(self.size, text)


@dataclass
class StripedScores:
    """The label map of texts."""

    size: tuple[int, int]
    texts: Any
    range: tuple[float, float] = (0.0, 1.0)

    def label(self, owners: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        labels = np.zeros(self.size, np.int64)
        labels[self.size[0] // 2 :] = len(self.texts[0][0]) % len(self.texts)
        if owners is not None:
            labels = np.asarray(owners)[labels]
        return labels, np.ones(self.size, np.float32)

    def scores(self, wanted: Sequence[int]) -> np.ndarray:
        return np.ones((len(wanted), *self.size), np.float32)
