"""Scorers of a model that is loaded already, beside others who compute with it.

Of a CLIP that is `FrozenScorer`, whose counts are those of an ablation; of all others, whole
networks and exported models, `ModelScorer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ablations.scoring.count_store import CountStore
from ablations.scoring.frozen import FrozenScorer, OnProgress, Scorer, Texts
from ablations.scoring.networks import TrainedScorer
from lsmseg_model.data.benchmark import Benchmark, competing
from lsmseg_model.data.label_maps import IGNORE
from lsmseg_model.inference.class_prompts import Model
from lsmseg_model.inference.counting import positions
from lsmseg_model.inference.feature_cache import FeatureCache
from lsmseg_model.inference.reading import MEAN, Reading, some_texts
from lsmseg_model.inference.windows import picture_features
from lsmseg_model.metrics import confusion_counts
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.segmenter import Segmenter
from lsmseg_prompts.prompts.prompt_set import PromptSet

Turn = AbstractContextManager[Any]
"""Held while a picture is computed, such as a lock: others have their turn between two."""


def scorer_of(
    model: Model,
    benchmark: Benchmark,
    count_store: CountStore | None = None,
    cache: str | Path | None = None,
    turn: Turn | None = None,
) -> Scorer:
    """The scorer of a loaded model.

    Args:
        model: A `Segmenter`, an exported model, or another with their methods.
        benchmark: What is scored on.
        count_store: Where counts are kept, by default in memory.
        cache: The folder that keeps the features of a CLIP; None: none does.
        turn: See `Turn`.
    """
    turn = turn or nullcontext()
    if isinstance(model, Segmenter) and isinstance(model.model, Backbone):
        features = FeaturesInTurn(model.clip, cache, turn)
        return FrozenScorer(model.clip, benchmark, features, count_store)
    return ModelScorer(model, benchmark, count_store, turn)


class FeaturesInTurn(FeatureCache):
    """A feature cache that computes one picture at a time, each while it has its turn."""

    def __init__(self, clip: Backbone, folder: str | Path | None, turn: Turn) -> None:
        super().__init__(clip, folder)
        self.turn = turn

    def __call__(self, picture: np.ndarray) -> Tensor:
        """As `FeatureCache.__call__`."""
        if (kept := self.load(picture)) is not None:
            return kept
        with self.turn:
            features = picture_features(self.clip, picture).cpu()
        return self.keep(picture, features)


class ModelScorer(Scorer):
    """Scores prompt sets with whatever embeds texts and encodes pictures, see `Model`.

    A picture is encoded once for all prompt sets, with all cores. Of a whole network the counts
    may differ from those of `TrainedScorer`, a core a picture, by the rounding of equal scores.

    Args:
        model: The model; its counts are told from those of others by its ``weights_hash``.
        benchmark: What is scored on.
        count_store: Where counts are kept, by default in memory.
        turn: See `Turn`.
    """

    def __init__(
        self,
        model: Model,
        benchmark: Benchmark,
        count_store: CountStore | None = None,
        turn: Turn | None = None,
    ) -> None:
        super().__init__(benchmark, count_store)
        self.model, self.turn = model, turn or nullcontext()
        self.by_cosine = model.score == "cosine"

    def identity(self) -> dict[str, Any]:
        model = self.model
        if isinstance(model, Segmenter):
            return {**TrainedScorer(model, self.benchmark).identity(), "kind": "loaded"}
        return {
            "kind": f"loaded {type(model).__name__}",
            "model": model.name,
            "weights": getattr(model, "weights_hash", None),
            "files": getattr(getattr(model, "model", None), "files", None),
        }

    @property
    def needs(self) -> tuple[int, ...]:
        """The prompts whose texts are read."""
        return tuple(competing(self.benchmark)[0])

    def count_texts(
        self,
        sets: Sequence[Texts],
        on_progress: OnProgress | None,
        readings: Sequence[Reading] | None = None,
    ) -> np.ndarray:
        benchmark = self.benchmark
        position, owners = positions(benchmark), competing(benchmark)[1]
        classes = len(benchmark.class_indices)
        with self.turn:
            how = readings or [MEAN] * len(sets)
            texts = [self.model.embed(*one) for one in zip(sets, how, strict=True)]
        counts = np.zeros((len(sets), len(benchmark), classes, 3), dtype=np.int64)
        for at in range(len(benchmark)):
            labels = position[benchmark.labels(at)]
            if (labels != IGNORE).any():
                picture = benchmark.picture(at)
                with self.turn:
                    encoded = self.model.encode(picture, f"picture {benchmark.key(at)}")
                    found = [encoded.decode(text).label(owners)[0] for text in texts]
                for one, predicted in enumerate(found):
                    counts[one, at] = confusion_counts(predicted, labels, classes)
            if on_progress:
                on_progress(at + 1, len(benchmark))
        return counts

    def segment(self, prompt_set: PromptSet, picture: int) -> np.ndarray:
        """int64 [H, W]: the scored class with the highest score at every pixel."""
        decoded = self._decoded(prompt_set, competing(self.benchmark)[0], picture)
        labels, _ = decoded.label(competing(self.benchmark)[1])
        return np.asarray(self.benchmark.class_indices)[labels]

    def cost_map(self, prompt_set: PromptSet, picture: int, index: int) -> np.ndarray:
        """float32 [H, W]: the scores of the scored class ``index``, the highest of its prompts."""
        prompts, owners = competing(self.benchmark)
        position = self.benchmark.class_indices.index(index)
        wanted = [at for at, owner in enumerate(owners) if owner == position]
        return self._decoded(prompt_set, prompts, picture).scores(wanted).max(axis=0)

    def _decoded(self, prompt_set: PromptSet, prompts: Sequence[int], picture: int) -> Any:
        with self.turn:
            text = self.model.embed(*some_texts(prompt_set, prompts))
            return self.model.encode(self.benchmark.picture(picture)).decode(text)
