"""Recipes: the tables of the paper and the thesis run again, beside what was published.

    from ablations.recipes.run import run_recipe
    run_recipe("table4")                                    # small scale: MiniStuff, lsmseg-tiny
    run_recipe("mine.json", data=["pc-59"], data_root=[...], pretrained=...)

A recipe is a file (recipe_files.py); a request is checked as a whole (recipe_plan.py) before
anything runs (recipe_trials.py); what is finished is kept (recipe_kept.py).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.recipes.files import Recipe, available, read_recipe, recipe_path
from ablations.recipes.kept import alone
from ablations.recipes.plan import Plan, make_plan
from ablations.runs.directory import run_directory
from ablations.runs.reproduce import command_of
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.terminal import note

__all__ = ["Recipe", "RecipeResult", "available", "read_recipe", "recipe_path", "run_recipe"]

SMALL = (
    "Small scale: drawings (MiniStuff) and lsmseg-tiny{trained}. These numbers show that the "
    "recipe runs; they are not comparable with the published ones, which stand beside them."
)
SAMPLES = 1000


@dataclass(frozen=True)
class RecipeResult:
    """What a recipe found: a row per variant, benchmark and metric (`recipe_results.COLUMNS`).

    files: what each file of ``directory`` is. notes: what a reader must know. reused, made: how
    many results were kept from before, and how many are new.
    """

    recipe: Recipe
    rows: list[dict[str, Any]]
    directory: Path
    files: dict[str, str]
    notes: tuple[str, ...]
    small: bool
    reused: int
    made: int


def run_recipe(
    recipe: str | Path,
    *,
    variants: Sequence[str] | None = None,
    data: Sequence[str] | None = None,
    data_root: Sequence[str] | None = None,
    vocab: str | None = None,
    llm: str | None = None,
    scorer: str | None = None,
    model: str | None = None,
    pretrained: str | None = None,
    dense: str | None = None,
    sam: str | None = None,
    checkpoint: str | None = None,
    config: str | None = None,
    train_data: Sequence[str] | None = None,
    train_root: Sequence[str] | None = None,
    encoder: Sequence[str] | None = None,
    iterations: int | None = None,
    batch_size: int | None = None,
    cache: str | Path | bool | None = None,
    precision: str = "auto",
    workers: int = 1,
    limit: int | None = None,
    samples: int | None = None,
    seed: int = 0,
    store: str | None = None,
    out: str | Path | None = None,
    device: str = "cpu",
    executor: str = "local",
    progress: bool = True,
) -> RecipeResult:
    """Run a recipe, by name or file; the same call again goes on where an earlier one stopped.

    Without data and train_data at small scale, else with the settings `full`. variants: only
    these. scorer: of a recipe of prompts, "frozen" (default), "trained" (with ``checkpoint``) or
    "retrain" (a network for every variant). encoder: FILE, or NAME=FILE where variants need
    several. cache: the folder that keeps dense features (False: none). out: the folder for
    results (default runs/<recipe>). executor: where trainings and pictures
    are dealt with, "local" or "ray". Other arguments: those of `runner.ablate` and
    `lsmseg_model.train.train`.

    Raises UsageError, ConfigurationError, StoreError, DataError, CheckpointError, ConfigError
    before anything runs; TrainingError.
    """
    options = dict(locals())
    if samples is not None and samples < 1:
        raise UsageError("samples, the number of bootstrap resamples, must be at least 1.")
    started = time.monotonic()
    read = read_recipe(recipe)
    plan = make_plan(read, options)
    folder = Path(out) if out is not None else Path("runs") / f"{read.name}{'-small' * plan.small}"
    with run_directory(folder) as directory, alone(directory):
        # torch from here on
        from ablations.recipes import results, tables
        from ablations.recipes.trials import carry_out

        notes = _notes(plan)
        if progress:
            for line in _announced(plan, directory):
                note(line)
        done = carry_out(plan, directory, progress)
        drawn = samples or SAMPLES
        given = ", ".join(f"{k}={v!r}" for k, v in options.items() if v is not None)
        rows = results.result_rows(plan, done.counts, done.numbers, drawn, seed)
        about = {
            "recipe": read.name,
            "source": read.source,
            "title": read.title,
            "varies": read.varies,
            "fixed": read.fixed,
            "reference": read.reference,
            "small": plan.small,
            "scorer": plan.scorer,
            "notes": notes,
            "command": command_of(f"ablations.recipes.run_recipe({given})"),
            "settings": {t.variant.name: dict(t.settings) for t in plan.trials},
            "samples": drawn,
            "seed": seed,
            "device": device,
            "seconds": round(time.monotonic() - started, 1),
        }
        files = tables.write(directory, rows, about, f"{read.source}: {read.title}")
        results.enter(plan, done, rows, directory.name)
    return RecipeResult(
        read, rows, directory, files, notes, plan.small, done.kept.reused, done.kept.made
    )


def _notes(plan: Plan) -> tuple[str, ...]:
    steps = sorted({t.iterations for t in plan.trainings.values()})
    trained = f", networks trained for {' or '.join(map(str, steps))} iterations" if steps else ""
    scale = [SMALL.format(trained=trained)] if plan.small else []
    if not plan.small and plan.recipe.kind == "prompts" and plan.scorer == "frozen":
        scale.append("A frozen CLIP scored the prompts; the published networks were trained.")
    return (*scale, *plan.recipe.notes)


def _announced(plan: Plan, directory: Path) -> list[str]:
    """What is about to be done, for whoever waits."""
    where = ", ".join(f"{p.title} ({len(p.benchmark)} pictures)" for p in plan.places)
    lines = [f"{plan.recipe.source}: {len(plan.trials)} variants on {where}, into {directory}"]
    if trainings := list(plan.trainings.values()):
        sets = ", ".join(sorted({t.data for t in trainings}))
        steps = " or ".join(str(s) for s in sorted({t.iterations for t in trainings}))
        lines.append(f"{len(trainings)} networks to train on {sets}, {steps} iterations each")
    return lines
