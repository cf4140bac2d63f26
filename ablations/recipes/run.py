"""Recipes: the tables of the paper and the thesis run again, beside what was published.

A recipe is a file (files.py); a request is checked as a whole (plan.py) before anything runs
(trials.py); what is finished is kept.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.recipes.files import Recipe, read_recipe
from ablations.recipes.plan import Plan, make_plan
from ablations.recipes.request import RecipeRequest
from ablations.runs.directory import is_recipe, run_directory
from ablations.runs.reproduce import command_of
from lsmseg_prompts.terminal import note

__all__ = ["RecipeRequest", "RecipeResult", "run_recipe"]

SMALL = (
    "Small scale: drawings (MiniStuff) and lsmseg-tiny{trained}. These numbers show that the "
    "recipe runs; they are not comparable with the published ones, which stand beside them."
)
OF_RECIPE = ("source", "title", "varies", "fixed", "reference")


@dataclass(frozen=True)
class RecipeResult:
    """What a recipe measured: a row per variant, benchmark and metric (`results.COLUMNS`).

    files: what each file of ``directory`` is. notes: what a reader must know. reused, made: of
    how many prompt sets on a benchmark the counts were there, and how many are new.
    """

    recipe: Recipe
    rows: list[dict[str, Any]]
    directory: Path
    files: dict[str, str]
    notes: tuple[str, ...]
    small: bool
    reused: int
    made: int


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
        from ablations.recipes import results, tables
        from ablations.recipes.trials import carry_out

        notes = _notes(plan)
        if progress:
            for line in _announced(plan):
                note(line)
        measured = carry_out(plan, progress)
        samples = request.samples or recipe.samples
        rows = results.result_rows(plan, measured.counts, measured.numbers, samples, request.seed)
        about = {
            "recipe": recipe.name,
            **{key: getattr(recipe, key) for key in OF_RECIPE},
            "small": request.small,
            "scorer": plan.scorer,
            "notes": notes,
            "command": command_of("run_recipe", request),
            "settings": {t.variant.name: t.settings.given for t in plan.trials},
            "samples": samples,
            "seed": request.seed,
            "device": request.device,
            "seconds": round(time.monotonic() - started, 1),
        }
        files = tables.write(directory, rows, about)
        results.enter(plan, measured, rows)
    reused = sum(map(len, measured.counts.values())) - measured.made
    return RecipeResult(recipe, rows, directory, files, notes, request.small, reused, measured.made)


def _notes(plan: Plan) -> tuple[str, ...]:
    steps = _steps(plan)
    trained = f", networks trained for {steps} iterations" if steps else ""
    scale = [SMALL.format(trained=trained)] if plan.request.small else []
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
