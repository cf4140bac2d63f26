"""Scoring texts on a benchmark: any model, or dense features once and many text sets."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from lsmseg_model.data.benchmark import IGNORE, Benchmark, competing, load_benchmark, scored_names
from lsmseg_model.data.label_png import check_count, write_classes, write_label_map
from lsmseg_model.errors import DataError
from lsmseg_model.files import new_folder, whole_file
from lsmseg_model.inference.feature_cache import FeatureCache
from lsmseg_model.kernels.counting import count_sets
from lsmseg_model.kernels.threads import in_threads
from lsmseg_model.metrics import accuracy, confusion_counts, iou, miou
from lsmseg_model.networks.backbones.clip import Clip
from lsmseg_model.networks.catseg import told
from lsmseg_model.segmenter import DEFAULT, Segmenter

Progress = Callable[[int, int], None]  # done, total


@dataclass
class Features:
    """Dense features of a benchmark's pictures, with the label maps they are scored against."""

    maps: list[Tensor]  # [h, w, D] each, on the CPU
    labels: list[np.ndarray]  # int16 [H, W] positions in class_indices, or IGNORE
    stands_for: np.ndarray  # int64 [N]: the position that each competing prompt stands for
    digests: list[str] = field(default_factory=list)  # of each picture with its label map


def positions(benchmark: Benchmark) -> np.ndarray:
    """int16: vocabulary index -> position in class_indices; the last entry, which IGNORE = -1
    reads, is IGNORE."""
    position = np.full(max(benchmark.class_indices) + 2, IGNORE, dtype=np.int16)
    position[list(benchmark.class_indices)] = np.arange(len(benchmark.class_indices))
    return position


def dense_features(
    clip: Clip,
    benchmark: Benchmark,
    progress: Progress | None = None,
    cache: FeatureCache | None = None,
) -> Features:
    """Run the picture tower once over every picture; labels become class positions.

    cache: keeps the features on disk and finds them there.
    """
    cache = cache or FeatureCache(clip, None)
    if len(benchmark) == 0:
        raise DataError(f"{benchmark.name} ({benchmark.split}) has no pictures.")
    position = positions(benchmark)
    features = Features([], [], np.array(competing(benchmark)[1]))
    for index in range(len(benchmark)):
        picture = benchmark.picture(index)
        labels = position[benchmark.labels(index)]
        features.digests.append(digest(picture, labels))
        features.maps.append(cache(picture))
        features.labels.append(labels)
        if progress:
            progress(index + 1, len(benchmark))
    return features


def digest(picture: np.ndarray, labels: np.ndarray) -> str:
    """The hash of a picture with its labels."""
    found = hashlib.sha256()
    for array in (picture, labels):
        found.update(f"{array.shape} {array.dtype}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def count_prompt_sets(
    clip: Clip,
    features: Features,
    texts: Sequence[Sequence[Sequence[str]]],
    progress: Progress | None = None,
) -> np.ndarray:
    """Score S text sets in one pass over the pictures.

    texts: S sets x N competing prompts x sentences -> int64 [S, P, C, 3] counts (see ``metrics``)
    of the scored classes.
    """
    classes = int(features.stands_for.max()) + 1
    embeddings = clip.encode_texts([group for text_set in texts for group in text_set])
    text = embeddings.unflatten(0, (len(texts), -1))
    counts = np.zeros((len(texts), len(features.maps), classes, 3), dtype=np.int64)

    def one(picture: int) -> np.ndarray:
        feature = features.maps[picture].to(clip.device)
        return count_sets(feature, text, features.labels[picture], features.stands_for, classes)

    for picture, found in enumerate(in_threads(one, range(len(features.maps)), clip.device)):
        counts[:, picture] = found
        if progress:
            progress(picture + 1, len(features.maps))
    return counts


def count_pictures(
    segmenter: Segmenter,
    benchmark: Benchmark,
    text: Tensor,
    pictures: Iterable[int] | None = None,
    progress: Progress | None = None,
    save: Callable[[int, np.ndarray], None] | None = None,
) -> np.ndarray:
    """int64 [P, C, 3] counts (see ``metrics``) of the scored classes, for each of ``pictures``
    (by default all). A picture without a labelled pixel counts nothing.

    text: [N, D] embeddings of the competing prompts. save: is given each picture's index and
    int64 [H, W] positions in ``class_indices``.
    """
    position, owners = positions(benchmark), competing(benchmark)[1]
    classes = len(benchmark.class_indices)
    chosen = list(range(len(benchmark)) if pictures is None else pictures)
    counts = np.zeros((len(chosen), classes, 3), dtype=np.int64)
    for at, index in enumerate(chosen):
        labels = position[benchmark.labels(index)]
        if save or (labels != IGNORE).any():
            found, _ = segmenter.label(benchmark.picture(index), text, owners)
            counts[at] = confusion_counts(found, labels, classes)
            if save:
                save(index, found)
        if progress:
            progress(at + 1, len(chosen))
    return counts


