"""One request for descriptions: what to ask, whom, within which bounds, and where it is kept."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lsmseg_prompts.attributes.contrast import other_of
from lsmseg_prompts.attributes.samples import MOST_SAMPLES, sample
from lsmseg_prompts.descriptions.loading import Cell, attributes_of, check_attributes
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import is_path
from lsmseg_prompts.generation.limits import Limits
from lsmseg_prompts.generation.questions import QuestionBuilder
from lsmseg_prompts.llm.base import LLM
from lsmseg_prompts.llm.bundled import LLM_NAME
from lsmseg_prompts.llm.registry import make_llm
from lsmseg_prompts.store.store import Store
from lsmseg_prompts.templates import Query, query, read_query
from lsmseg_prompts.tokens import find_budget
from lsmseg_prompts.vocabularies import Vocabulary, load_vocabulary


@dataclass(frozen=True)
class GenerationRequest:
    """What `generate` and `dry_run` are asked to do; see docs/generation.md.

    vocabulary: its name, a file of classes, or a Vocabulary. llms: by the names of `--llm`, or made
    by `make_llm`. attributes: None is all that are described. classes: names of some, None is all.
    cells: just these, (class index, attribute), in place of both; so pair cells are asked for, (22,
    "contrast:cow"). samples: so many texts of each cell, see `attributes.samples`. limit: at most
    so many cells. template: a query's name, or a Jinja2 file's path. per_call: a "cell" or all
    attributes of a "class" in one request. redo: ask anew for what is there and not locked.
    retry_errors: ask again for what failed before. batch: through the provider's batch API.
    budget: the name of the token budget that a text must fit, see `tokens`; None is CLIP's 77.
    parameters: of the provider, such as temperature. store: the file that takes the descriptions,
    or an open store; None is the usual working store.
    """

    vocabulary: Vocabulary | str = "coco-stuff"
    llms: Sequence[LLM | str] = ("bundled",)
    attributes: Sequence[str] | None = None
    classes: Sequence[str] | None = None
    cells: Sequence[Cell] | None = None
    samples: int = 1
    limit: int | None = None
    template: str | os.PathLike[str] = "describe-paper"
    per_call: Literal["cell", "class"] = "cell"
    redo: bool = False
    retry_errors: bool = False
    batch: bool = False
    budget: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    store: Store | str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if self.per_call not in ("cell", "class"):
            raise UsageError(f"per_call is cell or class, not {self.per_call!r}.")
        if self.limit is not None and self.limit < 1:
            raise UsageError("limit, the number of cells to ask for, must be at least 1.")
        names = [llm if isinstance(llm, str) else llm.name for llm in self.llms]
        if doubles := {name for name in names if names.count(name) > 1}:
            raise UsageError(f"--llm {min(doubles)} is given twice.")
        if not 1 <= self.samples <= MOST_SAMPLES:
            raise UsageError(f"samples must be 1 to {MOST_SAMPLES}, not {self.samples}.")
        if self.samples > 1 and LLM_NAME in names:
            raise UsageError(
                "bundled has written its samples already, bundled#2: leave it or --samples out."
            )
        if self.cells is not None:
            if self.attributes is not None or self.classes is not None:
                raise UsageError("cells says what to ask for: leave out attributes and classes.")
            if self.samples > 1:
                raise UsageError(
                    'cells names each sample, such as (22, "color#2"): leave out samples.'
                )
            if self.per_call == "class" and any(other_of(a) is not None for _, a in self.cells):
                raise UsageError("Pair cells are asked for one by one: leave out --per-call class.")
        check_attributes(self.attributes)
        _query(self.template)
        find_budget(self.budget)

    def loaded_vocabulary(self) -> Vocabulary:
        """The vocabulary, read if it is given by name."""
        given = self.vocabulary
        return load_vocabulary(given) if isinstance(given, str) else given

    def wanted_cells(self) -> list[Cell]:
        """The cells to be filled; UsageError for a class or an attribute that is not there."""
        vocabulary = self.loaded_vocabulary()
        if self.cells is not None:
            return list(dict.fromkeys(_checked(*cell, vocabulary) for cell in self.cells))
        if self.classes is not None and not self.classes:
            raise UsageError("No class is named: give some, such as --classes zebra,sky.")
        chosen = None if self.classes is None else {vocabulary.find(n).index for n in self.classes}
        attributes = check_attributes(self.attributes)
        entries = [e for e in vocabulary if chosen is None or e.index in chosen]
        return [
            (entry.index, sample(attribute, number))
            for entry in entries
            for attribute in attributes
            for number in range(1, self.samples + 1)
        ]

    def providers(self) -> list[LLM]:
        """The LLMs, made if they are given by name."""
        return [make_llm(llm) if isinstance(llm, str) else llm for llm in self.llms]

    def questions(self) -> QuestionBuilder:
        """The questions about classes of the vocabulary."""
        vocabulary = self.loaded_vocabulary()
        how = dict(self.parameters), find_budget(self.budget)
        return QuestionBuilder(vocabulary, _query(self.template), *how)


def _checked(index: int, attribute: str, vocabulary: Vocabulary) -> Cell:
    if not 0 <= index < len(vocabulary):
        raise UsageError(
            f"The vocabulary {vocabulary.name} has no class {index}: its classes are 0 to "
            f"{len(vocabulary) - 1}."
        )
    (meant,) = attributes_of(vocabulary[index], vocabulary, [attribute])
    return index, meant


def _query(template: str | os.PathLike[str]) -> Query:
    name = os.fspath(template)
    if name in ("describe-paper", "describe-thesis"):
        return query(name)
    if is_path(name) or os.path.exists(name):
        return read_query(name)
    raise UsageError(
        f"There is no description template {name!r}: describe-paper, describe-thesis, or a "
        "Jinja2 file of your own."
    )
