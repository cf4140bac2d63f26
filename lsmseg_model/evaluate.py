"""Scoring one prompt set on a benchmark with any model."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from lsmseg_model.data.benchmark import (
    Benchmark,
    competing,
    load_benchmark,
    scored_names,
    scored_similarity,
)
from lsmseg_model.data.captioners import open_captions
from lsmseg_model.data.label_maps import check_count, write_classes, write_label_map
from lsmseg_model.data.parallel import OnProgress
from lsmseg_model.errors import DataError, UsageError
from lsmseg_model.files import check_folder, check_free, new_folder, write_csv
from lsmseg_model.inference.class_prompts import Prompts
from lsmseg_model.inference.counting import class_rows, count_pictures, summarise
from lsmseg_model.inference.embeddings import ClassEmbeddings
from lsmseg_model.inference.open_words import OpenWords, count_words
from lsmseg_model.inference.options import Augmentation, ModelOptions, RunOptions
from lsmseg_model.inference.precision import how
from lsmseg_model.inference.reading import some_texts
from lsmseg_model.metrics import frequency_weighted_iou, iou, miou, open_iou, open_miou
from lsmseg_model.processes import Processes, processes
from lsmseg_model.segmenter import Segmenter, drawings_only, load_model

CLASSES = "classes.json"


class VocabularyPrompts(Prompts, Protocol):
    """A prompt set of all classes of a vocabulary, as `lsmseg_prompts` makes it."""

    @property
    def vocabulary(self) -> str:
        """The vocabulary's name."""


@dataclass(frozen=True, kw_only=True)
class EvaluateRequest(ModelOptions, RunOptions):
    """A prompt set to score on a benchmark, with a model of `ModelOptions`; see `RunOptions` too.

    data, data_root, split, limit: see `load_benchmark`. prompts: of the vocabulary that the data
    are labelled with. save_predictions: a folder for label maps in the vocabulary's indices.
    csv: a file for the rows. similarity: [V, V], how near the words of the vocabulary's classes
    are: with it the scores have Open IoU too (`lsmseg_model.metrics.open_iou`).
    left_out: indices of classes that do not count: their pixels are others' errors, but they have
    no row and no part in the mean IoUs.
    boundary: Boundary IoU too (`lsmseg_model.metrics.boundary_counts`). flip, scales: views of each
    picture that are averaged, see `Augmentation`.
    force: replace files that are there, but never what is read.
    """

    data: str
    prompts: VocabularyPrompts
    data_root: str | Path | None = None
    split: str | None = None
    limit: int | None = None
    save_predictions: str | Path | None = None
    csv: str | Path | None = None
    similarity: np.ndarray | None = field(default=None, repr=False, compare=False)
    left_out: Collection[int] = ()
    boundary: bool = False
    flip: bool = False
    scales: Sequence[float] = (1.0,)
    force: bool = False

    def __post_init__(self) -> None:
        ModelOptions.__post_init__(self)
        RunOptions.__post_init__(self)


@dataclass
class Evaluation:
    """Scores of one prompt set: a row per class, and the means."""

    rows: list[dict[str, Any]]
    summary: dict[str, Any]
    counts: np.ndarray  # int64 [P, C, 3]
    confusion: np.ndarray  # int64 [C, C], by label (row) and prediction (column)
    keys: str | None = None  # what became of those of a CAT-Seg checkpoint
    note: str | None = None  # see `drawings_only`


def evaluate(request: EvaluateRequest, *, on_progress: OnProgress | None = None) -> Evaluation:
    """Score one prompt set on the pictures of a benchmark.

    Of several processes, as torchrun starts them, each takes a part of the pictures; their counts
    are added up, and the first one reports and writes the table.

    Raises UsageError, DataError for data and vocabulary that do not fit and for files in the way,
    CheckpointError.
    """
    with processes(request.device) as team:
        return _evaluate(replace(request, device=team.device), team, on_progress)


def evaluate_words(request: EvaluateRequest, *, on_progress: OnProgress | None = None) -> OpenWords:
    """Segment without a list of classes, see `count_words`; of the prompts only the classes count.

    Raises UsageError without captions, and what `evaluate` raises.
    """
    benchmark = _open(request)
    names = request.prompts.class_names
    captions = open_captions(request.captions, benchmark, names)
    if captions is None:
        raise UsageError(
            "Without classes the objects that captions name are the classes: give --captions FILE."
        )
    segmenter = Segmenter.of(load_model(request))
    segmenter.tell(request.captions if segmenter.described else None, benchmark, names)
    segmenter.augmentation = Augmentation(request.flip, tuple(request.scales))
    return count_words(segmenter, benchmark, captions, on_progress)


