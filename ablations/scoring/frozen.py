"""Scorers: prompt sets x a benchmark's pictures -> confusion counts.

`FrozenScorer` trains nothing: dense CLIP features are computed once, after which any number of
prompt sets costs one text embedding and one cosine per position each. `scoring.networks` has
those of whole networks.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ablations.scoring.count_store import CountStore, MemoryCountStore, key_of
from lsmseg_model.data.benchmark import Benchmark, competing
from lsmseg_model.inference.counting import (
    Features,
    add_replacements,
    count_prompt_sets,
    dense_features,
    digest,
    positions,
)
from lsmseg_model.inference.embeddings import ClassEmbeddings, embed
from lsmseg_model.inference.feature_cache import FeatureCache, identity
from lsmseg_model.inference.options import AUTO, RunOptions
from lsmseg_model.inference.pictures import CostMaps
from lsmseg_model.inference.reading import MEAN, Reading, some_texts
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.prompts.prompt_set import PromptSet

OnProgress = Callable[[int, int], None]  # done, total
Texts = tuple[tuple[str, ...], ...]
Replacement = tuple[int, tuple[str, ...]]  # a prompt's place among the competing, and its new texts
AT_ONCE = 256 << 20  # bytes of the counts of whole sets that are held at once
VERSION = 2  # of how counts come about: with another one those in the store are not found


class Scorer(ABC):
    """Scores prompt sets on one benchmark; equal texts once, however many prompt sets share them.

    Only the classes of ``benchmark.class_indices`` compete and count (of a benchmark with
    ``owners`` all prompts compete); the counts' class axis is in their order. count_store: where
    counts are kept (by default in memory). ``by_cosine``: scores are cosines, not probabilities.
    """

    by_cosine = False

    def __init__(self, benchmark: Benchmark, count_store: CountStore | None = None) -> None:
        self.benchmark, self.count_store = benchmark, count_store or MemoryCountStore()
        self.counted_anew = 0  # prompt sets whose counts were not in the count store
        self._pictures: str | None = None

    @cached_property
    def key(self) -> str:
        """The hash of all that the counts depend on but the texts."""
        benchmark = self.benchmark
        about = {
            "version": VERSION,
            "benchmark": benchmark.name,
            "classes": benchmark.class_indices,
            "owners": benchmark.owners,
            "pictures": self.pictures(),
        }
        return key_of({**self.identity(), **about})

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What the counts depend on beside the benchmark and the texts."""

    def segment(self, prompt_set: PromptSet, picture: int) -> np.ndarray:
        """int64 [H, W]: the scored class predicted at every pixel."""
        raise NotImplementedError

    def cost_map(self, prompt_set: PromptSet, picture: int, index: int) -> np.ndarray:
        """float32 [H, W]: how well the scored class ``index`` fits every pixel."""
        raise NotImplementedError

    def count(self, prompt_sets: Sequence[PromptSet], on_progress: OnProgress | None) -> np.ndarray:
        """int64 [S, P, C, 3]: per set, picture and class (intersection, predicted, labelled)."""
        sets = [self.texts(p) for p in prompt_sets]
        return self.count_texts(sets, on_progress, [self.reading(p) for p in prompt_sets])

    def count_texts(
        self,
        sets: Sequence[Texts],
        on_progress: OnProgress | None,
        readings: Sequence[Reading] | None = None,
    ) -> np.ndarray:
        """`count` by the sets' texts alone, see `texts`, and their readings (by default `MEAN`)."""
        raise NotImplementedError

    def count_replacements(
        self,
        texts: Texts,
        replacements: Sequence[Replacement],
        parts: np.ndarray,
        on_progress: OnProgress | None = None,
    ) -> np.ndarray:
        """int64 [parts, K, C, 2]: what each replacement adds to a set's counts.

        Of the intersection and of the prediction, summed over the pictures of each part. Whole
        sets are scored here; a scorer that can do it more quickly does, with the same result.

        Args:
            texts: The set, see `texts`.
            replacements: Which prompt has which other texts.
            parts: int [P], the part that each picture belongs to; below 0 it is left out.
            on_progress: Called with pictures done and in all.
        """
        number = int(parts.max()) + 1
        classes, pictures = len(self.benchmark.class_indices), len(self.benchmark)
        total = np.zeros((number, len(replacements), classes, 2), dtype=np.int64)
        before = self.count_texts([texts], None)[..., :2]
        step = max(1, AT_ONCE // (24 * classes * pictures))
        for start in range(0, len(replacements), step):
            some = replacements[start : start + step]
            sets = [(*texts[:prompt], group, *texts[prompt + 1 :]) for prompt, group in some]
            change = self.count_texts(sets, on_progress)[..., :2] - before
            for part in range(number):
                total[part, start : start + step] = change[:, parts == part].sum(axis=1)
        return total

    def encode_pictures(self, on_progress: OnProgress | None = None) -> None:
        """Encode the pictures, where that is done once for all prompt sets, and hash them."""
        self._pictures = key_of(self.digests(on_progress))

    def pictures(self) -> str:
        """The hash of all pictures and labels."""
        if self._pictures is None:
            self.encode_pictures()
        assert self._pictures is not None
        return self._pictures

    def digests(self, on_progress: OnProgress | None = None) -> list[str]:
        """The hash of each picture with its labels."""
        digests = []
        for index in range(len(self.benchmark)):
            digests.append(digest(self.benchmark.picture(index), self.benchmark.labels(index)))
            if on_progress:
                on_progress(index + 1, len(self.benchmark))
        return digests

    def texts(self, prompt_set: PromptSet) -> Texts:
        """The texts that the counts depend on: those of the competing prompts.

        Raises UsageError for another vocabulary's set.
        """
        if prompt_set.vocabulary != self.benchmark.vocabulary:
            raise UsageError(
                f"The prompt set {prompt_set.name} is for the vocabulary {prompt_set.vocabulary}, "
                f"but {self.benchmark.name} is labelled with {self.benchmark.vocabulary}."
            )
        return some_texts(prompt_set, competing(self.benchmark)[0])[0]

    def reading(self, prompt_set: PromptSet) -> Reading:
        """How the texts of each competing prompt are read together.

        Raises UsageError where the scorer cannot read them so.
        """
        return some_texts(prompt_set, competing(self.benchmark)[0])[1]

    def text_key(self, prompt_set: PromptSet) -> str:
        """The hash of the texts that the counts depend on, and of how they are read."""
        texts, reading = self.texts(prompt_set), self.reading(prompt_set)
        return key_of(texts if reading == MEAN else [texts, asdict(reading)])

    def score(
        self, prompt_sets: Sequence[PromptSet], on_progress: OnProgress | None = None
    ) -> np.ndarray:
        """int64 [S, P, C, 3]: per set, picture and class (intersection, predicted, labelled)."""
        hashes = [self.text_key(p) for p in prompt_sets]
        one_each = dict(zip(hashes, prompt_sets, strict=True))
        counts = self.count_store.load(self.key, list(one_each))
        fresh = {h: p for h, p in one_each.items() if h not in counts}
        if fresh:
            scored = self.count(list(fresh.values()), on_progress)
            self.counted_anew += len(fresh)
            new = dict(zip(fresh, scored, strict=True))
            self.count_store.save(self.key, new)
            counts |= new
        return np.stack([counts[h] for h in hashes])

    def score_part(self, prompt_sets: Sequence[PromptSet], pictures: np.ndarray) -> np.ndarray:
        """int64 [S, pictures, C, 3]: `score` of some pictures only, by their places."""
        return self.score(prompt_sets)[:, pictures]

    def labels(self, picture: int) -> np.ndarray:
        """Int [H, W]: the label map as positions in ``class_indices``, below 0 where ignored."""
        return positions(self.benchmark)[self.benchmark.labels(picture)]


class FrozenScorer(Scorer):
    """Scores prompt sets with a frozen CLIP on one benchmark.

    cache: keeps dense features. how: pictures at a time.
    """

    by_cosine = True

    def __init__(
        self,
        clip: Backbone,
        benchmark: Benchmark,
        cache: FeatureCache | None = None,
        count_store: CountStore | None = None,
        how: RunOptions = AUTO,
    ) -> None:
        super().__init__(benchmark, count_store)
        self.clip, self.cache, self.how = clip, cache, how
        self._features: Features | None = None
        self._embeddings: dict[str, ClassEmbeddings] = {}  # of what was segmented
        self._groups: dict[tuple[str, ...], torch.Tensor] = {}  # of texts tried again and again

    def identity(self) -> dict[str, Any]:
        return {"kind": "frozen", "model": identity(self.clip)}

    def digests(self, on_progress: OnProgress | None = None) -> list[str]:
        return self.features(on_progress).digests

    @property
    def needs(self) -> tuple[int, ...]:
        """The classes of the vocabulary whose texts are read: the others may be left out."""
        return tuple(competing(self.benchmark)[0])

    def features(self, on_progress: OnProgress | None = None) -> Features:
        """The pictures' dense features and label maps, computed at the first call."""
        if self._features is None:
            self._features = dense_features(
                self.clip, self.benchmark, on_progress, self.cache, self.how
            )
        return self._features

    def count_texts(
        self,
        sets: Sequence[Texts],
        on_progress: OnProgress | None,
        readings: Sequence[Reading] | None = None,
    ) -> np.ndarray:
        return count_prompt_sets(self.clip, self.features(), sets, on_progress, readings)

    def count_replacements(
        self,
        texts: Texts,
        replacements: Sequence[Replacement],
        parts: np.ndarray,
        on_progress: OnProgress | None = None,
    ) -> np.ndarray:
        """As `Scorer.count_replacements`, without scoring all again.

        Args:
            texts: The set.
            replacements: Which prompt has which other texts.
            parts: The part of each picture.
            on_progress: Called with pictures done and in all.
        """
        prompts = np.array([prompt for prompt, _ in replacements])
        new = self._embedded([group for _, group in replacements])
        old = self._embedded(texts)
        return add_replacements(self.features(), old, prompts, new, parts, on_progress)

    def _embedded(self, groups: Sequence[tuple[str, ...]]) -> torch.Tensor:
        """[N, D]; what was embedded once is kept."""
        fresh = [group for group in dict.fromkeys(groups) if group not in self._groups]
        if fresh:
            self._groups |= dict(zip(fresh, self.clip.encode_texts(fresh), strict=True))
        return torch.stack([self._groups[group] for group in groups])

    def score_part(self, prompt_sets: Sequence[PromptSet], pictures: np.ndarray) -> np.ndarray:
        whole = self.features()
        maps, labels = ([some[i] for i in pictures] for some in (whole.maps, whole.labels))
        part = Features(maps, labels, whole.stands_for)
        sets = [self.texts(prompts) for prompts in prompt_sets]
        readings = [self.reading(prompts) for prompts in prompt_sets]
        return count_prompt_sets(self.clip, part, sets, None, readings)

    def labels(self, picture: int) -> np.ndarray:
        return self.features().labels[picture]

    def segment(self, prompt_set: PromptSet, picture: int) -> np.ndarray:
        """int64 [H, W]: the scored class with the highest cosine at every pixel."""
        return np.asarray(self.benchmark.class_indices)[self.label(prompt_set, picture)[0]]

    def label(self, prompt_set: PromptSet, picture: int) -> tuple[np.ndarray, np.ndarray]:
        """[H, W] each: the position in ``class_indices`` of the highest cosine, and this cosine."""
        key = self.text_key(prompt_set)
        if key not in self._embeddings:
            texts = self.texts(prompt_set), self.reading(prompt_set)
            self._embeddings[key] = embed(self.clip, [texts])[0]
        return self._cost_maps(self._embeddings[key], picture).label(
            self.features().stands_for.tolist()
        )

    def cost_map(self, prompt_set: PromptSet, picture: int, index: int) -> np.ndarray:
        """float32 [H, W]: the highest cosine (Eq. 1) of every pixel with the class's prompts."""
        owners = self.benchmark.owners
        prompts = [index] if owners is None else [p for p, o in enumerate(owners) if o == index]
        text = embed(self.clip, [some_texts(prompt_set, prompts)])[0]
        return self._cost_maps(text, picture).scores(range(len(prompts))).max(axis=0)

    def _cost_maps(self, text: ClassEmbeddings, picture: int) -> CostMaps:
        features, (height, width) = self.features(), self.features().labels[picture].shape
        return CostMaps(features.maps[picture].to(self.clip.device), text, (height, width))
