"""Pictures of a run: cost maps and segmentations under two prompt sets side by side.

Cost maps are of pictures and classes that the label maps decide, not the scores, but after
refinement, where those classes are shown that it changed most. Segmentations are of the pictures
where the best combination gains most over the name, and of the first others, beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ablations.report.plots import pyplot, save
from ablations.scoring.frozen import Scorer
from lsmseg_model.data.benchmark import Benchmark
from lsmseg_model.data.palette import colour, palette
from lsmseg_model.data.region_names import write_names
from lsmseg_model.metrics import iou
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.prompts.prompt_set import PromptSet

SMALL = 0.02  # a class must cover this much of a picture to be shown in it
OBJECT, TARGET = 0.1, 0.2  # parts of a picture that an object covers, and had better cover here
VOID = (0, 0, 0)
LETTERS = (5.0, 10.0)  # points of the smallest and the largest names in a picture
Shown = tuple[int, int]
"""A picture, and a class by its place among the scored ones."""


def coverage(benchmark: Benchmark) -> np.ndarray:
    """float64 [P, C]: the part of each picture that each scored class covers."""
    position = {index: at for at, index in enumerate(benchmark.class_indices)}
    covered = np.zeros((len(benchmark), len(position)))
    for picture in range(len(benchmark)):
        labels = benchmark.labels(picture)
        for index, pixels in zip(*np.unique(labels, return_counts=True), strict=True):
            if int(index) in position:
                covered[picture, position[int(index)]] = pixels / labels.size
    return covered


def choose_classes(
    covered: np.ndarray, unseen: Sequence[bool], count: int = 4
) -> list[tuple[int, int]]:
    """(picture, class position) for the cost maps: mostly unseen classes, each in one picture.

    Classes come first that usually cover about as much as an object does (OBJECT); all but one
    are unseen where there are such. Each is shown at about TARGET, no picture twice.
    """
    present = covered >= SMALL
    usual = np.array(
        [np.median(c[p]) if p.any() else np.inf for c, p in zip(covered.T, present.T, strict=True)]
    )
    order = sorted(
        np.flatnonzero(present.any(axis=0)).tolist(), key=lambda c: abs(usual[c] - OBJECT)
    )
    unseen_ones = [c for c in order if unseen[c]]
    seen_ones = [c for c in order if not unseen[c]]
    pairs: list[tuple[int, int]] = []
    free = np.ones(len(covered), dtype=bool)
    for group, most in (
        (unseen_ones, count - 1 if seen_ones else count),
        (seen_ones, count),
        (unseen_ones, count),
    ):
        for c in group:
            if len(pairs) < most and c not in [x for _, x in pairs]:
                pairs += _in_picture(covered[:, c], c, free)
    return pairs


def show_classes(covered: np.ndarray, positions: Sequence[int], count: int = 4) -> list[Shown]:
    """(picture, class position) for the first of some classes, each in a picture of its own."""
    pairs: list[Shown] = []
    free = np.ones(len(covered), dtype=bool)
    for position in positions:
        if len(pairs) < count:
            pairs += _in_picture(covered[:, position], position, free)
    return pairs


def _in_picture(covered: np.ndarray, position: int, free: np.ndarray) -> list[Shown]:
    """The free picture in which a class covers about TARGET, if any; it is not free any more.

    covered: [P] the part of each picture that it covers.
    """
    distance = np.where(free & (covered >= SMALL), np.abs(covered - TARGET), np.inf)
    if not np.isfinite(distance.min()):
        return []
    picture = int(distance.argmin())
    free[picture] = False
    return [(picture, position)]


def gains(before: np.ndarray, after: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """float64 [P, C]: what each class's IoU gains in each picture that shows it, 0 elsewhere.

    before, after: counts [P, C, 3] of two prompt sets. covered: see `coverage`.
    """
    return np.where(covered >= SMALL, np.nan_to_num(iou(after) - iou(before)), 0.0)


def choose_pictures(
    gain: np.ndarray, unseen: Sequence[bool], count: int = 5, most: int = 3
) -> tuple[list[int], list[int]]:
    """The pictures where the gain is largest, and the first of the others.

    The gain is that of the unseen classes, where there are such, else of all; the class that
    gains most in a chosen picture does not count for the next ones.

    Args:
        gain: See `gains`.
        unseen: Of each class whether training never saw it.
        count: Pictures in all.
        most: Those that may be chosen by their gain.
    """
    left = gain * np.asarray(unseen) if any(unseen) else gain.copy()
    chosen: list[int] = []
    while len(chosen) < most and left.sum(axis=1).max(initial=0.0) > 0:
        picture = int(left.sum(axis=1).argmax())
        chosen.append(picture)
        left[:, left[picture].argmax()] = left[picture] = 0.0
    others = [picture for picture in range(len(gain)) if picture not in chosen]
    return chosen, others[: max(0, count - len(chosen))]


def named(benchmark: Benchmark, keys: Sequence[str] | None) -> list[int]:
    """The pictures of these keys, in their order; those the benchmark has not are left out."""
    place = {benchmark.key(picture): picture for picture in range(len(benchmark))}
    return [place[key] for key in keys or () if key in place]


def check_named(benchmarks: Sequence[Benchmark], keys: Sequence[str] | None) -> None:
    """Raises UsageError for a picture that no benchmark's report split has."""
    have = {b.key(picture) for b in benchmarks for picture in range(len(b))} if keys else set()
    if lacking := [key for key in keys or () if key not in have]:
        some = ", ".join(sorted(have)[:3])
        raise UsageError(
            f"No picture to report on is called {lacking[0]}: --picture takes names such as {some}."
        )


