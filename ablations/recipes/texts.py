"""The texts that a recipe's variants score and train with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ablations.recipes.files import Settings
from ablations.scoring.budgets import budget_for
from lsmseg_prompts.descriptions.loading import load
from lsmseg_prompts.errors import ConfigurationError
from lsmseg_prompts.prompts.compose import written_for
from lsmseg_prompts.prompts.prompt_set import PromptSet, build_prompt_set, cells
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import Vocabulary


class Texts:
    """The descriptions by each LLM of each vocabulary that the settings need; seed: of controls.

    budget: what all texts fit (default: that of each variant's model).

    Raises ConfigurationError that says which commands make what is missing, of all at once.
    """

    def __init__(
        self,
        vocabularies: Iterable[Vocabulary],
        settings: Iterable[Settings],
        store: str | None,
        seed: int,
        budget: TokenBudget | None = None,
    ) -> None:
        self.seed, self.budget = seed, budget
        needed: dict[str, dict[str, None]] = {}
        for own in settings:
            wanted = [] if own.attributes == ["name"] else own.attributes
            names = cells(wanted or [], own.composition or "concat")
            needed.setdefault(str(own.llm), {}).update(dict.fromkeys(names))
        self._loaded: dict[tuple[str, str], Mapping[tuple[int, str], str]] = {}
        lacking: dict[str, None] = {}
        for vocabulary in {v.name: v for v in vocabularies}.values():
            for llm, attributes in needed.items():
                try:
                    self._loaded[vocabulary.name, llm] = (
                        load(vocabulary, llm, list(attributes), store) if attributes else {}
                    )
                except ConfigurationError as error:
                    lacking[f"{vocabulary.name}: {error}"] = None
        if lacking:
            raise ConfigurationError(" ".join([*lacking, "Or name another LLM with --llm."]))

    def prompt_set(self, vocabulary: Vocabulary, settings: Settings) -> PromptSet:
        """The prompts of a variant for a vocabulary."""
        llm, budget = str(settings.llm), self.budget or budget_for(None, settings.model)
        return build_prompt_set(
            self._loaded[vocabulary.name, llm],
            vocabulary,
            settings.attributes or [],
            settings.composition or "concat",
            llm,
            settings.control,
            self.seed,
            # All descriptions are there: only what cannot be shortened stands with its name.
            missing="fail" if budget == CLIP else "name",
            writing=written_for(budget),
        )
