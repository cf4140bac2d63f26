"""Prompt sets of the descriptions in the store, and where a prompt set comes from."""

from __future__ import annotations

import os
from collections.abc import Sequence

from lsmseg_prompts import __version__
from lsmseg_prompts.attributes.samples import sampled
from lsmseg_prompts.descriptions.loading import check_attributes, load
from lsmseg_prompts.llm.bundled import LLM_NAME, PROVENANCE
from lsmseg_prompts.prompts.compose import SENTENCE, Writing
from lsmseg_prompts.prompts.name_templates import NAME_TEMPLATES
from lsmseg_prompts.prompts.prompt_set import PromptSet, build_prompt_set, cells
from lsmseg_prompts.store.sqlite import existing_store_path
from lsmseg_prompts.vocabularies import Vocabulary, load_vocabulary

DEFAULT_ATTRIBUTES = ("color", "shape", "texture", "pattern")
"""The attributes that classes are described by when the user names none."""


def prompt_set(
    vocabulary: Vocabulary | str,
    attributes: Sequence[str],
    composition: str = "concat",
    llm: str = "bundled",
    store: str | os.PathLike[str] | None = None,
    missing: str = "fail",
    samples: bool = False,
    writing: Writing = SENTENCE,
    control: str | None = None,
    seed: int = 0,
) -> PromptSet:
    """The prompt set of `attributes`, its descriptions taken from the store; ("name",) needs none.

    Args:
        vocabulary: the vocabulary, or its name or file.
        attributes: which attributes, in the order they shall stand in.
        composition: "concat", "ensemble" or "sentence".
        llm: who wrote the descriptions; see `load` for their second samples.
        store: the path of the working store; None for the usual one.
        missing: what becomes of a class that lacks descriptions, see `build_prompt_set`.
        samples: whether all samples of a description are texts, not the first alone.
        writing: as sentences or phrases, and the tokens that each may take.
        control: "random" or "shuffled" in their place, see `build_prompt_set`; or None.
        seed: of the control.

    Raises:
        UsageError: there is no such vocabulary, LLM, attribute, composition or control.
        ConfigurationError: descriptions are missing, or with another `missing` all of them.
        RefusedError: a text is over the token budget and cannot be shortened.
        StoreError: the store cannot be read, or is named and not there.
    """
    vocabulary = load_vocabulary(vocabulary)
    existing_store_path(store)
    if len(attributes) == 1 and attributes[0] in NAME_TEMPLATES:
        return build_prompt_set({}, vocabulary, attributes, llm=llm, writing=writing)
    wanted = check_attributes(attributes)
    read = cells(wanted, composition)
    descriptions = load(vocabulary, llm, read, store, missing == "fail", samples)
    descriptions = descriptions or load(vocabulary, llm, read, store)  # says what makes them
    how = composition, llm, control, seed
    return build_prompt_set(
        descriptions, vocabulary, wanted, *how, missing=missing, writing=writing
    )


def default_attributes(
    vocabulary: Vocabulary, llm: str, store: str | os.PathLike[str] | None = None
) -> tuple[str, ...]:
    """What a vocabulary is described by when the user names nothing.

    DEFAULT_ATTRIBUTES, or ("name",) where `bundled` does not describe all of its classes.
    """
    if sampled(llm)[0] == LLM_NAME:
        cells = load(vocabulary, llm, DEFAULT_ATTRIBUTES, store, require=False)
        if len(cells) < len(vocabulary) * len(DEFAULT_ATTRIBUTES):
            return ("name",)
    return DEFAULT_ATTRIBUTES


def provenance(prompts: PromptSet) -> dict[str, str]:
    """Where a prompt set comes from: the program, and who wrote the descriptions, if known."""
    made = {"made_by": f"lsmseg-prompts {__version__}"}
    if sampled(prompts.llm)[0] == LLM_NAME:
        made["descriptions"] = PROVENANCE
    return made