@dataclass(frozen=True)
class PictureView:
    """Pictures of one benchmark under some prompt sets. readable: the classes' names."""

    scorer: Scorer
    prompt_sets: Sequence[PromptSet]
    readable: Sequence[str]

    @cached_property
    def _names(self) -> dict[int, str]:
        return {index: self.readable[index] for index in self.scorer.benchmark.class_indices}

    @cached_property
    def _colours(self) -> np.ndarray:
        """uint8 [C, 3] of all classes; those that are not scored look unlabelled."""
        colours = np.full((len(self.readable), 3), VOID, np.uint8)
        colours[list(self._names)] = palette(tuple(self._names.values()))
        return colours

    def cost_maps(
        self, pairs: Sequence[tuple[int, int]], path: Path, measure: str = "cosine"
    ) -> Path:
        """Rows of picture, label map, and the cost maps of one class under each prompt set.

        The maps of a row have one scale, from the least 1st to the greatest 99th percentile of
        them, whose colour bar stands beside them; the label's outline is drawn on them. measure:
        what the bar measures. pairs: see `choose_classes`.
        """
        benchmark = self.scorer.benchmark
        titles = ("picture", "labels", *(one.name for one in self.prompt_sets))
        figure, axes = _grid([benchmark.labels(p).shape for p, _ in pairs], titles, 0.08)
        for row, (picture, position) in zip(axes, pairs, strict=True):
            index = benchmark.class_indices[position]
            labels = benchmark.labels(picture)
            row[0].imshow(benchmark.picture(picture))
            self._show(row[1], labels)
            title = self.readable[index]
            if benchmark.seen is not None:
                title += "\n(seen)" if index in benchmark.seen else "\n(unseen)"
            row[0].set_ylabel(title, rotation=0, ha="right", va="center", labelpad=8)
            mask = labels == index
            costs = [self.scorer.cost_map(one, picture, index) for one in self.prompt_sets]
            ends = [np.percentile(cost, [1, 99]) for cost in costs]
            scale = {"vmin": min(low for low, _ in ends), "vmax": max(high for _, high in ends)}
            for axis, cost in zip(row[2:], costs, strict=True):
                shown = axis.imshow(cost, cmap="viridis", **scale)
                if mask.any() and not mask.all():
                    axis.contour(mask, levels=[0.5], colors="white", linewidths=0.9)
            _colour_bar(row[-1], shown, measure)
        return save(figure, path)

    def segmentations(self, pictures: Sequence[int], path: Path) -> Path:
        """Rows of picture, ground truth and a segmentation by each prompt set.

        Names stand in their regions, marked where the ground truth says otherwise; a legend has
        the classes whose names fit nowhere.
        """
        plt = pyplot()
        benchmark, count = self.scorer.benchmark, len(self.readable)
        titles = ("picture", "ground truth", *(one.name for one in self.prompt_sets))
        figure, axes = _grid([benchmark.labels(p).shape for p in pictures], titles, 0.08)
        area, written = np.zeros(count + 1), set[int]()
        for row, picture in zip(axes, pictures, strict=True):
            labels = benchmark.labels(picture)
            row[0].imshow(benchmark.picture(picture))
            written |= self._show(row[1], labels)
            found = [self.scorer.segment(one, picture) for one in self.prompt_sets]
            for axis, one in zip(row[2:], found, strict=True):
                written |= self._show(axis, one, labels)
            for one in (labels, *found):
                area += np.bincount(np.where(one < 0, count, one).ravel(), minlength=count + 1) / (
                    one.size
                )
        # Specks of a class would make the legend long without being seen in the pictures.
        unwritten = [i for i in self._names if area[i] > 0.01 and i not in written]
        shown = sorted(unwritten, key=lambda i: -area[i])[:36]
        handles = [
            plt.Rectangle((0, 0), 1, 1, color=self._colours[i] / 255, label=self.readable[i])
            for i in sorted(shown, key=lambda i: self.readable[i])
        ]
        if area[count]:
            black = np.array(VOID) / 255
            handles.append(plt.Rectangle((0, 0), 1, 1, color=black, label="unlabelled"))
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "ncols": 5}
        size = {"fontsize": 8, "handlelength": 1.2, "handleheight": 1.0}
        if handles:
            figure.legend(handles=handles, frameon=False, **place, **size)
        return save(figure, path)

    def _show(self, axis: Any, labels: np.ndarray, truth: np.ndarray | None = None) -> set[int]:
        """A label map in colours with names in it; returns the classes that are named."""
        axis.imshow(colour(labels, self._colours, VOID), interpolation="nearest")
        return write_names(axis, labels, self._names, self._colours, LETTERS, truth)


