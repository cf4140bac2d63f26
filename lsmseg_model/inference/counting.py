"""Texts counted on a benchmark: any model, or dense features once and many text sets."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lsmseg_model.data.benchmark import Benchmark, competing, scored_names
from lsmseg_model.data.label_maps import IGNORE
from lsmseg_model.data.parallel import OnProgress
from lsmseg_model.errors import DataError
from lsmseg_model.inference.embeddings import ClassEmbeddings, embed
from lsmseg_model.inference.feature_cache import FeatureCache
from lsmseg_model.inference.options import AUTO, NONE, Augmentation, RunOptions
from lsmseg_model.inference.pictures import EncodedPicture
from lsmseg_model.inference.pipeline import Encoded, Picture, Pipeline
from lsmseg_model.inference.reading import MEAN, Reading
from lsmseg_model.kernels.counting import count_sets
from lsmseg_model.kernels.replacing import count_replacements
from lsmseg_model.kernels.threads import in_threads
from lsmseg_model.metrics import (
    accuracy,
    boundary_counts,
    confusion_counts,
    confusion_matrix,
    iou,
    miou,
)
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.networks.base import Network


@dataclass
class Features:
    """Dense features of a benchmark's pictures, with the label maps they are scored against."""

    maps: list[Tensor]  # [h, w, D] each, on the CPU
    labels: list[np.ndarray]  # int16 [H, W] positions in class_indices, or IGNORE
    stands_for: np.ndarray  # int64 [N]: the position that each competing prompt stands for
    digests: list[str] = field(default_factory=list)  # of each picture with its label map


def positions(benchmark: Benchmark) -> np.ndarray:
    """int16: vocabulary index -> position in class_indices.

    The last entry, which IGNORE = -1 reads, is IGNORE.
    """
    position = np.full(max(benchmark.class_indices) + 2, IGNORE, dtype=np.int16)
    position[list(benchmark.class_indices)] = np.arange(len(benchmark.class_indices))
    return position


def dense_features(
    clip: Backbone,
    benchmark: Benchmark,
    on_progress: OnProgress | None = None,
    cache: FeatureCache | None = None,
    how: RunOptions = AUTO,
) -> Features:
    """Run the picture tower once over every picture; labels become class positions.

    Args:
        clip: The tower.
        benchmark: The pictures.
        on_progress: Called after each picture.
        cache: Keeps the features on disk, and reads them from there.
        how: How many pictures at a time.

    Raises:
        DataError: Where there are no pictures, and for features that are NaN or infinite.
    """
    if len(benchmark) == 0:
        raise DataError(f"{benchmark.name} ({benchmark.split}) has no pictures.")
    position = positions(benchmark)
    features = Features([], [], np.array(competing(benchmark)[1]))

    def read(index: int) -> Picture:
        picture, labels = benchmark.picture(index), position[benchmark.labels(index)]
        about = digest(picture, labels), labels
        return Picture(picture, f"picture {benchmark.key(index)}", about)

    def take(picture: Picture, encoded: Encoded | None) -> tuple[Tensor, np.ndarray, str]:
        assert isinstance(encoded, EncodedPicture)
        made, labels = picture.about
        return encoded.features, labels, made

    pipeline = Pipeline(clip, read, how, cache or FeatureCache(clip, None))
    for done, (found, labels, made) in enumerate(pipeline.run(range(len(benchmark)), take), 1):
        features.maps.append(found)
        features.labels.append(labels)
        features.digests.append(made)
        if on_progress:
            on_progress(done, len(benchmark))
    return features


def digest(picture: np.ndarray, labels: np.ndarray) -> str:
    """The hash of a picture with its labels."""
    sha = hashlib.sha256()
    for array in (picture, labels):
        sha.update(f"{array.shape} {array.dtype}".encode())
        sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()


