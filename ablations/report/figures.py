"""The figures of a run: which there are, their files, and what the report says about each."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ablations.report import class_plots, pictures, plots
from ablations.scoring.frozen import FrozenScorer
from ablations.search.scoreboard import NAME, Bench, Candidate, Scoreboard
from ablations.search.single import Singles
from lsmseg_model.data import scored_names

BY_LABELS = "were chosen by their labels, not by their scores."


def draw_figures(
    board: Scoreboard,
    alone: Singles,
    best: Candidate,
    path: Sequence[Mapping[str, Any]],
    per_class: Sequence[Mapping[str, Any]],
    lengths: Sequence[Mapping[str, Any]],
    directory: Path,
    wanted: Sequence[str] | None = None,
) -> Iterator[dict[str, str]]:
    """Draw every figure into ``directory``; yields section, file, title and caption of each.

    The first benchmark's pictures have plain names, those of the n-th end in -n. wanted: keys of
    the pictures to show; of a benchmark that has none of them, as without it, they are chosen by
    their labels.
    """
    plots.single_plot(alone.rows, directory / "single.png")
    yield _figure(
        "single",
        "single.png",
        "Single attributes",
        "mIoU on the report split with 95 % intervals; the dotted line is the plain name, red the "
        "attribute that was best on the selection split.",
    )
    plots.combination_plot(path, directory / "combinations.png")
    yield _figure(
        "combinations",
        "combinations.png",
        "Combinations",
        "The path of the search on the report split, one attribute more in each line; red is the "
        "set that was chosen.",
    )
    everything = [*(row for row in alone.rows if row["split"] == "report"), *path]
    seen = {
        (row["prompts"], row["benchmark"]): {**row, "chosen": row["prompts"] == best.name}
        for row in everything
    }
    if class_plots.seen_plot(list(seen.values()), directory / "seen_unseen.png"):
        yield _figure(
            "seen",
            "seen_unseen.png",
            "Seen against unseen classes",
            "Every prompt set of stages 3 and 4 on the report split, with 95 % intervals; red is "
            "the set that was chosen.",
        )
    for place, name in enumerate(dict.fromkeys(row["vocabulary"] for row in lengths)):
        here = [row for row in lengths if row["vocabulary"] == name]
        file = f"lengths{_suffix(place)}.png"
        class_plots.length_plot(here, directory / file)
        yield _figure(
            "lengths",
            file,
            f"Lengths of the prompts ({name})",
            "How many classes' texts have how many tokens, each row on its own scale; the stroke "
            "is the median, red the set that was chosen.",
        )
    for place, bench in enumerate(board.benches):
        file = f"per_class{_suffix(place)}.png"
        rows = [row for row in per_class if row["benchmark"] == bench.name]
        plots.per_class_plot(rows, best.name, directory / file)
        yield _figure(
            "per_class",
            file,
            f"IoU of every class ({bench.name})",
            "From the plain name to the best prompts, on the report split.",
        )
        yield from _pictures(board, bench, best, directory, _suffix(place), wanted)


def _pictures(
    board: Scoreboard,
    bench: Bench,
    best: Candidate,
    directory: Path,
    suffix: str,
    wanted: Sequence[str] | None,
) -> Iterator[dict[str, str]]:
    """Cost maps and segmentations of one benchmark."""
    scorer = bench.scorers["report"]
    benchmark = scorer.benchmark
    readable = [entry.readable for entry in bench.vocabulary]
    for index, name in zip(benchmark.class_indices, scored_names(benchmark, readable), strict=True):
        readable[index] = name
    name_set, best_set = board.prompt_set(bench, NAME), board.prompt_set(bench, best)
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
    shown = pictures.named(benchmark, wanted)
    if shown:
        chosen = "Pictures were named with --picture, classes by their labels."
        found = pictures.choose_classes(covered[shown], unseen, len(shown))
        pairs = [(shown[at], position) for at, position in sorted(found)]
    else:
        chosen = f"Pictures and classes {BY_LABELS}"
        pairs = pictures.choose_classes(covered, unseen)
    if pairs:
        file = f"cost_maps{suffix}.png"
        pictures.cost_map_pictures(
            scorer, name_set, best_set, readable, pairs, directory / file, measure
        )
        yield _figure(
            "pictures",
            file,
            f"Cost maps ({bench.name})",
            f"{what}, each map on its own scale (yellow is "
            f"high), with the outline of the labelled class. {chosen}",
        )
    file = f"segmentations{suffix}.png"
    automatic = not shown
    shown = shown or pictures.choose_pictures(covered, unseen)
    pictures.segmentation_pictures(scorer, name_set, best_set, readable, shown, directory / file)
    yield _figure(
        "pictures",
        file,
        f"Segmentations ({bench.name})",
        f"The class with the highest {measure} at every pixel. Pictures "
        + (BY_LABELS if automatic else "were named with --picture."),
    )


def _suffix(place: int) -> str:
    return f"-{place + 1}" if place else ""


def _figure(section: str, file: str, title: str, caption: str) -> dict[str, str]:
    return {"section": section, "file": file, "title": title, "caption": caption}
