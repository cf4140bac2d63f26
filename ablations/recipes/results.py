"""A recipe's results: rows of what was measured beside what was published.

Scores are in percent. Beside a benchmark's score stands what was published for that benchmark;
MiniStuff has no published figure and stands beside the published average. Every row also has its
change from the reference variant, measured (on paired resamples) and published, which says more
at small scale than the scores do.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ablations.recipes.files import AVERAGE, Recipe, Variant
from ablations.recipes.plan import Place, Plan
from ablations.recipes.trials import Counts, Measured, Numbers
from ablations.search.scoreboard import fields, seen_and_unseen
from ablations.search.statistics import Draws, Subset, average, bootstrap
from lsmseg_model.data.benchmark import group_count, scored_names
from lsmseg_prompts.english import normalise

Row = dict[str, Any]
Scores = dict[tuple[str, str, str], Draws]  # variant, benchmark, metric
# What is measured for each published figure: as `trials` calls it, and in the tables.
MEASURED = {
    "latency_ms": {"latency_ms": "latency_ms"},
    "learnable_millions": {"learnable_millions": "learnable_millions"},
    "gflops": {"gflops_view": "gflops, one view", "gflops_picture": "gflops, a picture in views"},
    "head_millions": {"head_millions": "head_millions"},
    "head_gmacs": {"head_gmacs": "head_gmacs"},
    "training_minutes": {
        "training_minutes": "training_minutes",
        "extrapolated_minutes": "training_minutes, extrapolated to {iterations:,} steps",
    },
}
SUBSETS = {"miou": "all", "seen": "seen", "unseen": "unseen"}
COLUMNS = (
    "variant", "benchmark", "metric", "measured", "low", "high", "published", "difference",
    "change", "change_low", "change_high", "published_change", "status", "no_interval",
)  # fmt: skip


def result_rows(plan: Plan, scores: Scores, numbers: Numbers) -> list[Row]:
    """A row for every variant, benchmark (and average) and metric: the keys are COLUMNS.

    Args:
        plan: What was run.
        scores: See `scores_of`.
        numbers: What else was measured of each variant.
    """
    recipe = plan.recipe
    cells = list(dict.fromkeys((b, m) for _, b, m in scores))
    rows = []
    for variant in recipe.variants:
        status = plan.skipped.get(variant.name, "measured")
        if status == "not asked for" and variant.run and not variant.published:
            continue
        for benchmark, metric in cells:
            rows.append(_score_row(plan, variant, benchmark, metric, scores, status))
        for metric in [m for m in recipe.measures if m not in ("miou", "seen", "classes")]:
            rows += _number_rows(recipe, variant, metric, numbers, status)
    return rows


def scores_of(plan: Plan, counts: Counts, samples: int, seed: int) -> Scores:
    """The scores of each variant on each benchmark, with their draws.

    Args:
        plan: What was run.
        counts: int64 [P, C, 3] of each variant on each benchmark.
        samples: Bootstrap resamples.
        seed: Of the resamples.
    """
    scores: Scores = {}
    benchmarks = list(dict.fromkeys(id(place.benchmark) for place in plan.places))
    for place in plan.places:
        names = [v for v, by_place in counts.items() if place.title in by_place]
        if not names:
            continue
        subsets = _subsets(plan.recipe, place)
        of_all = [counts[v][place.title] for v in names]
        stream = benchmarks.index(id(place.benchmark))  # backbones see the same resamples
        how = samples, seed, stream, place.benchmark.groups
        drawn = bootstrap(of_all, subsets, *how)
        for name, draws in zip(names, drawn, strict=True):
            scores |= {(name, place.title, metric): d for metric, d in draws.items()}
    if len(plan.places) > 1 and "miou" in plan.recipe.measures:
        for name in dict.fromkeys(v for v, _, _ in scores):
            parts = [scores[name, place.title, "miou"] for place in plan.places]
            scores[name, AVERAGE, "miou"] = average(parts)
    return scores


def _subsets(recipe: Recipe, place: Place) -> dict[str, Subset]:
    """Over which classes: all, seen and unseen ones, and each that a figure was published for."""
    b, measures = place.benchmark, recipe.measures
    subsets = {"miou": Subset()} if "miou" in measures else {}
    if "seen" in measures:
        subsets |= seen_and_unseen(b)
    if "classes" in measures:
        published = {_plain(n): n for v in recipe.variants for n in _of_classes(v, recipe)}
        names = scored_names(b, [entry.name for entry in place.vocabulary])
        for position, name in enumerate(names):
            if _plain(name) in published:
                subsets[published[_plain(name)]] = Subset((position,))
    return subsets or {"miou": Subset()}


def _plain(name: str) -> str:
    """A class's name to compare: potted plant is pottedplant."""
    return normalise(name).replace(" ", "")


def _of_classes(variant: Variant, recipe: Recipe) -> Mapping[str, float]:
    """The figures that were published class by class, of the table's only benchmark."""
    figures = [variant.published.get(b) for b in recipe.benchmarks]
    return next((f for f in figures if isinstance(f, dict)), {})


