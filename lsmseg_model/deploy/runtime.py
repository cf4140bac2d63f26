"""An exported model run by onnxruntime: pictures and texts in, scores out, without torch.

from lsmseg_model.deploy.runtime import OnnxModel
from lsmseg_model.inference.class_prompts import ClassPrompts
ClassPrompts(OnnxModel("exported", token_ids), ["sky", "a zebra"]).predict(picture)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lsmseg_model.deploy.description import ExportedModel, read_exported
from lsmseg_model.deploy.resizing import bilinear, smoothed
from lsmseg_model.deploy.scores import Cosines, ViewScores
from lsmseg_model.deploy.sessions import open_session
from lsmseg_model.deploy.texts import TextRows, clip_tokens, encode_tokens, read, tokens_of
from lsmseg_model.errors import DataError, UsageError
from lsmseg_model.inference.class_prompts import published_texts, sentence
from lsmseg_model.inference.finite import not_finite
from lsmseg_model.inference.geometry import offsets, resized_for_views, window_picture_size
from lsmseg_model.inference.options import drawings_note
from lsmseg_model.inference.reading import MEAN, Groups, Reading
from lsmseg_model.networks.protocol import Protocol

WINDOWS = 8  # that are looked at together


class OnnxModel:
    """What `model export` wrote; methods as of `Segmenter`.

    Args:
        folder: Where it is.
        tokenize: CLIP's tokens of a text, without start and end (default: open_clip's tokenizer,
            which loads torch).

    Raises:
        DataError: For a folder that holds no exported model for onnxruntime.
    """

    def __init__(
        self, folder: str | Path, tokenize: Callable[[str], Sequence[int]] | None = None
    ) -> None:
        self.folder = Path(folder)
        self.model: ExportedModel = read_exported(self.folder)
        if self.model.runtime != "onnx":
            raise DataError(
                f"{folder} was exported for {self.model.runtime}: export the model with --format "
                "onnx."
            )
        self.tokenize = tokenize or clip_tokens
        self.name, self.weights_hash = self.model.name, self.model.weights_hash
        self.protocol = self.model.protocol

    @property
    def note(self) -> str | None:
        """A warning about weights that were trained on drawings alone; None for others."""
        return drawings_note(str(self.folder)) if self.model.data == "ministuff" else None

    @property
    def score(self) -> str:
        return "cosine" if self.protocol is None else "probability"

    def default_texts(self, classes: Sequence[str]) -> list[list[str]]:
        if self.model.published_texts:
            return published_texts(classes)
        return [[sentence(name)] for name in classes]

    def embed(self, texts: Groups, reading: Reading = MEAN) -> TextRows:
        if self.protocol is not None:
            reading = reading.for_network()
        sentences = list(dict.fromkeys(text for group in texts for text in group))
        if any(not group for group in texts) or not sentences:
            raise UsageError("Every class needs at least one text.")
        tokens = tokens_of(sentences, self.model, self.tokenize)
        embedded = encode_tokens(self._texts, tokens, self.model)
        if not np.isfinite(embedded).all():
            wrong = int(np.flatnonzero(~np.isfinite(embedded).all(axis=1))[0])
            raise not_finite(self, f"the text {sentences[wrong]!r}")
        place = {text: at for at, text in enumerate(sentences)}
        each = [embedded[[place[text] for text in group]] for group in texts]
        return read(each, texts, reading)

    def encode(self, image: np.ndarray, name: str = "a picture") -> EncodedByOnnx:
        size = (image.shape[0], image.shape[1])
        shown = self._dense(image) if self.protocol is None else self._views(image, self.protocol)
        if not np.isfinite(shown).all():
            raise not_finite(self, name)
        return EncodedByOnnx(self, shown, size, name)

    @cached_property
    def _texts(self) -> Any:
        return open_session(self.folder / "text.onnx")

    @cached_property
    def pictures(self) -> Any:
        """The session of `dense.onnx` or `network.onnx`."""
        kind = "dense" if self.protocol is None else "network"
        return open_session(self.folder / f"{kind}.onnx")

    def _dense(self, image: np.ndarray) -> np.ndarray:
        """[h, w, D] dense features through overlapping windows, see `picture_features`."""
        window, patch = self.model.size, self.model.patch_size
        size = window_picture_size(image.shape[:2], self.model.short_side, window, patch)
        shown = smoothed(image, size)
        tops, lefts = (offsets(side, window, self.model.stride) for side in size)
        boxes = [(top, left) for top in tops for left in lefts]
        rows, columns, cells = size[0] // patch, size[1] // patch, window // patch
        total = np.zeros((rows, columns, self.model.embed_dim), np.float32)
        count = np.zeros((rows, columns, 1), np.float32)
        for start in range(0, len(boxes), WINDOWS):
            some = boxes[start : start + WINDOWS]
            windows = np.stack([shown[:, t : t + window, s : s + window] for t, s in some])
            (dense,) = self.pictures.run(None, {"images": windows})
            for feature, (top, left) in zip(dense, some, strict=True):
                t, s = top // patch, left // patch
                total[t : t + cells, s : s + cells] += feature
                count[t : t + cells, s : s + cells] += 1
        return total / count

    def _views(self, image: np.ndarray, protocol: Protocol) -> np.ndarray:
        """[V, 3, S, S]: the views of a picture, see `inference/protocol.py`."""
        shown = resized_for_views(image, protocol.side).transpose(2, 0, 1)
        shown = shown.astype(np.float32) / np.float32(255)
        side, crop = (self.model.size, self.model.size), protocol.crop
        squashed = bilinear(shown, (protocol.side, protocol.side))
        views = [squashed[:, y : y + crop, x : x + crop] for y, x in protocol.places]
        most = max(crop, self.model.size)
        return np.stack([bilinear(v, side) for v in (*views, bilinear(shown, (most, most)))])


@dataclass(frozen=True)
class EncodedByOnnx:
    """One picture: dense features of a backbone, or the views that a whole network takes."""

    model: OnnxModel
    shown: np.ndarray
    size: tuple[int, int]
    name: str

    def decode(self, text: TextRows) -> Cosines | ViewScores:
        """The scores of embedded texts in the picture."""
        protocol = self.model.protocol
        if protocol is None:
            compared = text.of(self.shown)
            return Cosines(self.shown, compared.rows, compared.owners, self.size)
        inputs = {"images": self.shown, "texts": text.rows}
        logits, kept = self.model.pictures.run(None, inputs)
        if not np.isfinite(logits).all():
            raise not_finite(self.model, self.name)
        return ViewScores(logits, kept, protocol, self.size)
