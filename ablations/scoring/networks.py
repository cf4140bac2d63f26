"""Scorers of whole networks: one network asked with other prompts, or one trained for each.

`TrainedScorer` looks at a picture once (CLIP, the second encoder, their fusion) and runs the head
alone for every prompt set. `RetrainScorer` trains a network with the texts of each prompt set, as
the paper does, and then scores it; trainings that were finished are found again, one that was
interrupted goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ablations.scoring.count_store import CountStore, key_of
from ablations.scoring.frozen import OnProgress, Scorer, Texts
from lsmseg_model.data.benchmark import Benchmark, competing, load_benchmark
from lsmseg_model.data.label_maps import IGNORE
from lsmseg_model.errors import DataError
from lsmseg_model.inference.counting import positions
from lsmseg_model.inference.feature_cache import state_hash
from lsmseg_model.metrics import confusion_counts
from lsmseg_model.networks.build import load_network, read_network
from lsmseg_model.segmenter import Segmenter
from lsmseg_prompts.prompts.prompt_set import PromptSet

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


class NetworkScorer(Scorer):
    """What both have in common: pictures through a network. ``segmenter`` is that of a set."""

    def segmenter(self, prompt_set: PromptSet) -> Segmenter:
        """The network that a prompt set is scored with."""
        raise NotImplementedError

    def segment(self, prompt_set: PromptSet, picture: int) -> np.ndarray:
        """int64 [H, W]: the scored class with the highest probability at every pixel."""
        segmenter, (prompts, owners) = self.segmenter(prompt_set), competing(self.benchmark)
        text = segmenter.encode_texts([prompt_set.texts[i] for i in prompts])
        found, _ = segmenter.label(self.benchmark.picture(picture), text, owners)
        return np.asarray(self.benchmark.class_indices)[found]

    def cost_map(self, prompt_set: PromptSet, picture: int, index: int) -> np.ndarray:
        """float32 [H, W]: the probability of the scored class ``index`` at every pixel, the
        highest of its prompts, among all that compete."""
        segmenter, (prompts, owners) = self.segmenter(prompt_set), competing(self.benchmark)
        text = segmenter.encode_texts([prompt_set.texts[i] for i in prompts])
        position = self.benchmark.class_indices.index(index)
        wanted = [at for at, owner in enumerate(owners) if owner == position]
        return segmenter.scores(self.benchmark.picture(picture), text, wanted).max(axis=0)

    def count_with(
        self, segmenter: Segmenter, sets: Sequence[Texts], on_progress: OnProgress | None
    ) -> np.ndarray:
        """int64 [S, P, C, 3]: every picture is looked at once, and asked with each set's texts."""
        benchmark = self.benchmark
        position, owners = positions(benchmark), competing(benchmark)[1]
        groups = list(dict.fromkeys(group for texts in sets for group in texts))
        row = {group: at for at, group in enumerate(groups)}
        embedded = segmenter.encode_texts(groups)
        texts = [embedded[[row[group] for group in one]] for one in sets]
        classes = len(benchmark.class_indices)
        counts = np.zeros((len(sets), len(benchmark), classes, 3), dtype=np.int64)
        for picture in range(len(benchmark)):
            labels = position[benchmark.labels(picture)]
            if (labels != IGNORE).any():
                encoded = segmenter.encode(benchmark.picture(picture))
                for at, text in enumerate(texts):
                    predicted, _ = encoded.decode(text).label(owners)
                    counts[at, picture] = confusion_counts(predicted, labels, classes)
            if on_progress:
                on_progress(picture + 1, len(benchmark))
        return counts


class TrainedScorer(NetworkScorer):
    """One network (or a CLIP) asked with each prompt set's texts."""

    def __init__(
        self, segmenter: Segmenter, benchmark: Benchmark, count_store: CountStore | None = None
    ) -> None:
        super().__init__(benchmark, count_store)
        self.model = segmenter

    def identity(self) -> dict[str, Any]:
        weights = self.model.weights_hash
        return {
            "kind": "trained",
            "model": self.model.name,
            "weights": state_hash(self.model.model) if weights == "random" else weights,
            "protocol": str(getattr(self.model.model, "protocol", None)),
            "view": str(self.model.clip.view),
        }

    @property
    def needs(self) -> tuple[int, ...]:
        """The prompts that it looks at."""
        return competing(self.benchmark)[0]

    def segmenter(self, prompt_set: PromptSet) -> Segmenter:
        return self.model

    def count_texts(self, sets: Sequence[Texts], on_progress: OnProgress | None) -> np.ndarray:
        return self.count_with(self.model, sets, on_progress)


