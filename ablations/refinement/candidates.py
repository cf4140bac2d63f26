"""A candidate of refinement: other texts for one class, and where they come from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

Group = tuple[str, ...]
"""The texts of a class; their embeddings are averaged."""


@dataclass(frozen=True)
class Candidate:
    """Other texts for one class.

    Attributes:
        index: The class's place in the vocabulary.
        texts: Its texts.
        proposer: Who proposed them.
        recipe: What they are, in words that hold for any class where they can, such as
            "ensemble(shape+pattern)" or "contrast:horse".
        attempts: The questions to an LLM that they answer, by their ids in the store.
        cost: Dollars that these took.
    """

    index: int
    texts: Group
    proposer: str
    recipe: str
    attempts: tuple[int, ...] = field(default=(), compare=False)
    cost: float = field(default=0.0, compare=False)

    @property
    def key(self) -> str:
        """The hash of the class and its texts, see `text_key`."""
        return text_key(self.index, self.texts)


def text_key(index: int, texts: Group) -> str:
    """The hash of a class's place and texts: what scores depend on."""
    text = json.dumps([index, texts], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
