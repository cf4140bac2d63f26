"""Whether the texts of an LLM that are there were asked for in the way that is asked now."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from lsmseg_prompts.llm.base import LLM
from lsmseg_prompts.llm.chat import ChatLLM
from lsmseg_prompts.store.store import Store
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import Vocabulary


def asked_otherwise(
    store: Store,
    vocabulary: Vocabulary,
    llm: LLM,
    parameters: Mapping[str, Any],
    budget: TokenBudget = CLIP,
) -> str | None:
    """A sentence where texts of `llm` in the store were asked for with other settings.

    Args:
        store: the store.
        vocabulary: the classes.
        llm: who is asked.
        parameters: those of this run beside the LLM's own options.
        budget: the tokens that a text may take.

    Raises:
        StoreError: The store cannot be read.
    """
    if not isinstance(llm, ChatLLM):
        return None
    rows = store.rows(
        "SELECT a.parameters, a.system, a.host, d.budget, count(*) AS texts FROM descriptions AS d "
        "JOIN attempts AS a ON a.id = d.attempt_id WHERE d.vocabulary = ? AND d.llm = ? "
        "AND d.status = 'done' GROUP BY a.parameters, a.system, a.host, d.budget",
        [vocabulary.name, llm.name],
    )
    levels = llm.provider.reasoning
    names = {name for ways in levels.values() for way in ways for name in way}
    ways = [_sorted(way) for way in levels.get(llm.options.reasoning or "", ({},))]
    now = {**llm.options.parameters, **parameters}
    found: Counter[str] = Counter()
    for row in rows:
        given = json.loads(row["parameters"] or "{}")
        given.pop("max_output_tokens", None)
        reasoning = {k: v for k, v in given.items() if k in names - now.keys()}
        plain = {k: v for k, v in given.items() if k not in reasoning}
        differing = []
        if _sorted(plain) != _sorted(now):
            differing.append(_shown(plain) or "no parameters")
        if _sorted(reasoning) not in ways:
            differing.append(_shown(reasoning) or "reasoning as the model likes")
        if row["system"] != llm.options.system:
            differing.append("another system message" if row["system"] else "no system message")
        if row["host"] != llm.host:
            differing.append(f"at {row['host']}")
        if row["budget"] != budget.named:
            differing.append(f"for the budget {row['budget'] or CLIP.name}")
        if differing:
            found[", ".join(differing)] += row["texts"]
    if not found:
        return None
    most, _ = found.most_common(1)[0]
    return (
        f"{llm.name}: {sum(found.values())} of its texts in the store were asked for otherwise "
        f"({most}): they stay as they are, unless --redo asks for all anew."
    )


def _sorted(values: Mapping[str, Any]) -> str:
    return json.dumps(dict(values), sort_keys=True)


def _shown(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in values.items())