@dataclass
class Evaluation:
    """Scores of one text set: a row per class, and the means."""

    rows: list[dict[str, Any]]
    summary: dict[str, Any]
    counts: np.ndarray  # int64 [P, C, 3]
    keys: str | None = None  # what became of those of a CAT-Seg checkpoint


def evaluate(
    *,
    data: str,
    texts: Sequence[Sequence[str]],
    class_names: Sequence[str],
    vocabulary_name: str,
    data_root: str | Path | None = None,
    split: str | None = None,
    model: str = DEFAULT,
    pretrained: str | Path | None = None,
    checkpoint: str | Path | None = None,
    format: str = "lsmseg",
    dense: str | None = None,
    sam: str | Path | None = None,
    cache: str | Path | None = None,
    limit: int | None = None,
    device: str = "cpu",
    save_predictions: str | Path | None = None,
    csv: str | Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Score one text set, a group of sentences per class of the vocabulary, on a benchmark.

    model, pretrained, checkpoint, format, dense, sam, cache: see `Segmenter`.
    save_predictions: a folder for label maps in the vocabulary's indices. csv: a file for the rows.
    """
    benchmark = load_benchmark(data, data_root, split, limit, len(texts), vocabulary_name)
    if benchmark.vocabulary != vocabulary_name:
        raise DataError(
            f"{benchmark.name} is labelled with {benchmark.vocabulary}, not {vocabulary_name}; "
            f"use --vocab {benchmark.vocabulary}."
        )
    if len(benchmark) == 0:
        raise DataError(f"{benchmark.name} ({benchmark.split}) has no pictures.")
    segmenter = Segmenter(model, pretrained, checkpoint, format, device, dense, sam, cache)
    text = segmenter.encode_texts([texts[i] for i in competing(benchmark)[0]])
    if save_predictions is None:
        counts = count_pictures(segmenter, benchmark, text, progress=progress)
    else:
        check_count(len(class_names))
        with new_folder(Path(save_predictions)) as folder:
            names = list(class_names)
            for index, name in zip(
                benchmark.class_indices, scored_names(benchmark, class_names), strict=True
            ):
                names[index] = name
            write_classes(folder / "classes.json", names)
            indices = np.asarray(benchmark.class_indices)

            def save(picture: int, found: np.ndarray) -> None:
                path = folder / f"{benchmark.key(picture)}.png"
                write_label_map(path, indices[found], len(class_names))

            counts = count_pictures(segmenter, benchmark, text, progress=progress, save=save)
    rows = class_rows(counts, benchmark, class_names)
    summary: dict[str, Any] = {
        "benchmark": benchmark.name,
        "split": benchmark.split,
        "model": segmenter.name,
        "weights": segmenter.weights_hash,
        "dense": segmenter.clip.dense,
        **summarise(counts, benchmark),
    }
    if cache is not None:
        summary["cache"] = str(getattr(segmenter.model, "cached", ""))
    loaded = segmenter.loaded
    if loaded is not None:
        keys = {"used": loaded.used, "missing": loaded.missing, "unexpected": loaded.unexpected}
        summary["checkpoint_keys"] = keys
    if csv is not None:
        _write_csv(Path(csv), rows)
    return Evaluation(rows, summary, counts, None if loaded is None else told(loaded))


def class_rows(
    counts: np.ndarray, benchmark: Benchmark, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """counts: [P, C, 3] -> a row for every scored class; None for what was never met."""
    total, seen = counts.sum(axis=0), benchmark.seen
    per_class, found = iou(total), accuracy(total)
    names = scored_names(benchmark, class_names)
    return [
        {
            "index": index,
            "name": names[at],
            "iou": _number(per_class[at]),
            "accuracy": _number(found[at]),
            "labelled": int(total[at, 2]),
            "predicted": int(total[at, 1]),
            **({} if seen is None else {"seen": index in seen}),
        }
        for at, index in enumerate(benchmark.class_indices)
    ]


def summarise(counts: np.ndarray, benchmark: Benchmark) -> dict[str, Any]:
    """The means of counts [P, C, 3]: both mIoUs (``miou``, over the classes that occur in the
    labels, is the headline), accuracies, and mIoU of seen and unseen classes apart."""
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
                for at, index in enumerate(benchmark.class_indices)
                if (index in benchmark.seen) == wanted
            ]
            means[name] = miou(total, at)
    return means


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    import csv

    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