def _evaluate(
    request: EvaluateRequest, team: Processes, on_progress: OnProgress | None
) -> Evaluation:
    augmentation = Augmentation(request.flip, tuple(request.scales))
    prompts, benchmark = request.prompts, _open(request)
    kept = [at for at, i in enumerate(benchmark.class_indices) if i not in request.left_out]
    if not kept:
        raise UsageError(f"No class of {benchmark.name} is left to score: leave out fewer.")
    if team.first:  # before another one writes
        _check_free(request, benchmark)
    segmenter = Segmenter.of(load_model(request))
    segmenter.tell(request.captions, benchmark, request.prompts.class_names)
    text = segmenter.embed(*some_texts(prompts, competing(benchmark)[0]))
    counts, confusion, boundary = _count(request, segmenter, benchmark, text, team, on_progress)
    rows = [class_rows(counts, benchmark, prompts.class_names)[at] for at in kept]
    summary: dict[str, Any] = {
        "benchmark": benchmark.name,
        "split": benchmark.split,
        "model": segmenter.name,
        "weights": segmenter.weights_hash,
        "dense": segmenter.clip.dense,
        **({} if augmentation.plain else asdict(augmentation)),
        **({"computed": computed} if (computed := how(segmenter.model)) else {}),
        **summarise(counts, benchmark, kept),
        "fwiou": frequency_weighted_iou(counts.sum(axis=0)[kept]),
    }
    if request.similarity is not None:
        similarity = scored_similarity(benchmark, request.similarity)
        summary["open_iou"] = open_miou(confusion, similarity, kept)
        _add_column(rows, "open_iou", open_iou(confusion, similarity)[kept])
    if boundary is not None:
        summary["boundary_iou"] = miou(boundary, kept)
        _add_column(rows, "boundary_iou", iou(boundary)[kept])
    if request.cache is not None:
        summary["cache"] = str(getattr(segmenter.model, "cached", ""))
    loaded = segmenter.loaded
    if loaded is not None:
        keys = {"used": loaded.used, "missing": loaded.missing, "unexpected": loaded.unexpected}
        summary["checkpoint_keys"] = keys
    if request.csv is not None and team.first:
        write_csv(Path(request.csv), list(rows[0]), [list(row.values()) for row in rows])
    loaded_keys = None if loaded is None else str(loaded)
    note = None
    if benchmark.name != "ministuff":
        note = drawings_only(request.model, request.pretrained, request.checkpoint)
    return Evaluation(rows, summary, counts, confusion, loaded_keys, note)


def _add_column(rows: list[dict[str, Any]], name: str, values: np.ndarray) -> None:
    """A value for each row; None where there is none."""
    for row, value in zip(rows, values, strict=True):
        row[name] = None if np.isnan(value) else float(value)


def _count(
    request: EvaluateRequest,
    segmenter: Segmenter,
    benchmark: Benchmark,
    text: ClassEmbeddings,
    team: Processes,
    on_progress: OnProgress | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The counts of all pictures, the confusions and the counts at boundaries, of all processes."""
    classes = len(benchmark.class_indices)
    counts = np.zeros((len(benchmark), classes, 3), dtype=np.int64)
    confusion = np.zeros((classes, classes), dtype=np.int64)
    boundary = np.zeros((classes, 3), dtype=np.int64) if request.boundary else None
    mine = range(team.rank, len(benchmark), team.count)
    team.wait()  # until the first one has seen what lies in the folder
    with _predictions(request, benchmark, team.first) as save:
        counts[mine] = count_pictures(
            segmenter.model,
            benchmark,
            text,
            pictures=mine,
            on_progress=on_progress if team.first else None,
            save=save,
            confusion=confusion,
            boundary=boundary,
            augmentation=Augmentation(request.flip, tuple(request.scales)),
            how=request,
        )
        counts, confusion = _summed(team, counts), _summed(team, confusion)
        return counts, confusion, None if boundary is None else _summed(team, boundary)


def _summed(team: Processes, numbers: np.ndarray) -> np.ndarray:
    """The sum over all processes: exact, as they are whole numbers."""
    return team.sum(torch.from_numpy(numbers).to(team.device)).cpu().numpy()


def _open(request: EvaluateRequest) -> Benchmark:
    """The benchmark, once it has pictures and its labels are those of the prompts."""
    prompts = request.prompts
    benchmark = load_benchmark(
        request.data,
        request.data_root,
        request.split,
        request.limit,
        len(prompts.texts),
        prompts.vocabulary,
    )
    if benchmark.vocabulary != prompts.vocabulary:
        raise DataError(
            f"{benchmark.name} is labelled with {benchmark.vocabulary}, not {prompts.vocabulary}; "
            f"use --vocab {benchmark.vocabulary}."
        )
    if len(benchmark) == 0:
        raise DataError(f"{benchmark.name} ({benchmark.split}) has no pictures.")
    return benchmark


def _check_free(request: EvaluateRequest, benchmark: Benchmark) -> None:
    """Raise DataError for what may not be written, see `check_free` and `check_folder`."""
    pairs = getattr(benchmark, "pairs", ())  # of files; MiniStuff has none
    read = [
        request.pretrained,
        request.checkpoint,
        request.sam,
        *(p for pair in pairs for p in pair),
    ]
    if request.csv is not None:
        check_free([Path(request.csv)], request.force, read)
    if request.save_predictions is not None:
        folder = Path(request.save_predictions)
        names = [f"{benchmark.key(picture)}.png" for picture in range(len(benchmark))]
        check_folder(folder, "evaluate", is_label_maps, request.force)
        check_free([folder / name for name in (CLASSES, *names)], True, read)


def is_label_maps(folder: Path) -> bool:
    """Whether a folder holds what `evaluate` left there: class names and label maps, no more."""
    names = {path.name for path in folder.iterdir()}
    return CLASSES in names and all(n.endswith(".png") for n in names - {CLASSES})


@contextmanager
def _predictions(
    request: EvaluateRequest, benchmark: Benchmark, first: bool
) -> Iterator[Callable[[int, np.ndarray], None] | None]:
    """What saves the positions predicted for a picture; None where nothing is to be saved."""
    if request.save_predictions is None:
        yield None
        return
    names = list(request.prompts.class_names)
    check_count(len(names))
    indices = np.asarray(benchmark.class_indices)
    with new_folder(Path(request.save_predictions)) as folder:
        for index, name in zip(indices, scored_names(benchmark, names), strict=True):
            names[index] = name
        if first:
            write_classes(folder / CLASSES, names)

        def save(picture: int, positions: np.ndarray) -> None:
            path = folder / f"{benchmark.key(picture)}.png"
            write_label_map(path, indices[positions], len(names), names)

        yield save
