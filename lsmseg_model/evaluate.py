"""Scoring one text set on a benchmark with any model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lsmseg_model.data.benchmark import competing, load_benchmark, scored_names
from lsmseg_model.data.label_png import check_count, write_classes, write_label_map
from lsmseg_model.data.parallel import OnProgress
from lsmseg_model.errors import DataError
from lsmseg_model.files import new_folder, write_csv
from lsmseg_model.inference.counting import class_rows, count_pictures, summarise
from lsmseg_model.segmenter import DEFAULT, Segmenter


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
    on_progress: OnProgress | None = None,
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
        counts = count_pictures(segmenter.model, benchmark, text, on_progress=on_progress)
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

            counts = count_pictures(
                segmenter.model, benchmark, text, on_progress=on_progress, save=save
            )
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
        write_csv(Path(csv), list(rows[0]), [list(row.values()) for row in rows])
    return Evaluation(rows, summary, counts, None if loaded is None else str(loaded))
