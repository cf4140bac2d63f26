"""Sentences to tokens, never cut silently, and tokens to embeddings."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.errors import UsageError


@cache
def clip_bpe() -> Any:
    """open_clip's tokenizer with CLIP's byte pairs."""
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


def check_groups(texts: Sequence[Sequence[str]]) -> None:
    """Raise UsageError for texts that would be read letter by letter."""
    if any(isinstance(group, str) for group in texts):
        raise UsageError("Texts are a list of sentences for each class, not one string each.")


class Tokenizer:
    """CLIP's byte pairs, with a start and an end token.

    context_length: tokens that the text tower reads.
    """

    name = "CLIP"

    def __init__(self, context_length: int = 77) -> None:
        self.context_length = context_length

    def ids(self, sentence: str) -> list[int]:
        """All tokens of a sentence, start and end included."""
        clip = clip_bpe()
        return [clip.sot_token_id, *clip.encode(sentence), clip.eot_token_id]

    def __call__(self, sentences: Sequence[str]) -> Tensor:
        """sentences: T strings -> int64 [T, context_length], zero-padded.

        Raises UsageError when a sentence needs more tokens: it is not cut.
        """
        return self._padded([self.checked(sentence) for sentence in sentences])

    def cut(self, sentences: Sequence[str]) -> Tensor:
        """The same of sentences of any length, as models are trained: their end token stays."""
        most = self.context_length
        rows = [self.ids(sentence) for sentence in sentences]
        return self._padded([r if len(r) <= most else [*r[: most - 1], r[-1]] for r in rows])

    def _padded(self, rows: Sequence[list[int]]) -> Tensor:
        tokens = torch.zeros(len(rows), self.context_length, dtype=torch.int64)
        for row, ids in zip(tokens, rows, strict=True):
            row[: len(ids)] = torch.tensor(ids)
        return tokens

    def checked(self, sentence: str) -> list[int]:
        """`ids`; UsageError where there are more than the text tower reads."""
        ids = self.ids(sentence)
        if (over := len(ids) - self.context_length) > 0:
            raise UsageError(
                f"A text has {len(ids)} {self.name} tokens, {over} too many: {sentence!r}; "
                "shorten it."
            )
        return ids

    def lengths(self, tokens: Tensor) -> Tensor:
        """tokens: [T, L] -> int64 [T], how many of each sentence the text tower must see."""
        return tokens.argmax(dim=-1) + 1  # the end token is the highest


def tokenize(sentences: Sequence[str], context_length: int = 77) -> Tensor:
    """CLIP's tokens, see `Tokenizer`."""
    return Tokenizer(context_length)(sentences)


def encode_tokens(model: Any, tokens: Tensor, embeddings: Tensor | None = None) -> Tensor:
    """tokens: [T, L] with L <= context length -> [T, D] text features of length 1.

    CLIP's tower is causal and pooled at the end token, so cutting L to the longest sentence of
    the batch is exact. ``embeddings`` [T, L, width] replace the token table (for dropout).
    """
    length = tokens.shape[1]
    x = model.token_embedding(tokens) if embeddings is None else embeddings
    x = x + model.positional_embedding[:length]
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    x = model.ln_final(x[torch.arange(x.shape[0]), tokens.argmax(dim=-1)])
    return F.normalize(x @ model.text_projection, dim=-1)


def text_projections(model: Any, name: str) -> list[tuple[nn.Parameter, str]]:
    """The joint weights that make queries, keys and values in the text tower.

    Raises UsageError where they are not of open_clip's own transformer.
    """
    tower: Any = getattr(getattr(model, "text", model), "transformer", None)
    if not hasattr(tower, "resblocks"):
        raise UsageError(
            f"Queries and values cannot be trained in {name}'s text tower; choose --clip freeze or "
            "full, or a model with CLIP's text tower, such as ViT-B-16."
        )
    return [(block.attn.in_proj_weight, "qkv") for block in tower.resblocks]


def token_strings() -> list[str]:
    """What each of CLIP's 49,408 tokens spells, without the mark of a word's end."""
    clip = clip_bpe()
    strings = []
    for token in range(len(clip.decoder)):
        spelled = clip.decoder[token].removesuffix("</w>")
        if token < clip.sot_token_id:
            letters = bytearray(clip.byte_decoder[letter] for letter in spelled)
            spelled = letters.decode("utf-8", errors="replace")
        strings.append(spelled.strip() or " ")
    return strings
