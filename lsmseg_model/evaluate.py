"""Scoring texts on a benchmark without training: dense features once, any number of text sets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .clip import Clip, load_clip
from .cost_map import cost_map, upsample
from .data.benchmark import IGNORE, Benchmark, competing, load_benchmark, scored_names
from .errors import DataError
from .metrics import confusion_counts, iou, miou

Progress = Callable[[int, int], None]  # done, total


@torch.inference_mode()
def picture_features(clip: Clip, picture: np.ndarray) -> Tensor:
    """picture: uint8 [H, W, 3] -> [h, w, D] dense features on the patch grid.

    The picture's short side is resized to ``clip.view.short_side`` and seen through windows;
    where they overlap their features are averaged. Logits are linear in the features, so this
    equals averaging the windows' logits.
    """
    view, patch = clip.view, clip.patch_size
    image = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float().div(255)
    height, width = image.shape[-2:]
    scale = view.short_side / min(height, width)
    size = [max(view.window, round(side * scale / patch) * patch) for side in (height, width)]
    if size != [height, width]:
        image = F.interpolate(image, size=size, mode="bilinear", antialias=True)
        image = image.clamp(0, 1)
    tops, lefts = (_offsets(side, view.window, view.stride) for side in size)
    boxes = [(top, left) for top in tops for left in lefts]
    windows = torch.cat([image[..., t : t + view.window, s : s + view.window] for t, s in boxes])
    rows, columns, cells = size[0] // patch, size[1] // patch, view.window // patch
    total = torch.zeros(rows, columns, clip.embed_dim, device=clip.device)
    count = torch.zeros(rows, columns, 1, device=clip.device)
    for batch_start in range(0, len(boxes), 8):
        batch = windows[batch_start : batch_start + 8].to(clip.device)
        for feature, (top, left) in zip(
            clip.encode_dense(batch), boxes[batch_start:], strict=False
        ):
            t, s = top // patch, left // patch
            total[t : t + cells, s : s + cells] += feature
            count[t : t + cells, s : s + cells] += 1
    return total / count


def _offsets(side: int, window: int, stride: int) -> list[int]:
    """Window starts that cover ``side``; the last one ends at the border."""
    starts = list(range(0, side - window, stride))
    return [*starts, side - window]


@torch.inference_mode()
def segment(
    features: Tensor, text: Tensor, size: tuple[int, int], sets: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """The class with the highest cosine at every pixel, for several text sets at once.

    features: [h, w, D]; text: [S * N, D], the sets' classes one after the other.
    Returns int64 [S, H, W] class positions and float32 [S, H, W] their cosines.
    """
    cost = cost_map(features[None], text)
    best_class, best_cost = [], []
    for part in cost.chunk(sets, dim=1):
        value, position = upsample(part, size)[0].max(dim=0)
        best_class.append(position.cpu().numpy())
        best_cost.append(value.cpu().numpy())
    return np.stack(best_class), np.stack(best_cost)


@dataclass
class Features:
    """Dense features of a benchmark's pictures, with the label maps they are scored against."""

    maps: list[Tensor]  # [h, w, D] each, on the CPU
    labels: list[np.ndarray]  # int16 [H, W] positions in class_indices, or IGNORE
    stands_for: np.ndarray  # int64 [N]: the position that each competing prompt stands for


def dense_features(clip: Clip, benchmark: Benchmark, progress: Progress | None = None) -> Features:
    """Run the picture tower once over every picture; labels become class positions."""
    if len(benchmark) == 0:
        raise DataError(f"{benchmark.name} ({benchmark.split}) has no pictures.")
    position = np.full(max(benchmark.class_indices) + 2, IGNORE, dtype=np.int16)
    position[list(benchmark.class_indices)] = np.arange(len(benchmark.class_indices))
    features = Features([], [], np.array(competing(benchmark)[1]))
    for index in range(len(benchmark)):
        labels = position[benchmark.labels(index)]  # IGNORE = -1 reads the last entry: IGNORE
        features.maps.append(picture_features(clip, benchmark.picture(index)).cpu())
        features.labels.append(labels)
        if progress:
            progress(index + 1, len(benchmark))
    return features


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
    sets, classes = len(texts), int(features.stands_for.max()) + 1
    embeddings = clip.encode_texts([group for text_set in texts for group in text_set])
    counts = np.zeros((sets, len(features.maps), classes, 3), dtype=np.int64)
    for picture, (feature, labels) in enumerate(zip(features.maps, features.labels, strict=True)):
        size = (labels.shape[0], labels.shape[1])
        predicted, _ = segment(feature.to(clip.device), embeddings, size, sets)
        for s in range(sets):
            found = features.stands_for[predicted[s]]
            counts[s, picture] = confusion_counts(found, labels, classes)
        if progress:
            progress(picture + 1, len(features.maps))
    return counts


@dataclass
class Evaluation:
    """Scores of one text set: a row per class, and the means."""

    rows: list[dict[str, Any]]
    summary: dict[str, Any]
    counts: np.ndarray  # int64 [P, C, 3]


def evaluate(
    *,
    data: str,
    texts: Sequence[Sequence[str]],
    class_names: Sequence[str],
    vocabulary_name: str,
    data_root: str | Path | None = None,
    split: str | None = None,
    model: str = "lsmseg-tiny",
    pretrained: str | Path | None = None,
    limit: int | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Evaluation:
    """Score one text set, a group of sentences per class of the vocabulary, on a benchmark."""
    benchmark = load_benchmark(data, data_root, split, limit, len(texts), vocabulary_name)
    if benchmark.vocabulary != vocabulary_name:
        raise DataError(
            f"{benchmark.name} is labelled with {benchmark.vocabulary}, not {vocabulary_name}; "
            f"use --vocab {benchmark.vocabulary}."
        )
    clip = load_clip(model, pretrained, device)
    features = dense_features(clip, benchmark, progress)
    chosen = [texts[i] for i in competing(benchmark)[0]]
    counts = count_prompt_sets(clip, features, [chosen])[0]
    total = counts.sum(axis=0)
    per_class = iou(total)
    seen = benchmark.seen
    rows = [
        {
            "index": index,
            "name": name,
            "iou": None if np.isnan(per_class[at]) else float(per_class[at]),
            "labelled": int(total[at, 2]),
            "predicted": int(total[at, 1]),
            **({} if seen is None else {"seen": index in seen}),
        }
        for at, (index, name) in enumerate(
            zip(benchmark.class_indices, scored_names(benchmark, class_names), strict=True)
        )
    ]
    labelled = int(total[:, 2].sum())
    summary: dict[str, Any] = {
        "benchmark": benchmark.name,
        "split": benchmark.split,
        "model": clip.name,
        "weights": clip.weights_hash,
        "dense": clip.dense,
        "pictures": len(benchmark),
        "miou": miou(total),
        "miou_union": miou(total, definition="union"),
        "pixel_accuracy": float(total[:, 0].sum() / labelled) if labelled else float("nan"),
    }
    if seen is not None:
        at_seen = [at for at, i in enumerate(benchmark.class_indices) if i in seen]
        at_unseen = [at for at, i in enumerate(benchmark.class_indices) if i not in seen]
        summary["miou_seen"], summary["miou_unseen"] = miou(total, at_seen), miou(total, at_unseen)
    return Evaluation(rows, summary, counts)
