"""Scorers of whole networks: one for all prompt sets, or one trained for each.

`TrainedScorer` encodes a picture once (CLIP, the second encoder, their fusion) and decodes it for
every prompt set. `RetrainScorer` trains a network with the texts of each prompt set, as the paper
does, and then scores it; trainings that were finished are found again, one that was interrupted
goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from ablations.scoring.count_store import CountStore, key_of
from ablations.scoring.frozen import OnProgress, Scorer, Texts
from ablations.scoring.training import Map, TrainedNetwork, Training, TrainingJob, train_network
from lsmseg_model.data.benchmark import Benchmark, competing
from lsmseg_model.data.label_maps import IGNORE
from lsmseg_model.inference.counting import positions
from lsmseg_model.inference.embeddings import embed
from lsmseg_model.inference.feature_cache import state_hash
from lsmseg_model.inference.options import AUTO, RunOptions
from lsmseg_model.inference.pipeline import Encoded, Picture, Pipeline
from lsmseg_model.inference.precision import how
from lsmseg_model.inference.reading import MEAN, Reading, some_texts
from lsmseg_model.metrics import confusion_counts
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.networks.build import load_network
from lsmseg_model.segmenter import Segmenter
from lsmseg_prompts.prompts.prompt_set import PromptSet


class NetworkScorer(Scorer):
    """What both have in common: pictures through a network. ``segmenter`` is that of a set.

    ``how``: pictures at a time. ``captions``: what describes them, see `Segmenter.tell`.
    """

    how: RunOptions = AUTO
    captions: str | None = None

    def segmenter(self, prompt_set: PromptSet) -> Segmenter:
        """The network that a prompt set is scored with."""
        raise NotImplementedError

    def segment(self, prompt_set: PromptSet, picture: int) -> np.ndarray:
        """int64 [H, W]: the scored class with the highest probability at every pixel."""
        segmenter, (prompts, owners) = self.segmenter(prompt_set), competing(self.benchmark)
        text = segmenter.embed(*some_texts(prompt_set, prompts))
        predicted, _ = self._encoded(segmenter, picture).decode(text).label(owners)
        return np.asarray(self.benchmark.class_indices)[predicted]

    def cost_map(self, prompt_set: PromptSet, picture: int, index: int) -> np.ndarray:
        """float32 [H, W]: the probability of the scored class ``index`` among all that compete.

        Of its prompts the most probable one counts at every pixel.
        """
        segmenter, (prompts, owners) = self.segmenter(prompt_set), competing(self.benchmark)
        text = segmenter.embed(*some_texts(prompt_set, prompts))
        position = self.benchmark.class_indices.index(index)
        wanted = [at for at, owner in enumerate(owners) if owner == position]
        return self._encoded(segmenter, picture).decode(text).scores(wanted).max(axis=0)

    def _encoded(self, segmenter: Segmenter, picture: int) -> Any:
        segmenter.tell(self.captions, self.benchmark)
        name = f"picture {self.benchmark.key(picture)}"
        return segmenter.encode(self.benchmark.picture(picture), name)

    def count_with(
        self,
        segmenter: Segmenter,
        sets: Sequence[Texts],
        on_progress: OnProgress | None,
        readings: Sequence[Reading] | None = None,
    ) -> np.ndarray:
        """int64 [S, P, C, 3]: every picture is encoded once, and decoded with each set's texts.

        Args:
            segmenter: The network.
            sets: The texts of each set.
            on_progress: Called after each picture.
            readings: How the texts of each set are read; by default their mean.
        """
        benchmark = self.benchmark
        segmenter.tell(self.captions, benchmark)
        position, owners = positions(benchmark), competing(benchmark)[1]
        readings = readings or [MEAN] * len(sets)
        texts = embed(segmenter.clip, zip(sets, readings, strict=True))
        classes = len(benchmark.class_indices)
        counts = np.zeros((len(sets), len(benchmark), classes, 3), dtype=np.int64)

        def read(index: int) -> Picture:
            labels = position[benchmark.labels(index)]
            image = benchmark.picture(index) if (labels != IGNORE).any() else None
            return Picture(image, f"picture {benchmark.key(index)}", labels)

        def count(picture: Picture, encoded: Encoded | None) -> np.ndarray:
            counted = np.zeros((len(sets), classes, 3), dtype=np.int64)
            for at, text in enumerate(texts):
                if encoded is None:
                    break
                predicted, _ = encoded.decode(text).label(owners)
                counted[at] = confusion_counts(predicted, picture.about, classes)
            return counted

        pipeline = Pipeline(segmenter.model, read, self.how)
        for picture, counted in enumerate(pipeline.run(range(len(benchmark)), count)):
            counts[:, picture] = counted
            if on_progress:
                on_progress(picture + 1, len(benchmark))
        return counts


class TrainedScorer(NetworkScorer):
    """One network (or a CLIP) that decodes with each prompt set's texts."""

    def __init__(
        self,
        segmenter: Segmenter,
        benchmark: Benchmark,
        count_store: CountStore | None = None,
        how: RunOptions = AUTO,
    ) -> None:
        super().__init__(benchmark, count_store)
        self.model, self.how = segmenter, how

    def identity(self) -> dict[str, Any]:
        weights, computed = self.model.weights_hash, how(self.model.model)
        return {
            "kind": "trained",
            "model": self.model.name,
            "weights": state_hash(self.model.model) if weights == "random" else weights,
            "protocol": str(getattr(self.model.model, "protocol", None)),
            "view": str(self.model.clip.view),
            **({"computed": computed} if computed else {}),
        }

    @property
    def needs(self) -> tuple[int, ...]:
        """The prompts whose texts are read."""
        return competing(self.benchmark)[0]

    def reading(self, prompt_set: PromptSet) -> Reading:
        reading = super().reading(prompt_set)
        return reading if isinstance(self.model.model, Backbone) else reading.for_network()

    def segmenter(self, prompt_set: PromptSet) -> Segmenter:
        return self.model

    def count_texts(
        self,
        sets: Sequence[Texts],
        on_progress: OnProgress | None,
        readings: Sequence[Reading] | None = None,
    ) -> np.ndarray:
        return self.count_with(self.model, sets, on_progress, readings)


