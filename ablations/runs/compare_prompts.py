"""Two prompt sets compared on the same pictures, with the intervals of an ablation's record.

from ablations import compare_prompts
compared = compare_prompts(first, second, load_benchmark("ministuff", limit=50))
compared.summary, compared.means["miou"]["difference"], compared.classes[0]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ablations.search.enough import check_samples, counted
from lsmseg_prompts.prompts.prompt_set import PromptSet

if TYPE_CHECKING:
    import numpy as np

    from ablations.scoring.frozen import OnProgress, Scorer
    from lsmseg_model.data.benchmark import Benchmark

SAMPLES = 2000


@dataclass(frozen=True)
class PairedComparison:
    """What the second of two prompt sets does better or worse than the first.

    first, second: the names of the sets. benchmark, split: of the pictures. pictures: how many;
    groups: how many of them, where they are grouped, else None. classes_labelled: how many classes
    are in the labels, of ``classes_scored``.

    means: mIoU (``miou``), and of the ``seen`` and ``unseen`` classes where the benchmark tells
    them apart. Each has ``first``, ``second`` and the paired ``difference``, second minus first,
    with ``_low`` and ``_high`` of their 95 % intervals, None where there is none; ``no_interval``
    says why there are none.

    classes: a row for every scored class, the largest differences first, those in no label last:
    index, name, seen, pictures (that hold it), labelled (pixels), first, second, difference with
    its interval, no_interval, and the texts_first and texts_second.

    shown: a row for every picture, those first where the sets differ most: place, key; first,
    second and difference of the part of its labelled pixels that is right; changed, the part that
    has another class, at least.
    """

    first: str
    second: str
    benchmark: str
    split: str
    pictures: int
    groups: int | None
    classes_labelled: int
    classes_scored: int
    means: dict[str, dict[str, Any]]
    classes: list[dict[str, Any]]
    shown: list[dict[str, Any]]

    @property
    def no_interval(self) -> str | None:
        """Why there are no intervals of the means; None where there are."""
        return str(self.means["miou"]["no_interval"] or "") or None

    @property
    def summary(self) -> str:
        """The comparison in one sentence."""
        row = self.means["miou"]
        on = f"{counted(self.pictures, self.groups)} of {self.benchmark} ({self.split})"
        of = f"{self.classes_labelled} of {self.classes_scored} scored classes in their labels"
        if row["difference"] is None:
            return f"On {on} no class is in the labels, so there is nothing to compare."
        gap = f"{self.second} against {self.first}: {100 * row['difference']:+.1f} points of mIoU"
        if self.no_interval:
            told = f"{gap}; {self.no_interval}, so nothing tells whether that would hold"
        elif row["difference_low"] is None:
            told = f"{gap}"
        else:
            ends = f"{100 * row['difference_low']:+.1f} to {100 * row['difference_high']:+.1f}"
            chance = "that leaves out 0" if holds(row) else "that holds 0: it may be chance"
            told = f"{gap}, with a 95 % interval of {ends} {chance}"
        return f"On {on}, with {of}, {told}."


def holds(row: dict[str, Any]) -> str:
    """On which side of 0 the interval of a row's difference lies: "above", "below", or ""."""
    low, high = row["difference_low"], row["difference_high"]
    if low is None or high is None:
        return ""
    return "above" if low > 0 else "below" if high < 0 else ""