@dataclass(frozen=True)
class Training:
    """How networks are trained on a benchmark's train split; only the texts differ.

    folder: holds a folder for each training. pretrained, encoder: see `start_network`.
    """

    folder: Path
    config: str
    data: str
    root: str | None
    vocabulary: str
    prompts: int  # of the vocabulary
    iterations: int | None = None
    pretrained: str | None = None
    encoder: str | None = None
    seed: int = 0
    device: str = "cpu"

    def about(self) -> dict[str, Any]:
        """What a trained network depends on but the texts."""
        settings = read_network(self.config)
        files = [
            [path, Path(path).stat().st_size] if path and Path(path).is_file() else path
            for path in (self.pretrained, self.encoder)
        ]
        benchmark: Any = load_benchmark(
            self.data, self.root, "train", None, self.prompts, self.vocabulary
        )
        pairs = [
            [a.name, a.stat().st_size, b.stat().st_size] for a, b in getattr(benchmark, "pairs", ())
        ]
        return {
            "settings": settings,
            "iterations": self.iterations,
            "files": files,
            "data": [self.data, len(benchmark), key_of(pairs)],
            "seed": self.seed,
        }

    def weights(self, texts: Texts, about: dict[str, Any]) -> Path:
        """The weights of the network trained with these texts, a group for each prompt of the
        vocabulary; trains it unless it is there. Raises what `train` raises."""
        from lsmseg_model.train import train

        out = self.folder / key_of([about, texts])
        found = out / f"{about['settings']['name']}.safetensors"
        if found.is_file():
            return found

        def go() -> Path:
            return train(
                config=self.config,
                data=self.data,
                data_root=self.root,
                texts=texts,
                vocabulary_name=self.vocabulary,
                out=out,
                pretrained=self.pretrained,
                encoder=self.encoder,
                options={"iterations": self.iterations},
                test_limit=1,
                again=True,
                seed=self.seed,
                device=self.device,
                workers=0,
                tensorboard=False,
                progress=False,
            ).weights

        try:
            return go()
        except DataError as error:
            if "already reached" not in str(error):
                raise
            (out / "last.pt").unlink()  # it was killed before it wrote its weights
            return go()


class RetrainScorer(NetworkScorer):
    """A network trained for each prompt set. spread: what calls a function for each training, in
    order (`map`, or that of an executor)."""

    def __init__(
        self,
        training: Training,
        benchmark: Benchmark,
        count_store: CountStore | None = None,
        spread: Map = map,
    ) -> None:
        super().__init__(benchmark, count_store)
        self.training, self.spread = training, spread
        self._about = training.about()

    def identity(self) -> dict[str, Any]:
        return {"kind": "retrain", **self._about}

    def texts(self, prompt_set: PromptSet) -> Texts:
        """Of all prompts: a network is trained with more classes than it may be scored on."""
        super().texts(prompt_set)
        return prompt_set.texts

    def segmenter(self, prompt_set: PromptSet) -> Segmenter:
        return _load(self.training, self.training.weights(prompt_set.texts, self._about))

    def count(self, prompt_sets: Sequence[PromptSet], on_progress: OnProgress | None) -> np.ndarray:
        competes = competing(self.benchmark)[0]
        found = []
        if on_progress:
            on_progress(0, len(prompt_sets))
        jobs = [(self.training, p.texts, self._about) for p in prompt_sets]
        for at, weights in enumerate(self.spread(train_one, jobs)):
            texts = tuple(prompt_sets[at].texts[i] for i in competes)
            counts = self.count_with(_load(self.training, weights), [texts], None)[0]
            key = key_of(self.texts(prompt_sets[at]))
            self.count_store.save(self.key, {key: counts})  # at once
            found.append(counts)
            if on_progress:
                on_progress(at + 1, len(prompt_sets))
        return np.stack(found)


def train_one(job: tuple[Training, Texts, dict[str, Any]]) -> Path:
    """A training, for an executor: its weights' file."""
    training, texts, about = job
    return training.weights(texts, about)


def _load(training: Training, weights: Path) -> Segmenter:
    return Segmenter.of(load_network(weights, device=training.device))
