"""Texts to tokens to embeddings with numpy alone, read as `inference/reading.py` says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lsmseg_model.deploy.description import CLIP_TOKENS, ExportedModel
from lsmseg_model.errors import UsageError
from lsmseg_model.inference.reading import Groups, Reading, check_direction

BATCH = 64  # texts
START, END = 49406, 49407  # around CLIP's tokens of a text


@dataclass(frozen=True)
class TextRows:
    """Embedded texts of N classes, see `ClassEmbeddings`.

    rows: [M, D]. owners: the class of each row; None where each is a class. temperature: of
    `adaptive`, which mixes the rows of a class anew for each picture.
    """

    rows: np.ndarray
    owners: tuple[int, ...] | None = None
    temperature: float | None = None

    def parts(self) -> list[np.ndarray]:
        """Each class's own row [D], where each is one row."""
        return [row.copy() for row in self.rows]

    @classmethod
    def of_parts(cls, parts: Sequence[np.ndarray]) -> TextRows:
        """Of rows that `parts` gave."""
        return cls(np.stack(list(parts)))

    def of(self, features: np.ndarray) -> TextRows:
        """The rows that are compared with a picture's features [h, w, D]."""
        if self.temperature is None or self.owners is None:
            return self
        pooled = unit(features.reshape(-1, features.shape[-1]).mean(axis=0))
        fit = (self.rows @ pooled).astype(np.float64) / self.temperature
        owners, mixed = np.asarray(self.owners), []
        for one in range(self.owners[-1] + 1):
            rows, weight = self.rows[owners == one], fit[owners == one]
            weight = np.exp(weight - weight.max())
            mixed.append((weight / weight.sum()).astype(np.float32) @ rows)
        return TextRows(unit(np.stack(mixed)))


def clip_tokens(text: str) -> Sequence[int]:
    """CLIP's tokens of a text by open_clip's tokenizer, which loads torch."""
    from lsmseg_model.networks.backbones.text import clip_bpe

    return list(clip_bpe().encode(text))


def tokens_of(
    texts: Sequence[str], model: ExportedModel, tokenize: Callable[[str], Sequence[int]]
) -> list[list[int]]:
    """CLIP's tokens of each text, start and end included.

    Raises UsageError for a model with another tokenizer and for a text that is too long.
    """
    if model.tokenizer != CLIP_TOKENS:
        raise UsageError(
            f"{model.name} reads texts with the tokenizer {model.tokenizer}, and --runtime onnx "
            "knows CLIP's alone: use --runtime torch, or run text.onnx with tokens of your own."
        )
    rows = [[START, *tokenize(text), END] for text in texts]
    for text, ids in zip(texts, rows, strict=True):
        if (over := len(ids) - model.context_length) > 0:
            raise UsageError(
                f"A text has {len(ids)} {model.tokenizer} tokens, {over} too many: {text!r}; "
                "shorten it."
            )
    return rows


def encode_tokens(
    session: Any, tokens: Sequence[Sequence[int]], model: ExportedModel
) -> np.ndarray:
    """[T, D]: rows of tokens through the text tower, those of one length together."""
    order = sorted(range(len(tokens)), key=lambda at: len(tokens[at]))
    embedded = np.empty((len(tokens), model.embed_dim), np.float32)
    for start in range(0, len(order), BATCH):
        some = order[start : start + BATCH]
        length = len(tokens[some[-1]]) if model.short_texts else model.context_length
        batch = np.zeros((len(some), length), np.int64)
        for row, at in zip(batch, some, strict=True):
            row[: len(tokens[at])] = tokens[at]
        embedded[some] = session.run(None, {"tokens": batch})[0]
    return embedded


def read(each: Sequence[np.ndarray], groups: Groups, reading: Reading) -> TextRows:
    """The texts of each class, [K, D] of length 1, as a reading has them.

    Raises UsageError for a class whose weights cancel out.
    """
    if reading.kind in ("max", "adaptive"):
        owners = tuple(at for at, group in enumerate(groups) for _ in group)
        return TextRows(np.concatenate(each), owners, reading.temperature)
    weights = reading.weights or [[1.0] * len(group) for group in groups]
    means = []
    for rows, group, weight in zip(each, groups, weights, strict=True):
        share = np.asarray(weight, np.float64)
        means.append((share / np.abs(share).sum()).astype(np.float32) @ rows)
        if reading.kind == "mean":
            check_direction(float(np.linalg.norm(means[-1])), group)
    matrix = np.stack(means)
    return TextRows(unit(matrix) if reading.kind == "mean" else matrix)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors [..., D] made of length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
