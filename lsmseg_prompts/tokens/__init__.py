"""Token budgets: how many tokens the text tower of a model reads, counted as that model counts.

clip.py          CLIP's byte pairs, which most models read: nothing to fetch
hub.py           other tokenizers, from their files
budgets.py       a budget by its name; the short names are in budgets.json
"""

from lsmseg_prompts.tokens.budgets import CLIP, TokenBudget, budget_names, find_budget
from lsmseg_prompts.tokens.clip import (
    CONTEXT_LENGTH,
    count_tokens,
    fits,
    is_whole_word,
    merges_file,
    token_ids,
)

__all__ = [
    "CLIP",
    "CONTEXT_LENGTH",
    "TokenBudget",
    "budget_names",
    "count_tokens",
    "find_budget",
    "fits",
    "is_whole_word",
    "merges_file",
    "token_ids",
]
