"""How the samples of cells differ: words in common, distinct texts, lengths."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from lsmseg_prompts.attributes.samples import asked_of

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def overlap(first: str, second: str) -> float:
    """The words that two texts have in common: the Jaccard index of their sets of words.

    |A ∩ B| / |A ∪ B|, A and B being the words in lower case; 1 where neither has a word.
    """
    a, b = (set(_WORD.findall(text.lower())) for text in (first, second))
    return len(a & b) / len(a | b) if a | b else 1.0


def mean_overlap(texts: Sequence[str]) -> float | None:
    """The mean of `overlap` over all pairs of texts; None of fewer than two."""
    pairs = [overlap(a, b) for a, b in combinations(texts, 2)]
    return mean_and_sd(pairs)[0]


def mean_and_sd(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The mean m = Σx/n, and the standard deviation √(Σ(x − m)²/(n − 1)).

    None where there are too few values: none for the mean, one for the deviation.
    """
    if not values:
        return None, None
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, math.sqrt(math.fsum((x - mean) ** 2 for x in values) / (len(values) - 1))


def differences(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How the samples of cells differ, a row for each LLM and attribute.

    Keys: llm, attribute, cells, samples (texts), distinct (of the cells with several texts, the
    share of texts left when those that are word for word alike count once), tokens and tokens_sd
    (mean and standard deviation over the texts), overlap (the mean over the cells with several
    texts of `mean_overlap`). distinct and overlap are None where no cell has several texts.

    Args:
        rows: filled cells as `Store.cells` gives them; those without a text do not count.
    """
    groups: dict[tuple[str, str], dict[tuple[str, int], list[Mapping[str, Any]]]] = {}
    for row in rows:
        if row["status"] == "done":
            group = groups.setdefault((row["llm"], asked_of(row["attribute"])), {})
            group.setdefault((row["vocabulary"], row["class_index"]), []).append(row)
    return [
        {"llm": llm, "attribute": attribute, **_difference(list(cells.values()))}
        for (llm, attribute), cells in groups.items()
    ]


def _difference(cells: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    several = [[row["text"] for row in cell] for cell in cells if len(cell) > 1]
    tokens, tokens_sd = mean_and_sd([row["tokens"] for cell in cells for row in cell])
    distinct = sum(len(set(texts)) for texts in several)
    return {
        "cells": len(cells),
        "samples": sum(len(cell) for cell in cells),
        "distinct": distinct / sum(map(len, several)) if several else None,
        "tokens": tokens,
        "tokens_sd": tokens_sd,
        "overlap": mean_and_sd([mean_overlap(texts) or 0.0 for texts in several])[0],
    }
