"""How long prompts are, in CLIP's tokens: of 77, start and end included."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.tokens import count_tokens


def length_rows(sets: Sequence[PromptSet]) -> list[dict[str, Any]]:
    """A row for every prompt set: quantiles of its texts' lengths, and how many have each length.

    shortened, dropped: classes whose text lost a clause, or an attribute's whole description.
    """
    rows = []
    for one in sets:
        tokens = [count_tokens(text) for group in one.texts for text in group]
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
                "lengths": [list(pair) for pair in sorted(Counter(tokens).items())],
            }
        )
    return rows