def published(plan: Plan, variant: Variant, benchmark: str, metric: str) -> float | None:
    """What was published for this, in the units of the row; None where nothing was.

    Args:
        plan: The plan.
        variant: The row's variant.
        benchmark: The row's benchmark, or the average.
        metric: miou, or seen, unseen or a class.
    """
    recipe, name = plan.recipe, benchmark.partition("#")[0]
    figures = {b: variant.published.get(b) for b in recipe.benchmarks}
    if metric != "miou":
        beside = name == "ministuff" or name in recipe.benchmarks
        return _of_classes(variant, recipe).get(metric) if beside else None
    if name in recipe.benchmarks:
        figure = figures[name]
        return float(figure) if isinstance(figure, int | float) else None
    if name not in (AVERAGE, "ministuff"):
        return None
    over = [p.title for p in plan.places] if name == AVERAGE else list(recipe.benchmarks)
    if set(over) == set(recipe.benchmarks) and AVERAGE in variant.published:
        printed: Any = variant.published[AVERAGE]
        return float(printed)
    parts = [figures.get(b) for b in over]
    numbers = [float(p) for p in parts if isinstance(p, int | float)]
    complete = numbers and len(numbers) == len(parts)
    return round(sum(numbers) / len(numbers), 2) if complete else None


def _score_row(
    plan: Plan, variant: Variant, benchmark: str, metric: str, scores: Scores, status: str
) -> Row:
    draws = scores.get((variant.name, benchmark, metric))
    reference = scores.get((plan.recipe.reference, benchmark, metric))
    same = variant.name == plan.recipe.reference
    row = _row(variant.name, benchmark, metric, status)
    if draws is not None:
        row["no_interval"] = draws.interval().missing
        _fill(row, "measured", "low", "high", draws)
        if reference is not None and not same:
            _fill(row, "change", "change_low", "change_high", draws - reference)
    row["published"] = published(plan, variant, benchmark, metric)
    if not same:
        beside = published(plan, plan.recipe.variant(plan.recipe.reference), benchmark, metric)
        row["published_change"] = _minus(row["published"], beside)
    row["difference"] = _minus(row["measured"], row["published"])
    return row


def _number_rows(
    recipe: Recipe, variant: Variant, metric: str, numbers: Numbers, status: str
) -> list[Row]:
    own, other = numbers.get(variant.name, {}), numbers.get(recipe.reference, {})
    beside = recipe.variant(recipe.reference).published.get(metric)
    rows = []
    for key, label in MEASURED[metric].items() if own else [(metric, metric)]:
        row = _row(variant.name, "", label.format(iterations=recipe.iterations), status)
        row["measured"] = own.get(key)
        row["published"] = variant.published.get(metric)
        row["difference"] = _minus(row["measured"], row["published"])
        if variant.name != recipe.reference:
            row["change"] = _minus(row["measured"], other.get(key))
            row["published_change"] = _minus(row["published"], beside)
        if own or row["published"] is not None:
            rows.append(row)
    return rows


def _row(variant: str, benchmark: str, metric: str, status: str) -> Row:
    row: Row = dict.fromkeys(COLUMNS)
    return {**row, "variant": variant, "benchmark": benchmark, "metric": metric, "status": status}


def _fill(row: Row, value: str, low: str, high: str, draws: Draws) -> None:
    for key, number in zip((value, low, high), fields("", draws.interval()).values(), strict=True):
        row[key] = None if number is None else 100 * number


def _minus(a: Any, b: Any) -> float | None:
    return None if a is None or b is None else round(float(a) - float(b), 10)


def enter(plan: Plan, measured: Measured, rows: Sequence[Row]) -> None:
    """Enter the scores into the store, under the folder's name; those that are there once only."""
    from lsmseg_prompts.store.store import open_store

    evaluations = [one for row in rows if (one := _evaluation(plan, measured, row))]
    same = ("run", "stage", "benchmark", "pictures", "weights_hash", "prompt_set", "subset")
    with open_store(plan.request.store_path) as file, file.transaction():
        there = {tuple(e[k] for k in same) for e in file.evaluations(plan.directory.name)}
        for place in plan.places:
            file.add_vocabulary(place.vocabulary)
        for evaluation in evaluations:
            if tuple(evaluation[k] for k in same) not in there:
                file.add_evaluation(**evaluation)


def _evaluation(plan: Plan, measured: Measured, row: Row) -> Row:
    """A row as the store has it; nothing where it is not a score of a benchmark."""
    at = [n for n, place in enumerate(plan.places) if place.title == row["benchmark"]]
    if not at or row["measured"] is None or row["metric"] not in SUBSETS:
        return {}
    place = plan.places[at[0]]
    prompts = {t.variant.name: t for t in plan.trials}[row["variant"]].prompts[at[0]]
    model, weights_hash = measured.models[row["variant"], place.title]
    return {
        "run": plan.directory.name,
        "stage": f"recipe {plan.recipe.name}",
        "benchmark": place.title if place.backbone is None else place.benchmark.name,
        "split": place.benchmark.split,
        "pictures": len(place.benchmark),
        "model": model,
        "weights_hash": weights_hash,
        "vocabulary": place.vocabulary.name,
        "llm": prompts.llm,
        "prompt_set": prompts.name,
        "attributes": prompts.attributes,
        "composition": prompts.composition,
        "subset": SUBSETS[row["metric"]],
        "miou": row["measured"] / 100,
        "miou_low": None if row["low"] is None else row["low"] / 100,
        "miou_high": None if row["high"] is None else row["high"] / 100,
        "details": {
            "variant": row["variant"],
            "small": plan.request.small,
            "groups": group_count(place.benchmark),
        },
    }