def count_prompt_sets(
    clip: Backbone,
    features: Features,
    texts: Sequence[Sequence[Sequence[str]]],
    on_progress: OnProgress | None = None,
    readings: Sequence[Reading] | None = None,
) -> np.ndarray:
    """Score S text sets in one pass: int64 [S, P, C, 3] counts (see ``metrics``).

    Args:
        clip: The text tower.
        features: Of the pictures, see `dense_features`.
        texts: S sets x N competing prompts x sentences.
        on_progress: Called after each picture.
        readings: How the sentences of each set are read; by default their mean.
    """
    classes = int(features.stands_for.max()) + 1
    alike = _alike(embed(clip, zip(texts, readings or [MEAN] * len(texts), strict=True)))
    counts = np.zeros((len(texts), len(features.maps), classes, 3), dtype=np.int64)

    def one(picture: int) -> np.ndarray:
        feature, labels = features.maps[picture].to(clip.device), features.labels[picture]
        counted = np.empty((len(texts), classes, 3), dtype=np.int64)
        for some, text, owners in alike:
            rows = text if isinstance(text, Tensor) else torch.stack([t.of(feature) for t in text])
            stands_for = features.stands_for[list(owners)] if owners else features.stands_for
            counted[some] = count_sets(feature, rows, labels, stands_for, classes)
        return counted

    pictures = range(len(features.maps))
    for picture, counted in enumerate(in_threads(one, pictures, clip.device)):
        counts[:, picture] = counted
        if on_progress:
            on_progress(picture + 1, len(features.maps))
    return counts


def _alike(
    sets: Sequence[ClassEmbeddings],
) -> list[tuple[list[int], Tensor | list[ClassEmbeddings], tuple[int, ...] | None]]:
    """The sets that are counted together: their places, their embeddings, and whose the rows are.

    The embeddings are [S, M, D], of sets that are mixed anew for each picture one by one.
    """
    places: dict[tuple[tuple[int, ...] | None, bool], list[int]] = {}
    for at, one in enumerate(sets):
        places.setdefault((one.owners, one.present is None), []).append(at)
    return [
        (some, torch.stack([sets[s].rows for s in some]) if fixed else [sets[s] for s in some], own)
        for (own, fixed), some in places.items()
    ]


def add_replacements(
    features: Features,
    text: Tensor,
    prompts: np.ndarray,
    replacements: Tensor,
    parts: np.ndarray,
    on_progress: OnProgress | None = None,
) -> np.ndarray:
    """int64 [parts, K, C, 2]: what replacements of one prompt each add to the counts of a set.

    Of the intersection and of the prediction, summed over the pictures of each part; picture by
    picture, so the memory is that of the sums.

    Args:
        features: Of the pictures, see `dense_features`.
        text: [N, D] the set's embeddings.
        prompts: int [K], the prompt that each replaces.
        replacements: [K, D], what it is replaced by.
        parts: int [P], the part that each picture belongs to; below 0 it is left out.
        on_progress: Called after each picture.
    """
    classes = int(features.stands_for.max()) + 1
    total = np.zeros((int(parts.max()) + 1, len(replacements), classes, 2), dtype=np.int64)

    def one(picture: int) -> np.ndarray:
        feature, labels = features.maps[picture].to(text.device), features.labels[picture]
        owners = features.stands_for
        return count_replacements(feature, text, labels, owners, classes, prompts, replacements)

    chosen = np.flatnonzero(parts >= 0).tolist()
    for done, (picture, counted) in enumerate(
        zip(chosen, in_threads(one, chosen, text.device), strict=True), 1
    ):
        total[parts[picture]] += counted
        if on_progress:
            on_progress(done, len(chosen))
    return total


