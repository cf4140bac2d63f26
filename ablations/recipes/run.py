"""Recipes: the tables of the paper and the thesis run again, beside what was published.

A recipe is a file (files.py); a request is checked as a whole (plan.py) before anything runs
(trials.py); what is finished is kept.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.recipes.files import Recipe, read_recipe
from ablations.recipes.plan import Place, Plan, make_plan
from ablations.recipes.request import RecipeRequest
from ablations.runs.directory import is_recipe, run_directory
from ablations.runs.reproduce import command_of
from lsmseg_prompts.terminal import note

if TYPE_CHECKING:
    from ablations.recipes.ranks import Ranking
    from ablations.recipes.results import Scores
    from ablations.recipes.trials import Counts

__all__ = ["RecipeRequest", "RecipeResult", "run_recipe"]

SMALL = (
    "Small scale: drawings (MiniStuff) and lsmseg-tiny{trained}. These numbers show that the "
    "recipe runs; they are not comparable with {others}."
)
PUBLISHED, REAL = "the published ones, which stand beside them", "those of real backbones"
OF_RECIPE = ("source", "title", "varies", "fixed", "reference")


@dataclass(frozen=True)
class RecipeResult:
    """What a recipe measured: a row per variant, benchmark and metric (`results.COLUMNS`).

    files: what each file of ``directory`` is. notes: what a reader must know. reused, made: of
    how many prompt sets on a benchmark the counts were there, and how many are new. rankings: of a
    recipe that compares backbones.
    """

    recipe: Recipe
    rows: list[dict[str, Any]]
    directory: Path
    files: dict[str, str]
    notes: tuple[str, ...]
    small: bool
    reused: int
    made: int
    rankings: tuple[Ranking, ...] = ()


def run_recipe(request: RecipeRequest, *, progress: bool = True) -> RecipeResult:
    """Run a recipe; the same request again goes on where an earlier run stopped.

    Progress is shown on stderr. Raises UsageError, ConfigurationError, StoreError, DataError,
    CheckpointError, ConfigError before anything runs; TrainingError.
    """
    started = time.monotonic()
    recipe = read_recipe(request.recipe)
    plan = make_plan(recipe, request)
    with run_directory(plan.directory, request.force, "recipes run", is_recipe) as directory:
        # torch from here on
        from ablations.recipes import ranks, results, tables
        from ablations.recipes.trials import carry_out

        notes = _notes(plan)
        if progress:
            for line in _announced(plan):
                note(line)
        measured = carry_out(plan, progress)
        samples = request.samples or recipe.samples
        scores = results.scores_of(plan, measured.counts, samples, request.seed)
        rows = results.result_rows(plan, scores, measured.numbers)
        about = {
            "recipe": recipe.name,
            **{key: getattr(recipe, key) for key in OF_RECIPE},
            "small": request.small,
            "scorer": plan.scorer,
            "notes": notes,
            "command": command_of("run_recipe", request),
            "backbones": [asdict(p.backbone) for p in plan.places if p.backbone],
            "settings": {t.variant.name: t.settings.given for t in plan.trials},
            "samples": samples,
            "seed": request.seed,
            "device": request.device,
            "seconds": round(time.monotonic() - started, 1),
        }
        files = tables.write(directory, rows, about)
        rankings = _rankings(plan, scores, measured.counts)
        if rankings:
            files |= ranks.write(directory, rankings)
        results.enter(plan, measured, rows)
    reused = sum(map(len, measured.counts.values())) - measured.made
    return RecipeResult(
        recipe, rows, directory, files, notes, request.small, reused, measured.made, rankings
    )


def _rankings(plan: Plan, scores: Scores, counts: Counts) -> tuple[Ranking, ...]:
    """How each of the backbones that are compared ranks the attributes, on each benchmark."""
    from ablations.recipes.ranks import ranking

    attributes = [t.variant.name for t in plan.trials if t.variant.name != plan.recipe.reference]
    benchmarks: dict[int, list[Place]] = {}
    for place in plan.places:
        if place.backbone is not None:
            benchmarks.setdefault(id(place.benchmark), []).append(place)
    if len(attributes) < 3:
        return ()
    return tuple(
        ranking(
            places[0].benchmark.name,
            {_name(p): {a: scores[a, p.title, "miou"] for a in attributes} for p in places},
            {_name(p): {a: counts[a][p.title] for a in attributes} for p in places},
            places[0].benchmark.groups,
            plan.request.seed,
        )
        for places in benchmarks.values()
    )


def _name(place: Place) -> str:
    return place.title if place.backbone is None else place.backbone.name


def _notes(plan: Plan) -> tuple[str, ...]:
    steps = _steps(plan)
    trained = f", networks trained for {steps} iterations" if steps else ""
    others = REAL if plan.recipe.kind == "backbones" else PUBLISHED
    scale = [SMALL.format(trained=trained, others=others)] if plan.request.small else []
    if not plan.request.small and plan.recipe.kind == "prompts" and plan.scorer == "frozen":
        scale.append("A frozen CLIP scored the prompts; the published networks were trained.")
    return (*scale, *plan.recipe.notes)


def _steps(plan: Plan) -> str:
    return " or ".join(map(str, sorted({job.training.iterations or 0 for job in plan.trainings})))


def _announced(plan: Plan) -> list[str]:
    """What is about to be done, for whoever waits."""
    where = ", ".join(f"{p.title} ({len(p.benchmark)} pictures)" for p in plan.places)
    trials, trainings = len(plan.trials), plan.trainings
    lines = [
        f"Results go to {plan.directory}",
        f"{plan.recipe.source}: {trials} variants on {where}",
    ]
    if trainings:
        sets = ", ".join(sorted({job.training.source.data for job in trainings}))
        networks = f"{len(trainings)} networks to train on {sets}"
        lines.append(f"{networks}, {_steps(plan)} iterations each")
    return lines
