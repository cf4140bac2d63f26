"""Sentences to CLIP tokens, never cut silently."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .errors import UsageError


def tokenize(sentences: Sequence[str], context_length: int = 77) -> Tensor:
    """sentences: T strings -> int64 [T, context_length], zero-padded, start and end included.

    Raises UsageError when a sentence needs more tokens: it is not truncated.
    """
    from open_clip.tokenizer import SimpleTokenizer

    global _TOKENIZER
    if _TOKENIZER is None:
        _TOKENIZER = SimpleTokenizer()
    tokens = torch.zeros(len(sentences), context_length, dtype=torch.int64)
    for row, sentence in enumerate(sentences):
        ids = [
            _TOKENIZER.sot_token_id,
            *_TOKENIZER.encode(sentence),
            _TOKENIZER.eot_token_id,
        ]
        if len(ids) > context_length:
            raise UsageError(
                f"a text has {len(ids)} CLIP tokens, {len(ids) - context_length} too many: "
                f"{sentence!r}; shorten it."
            )
        tokens[row, : len(ids)] = torch.tensor(ids)
    return tokens


_TOKENIZER = None