def compare_prompts(
    first: PromptSet,
    second: PromptSet,
    on: Benchmark | Scorer,
    *,
    samples: int = SAMPLES,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> PairedComparison:
    """Score two prompt sets on the same pictures and compare them, class by class.

    The numbers are those that `ablate` writes down of the same sets, pictures, samples and seed.
    Not to be confused with `compare`, which runs whole ablations with the texts of several LLMs.

    Args:
        first: What is compared with.
        second: The other; differences are second minus first.
        on: The pictures, scored by the model lsmseg-tiny, whose features are kept as `ablate`
            keeps them; or a scorer of them, such as `CallableScorer`, for another model.
        samples: Bootstrap resamples.
        seed: Of the resamples.
        on_progress: Called with pictures done and in all.

    Raises:
        UsageError: For sets of another vocabulary than the pictures are labelled with, and for
            samples out of range.
        DataError: What reading and scoring the pictures raises.
    """
    from ablations.report.classwise import class_differences
    from lsmseg_model.data.benchmark import group_count

    check_samples(samples)
    scorer = cast("Scorer", on) if hasattr(on, "score") else _default_scorer(on)
    benchmark = scorer.benchmark
    counts = scorer.score([first, second], on_progress)
    readable = _readable(first)
    rows = [
        _class_row(row, first, second)
        for row in class_differences(benchmark, counts, readable, samples, seed)
    ]
    return PairedComparison(
        first=first.name,
        second=second.name,
        benchmark=benchmark.name,
        split=benchmark.split,
        pictures=len(benchmark),
        groups=group_count(benchmark),
        classes_labelled=sum(row["labelled"] > 0 for row in rows),
        classes_scored=len(rows),
        means=_means(benchmark, counts, samples, seed),
        classes=sorted(rows, key=_largest_first),
        shown=_shown(benchmark, counts),
    )


def _default_scorer(benchmark: Benchmark) -> Scorer:
    from ablations.scoring.models import open_model
    from ablations.scoring.options import ScorerOptions

    return open_model(ScorerOptions())[1](benchmark)


def _readable(prompts: PromptSet) -> list[str]:
    """The names of the classes as one reads them; of one's own vocabulary as the set has them."""
    from lsmseg_prompts.vocabularies import available_vocabularies, load_vocabulary

    if prompts.vocabulary not in available_vocabularies():
        return list(prompts.class_names)
    return [entry.readable for entry in load_vocabulary(prompts.vocabulary)]


def _class_row(row: dict[str, Any], first: PromptSet, second: PromptSet) -> dict[str, Any]:
    named = {**row, "first": row["baseline"], "second": row["best"]}
    del named["baseline"], named["best"]
    texts = {"texts_first": first, "texts_second": second}
    return named | {key: list(one.texts[row["index"]]) for key, one in texts.items()}


def _largest_first(row: dict[str, Any]) -> tuple[bool, float]:
    return row["difference"] is None, -abs(row["difference"] or 0.0)


def _means(
    benchmark: Benchmark, counts: np.ndarray, samples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """See `PairedComparison`."""
    from ablations.search.scoreboard import fields, seen_and_unseen
    from ablations.search.statistics import Subset, bootstrap

    subsets = {"miou": Subset(), **seen_and_unseen(benchmark)}
    subsets = {key: one for key, one in subsets.items() if one.classes is None or one.classes}
    one, other = bootstrap(counts, subsets, samples, seed, 0, benchmark.groups)
    return {
        key: {
            **fields("first", one[key].interval()),
            **fields("second", other[key].interval()),
            **fields("difference", (gap := (other[key] - one[key]).interval())),
            "no_interval": gap.missing,
            "classes": _count(benchmark, subsets[key].classes, counts),
        }
        for key in subsets
    }


def _count(benchmark: Benchmark, classes: Sequence[int] | None, counts: np.ndarray) -> int:
    """Of how many classes a mean is: those in the labels."""
    held = counts[0, :, :, 2].sum(axis=0) > 0
    return int(held.sum() if classes is None else held[list(classes)].sum())


def _shown(benchmark: Benchmark, counts: np.ndarray) -> list[dict[str, Any]]:
    """See `PairedComparison`.

    A pixel that changed its class is one more of the new class and one fewer of the old. So at
    least half of the changes of the areas have changed, and at least the changes of the hits.
    """
    import numpy as np

    rows = []
    for place, (before, after) in enumerate(zip(*counts, strict=True)):
        labelled = int(before[:, 2].sum())
        if not labelled:
            continue
        change = np.abs(after - before).sum(axis=0)
        right = [int(one[:, 0].sum()) / labelled for one in (before, after)]
        rows.append(
            {
                "place": place,
                "key": benchmark.key(place),
                "first": right[0],
                "second": right[1],
                "difference": right[1] - right[0],
                "changed": max(int(change[0]), -(-int(change[1]) // 2)) / labelled,
            }
        )
    return sorted(rows, key=lambda row: (-row["changed"], row["place"]))
