"""What arrives at the text encoder: every prompt that the reader's code makes, and its tokens."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lsmseg_prompts.tokens import CONTEXT_LENGTH, token_ids

START, END = 49406, 49407


@dataclass(frozen=True)
class Prompt:
    """A text with the reader's template around it.

    tokens: how many it takes, start and end included. whole: whether its row holds them all. error:
    what the reader's tokenizer said instead of making a row.
    """

    text: str
    tokens: int
    whole: bool
    error: str = ""


class Recorder:
    """Notes what goes through a reader's tokenizer; `calls` has the prompts of each call."""

    def __init__(self) -> None:
        self.calls: list[list[Prompt]] = []

    def wrap(self, tokenize: Callable[..., Any]) -> Callable[..., Any]:
        """`tokenize`, noting its prompts; one that it refuses is noted too, as an empty row."""

        def recording(texts: str | Sequence[str], *values: Any, **options: Any) -> Any:
            torch = importlib.import_module("torch")
            texts = [texts] if isinstance(texts, str) else list(texts)
            rows, prompts = [], []
            for text in texts:
                error = ""
                try:
                    row = tokenize([text], *values, **options)[0]
                except Exception as problem:  # the reader's own; what it says is reported
                    error = f"{type(problem).__name__}: {problem}"
                    row = torch.zeros(CONTEXT_LENGTH, dtype=torch.long)
                prompts.append(_prompt(text, row.tolist(), error))
                rows.append(row)
            self.calls.append(prompts)
            return torch.stack(rows)

        return recording

    def taken(self) -> list[list[Prompt]]:
        """The calls since the last time."""
        calls, self.calls = self.calls, []
        return calls


def _prompt(text: str, row: list[int], error: str) -> Prompt:
    expected = [START, *token_ids(text), END]
    whole = not error and row[: len(expected)] == expected and not any(row[len(expected) :])
    return Prompt(text, len(expected), whole, error)


class Encoder:
    """In the place of CLIP: an embedding of ones for each text, whatever it is."""

    logit_scale = 1.0

    def encode_text(self, rows: Any, *_: Any, **__: Any) -> Any:
        """Ones."""
        return importlib.import_module("torch").ones(*rows.shape[:-1], 2)

    def __call__(self, text: Any) -> Any:
        """As open_clip's models are called, too."""
        return self.encode_text(text)

    def float(self) -> Encoder:
        """As a network."""
        return self


def clip_tokenize(
    texts: str | Sequence[str], context_length: int = 77, truncate: bool = False
) -> Any:
    """As `tokenize` of OpenAI's CLIP: it raises for a text that is too long, or cuts it."""
    torch = importlib.import_module("torch")
    texts = [texts] if isinstance(texts, str) else texts
    rows = torch.zeros(len(texts), context_length, dtype=torch.int)
    for row, text in zip(rows, texts, strict=True):
        ids = [START, *token_ids(text), END]
        if len(ids) > context_length:
            if not truncate:
                raise RuntimeError(f"Input {text} is too long for context length {context_length}")
            ids = [*ids[: context_length - 1], END]
        row[: len(ids)] = torch.tensor(ids)
    return rows


def open_clip_tokenize(texts: str | Sequence[str], context_length: int = 77) -> Any:
    """As open_clip's tokenizer: it cuts a text that is too long."""
    return clip_tokenize(texts, context_length, truncate=True)
