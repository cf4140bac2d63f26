"""A model that embeds each text once: for people who change one text after another."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from lsmseg_model.inference.class_prompts import Encoded, Model
from lsmseg_model.inference.reading import MEAN, Groups, Reading


class TextCache:
    """A `Segmenter`, or an exported model, that keeps the embeddings of the last texts.

    Args:
        model: What embeds.
        most: Classes whose embeddings are kept.
    """

    def __init__(self, model: Model, most: int = 4096) -> None:
        self.model, self.most = model, most
        self._kept: OrderedDict[tuple[str, ...], Any] = OrderedDict()

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def score(self) -> str:
        return self.model.score

    def default_texts(self, classes: Sequence[str]) -> list[list[str]]:
        return self.model.default_texts(classes)

    def encode(self, image: np.ndarray, name: str = "a picture") -> Encoded:
        return self.model.encode(image, name)

    def embed(self, texts: Groups, reading: Reading = MEAN) -> Any:
        """As the model's, but with the reading `mean` only what is new is embedded."""
        groups = [tuple(group) for group in texts]
        new = list(dict.fromkeys(group for group in groups if group not in self._kept))
        if reading != MEAN or not groups or len(groups) > self.most:
            return self.model.embed(texts, reading)
        if new:
            made = self.model.embed(new)
            self._together = type(made).of_parts
            self._kept.update(zip(new, made.parts(), strict=True))
        for group in groups:
            self._kept.move_to_end(group)
        while len(self._kept) > self.most:
            self._kept.popitem(last=False)
        return self._together([self._kept[group] for group in groups])
