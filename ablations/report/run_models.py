"""What run.json must hold for its page to be made, as pydantic models: import it lazily."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Rows = list[dict[str, Any]]


class Record(BaseModel):
    """What runs and comparisons share; a file may hold more, and older ones hold less."""

    model_config = ConfigDict(extra="allow")

    version: Literal[1]
    name: str
    created: str
    summary: str
    model: dict[str, Any]
    benchmarks: Rows
    figures: Rows


class Run(Record):
    """A run of `ablate`."""

    llm: dict[str, Any]
    best: dict[str, Any]
    single: Rows
    combinations: Rows
    candidates: Rows


class Comparison(Record):
    """A comparison of several LLMs; each has a folder with its own run."""

    first: str
    llms: Rows
    rows: Rows
