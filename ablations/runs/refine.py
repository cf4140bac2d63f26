"""Refinement of a run: the same request, its best set then refined class by class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

from ablations.refinement.options import RefineOptions
from ablations.report.run_file import FORMAT, read_run
from ablations.runs.ablate import ablate
from ablations.runs.reproduce import OWN
from ablations.runs.request import AblationRequest
from ablations.runs.result import RunResult
from lsmseg_prompts.errors import UsageError


def refine(
    request: AblationRequest | None = None,
    options: RefineOptions | None = None,
    *,
    run: str | Path | None = None,
    progress: bool = True,
) -> RunResult:
    """Stages 3 and 4, and their best set refined class by class, into a folder of its own.

    What was counted before is not counted again, so of a run only refinement is new; a refinement
    that was interrupted goes on.

    Args:
        request: What is scored, on what; with ``run`` only where the results go.
        options: How it is refined.
        run: The folder of a run, whose request is taken.
        progress: Whether progress is shown.

    Raises:
        UsageError: For a run whose prompts cannot be refined.
        ConfigurationError: For a folder that is not a run.
        BudgetError: Once the results are written, where the budget for asking did not suffice.
    """
    request = request or AblationRequest()
    if run is not None:
        own = {name: getattr(request, name) for name in OWN}
        request = replace(request_of(Path(run)), **own)
    return ablate(replace(request, refinement=options or RefineOptions()), progress=progress)


def request_of(run: Path) -> AblationRequest:
    """The request of a run.

    Raises ConfigurationError for a folder that is not a run; UsageError for a comparison, and for
    a run of an earlier version, which does not hold its request.
    """
    record = read_run(run)
    if record["format"] != FORMAT:
        raise UsageError(f"{run} compares several LLMs: name the folder of one of them in it.")
    told = record.get("request")
    names = {field.name for field in fields(AblationRequest)} - set(OWN)
    if not isinstance(told, Mapping) or not set(told) <= names:
        raise UsageError(
            f"{run} is of another version and does not say what was asked: give the options of "
            "that run instead of the folder."
        )
    return AblationRequest(**told)
