"""What a prompt set is confused about, class by class, on some pictures of the selection split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ablations.refinement.candidates import Candidate, Group
from ablations.scoring.frozen import Scorer
from lsmseg_model.data.label_maps import IGNORE
from lsmseg_model.metrics import iou
from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import Vocabulary


@dataclass(frozen=True)
class Confusion:
    """Pixels of ``label`` that are taken for ``predicted``, both as places in the vocabulary.

    gain: the mIoU that it would bring if all of them were predicted right.
    """

    label: int
    predicted: int
    pixels: int
    gain: float


@dataclass(frozen=True)
class Views:
    """Some pictures as they are segmented; no others can be seen.

    Attributes:
        scorer: Of the selection split.
        prompts: What they are segmented with.
        pictures: Which of the split.
        labelled: The classes whose labels may be seen.
    """

    scorer: Scorer
    prompts: PromptSet
    pictures: tuple[int, ...]
    labelled: frozenset[int]

    def picture(self, place: int) -> np.ndarray:
        """uint8 [H, W, 3]: the picture at a place among them."""
        return self.scorer.benchmark.picture(self.pictures[place])

    def segmented(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        """Int [H, W] each: its labels, ``IGNORE`` where they may not be seen, and predictions."""
        picture = self.pictures[place]
        labels = self.scorer.benchmark.labels(picture)
        labels = np.where(np.isin(labels, list(self.labelled)), labels, IGNORE)
        return labels, self.scorer.segment(self.prompts, picture)


@dataclass(frozen=True)
class Feedback:
    """What proposers see: the current texts and what comes of them, never the other half.

    Attributes:
        vocabulary: The classes.
        classes: The places in the vocabulary of those that may be changed, in scored order.
        texts: The current texts of every class of the vocabulary.
        recipes: What the current texts of each class are, see `Candidate`.
        confusion: int64 [C, C] pixels by label (row) and prediction (column), of scored classes.
        scored: The places in the vocabulary of the rows of ``confusion``.
        pictures: The pictures it was counted on.
        tried: For a class what was tried before and the gain it brought on the half it was tried
            on, the best first.
        views: These pictures as they are segmented with the current texts.
        try_out: What candidates gain on these pictures.
        budget: The tokens that a text may take.
    """

    vocabulary: Vocabulary
    classes: tuple[int, ...]
    texts: tuple[Group, ...]
    recipes: dict[int, str]
    confusion: np.ndarray
    scored: tuple[int, ...]
    pictures: tuple[int, ...]
    tried: dict[int, list[tuple[Group, float]]]
    views: Views | None = None
    try_out: Callable[[Sequence[Candidate]], list[float]] = lambda _: []
    budget: TokenBudget = CLIP

    @cached_property
    def iou(self) -> dict[int, float]:
        """The IoU of each scored class; nan for one that was never met."""
        found = iou(_counts(self.confusion))
        return dict(zip(self.scored, found.tolist(), strict=True))

    @cached_property
    def confusions(self) -> list[Confusion]:
        """Every pair of classes that was confused, the one whose mending brings most first."""
        counts = _counts(self.confusion)
        met = int((counts[:, 2] > 0).sum())
        before = np.nan_to_num(iou(counts))
        pairs = []
        for a, b in zip(*np.nonzero(self.confusion), strict=True):
            if a == b:
                continue
            pixels = int(self.confusion[a, b])
            mended = counts[[a, b]].copy()
            mended[0, :2] += pixels
            mended[1, 1] -= pixels
            gain = (np.nan_to_num(iou(mended)) - before[[a, b]]).sum() / met
            pairs.append(Confusion(self.scored[a], self.scored[b], pixels, float(gain)))
        return sorted(pairs, key=lambda pair: -pair.gain)

    def confused_with(self, index: int, most: int) -> list[int]:
        """The classes that this one is taken for or that are taken for it, the costliest first."""
        gains: dict[int, float] = {}
        for pair in self.confusions:
            if index in (pair.label, pair.predicted):
                other = pair.predicted if pair.label == index else pair.label
                gains[other] = gains.get(other, 0.0) + pair.gain
        return sorted(gains, key=lambda other: -gains[other])[:most]


def _counts(confusion: np.ndarray) -> np.ndarray:
    """[C, C] -> [C, 3], see ``metrics``."""
    return np.stack([np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1)], axis=-1)
