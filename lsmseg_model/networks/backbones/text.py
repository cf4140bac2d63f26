"""Sentences to CLIP tokens, never cut silently."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lsmseg_model.errors import UsageError


@cache
def _tokenizer() -> Any:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


def check_groups(texts: Sequence[Sequence[str]]) -> None:
    """Raise UsageError for texts that would be read letter by letter."""
    if any(isinstance(group, str) for group in texts):
        raise UsageError("Texts are a list of sentences for each class, not one string each.")


def tokenize(sentences: Sequence[str], context_length: int = 77) -> Tensor:
    """sentences: T strings -> int64 [T, context_length], zero-padded, start and end included.

    Raises UsageError when a sentence needs more tokens: it is not truncated.
    """
    clip = _tokenizer()
    tokens = torch.zeros(len(sentences), context_length, dtype=torch.int64)
    for row, sentence in enumerate(sentences):
        ids = [clip.sot_token_id, *clip.encode(sentence), clip.eot_token_id]
        if len(ids) > context_length:
            raise UsageError(
                f"A text has {len(ids)} CLIP tokens, {len(ids) - context_length} too many: "
                f"{sentence!r}; shorten it."
            )
        tokens[row, : len(ids)] = torch.tensor(ids)
    return tokens


def token_strings() -> list[str]:
    """What each of CLIP's 49,408 tokens spells, without the mark of a word's end."""
    clip = _tokenizer()
    strings = []
    for token in range(len(clip.decoder)):
        spelled = clip.decoder[token].removesuffix("</w>")
        if token < clip.sot_token_id:
            letters = bytearray(clip.byte_decoder[letter] for letter in spelled)
            spelled = letters.decode("utf-8", errors="replace")
        strings.append(spelled.strip() or " ")
    return strings
