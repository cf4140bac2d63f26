"""A text before it is put into a cell: what `store_edit` would say of it, and lint."""

from __future__ import annotations

from typing import Any

from lsmseg_prompts.curation.edits import check
from lsmseg_prompts.descriptions.lint import lint_text
from lsmseg_prompts.descriptions.loading import attributes_of
from lsmseg_prompts.errors import RefusedError
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import Vocabulary, load_vocabulary


def draft(
    vocabulary: Vocabulary | str,
    name: str,
    attribute: str,
    text: str,
    budget: TokenBudget = CLIP,
) -> dict[str, Any]:
    """Look at a text that is being written; nothing is read from a store or put into one.

    Keys: text (as it would be kept), tokens, limit, unit ("CLIP tokens"), refused (why an edit
    would not take it; None where it does), forced (whether `force` would take it), findings ({rule,
    message} of each lint rule that it breaks by itself).

    Args:
        vocabulary: the vocabulary, or its name.
        name: the class.
        attribute: the attribute.
        text: the text so far.
        budget: the tokens that it may take.

    Raises:
        UsageError: there is no such class or attribute.
    """
    vocabulary = load_vocabulary(vocabulary)
    entry = vocabulary.find(name)
    (attribute,) = attributes_of(entry, vocabulary, [attribute])
    text = " ".join(text.split())
    broken = lint_text(text, attribute, entry, vocabulary, budget)
    refused = _refusal(text, entry, False, budget)
    return {
        "text": text,
        "tokens": budget.count(text),
        "limit": budget.limit,
        "unit": budget.unit,
        "refused": refused,
        "forced": refused is None or _refusal(text, entry, True, budget) is None,
        "findings": [{"rule": rule, "message": message} for rule, message in broken],
    }


def _refusal(text: str, entry: Any, force: bool, budget: TokenBudget) -> str | None:
    try:
        check(text, entry, force, budget)
    except RefusedError as error:
        return str(error)
    return None
