"""Writing a run down: the files of the run directory, and the evaluations in the store."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ablations.report import classwise
from ablations.report.figures import Figures
from ablations.report.files import write_csv
from ablations.report.html import write_report
from ablations.report.run_file import FORMAT, RUN, save_run, versions
from ablations.report.summary import cards
from ablations.runs import refinement
from ablations.runs.record import RunRecord
from ablations.runs.reproduce import commands, told
from ablations.scoring.confusions import confusion
from ablations.search.scoreboard import (
    AVERAGE,
    BY_SEEN_LABELS,
    NAME,
    REFINED,
    Bench,
    Candidate,
)
from lsmseg_prompts.export.native import export_native
from lsmseg_prompts.store.store import open_store
from lsmseg_prompts.terminal import progress_bar

Rows = list[dict[str, Any]]


def write_run(record: RunRecord, started: float, progress: bool) -> dict[str, str]:
    """Write all files of a run and enter its evaluations; returns what each file is.

    started: time.monotonic() of the beginning. progress: whether bars are shown.
    """
    directory, request, best = record.directory, record.request, record.candidate
    files, benches = dict[str, str](), record.board.benches
    per_class = [row for b in benches for row in classwise.per_class(record.board, b, best)]
    confusions = [_confusions(record, bench, progress) for bench in benches]
    _add_open_iou(record, confusions)
    for table, rows, what in (
        ("single.csv", record.single.rows, "stage 3: every attribute alone, both splits"),
        ("combinations.csv", record.path, "stage 4: the path on the report split"),
        ("candidates.csv", record.search.candidates, "every candidate of the search"),
    ):
        write_csv(directory / table, rows)
        files[table] = what
    files |= _write_prompts(record)
    pairs = [
        classwise.pair_rows(b, before, after, [r for r in per_class if r["benchmark"] == b.name])
        for b, (before, after) in zip(benches, confusions, strict=True)
    ]
    write_csv(directory / "confusions.csv", [row for rows in pairs for row in rows])
    files["confusions.csv"] = "which classes are taken for which, before and after"
    lengths, differences = record.lengths(), record.differences()
    figures = _draw(record, per_class, lengths, differences, progress)
    for figure in figures:
        files[figure["file"]] = figure["title"]
        files[str(Path(figure["file"]).with_suffix(".pdf"))] = f"{figure['title']}, for a paper"
    names = [bench.vocabulary.name for bench in benches]
    content = {
        "summary": record.best["summary"],
        "search_note": record.search.note(),
        "search": record.search.record(),
        "cards": cards(record.path, _shown(record)),
        **record.provenance(),
        "versions": versions(),
        "store": str(request.store_path),
        "request": told(request),
        "best": record.best,
        "figures": figures,
        "single": record.single.rows,
        "combinations": record.path,
        "candidates": record.search.candidates,
        "differences": differences,
        "per_class": per_class,
        "confusions": [row for rows in pairs for row in classwise.most_changed(rows)],
        "lengths": lengths,
        "commands": commands(request, record.llm["name"], names, best, directory),
        "prompts": record.prompts(),
        "refinement": record.refinement,
    }
    save_run(directory, FORMAT, started, content)
    files[RUN] = "everything the report is made from"
    with open_store(request.store_path) as file, file.transaction():
        stages = {"3": record.single.rows, "4": record.path}
        for row in record.evaluations(record.name, stages):
            file.add_evaluation(**row)
    return files | write_report(directory)


def _draw(
    record: RunRecord, per_class: Rows, lengths: Rows, differences: Rows, progress: bool
) -> list[dict[str, str]]:
    """All figures: section, file, title and caption of each."""
    figures = Figures(
        record.board,
        record.single.rows,
        record.path,
        record.candidate,
        per_class,
        lengths,
        differences,
        record.directory,
        wanted=record.request.picture,
        refinement=record.refinement,
        start=record.refined.start if record.refined else None,
    )
    with progress_bar("drawing", progress):
        return list(figures.draw())


def _shown(record: RunRecord) -> list[str]:
    """The best set for all, what was refined, and the choice."""
    start = [record.refined.start.name] if record.refined else []
    return [record.search.combination.name, *start, record.candidate.name]


def _write_prompts(record: RunRecord) -> dict[str, str]:
    """The best prompts of every vocabulary as files of their own."""
    files = {}
    for bench, suffix in record.vocabularies():
        name = f"best_prompts{suffix}.json"
        export_native(
            record.board.prompt_set(bench, record.candidate),
            bench.vocabulary,
            record.directory / name,
            scores=record.best["scores"],
            provenance=_whence(record, record.candidate),
            force=True,
            budget=record.board.budget,
        )
        files[name] = f"the best prompts ({record.candidate.name}) for training and evaluation"
    return files | _write_beside(record)


def _write_beside(record: RunRecord) -> dict[str, str]:
    """The best set for all, and the one refined by seen labels, where refinement left others."""
    if record.refined is None:
        return {}
    (bench,), files = record.board.benches, {}
    whole = record.search.combination
    sets = [("one_set_prompts.json", whole, f"the best set for all classes ({whole.name})")]
    if record.refined.refined.seen is not None:
        what = "the prompts refined by the labels of seen classes only"
        sets.append(("seen_labels_prompts.json", BY_SEEN_LABELS, what))
    for name, candidate, what in sets:
        export_native(
            record.board.prompt_set(bench, candidate),
            bench.vocabulary,
            record.directory / name,
            scores=record.scores(candidate),
            provenance=_whence(record, candidate),
            force=True,
            budget=record.board.budget,
        )
        files[name] = what
    return files


def _whence(record: RunRecord, candidate: Candidate) -> dict[str, Any]:
    """The provenance of a set of prompts; class by class where it was refined."""
    made = {REFINED: "classes", BY_SEEN_LABELS: "seen_classes"}
    if record.refinement is None or candidate not in made:
        return record.provenance()
    told = refinement.origins(record.refinement, made[candidate])
    return {**record.provenance(), "refinement": told}


def _confusions(record: RunRecord, bench: Bench, progress: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which classes were taken for which, by the plain name and by the best set."""
    counts = []
    for candidate in (NAME, record.candidate):
        label = f"{bench.name}: confusions of {candidate.name}"
        with progress_bar(label, progress) as on_progress:
            prompt_set = record.board.prompt_set(bench, candidate)
            counts.append(confusion(bench.scorers["report"], prompt_set, on_progress))
    return counts[0], counts[1]


def _add_open_iou(record: RunRecord, confusions: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """Put the Open IoU of the plain name and of the best set into the rows of both tables."""
    found: dict[tuple[str, str], float | None] = {}
    for bench, counts in zip(record.board.benches, confusions, strict=True):
        names = NAME.name, record.candidate.name
        for name, value in zip(names, classwise.open_ious(bench, counts), strict=True):
            found[name, bench.name] = value
    for name in {name for name, _ in found}:
        parts = [value for (other, _), value in found.items() if other == name]
        mean = None if None in parts else sum(parts) / len(parts)  # type: ignore[arg-type]
        found.setdefault((name, AVERAGE), mean)
    for row in (*record.single.rows, *record.path):
        key = row["prompts"], row["benchmark"]
        row["open_iou"] = found.get(key) if row["split"] == "report" else None
