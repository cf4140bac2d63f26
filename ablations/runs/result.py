"""What a run and a comparison give back; loads nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsmseg_prompts.errors import BudgetError


@dataclass(frozen=True)
class RunResult:
    """The tables' rows of a run (also in the CSV files), the choice, and the folder.

    ``files`` tells what each file of the folder is. spent: that the budget for asking did not
    suffice. refinement: what refinement did, as in run.json; None where nothing was refined.
    """

    single: list[dict[str, Any]]
    combinations: list[dict[str, Any]]
    best: dict[str, Any]
    directory: Path
    files: dict[str, str]
    spent: BudgetError | None = None
    refinement: dict[str, Any] | None = None


@dataclass(frozen=True)
class Comparison:
    """The rows of a comparison (also in llms.csv), in words, and where everything is.

    ``best``: the choice of each LLM's own search. ``directories``: the LLMs' own runs.
    """

    rows: list[dict[str, Any]]
    summary: str
    best: dict[str, dict[str, Any]]
    directory: Path
    directories: dict[str, Path]
    files: dict[str, str]
