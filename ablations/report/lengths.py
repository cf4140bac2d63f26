"""How long prompts are, in the model's tokens: start and end included."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.tokens import CLIP, TokenBudget


def length_rows(sets: Sequence[PromptSet], budget: TokenBudget = CLIP) -> list[dict[str, Any]]:
    """A row for every prompt set: quantiles of its texts' lengths, and how many have each length.

    shortened, dropped: classes whose text lost a clause, or an attribute's whole description.
    budget: how tokens are counted; a row names another than CLIP's, with its limit.
    """
    rows = []
    other = {} if budget == CLIP else {"budget": budget.name, "limit": budget.limit}
    for one in sets:
        tokens = [budget.count(text) for group in one.texts for text in group]
        low, quarter, median, three, high = (
            float(q) for q in np.percentile(tokens, [0, 25, 50, 75, 100])
        )
        rows.append(
            {
                "vocabulary": one.vocabulary,
                "prompts": one.name,
                "texts": len(tokens),
                "shortest": int(low),
                "quarter": quarter,
                "median": median,
                "three_quarters": three,
                "longest": int(high),
                "shortened": len(one.shortened),
                "dropped": len(one.dropped),
                **other,
                "lengths": [list(pair) for pair in sorted(Counter(tokens).items())],
            }
        )
    return rows
