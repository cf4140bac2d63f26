"""The figures of a run: which there are, their files, and what the report says about each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.report import class_plots, pictures, plots
from ablations.report.files import suffix
from ablations.scoring.frozen import FrozenScorer
from ablations.search.scoreboard import NAME, Bench, Candidate, Scoreboard
from lsmseg_model.data import scored_names

BY_LABELS = "were chosen by their labels, not by their scores."
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Figures:
    """All that the figures of a run are drawn from, and where they go.

    The first benchmark's pictures have plain names, those of the n-th end in -n. wanted: keys of
    the pictures to show; of a benchmark that has none of them, as without it, they are chosen by
    their labels.
    """

    board: Scoreboard
    single: Sequence[Row]
    path: Sequence[Row]
    best: Candidate
    per_class: Sequence[Row]
    lengths: Sequence[Row]
    directory: Path
    wanted: Sequence[str] | None = None

    def draw(self) -> Iterator[dict[str, str]]:
        """Draw every figure; yields section, file, title and caption of each."""
        plots.single_plot(self.single, self.directory / "single.png")
        yield _figure(
            "single",
            "single.png",
            "Single attributes",
            "mIoU on the report split with 95 % intervals; the dotted line is the plain name, red "
            "the attribute that was best on the selection split.",
        )
        plots.combination_plot(self.path, self.directory / "combinations.png")
        yield _figure(
            "combinations",
            "combinations.png",
            "Combinations",
            "The path of the search on the report split, one attribute more in each line; red is "
            "the set that was chosen.",
        )
        yield from self._prompt_sets()
        for place, bench in enumerate(self.board.benches):
            file = f"per_class{suffix(place)}.png"
            rows = [row for row in self.per_class if row["benchmark"] == bench.name]
            plots.per_class_plot(rows, self.best.name, self.directory / file)
            yield _figure(
                "per_class",
                file,
                f"IoU of every class ({bench.name})",
                "From the plain name to the best prompts, on the report split.",
            )
            yield from self._pictures(bench, suffix(place))

    def _prompt_sets(self) -> Iterator[dict[str, str]]:
        """Seen against unseen classes, and the lengths of the texts."""
        sets = {
            (row["prompts"], row["benchmark"]): {**row, "chosen": row["prompts"] == self.best.name}
            for row in [*(row for row in self.single if row["split"] == "report"), *self.path]
        }
        if class_plots.seen_plot(list(sets.values()), self.directory / "seen_unseen.png"):
            yield _figure(
                "seen",
                "seen_unseen.png",
                "Seen against unseen classes",
                "Every prompt set of stages 3 and 4 on the report split, with 95 % intervals; red "
                "is the set that was chosen.",
            )
        for place, name in enumerate(dict.fromkeys(row["vocabulary"] for row in self.lengths)):
            here = [row for row in self.lengths if row["vocabulary"] == name]
            file = f"lengths{suffix(place)}.png"
            class_plots.length_plot(here, self.directory / file)
            yield _figure(
                "lengths",
                file,
                f"Lengths of the prompts ({name})",
                "How many classes' texts have how many tokens, each row on its own scale; the "
                "stroke is the median, red the set that was chosen.",
            )

    def _pictures(self, bench: Bench, suffix: str) -> Iterator[dict[str, str]]:
        """Cost maps and segmentations of one benchmark."""
        scorer = bench.scorers["report"]
        benchmark = scorer.benchmark
        readable = [entry.readable for entry in bench.vocabulary]
        names = scored_names(benchmark, readable)
        for index, name in zip(benchmark.class_indices, names, strict=True):
            readable[index] = name
        view = pictures.PictureView(
            scorer,
            self.board.prompt_set(bench, NAME),
            self.board.prompt_set(bench, self.best),
            readable,
        )
        covered = pictures.coverage(benchmark)
        unseen = [
            benchmark.seen is not None and index not in benchmark.seen
            for index in benchmark.class_indices
        ]
        frozen = isinstance(scorer, FrozenScorer)
        measure = "cosine" if frozen else "probability"  # of a network
        what = (
            "Cosine of every position with the class's text"
            if frozen
            else "Probability of the class at every pixel"
        )
        named = pictures.named(benchmark, self.wanted)
        if named:
            chosen = "Pictures were named with --picture, classes by their labels."
            classes = pictures.choose_classes(covered[named], unseen, len(named))
            pairs = [(named[at], position) for at, position in sorted(classes)]
        else:
            chosen = f"Pictures and classes {BY_LABELS}"
            pairs = pictures.choose_classes(covered, unseen)
        if pairs:
            file = f"cost_maps{suffix}.png"
            view.cost_maps(pairs, self.directory / file, measure)
            yield _figure(
                "pictures",
                file,
                f"Cost maps ({bench.name})",
                f"{what}, each map on its own scale (yellow is "
                f"high), with the outline of the labelled class. {chosen}",
            )
        file = f"segmentations{suffix}.png"
        shown = named or pictures.choose_pictures(covered, unseen)
        view.segmentations(shown, self.directory / file)
        yield _figure(
            "pictures",
            file,
            f"Segmentations ({bench.name})",
            f"The class with the highest {measure} at every pixel. Pictures "
            + ("were named with --picture." if named else BY_LABELS),
        )


def _figure(section: str, file: str, title: str, caption: str) -> dict[str, str]:
    return {"section": section, "file": file, "title": title, "caption": caption}
