"""Counting tokens as CLIP does.

CLIP reads 77 tokens, start and end included, and open_clip cuts silently what is longer, so
every text is counted here before it is stored, composed or exported. The count is that of
open_clip's own SimpleTokenizer (it carries its byte-pair vocabulary; nothing is downloaded).
"""

from collections.abc import Callable
from functools import lru_cache

CONTEXT_LENGTH = 77
"""Tokens CLIP reads, with one start and one end token: 75 are left for the text."""


@lru_cache(maxsize=1)
def _encode() -> Callable[[str], list[int]]:
    """The tokenizer's encode, loaded on first use: importing open_clip imports torch (seconds)."""
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer().encode


@lru_cache(maxsize=65536)
def count_tokens(text: str) -> int:
    """How many of CLIP's tokens `text` takes, the start and end tokens included."""
    return len(_encode()(text)) + 2


def fits(text: str) -> bool:
    """Whether CLIP reads the whole of `text`."""
    return count_tokens(text) <= CONTEXT_LENGTH
