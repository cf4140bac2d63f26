"""The figures of a run: which there are, their files, and what the report says about each."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ablations.report import class_plots, pictures, plots
from ablations.report.files import suffix
from ablations.search.scoreboard import NAME, Bench, Candidate, Scoreboard
from lsmseg_model.data import scored_names
from lsmseg_model.data.benchmark import Benchmark
from lsmseg_model.metrics import iou

BY_LABELS = "were chosen by their labels, not by their scores."
NAMED = "were named with --picture"
GAINING = (
    "The first {count} were chosen because the gain of {best} over the name, in IoU of the "
    "{classes} that they show, is largest there (the class that gains most in one does not count "
    "for the next). "
)
OTHERS = "The last {count}, not chosen, are the first others of the split."
SHOWN = json.loads(Path(__file__).with_name("figures.json").read_text("utf-8"))
"""Stem of the file -> section of the report (by default the stem), title and caption."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Figures:
    """All that the figures of a run are drawn from, and where they go.

    The first benchmark's pictures have plain names, those of the n-th end in -n. wanted: keys of
    the pictures to show; of a benchmark that has none of them, as without it, `pictures` chooses.
    """

    board: Scoreboard
    single: Sequence[Row]
    path: Sequence[Row]
    best: Candidate
    per_class: Sequence[Row]
    lengths: Sequence[Row]
    differences: Sequence[Row]
    directory: Path
    wanted: Sequence[str] | None = None
    refinement: Row | None = None
    start: Candidate | None = None

    def draw(self) -> Iterator[dict[str, str]]:
        """Draw every figure; yields section, file, title and caption of each."""
        if self.differences:
            plots.choice_plot(self.differences, self.directory / "differences.png")
            yield figure_of("differences", best=self.best.name)
        for stem, draw, rows in (
            ("single", plots.single_plot, self.single),
            ("combinations", plots.combination_plot, self.path),
        ):
            draw(rows, self.directory / f"{stem}.png")
            yield figure_of(stem)
            draw(rows, self.directory / f"{stem}_differences.png", paired=True)
            yield figure_of(f"{stem}_differences")
        if self.refinement:
            paid = class_plots.curve_plot(
                self.refinement["curve"], self.directory / "refinement.png"
            )
            yield figure_of("refinement", dollars=" and against dollars" if paid else "")
        report = [row for row in self.single if row["split"] == "report"]
        sets = {
            (row["prompts"], row["benchmark"]): {**row, "chosen": row["prompts"] == self.best.name}
            for row in [*report, *self.path]
        }
        if class_plots.seen_plot(list(sets.values()), self.directory / "seen_unseen.png"):
            yield figure_of("seen_unseen")
        for place, name in enumerate(dict.fromkeys(row["vocabulary"] for row in self.lengths)):
            here = [row for row in self.lengths if row["vocabulary"] == name]
            figure = figure_of("lengths", place, name=name)
            class_plots.length_plot(here, self.directory / figure["file"])
            yield figure
        for place, bench in enumerate(self.board.benches):
            here = [row for row in self.per_class if row["benchmark"] == bench.name]
            figure = figure_of("per_class", place, name=bench.name)
            class_plots.per_class_plot(here, self.best.name, self.directory / figure["file"])
            yield figure
            yield from self._pictures(bench, place)

    def _pictures(self, bench: Bench, place: int) -> Iterator[dict[str, str]]:
        """Cost maps and segmentations of one benchmark."""
        benchmark = bench.scorers["report"].benchmark
        alone = next(Candidate.named(row["prompts"]) for row in self.single if row["chosen"])
        view, (measure, what) = (
            self._view(bench, NAME, alone, self.start or self.best),
            _measure(bench),
        )
        covered = pictures.coverage(benchmark)
        unseen = _unseen(benchmark)
        named = pictures.named(benchmark, self.wanted)
        if named:
            chosen = f"Pictures {NAMED}, classes by their labels."
            classes = pictures.choose_classes(covered[named], unseen, len(named))
            pairs = [(named[at], position) for at, position in sorted(classes)]
        else:
            chosen = f"Pictures and classes {BY_LABELS}"
            pairs = pictures.choose_classes(covered, unseen)
        if pairs:
            figure = figure_of("cost_maps", place, name=bench.name, what=what, chosen=chosen)
            view.cost_maps(pairs, self.directory / figure["file"], measure)
            yield figure
        shown, chosen = (named, f"Pictures {NAMED}.") if named else self._gaining(bench, covered)
        figure = figure_of("segmentations", place, name=bench.name, measure=measure, chosen=chosen)
        view.segmentations(shown, self.directory / figure["file"])
        yield figure
        if self.refinement and self.refinement["classes"] and self.start is not None:
            yield from self._refined(bench, covered)

    def _gaining(self, bench: Bench, covered: np.ndarray) -> tuple[list[int], str]:
        """The pictures to show segmentations of, and why those."""
        scorer, sets = bench.scorers["report"], (NAME, self.start or self.best)
        before, after = scorer.score([self.board.prompt_set(bench, one) for one in sets])
        unseen = _unseen(scorer.benchmark)
        chosen, others = pictures.choose_pictures(pictures.gains(before, after, covered), unseen)
        said = OTHERS.format(count=len(others)) if others else ""
        if chosen:
            whose = "unseen classes" if any(unseen) else "all classes"
            said = GAINING.format(count=len(chosen), classes=whose, best=sets[1].name) + said
        return [*chosen, *others], said.strip()

    def _view(self, bench: Bench, *candidates: Candidate) -> pictures.PictureView:
        """Some prompt sets beside one another, each once."""
        scorer = bench.scorers["report"]
        readable = [entry.readable for entry in bench.vocabulary]
        names = scored_names(scorer.benchmark, readable)
        for index, name in zip(scorer.benchmark.class_indices, names, strict=True):
            readable[index] = name
        sets = [self.board.prompt_set(bench, one) for one in dict.fromkeys(candidates)]
        return pictures.PictureView(scorer, sets, readable)

    def _refined(self, bench: Bench, covered: np.ndarray) -> Iterator[dict[str, str]]:
        """Cost maps of the classes that refinement changed most."""
        assert self.refinement is not None and self.start is not None
        indices = bench.scorers["report"].benchmark.class_indices
        changed = {row["index"]: row["class"] for row in self.refinement["classes"]}
        scores = self.board.score("report", [self.start, self.best])
        before, after = (iou(one.totals[bench.name]) for one in scores)
        moved = np.abs(np.nan_to_num(after - before))
        order = sorted((p for p, i in enumerate(indices) if i in changed), key=lambda p: -moved[p])
        pairs = pictures.show_classes(covered, order)
        if not pairs:
            return
        changes = [
            f"{changed[indices[p]]} {100 * before[p]:.1f} to {100 * after[p]:.1f} %"
            for _, p in pairs
        ]
        measure, what = _measure(bench)
        told = ", ".join(changes)
        figure = figure_of("refined_cost_maps", name=bench.name, what=what, changes=told)
        view = self._view(bench, self.start, self.best)
        view.cost_maps(pairs, self.directory / figure["file"], measure)
        yield figure


def _unseen(benchmark: Benchmark) -> list[bool]:
    """Of each scored class whether training never saw it."""
    seen = benchmark.seen
    return [seen is not None and index not in seen for index in benchmark.class_indices]


def _measure(bench: Bench) -> tuple[str, str]:
    """What a cost map of a benchmark's scorer shows, in a word and in words."""
    if bench.scorers["report"].by_cosine:
        return "cosine", "Cosine of every position with the class's text"
    return "probability", "Probability of the class at every pixel"  # of a network


def figure_of(stem: str, place: int = 0, **values: str) -> dict[str, str]:
    """Section, file, title and caption of the figure of the n-th benchmark or vocabulary."""
    shown = SHOWN[stem]
    return {
        "section": shown.get("section", stem),
        "file": f"{stem}{suffix(place)}.png",
        "title": shown["title"].format(**values),
        "caption": shown["caption"].format(**values),
    }
