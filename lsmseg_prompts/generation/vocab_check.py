"""The check of a vocabulary's names as a whole: findings, and better names by rule or by an LLM."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.generation.engine import open_store_for
from lsmseg_prompts.generation.name_proposals import ask_names
from lsmseg_prompts.llm.bundled import LLM_NAME
from lsmseg_prompts.vocabularies import (
    ClassEntry,
    Vocabulary,
    available_vocabularies,
    load_vocabulary,
)
from lsmseg_prompts.vocabularies.check import (
    Finding,
    check_vocabulary,
    propose,
    raw_names,
    without_clashes,
)

if TYPE_CHECKING:
    from lsmseg_prompts.llm.base import LLM


@dataclass(frozen=True)
class VocabularyCheck:
    """The `findings`, the `proposals` for some of their classes (index -> entry), and why an LLM
    that was asked proposes nothing for some (`failures`)."""

    vocabulary: Vocabulary
    findings: list[Finding]
    proposals: dict[int, ClassEntry]
    failures: dict[int, str]


def vocab_check(
    vocabulary: Vocabulary | str | Path,
    llm: LLM | None = None,
    *,
    store: str | os.PathLike[str] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> VocabularyCheck:
    """Names that people or an LLM would misread, and better ones to confirm.

    Args:
        vocabulary: a vocabulary, its name, or a file of the user's own.
        llm: who proposes names and senses beside the rules.
        store: the path of the store that takes every request and its raw reply; None for the
            usual one.
        on_progress: called with the numbers of classes answered and asked about.

    Raises:
        UsageError: there is no such vocabulary, or `llm` is the bundled one.
        LsmsegPromptsError: what asking the LLM raises.
    """
    if llm is not None and llm.name == LLM_NAME:
        raise UsageError("bundled proposes no names: name another LLM, or leave --llm out.")
    classes = load_vocabulary(vocabulary)
    shipped = isinstance(vocabulary, Vocabulary) or classes.name in available_vocabularies()
    findings = check_vocabulary(classes, None if shipped else raw_names(str(vocabulary)))
    proposals = propose(classes, findings)
    failures: dict[int, str] = {}
    if llm is not None and findings:
        with open_store_for(llm, store) as opened:
            answer = ask_names(llm, classes, findings, opened, on_progress=on_progress)
        failures = answer.failures
        proposals = without_clashes(classes, {**proposals, **answer.entries})
    return VocabularyCheck(classes, findings, proposals, failures)
