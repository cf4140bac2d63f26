"""One request for descriptions: what to ask, whom, within which bounds, and where it is kept."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lsmseg_prompts.descriptions.loading import check_attributes
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import is_path
from lsmseg_prompts.generation.limits import Limits
from lsmseg_prompts.generation.questions import QuestionBuilder
from lsmseg_prompts.llm.base import LLM
from lsmseg_prompts.llm.registry import make_llm
from lsmseg_prompts.store.store import Store
from lsmseg_prompts.templates import Query, query, read_query
from lsmseg_prompts.vocabularies import Vocabulary, load_vocabulary


@dataclass(frozen=True)
class GenerationRequest:
    """What `generate` and `dry_run` are asked to do; see docs/generation.md.

    vocabulary: its name, a file of classes, or a Vocabulary. llms: by the names of `--llm`, or
    made by `make_llm`. attributes: None is all that are described. classes: names of some, None
    is all. limit: at most so many cells. template: a query's name, or a Jinja2 file's path.
    per_call: a "cell" or all attributes of a "class" in one request. redo: ask anew for what is
    there and not locked. retry_errors: ask again for what failed before. batch: through OpenAI's
    Batch API. parameters: of the provider, such as temperature. store: the file that takes the
    descriptions, or an open store; None is the usual working store.
    """

    vocabulary: Vocabulary | str = "coco-stuff"
    llms: Sequence[LLM | str] = ("bundled",)
    attributes: Sequence[str] | None = None
    classes: Sequence[str] | None = None
    limit: int | None = None
    template: str | os.PathLike[str] = "describe-paper"
    per_call: Literal["cell", "class"] = "cell"
    redo: bool = False
    retry_errors: bool = False
    batch: bool = False
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
        check_attributes(self.attributes)
        _query(self.template)

    def loaded_vocabulary(self) -> Vocabulary:
        """The vocabulary, read if it is given by name."""
        given = self.vocabulary
        return load_vocabulary(given) if isinstance(given, str) else given

    def chosen_classes(self) -> set[int]:
        """The indices of the classes to ask about; UsageError for one that is not there."""
        vocabulary = self.loaded_vocabulary()
        if self.classes is None:
            return set(range(len(vocabulary)))
        if not self.classes:
            raise UsageError("No class is named: give some, such as --classes zebra,sky.")
        return {vocabulary.find(name).index for name in self.classes}

    def providers(self) -> list[LLM]:
        """The LLMs, made if they are given by name."""
        return [make_llm(llm) if isinstance(llm, str) else llm for llm in self.llms]

    def questions(self) -> QuestionBuilder:
        """The questions about classes of the vocabulary."""
        name = self.loaded_vocabulary().name
        return QuestionBuilder(name, _query(self.template), dict(self.parameters))


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
