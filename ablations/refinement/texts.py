"""The texts that proposers choose among: what the store has about a vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lsmseg_prompts.vocabularies import Vocabulary

Cells = Mapping[tuple[int, str], str]


@dataclass(frozen=True)
class TextStore:
    """Descriptions of a vocabulary's classes: the chosen LLM's, others', and pair cells.

    Attributes:
        vocabulary: The classes.
        llm: Who wrote ``descriptions``.
        descriptions: {(class index, attribute): sentence}.
        pairs: {(class index, index of the other class): sentence}.
        others: Descriptions by others than ``llm``, by their names.
    """

    vocabulary: Vocabulary
    llm: str
    descriptions: Cells
    pairs: Mapping[tuple[int, int], str] = field(default_factory=dict)
    others: Mapping[str, Cells] = field(default_factory=dict)

    def attributes(self, index: int) -> list[str]:
        """The attributes, typical among them, that a class is described by."""
        return [attribute for at, attribute in self.descriptions if at == index]