class RetrainScorer(NetworkScorer):
    """A network trained for each prompt set, as the paper does, and then scored.

    Args:
        training: How they are trained.
        benchmark: What they are scored on.
        count_store: Where counts are kept (by default in memory).
        spread: What trains them: `map`, or that of an executor.
        trained_with: The texts that one network is trained with, where they are not those of the
            prompt sets: training and scoring may be on different vocabularies.
        pictures: The hash of the benchmark's pictures, where another scorer has made it.
    """

    def __init__(
        self,
        training: Training,
        benchmark: Benchmark,
        count_store: CountStore | None = None,
        spread: Map = map,
        trained_with: Texts | None = None,
        pictures: str | None = None,
    ) -> None:
        super().__init__(benchmark, count_store)
        self.training, self.spread, self.trained_with = training, spread, trained_with
        self._pictures, self.captions = pictures, training.captions

    def identity(self) -> dict[str, Any]:
        apart = {"trained_with": key_of(self.trained_with)} if self.trained_with else {}
        return {"kind": "retrain", **self.training.identity, **apart}

    def texts(self, prompt_set: PromptSet) -> Texts:
        """Of all prompts: a network is trained with more classes than it may be scored on."""
        super().texts(prompt_set)
        return prompt_set.texts

    def reading(self, prompt_set: PromptSet) -> Reading:
        """Of all prompts; a network is trained with texts, not with weights or readings of them."""
        prompt_set.for_training()
        return MEAN

    def job(self, prompt_set: PromptSet, progress: bool = False) -> TrainingJob:
        """The training of the network that a prompt set is scored with."""
        return self.training.job(self.trained_with or prompt_set.texts, progress)

    def segmenter(self, prompt_set: PromptSet) -> Segmenter:
        return self._open(train_network(self.job(prompt_set)))

    def _open(self, trained: TrainedNetwork) -> Segmenter:
        return Segmenter.of(load_network(trained.weights, device=self.training.device))

    def count(self, prompt_sets: Sequence[PromptSet], on_progress: OnProgress | None) -> np.ndarray:
        competes = competing(self.benchmark)[0]
        counted = []
        several = len(prompt_sets) > 1
        if on_progress and several:
            on_progress(0, len(prompt_sets))
        lines = on_progress is not None and not sys.stderr.isatty()  # a terminal has a bar already
        trained = self.spread(train_network, [self.job(p, lines) for p in prompt_sets])
        for prompt_set, network in zip(prompt_sets, trained, strict=True):
            texts = tuple(prompt_set.texts[i] for i in competes)
            of_pictures = None if several else on_progress
            counts = self.count_with(self._open(network), [texts], of_pictures)[0]
            self.count_store.save(self.key, {self.text_key(prompt_set): counts})  # at once
            counted.append(counts)
            if on_progress and several:
                on_progress(len(counted), len(prompt_sets))
        return np.stack(counted)
