"""Two prompt sets on one picture."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from ablations.studio.comparing.maps import difference, drawn, shares
from ablations.studio.comparing.splits import Splits
from ablations.studio.state import Studio
from ablations.studio.trying.kept import Kept
from ablations.studio.trying.segmenting import packed
from ablations.studio.web.inputs import Input
from ablations.studio.web.replies import png
from lsmseg_model.data.benchmark import Benchmark, competing, scored_names
from lsmseg_model.inference.reading import some_texts
from lsmseg_model.metrics import confusion_counts, iou
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.prompts.prompt_set import PromptSet

SENT, ENCODED, EMBEDDED = 12, 8, 16  # pictures that were sent, and what is kept of the last ones


@dataclass(frozen=True)
class Shown:
    """A picture, uint8 [H, W, 3], and its labels as positions in the scored classes, if any.

    benchmark: whose classes it is segmented with.
    """

    key: str
    benchmark: Benchmark
    image: np.ndarray
    labels: np.ndarray | None = None


class SideBySide:
    """Segments pictures with two prompt sets; features and embeddings of the last are kept."""

    def __init__(self, studio: Studio, splits: Splits) -> None:
        self.studio, self.splits = studio, splits
        self._sent: Kept[str, np.ndarray] = Kept(SENT)
        self._encoded: Kept[str, Any] = Kept(ENCODED)
        self._embedded: Kept[Any, Any] = Kept(EMBEDDED)
        self._reading = Lock()  # one large picture in memory at a time

    def add(self, data: bytes) -> dict[str, Any]:
        """Keep a picture that was sent. Raises DataError for what cannot be read."""
        from lsmseg_model.data.uploads import read_sent

        with self._reading:
            sent = read_sent(data)
        name = hashlib.sha256(data).hexdigest()[:32]
        self._sent.put(name, sent.image)
        return {"sent": name, "size": sent.image.shape[:2]}

    def picture(self, given: Input) -> Shown:
        """The picture that a request names: a place in a split, or one that was sent."""
        sent = given.text("sent", None, most=100)
        if sent is not None:
            image = self._sent.get(sent)
            if image is None:
                raise UsageError("The studio does not keep this picture any more: give it again.")
            return Shown(f"sent {sent}", [*self.splits.benchmarks.values()][-1], image)
        split = given.text("split", most=30)
        benchmark = self.splits.get(split)
        place = given.integer("place", 0, len(benchmark) - 1)
        labels = _positions(benchmark)[benchmark.labels(place)]
        image = np.asarray(benchmark.picture(place))
        return Shown(f"{split} {place}", benchmark, image, labels)

    def compare(self, first: PromptSet, second: PromptSet, shown: Shown) -> dict[str, Any]:
        """Both label maps, the labels if there are any, and where the maps differ.

        Raises what the model raises for texts that it cannot read.
        """
        readable = [entry.readable for entry in self.studio.vocabulary]
        names = scored_names(shown.benchmark, readable)
        with self.studio.lock:
            maps = [self._segment(one, shown) for one in (first, second)]
        codes = difference(maps[0], maps[1], shown.labels)
        told = drawn({"first": maps[0], "second": maps[1], "truth": shown.labels}, names)
        told["scores"] = _scores(maps, shown.labels, len(names))
        return told | {
            "size": shown.image.shape[:2],
            "picture": base64.b64encode(png(shown.image)).decode(),
            "difference": {"map": packed(codes), "shares": shares(codes, shown.labels)},
        }

    def _segment(self, prompts: PromptSet, shown: Shown) -> np.ndarray:
        """int64 [H, W]: the position of the class of every pixel among the scored ones."""
        indices, owners = competing(shown.benchmark)
        texts, reading = some_texts(prompts, indices)
        model = self.studio.model
        embedded = self._embedded.get((texts, reading))
        if embedded is None:
            embedded = self._embedded.put((texts, reading), model.embed(texts, reading))
        encoded = self._encoded.get(shown.key)
        if encoded is None:
            encoded = self._encoded.put(shown.key, model.encode(shown.image))
        labels, _ = encoded.decode(embedded).label(owners)
        return np.asarray(labels)


def _positions(benchmark: Benchmark) -> np.ndarray:
    """Vocabulary index -> position in class_indices; of all others, and of -1, -1."""
    table = np.full(max(*benchmark.class_indices, len(benchmark.owners or ())) + 2, -1)
    table[list(benchmark.class_indices)] = np.arange(len(benchmark.class_indices))
    return table


def _scores(
    maps: list[np.ndarray], labels: np.ndarray | None, classes: int
) -> dict[str, Any] | None:
    """Of both maps the part of the labelled pixels that is right, and the IoU of labelled classes.

    None without labels.
    """
    if labels is None or not (labels >= 0).any():
        return None
    counts = np.stack([confusion_counts(one, labels, classes) for one in maps])
    held = np.flatnonzero(counts[0, :, 2] > 0)
    each = iou(counts)[:, held]
    return {
        "right": [float(one[:, 0].sum() / one[:, 2].sum()) for one in counts],
        "mean": [float(one.mean()) for one in each],
        "classes": [
            {"class": int(at), "first": float(each[0, n]), "second": float(each[1, n])}
            for n, at in enumerate(held)
        ],
    }
