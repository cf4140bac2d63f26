"""Scorers: prompt sets x a benchmark's pictures -> confusion counts.

`FrozenScorer` trains nothing: dense CLIP features are computed once, after which any number of
prompt sets costs one text embedding and one cosine per position each.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from lsmseg_model.clip import Clip
from lsmseg_model.cost_map import cost_map, segment, upsample
from lsmseg_model.data.benchmark import Benchmark, competing, load_benchmark
from lsmseg_model.evaluate import Features, count_prompt_sets, dense_features
from lsmseg_model.feature_cache import FeatureCache
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.prompt_set import PromptSet

Progress = Callable[[int, int], None]  # done, total
Texts = tuple[tuple[str, ...], ...]
SPLITS = ("selection", "report")


class FrozenScorer:
    """Scores prompt sets with a frozen CLIP on one benchmark.

    Only the classes of ``benchmark.class_indices`` compete and count (of a benchmark with
    ``owners`` all prompts compete); the counts' class axis is in their order. Equal texts are
    scored once, however many prompt sets share them. cache: keeps dense features on disk.
    """

    def __init__(self, clip: Clip, benchmark: Benchmark, cache: FeatureCache | None = None) -> None:
        self.clip, self.benchmark, self.cache = clip, benchmark, cache
        self._features: Features | None = None
        self._counts: dict[Texts, np.ndarray] = {}
        self._embeddings: dict[Texts, torch.Tensor] = {}  # of what was segmented

    def features(self, progress: Progress | None = None) -> Features:
        """The pictures' dense features and label maps, computed at the first call."""
        if self._features is None:
            self._features = dense_features(self.clip, self.benchmark, progress, self.cache)
        return self._features

    def texts(self, prompt_set: PromptSet) -> Texts:
        """The texts of the competing prompts. Raises UsageError for another vocabulary's set."""
        if prompt_set.vocabulary != self.benchmark.vocabulary:
            raise UsageError(
                f"The prompt set {prompt_set.name} is for the vocabulary {prompt_set.vocabulary}, "
                f"but {self.benchmark.name} is labelled with {self.benchmark.vocabulary}."
            )
        return tuple(prompt_set.texts[index] for index in competing(self.benchmark)[0])

    def score(
        self, prompt_sets: Sequence[PromptSet], progress: Progress | None = None
    ) -> np.ndarray:
        """int64 [S, P, C, 3]: per set, picture and class (intersection, predicted, labelled)."""
        wanted = [self.texts(p) for p in prompt_sets]
        fresh = [texts for texts in dict.fromkeys(wanted) if texts not in self._counts]
        if fresh:
            counts = count_prompt_sets(self.clip, self.features(), fresh, progress)
            self._counts.update(zip(fresh, counts, strict=True))
        return np.stack([self._counts[texts] for texts in wanted])

    def segment(self, prompt_set: PromptSet, picture: int) -> np.ndarray:
        """int64 [H, W]: the scored class with the highest cosine at every pixel."""
        features = self.features()
        texts = self.texts(prompt_set)
        if texts not in self._embeddings:
            self._embeddings[texts] = self.clip.encode_texts(texts)
        text = self._embeddings[texts]
        height, width = features.labels[picture].shape
        position, _ = segment(features.maps[picture].to(text.device), text, (height, width))
        return np.asarray(self.benchmark.class_indices)[features.stands_for[position[0]]]

    @torch.inference_mode()
    def cost_map(self, prompt_set: PromptSet, picture: int, index: int) -> np.ndarray:
        """float32 [H, W]: the cosine (Eq. 1) of every pixel with the scored class ``index``, the
        highest of its prompts."""
        features = self.features()
        owners = self.benchmark.owners
        prompts = [index] if owners is None else [p for p, o in enumerate(owners) if o == index]
        text = self.clip.encode_texts([prompt_set.texts[p] for p in prompts])
        height, width = features.labels[picture].shape
        cost = cost_map(features.maps[picture].to(text.device)[None], text)
        return upsample(cost, (height, width))[0].amax(0).cpu().numpy()


class Part:
    """Some pictures of a benchmark, as a benchmark of their own."""

    def __init__(self, whole: Benchmark, pictures: Sequence[int], split: str) -> None:
        self.whole, self.pictures, self.split = whole, tuple(pictures), split
        self.name, self.vocabulary = whole.name, whole.vocabulary
        self.class_indices, self.seen = whole.class_indices, whole.seen
        self.owners = whole.owners

    def __len__(self) -> int:
        return len(self.pictures)

    def key(self, index: int) -> str:
        return self.whole.key(self.pictures[index])

    def picture(self, index: int) -> np.ndarray:
        return self.whole.picture(self.pictures[index])

    def labels(self, index: int) -> np.ndarray:
        return self.whole.labels(self.pictures[index])


def halves(whole: Benchmark, seed: int = 0) -> dict[str, Benchmark]:
    """A benchmark without splits of its own, dealt out at random: half to select on, half to
    report on. Raises UsageError for fewer than two pictures."""
    count = len(whole)
    if count < 2:
        raise UsageError(
            f"{whole.name} has {count} picture(s), but prompts are chosen on one half of the "
            "pictures and reported on the other: give at least 2."
        )
    order = np.random.default_rng([seed, count]).permutation(count)
    dealt = (sorted(order[: count // 2].tolist()), sorted(order[count // 2 :].tolist()))
    source = f"{whole.split}: " if whole.split else ""
    return {
        split: Part(whole, pictures, f"{source}{split} half (seed {seed})")
        for split, pictures in zip(SPLITS, dealt, strict=True)
    }


def open_splits(
    name: str,
    root: str | None = None,
    limit: int | None = None,
    class_count: int | None = None,
    vocabulary: str | None = None,
    seed: int = 0,
) -> dict[str, Benchmark]:
    """The benchmark to select on and the one to report on, under the keys of SPLITS.

    MiniStuff has splits for both, of which ``limit`` keeps the first pictures each; of any other
    benchmark the first ``limit`` pictures are dealt out by `halves`.
    """
    if name == "ministuff":
        return {split: load_benchmark(name, root, split, limit) for split in SPLITS}
    return halves(load_benchmark(name, root, None, limit, class_count, vocabulary), seed)