def count_pictures(
    model: Backbone | Network,
    benchmark: Benchmark,
    text: Tensor | ClassEmbeddings,
    pictures: Iterable[int] | None = None,
    on_progress: OnProgress | None = None,
    save: Callable[[int, np.ndarray], None] | None = None,
    confusion: np.ndarray | None = None,
    boundary: np.ndarray | None = None,
    augmentation: Augmentation = NONE,
    how: RunOptions = AUTO,
) -> np.ndarray:
    """int64 [P, C, 3] counts (see ``metrics``) of the scored classes for each picture.

    A picture without a labelled pixel counts nothing.

    Args:
        model: A CLIP, or a whole network.
        benchmark: The pictures.
        text: Embeddings of the competing prompts, [N, D] or as a reading has them.
        pictures: Indices of those that are counted; all if None.
        on_progress: Called after each picture.
        save: Called with each picture's index and int64 [H, W] positions in ``class_indices``.
        confusion: int64 [C, C] to which each picture's `confusion_matrix` is added.
        boundary: int64 [C, 3] to which each picture's `boundary_counts` are added.
        augmentation: The views of a picture that are averaged.
        how: How many pictures at a time.
    """
    position, owners = positions(benchmark), competing(benchmark)[1]
    classes = len(benchmark.class_indices)
    chosen = list(range(len(benchmark)) if pictures is None else pictures)
    counts = np.zeros((len(chosen), classes, 3), dtype=np.int64)

    def read(index: int) -> Picture:
        labels = position[benchmark.labels(index)]
        wanted = save is not None or (labels != IGNORE).any()
        image = benchmark.picture(index) if wanted else None
        return Picture(image, f"picture {benchmark.key(index)}", labels)

    def label(picture: Picture, encoded: Encoded | None) -> _Labelled | None:
        if encoded is None:
            return None
        predicted, _ = encoded.decode(text).label(owners)
        given = predicted, picture.about, classes
        matrix = None if confusion is None else confusion_matrix(*given)
        edges = None if boundary is None else boundary_counts(*given)
        return _Labelled(predicted, confusion_counts(*given), matrix, edges)

    found = Pipeline(model, read, how, augmentation=augmentation).run(chosen, label)
    for at, (index, one) in enumerate(zip(chosen, found, strict=True)):
        if one is not None:
            counts[at] = one.counts
            for total, part in ((confusion, one.confusion), (boundary, one.boundary)):
                if total is not None:
                    total += part
            if save:
                save(index, one.positions)
        if on_progress:
            on_progress(at + 1, len(chosen))
    return counts


class _Labelled(NamedTuple):
    """A picture with a class position for every pixel."""

    positions: np.ndarray
    counts: np.ndarray
    confusion: np.ndarray | None
    boundary: np.ndarray | None


def class_rows(
    counts: np.ndarray, benchmark: Benchmark, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """counts: [P, C, 3] -> a row for every scored class; None for what was never met."""
    total, seen = counts.sum(axis=0), benchmark.seen
    per_class, recall = iou(total), accuracy(total)
    names = scored_names(benchmark, class_names)
    return [
        {
            "index": index,
            "name": names[at],
            "iou": _number(per_class[at]),
            "accuracy": _number(recall[at]),
            "labelled": int(total[at, 2]),
            "predicted": int(total[at, 1]),
            **({} if seen is None else {"seen": index in seen}),
        }
        for at, index in enumerate(benchmark.class_indices)
    ]


def summarise(
    counts: np.ndarray, benchmark: Benchmark, positions: Sequence[int] | None = None
) -> dict[str, Any]:
    """The means of counts [P, C, 3].

    Both mIoUs (``miou``, over the classes that occur in the labels, is the headline), accuracies,
    and mIoU of seen and unseen classes apart; positions: of the classes that count (None: all).
    """
    kept = list(range(counts.shape[1]) if positions is None else positions)
    counts = counts[:, kept]
    total = counts.sum(axis=0)
    labelled = int(total[:, 2].sum())
    per_class = accuracy(total)[total[:, 2] > 0]
    means: dict[str, Any] = {
        "pictures": int((counts[:, :, 2].sum(axis=1) > 0).sum()),
        "miou": miou(total),
        "miou_union": miou(total, definition="union"),
        "pixel_accuracy": float(total[:, 0].sum() / labelled) if labelled else float("nan"),
        "class_accuracy": float(per_class.mean()) if labelled else float("nan"),
    }
    if benchmark.seen is not None:
        for name, wanted in (("miou_seen", True), ("miou_unseen", False)):
            at = [
                at
                for at, place in enumerate(kept)
                if (benchmark.class_indices[place] in benchmark.seen) == wanted
            ]
            means[name] = miou(total, at)
    return means


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