def _colour_bar(axis: Any, shown: Any, measure: str) -> None:
    """The scale of a row's maps, right of its last one."""
    bar = axis.figure.colorbar(shown, cax=axis.inset_axes((1.05, 0.0, 0.06, 1.0)))
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, length=2)
    bar.ax.locator_params(nbins=5)
    bar.set_label(measure, fontsize=8)


def _grid(shapes: Sequence[tuple[int, ...]], titles: Sequence[str], gap: float) -> tuple[Any, Any]:
    """Axes without ticks, a title over each column, rows as high as their pictures (H, W) ask.

    gap: inches between the rows.
    """
    width = 2.05
    heights = [min(width * h / w, 2 * width) for h, w in shapes]
    high = sum(heights) + gap * len(heights)
    figure, axes = pyplot().subplots(
        len(shapes),
        len(titles),
        figsize=(width * len(titles), high),
        squeeze=False,
        height_ratios=heights,
    )
    mean = sum(heights) / len(heights)
    figure.subplots_adjust(
        wspace=0.04, hspace=gap / mean, left=0.0, right=1.0, bottom=gap / high, top=1.0
    )
    for axis in axes.ravel():
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_visible(False)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(broken(title), fontsize=9)
    return figure, axes


def broken(title: str, width: int = 24) -> str:
    """A prompt set's name in lines of about ``width`` characters, broken after "+"."""
    lines = [""]
    for piece in title.replace("+", "+\0").split("\0"):
        if lines[-1] and len(lines[-1]) + len(piece) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)
