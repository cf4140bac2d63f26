"""What the best prompts did to each class, and to each pair of classes, on the report split."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ablations.search.enough import too_few
from ablations.search.scoreboard import NAME, Bench, Candidate, Scoreboard, fields, number
from ablations.search.statistics import Interval, Subset, bootstrap, by_group
from lsmseg_model.data import scored_names
from lsmseg_model.data.benchmark import Benchmark, scored_similarity
from lsmseg_model.metrics import iou, open_miou
from lsmseg_prompts.vocabularies.similarity import word_similarity

FEW = 5  # a class in fewer pictures or groups has no interval: its resamples are nearly all alike
PAIRS = 20  # that are kept of those that became more frequent, and of those that became less


def per_class(board: Scoreboard, bench: Bench, best: Candidate) -> list[dict[str, Any]]:
    """IoU of the plain name and of the best set for every scored class, and their texts.

    ``difference`` is paired; its interval is None for a class that fewer than FEW pictures, or
    groups of them, hold, as ``no_interval`` says.
    IoU of a class that no label holds is None. pictures: how many hold it; labelled: its pixels.
    """
    scorer = bench.scorers["report"]
    sets = [board.prompt_set(bench, one) for one in (NAME, best)]
    counts = scorer.score(sets)
    readable = [entry.readable for entry in bench.vocabulary]
    how = board.samples, board.seed, bench.stream
    return [
        {
            "benchmark": bench.name,
            **row,
            "before": list(sets[0].texts[row["index"]]),
            "after": list(sets[1].texts[row["index"]]),
        }
        for row in class_differences(scorer.benchmark, counts, readable, *how)
    ]


def class_differences(
    benchmark: Benchmark,
    counts: np.ndarray,
    readable: Sequence[str],
    samples: int,
    seed: int = 0,
    stream: int = 0,
) -> list[dict[str, Any]]:
    """`per_class` of the counts of any two prompt sets, without their texts.

    Args:
        benchmark: What was scored.
        counts: int64 [2, P, C, 3] of ``baseline`` and ``best``.
        readable: The names of the vocabulary's classes.
        samples: Resamples.
        seed: See `resample_weights`.
        stream: See `resample_weights`.
    """
    total = counts.sum(axis=1)  # [2, C, 3]
    before, after = iou(total[0]), iou(total[1])
    holds = counts[1, :, :, 2] > 0
    pictures, units = holds.sum(axis=0), holds
    if benchmark.groups is not None:
        (units,) = by_group([holds], benchmark.groups)
    intervals = class_intervals(counts, samples, seed, stream, benchmark.groups)
    names = scored_names(benchmark, readable)
    rows = []
    for at, (index, name) in enumerate(zip(benchmark.class_indices, names, strict=True)):
        labelled, gain = int(total[1, at, 2]), intervals[at]
        held = int(units[:, at].sum())
        if held < FEW and not gain.missing:
            why = f"in {too_few(held, benchmark.groups is not None, FEW)}"
            gain = Interval(gain.value, math.nan, math.nan, why)
        rows.append(
            {
                "index": index,
                "name": name,
                "seen": None if benchmark.seen is None else index in benchmark.seen,
                "pictures": int(pictures[at]),
                "labelled": labelled,
                "baseline": number(float(before[at])) if labelled else None,
                "best": number(float(after[at])) if labelled else None,
                **fields("difference", gain),
                "no_interval": gain.missing,
            }
        )
    return rows


def class_intervals(
    counts: np.ndarray,
    samples: int,
    seed: int = 0,
    stream: int = 0,
    groups: Sequence[str] | None = None,
) -> list[Interval]:
    """The difference of each class's IoU, second set minus first, with its interval.

    Both sets are scored on the same resamples; those without a pixel of the class are left out.

    Args:
        counts: int64 [2, P, C, 3].
        samples: Resamples.
        seed: See `resample_weights`.
        stream: See `resample_weights`.
        groups: See `bootstrap`.
    """
    classes = {str(c): Subset((c,)) for c in range(counts.shape[2])}
    first, second = bootstrap(counts, classes, samples, seed, stream, groups)
    return [(second[c] - first[c]).interval() for c in classes]


def open_ious(bench: Bench, confusions: Sequence[np.ndarray]) -> list[float | None]:
    """The mean Open IoU of each [C, C] of `confusion`, see `lsmseg_model.metrics.open_iou`."""
    words = word_similarity(bench.vocabulary)
    similarity = scored_similarity(bench.scorers["report"].benchmark, words)
    return [number(open_miou(one, similarity)) for one in confusions]


def pair_rows(
    bench: Bench, before: np.ndarray, after: np.ndarray, classes: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Every pair (label, another prediction) that either prompt set made.

    ``baseline``, ``best`` and ``change`` are parts of the label's pixels.

    Args:
        bench: The benchmark.
        before: [C, C] of `confusion` with the plain name.
        after: The same with the best set.
        classes: Rows of `per_class`, in the same order.
    """
    rows = []
    for a, b in zip(*np.nonzero(before + after), strict=True):
        if a == b:
            continue
        size = int(after[a].sum())
        rows.append(
            {
                "benchmark": bench.name,
                "label": classes[a]["name"],
                "predicted": classes[b]["name"],
                "seen": classes[a]["seen"],
                "pictures": classes[a]["pictures"],
                "labelled": size,
                "baseline_pixels": int(before[a, b]),
                "best_pixels": int(after[a, b]),
                "baseline": float(before[a, b] / size),
                "best": float(after[a, b] / size),
                "change": float((after[a, b] - before[a, b]) / size),
            }
        )
    return rows


def most_changed(rows: Sequence[dict[str, Any]], count: int = PAIRS) -> list[dict[str, Any]]:
    """The pairs of one benchmark that became less frequent most, then those that became more.

    Labels that fewer than FEW pictures hold are left out, unless all are like that.
    """
    rows = [row for row in rows if row["pictures"] >= FEW] or list(rows)
    ranked = sorted(rows, key=lambda row: row["change"])
    less = [row for row in ranked[:count] if row["change"] < 0]
    more = [row for row in ranked[::-1][:count] if row["change"] > 0]
    return less + more
