"""Sentences to CLIP's tokens, never cut silently; other tokenizers: `hf_tokenizer.py`."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lsmseg_model.errors import UsageError

CLIP_VOCABULARY = 49_408


@cache
def clip_bpe() -> Any:
    """open_clip's tokenizer with CLIP's byte pairs."""
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


class Tokenizer:
    """CLIP's byte pairs, with a start and an end token.

    name: whose tokens these are. context_length: tokens that the text tower reads. vocab_size:
    those that it must know. ends: special tokens at the end of a sentence.
    """

    ends = 1

    def __init__(self, context_length: int = 77) -> None:
        self.name, self.vocab_size, self.context_length = "CLIP", CLIP_VOCABULARY, context_length

    def ids(self, sentence: str) -> list[int]:
        """All tokens of a sentence, start and end included."""
        clip = clip_bpe()
        return [clip.sot_token_id, *clip.encode(sentence), clip.eot_token_id]

    def __call__(self, sentences: Sequence[str]) -> Tensor:
        """sentences: T strings -> int64 [T, context_length], padded.

        Raises UsageError when a sentence needs more tokens: it is not cut.
        """
        return self._padded([self.checked(sentence) for sentence in sentences])

    def cut(self, sentences: Sequence[str]) -> Tensor:
        """The same of sentences of any length, as models are trained: their ends stay."""
        most, ends = self.context_length, self.ends
        rows = [self.ids(sentence) for sentence in sentences]
        return self._padded(
            [r if len(r) <= most else [*r[: most - ends], *r[-ends:]] for r in rows]
        )

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


def tokenize(sentences: Sequence[str], context_length: int = 77) -> Tensor:
    """CLIP's tokens, see `Tokenizer`."""
    return Tokenizer(context_length)(sentences)


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
