"""The texts that proposers choose among: what the store has about a vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lsmseg_prompts.prompts.controls import donors, shuffle
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import Vocabulary
from lsmseg_prompts.vocabularies.renaming import rename

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
        budget: The tokens that a text may take; these all fit.
    """

    vocabulary: Vocabulary
    llm: str
    descriptions: Cells
    pairs: Mapping[tuple[int, int], str] = field(default_factory=dict)
    others: Mapping[str, Cells] = field(default_factory=dict)
    budget: TokenBudget = CLIP

    def within(self, budget: TokenBudget) -> TextStore:
        """The same for a model of another budget: what it reads whole."""

        def fitting(cells: Mapping[Any, str]) -> dict[Any, str]:
            return {cell: text for cell, text in cells.items() if budget.fits(text)}

        return replace(
            self,
            descriptions=fitting(self.descriptions),
            pairs=fitting(self.pairs),
            others={llm: fitting(cells) for llm, cells in self.others.items()},
            budget=budget,
        )

    def attributes(self, index: int) -> list[str]:
        """The attributes, typical among them, that a class is described by."""
        return [attribute for at, attribute in self.descriptions if at == index]

    def shuffled(self, seed: int = 0) -> TextStore:
        """The control: every class has what another one was described by, under its own name."""
        names = list(dict.fromkeys(attribute for _, attribute in self.descriptions))
        whole = [
            a for a in names if all((e.index, a) in self.descriptions for e in self.vocabulary)
        ]
        drawn = donors(self.vocabulary, seed)
        of_class: dict[int, list[str]] = {}
        for (index, _), text in self.pairs.items():
            of_class.setdefault(index, []).append(text)
        described = sorted(of_class)
        pairs: dict[tuple[int, int], str] = {}
        for place, index in enumerate(described):
            donor = drawn[index] if drawn[index] in of_class else described[place - 1]
            others = [other for at, other in self.pairs if at == index]
            for other, text in zip(others, of_class[donor], strict=False):
                entry = self.vocabulary[index]
                pairs[index, other] = rename(text, self.vocabulary[donor], entry)
        cells = shuffle(self.descriptions, self.vocabulary, whole, seed)
        return replace(self, descriptions=cells, pairs=pairs, others={})
