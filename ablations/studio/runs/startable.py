"""Which commands the studio may start, and with which options: a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Field:
    """One option of a form.

    kind: llm, names (between commas), choice, integer, number, flag, or folder: the name of a new
    folder of results. choices: of a choice; or where they come from: "data", "vocabularies",
    "runs", "recipes", "networks". several: an --option for each name between commas. first: it
    stands before the options, without a name of its own.
    """

    name: str
    kind: str
    help: str
    default: Any = None
    choices: tuple[str, ...] | str = ()
    low: float = 0
    high: float = 1_000_000
    several: bool = False
    first: bool = False
    required: bool = False

    @property
    def label(self) -> str:
        """What the form calls it."""
        return LABELS.get(self.name, self.name.replace("_", " ").capitalize())

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"


@dataclass(frozen=True)
class Command:
    """A command that may be started: its words, what it does, its form."""

    name: str
    does: str
    fields: tuple[Field, ...]


LABELS = {
    "llm": "LLM",
    "vocab": "Vocabulary",
    "data": "Benchmark",
    "out": "Folder",
    "max_cost": "Cost limit",
    "max_calls": "Request limit",
    "concurrency": "At once",
    "config": "Network",
    "iterations": "Steps",
    "no_refine": "No refinement",
}

LLM = Field("llm", "llm", "who writes; bundled is offline", "bundled")
VOCAB = Field("vocab", "choice", "the classes", choices="vocabularies")
DATA = Field("data", "choice", "the pictures", choices="data")
ATTRIBUTES = Field("attributes", "names", "between commas; all if empty")
LIMIT = Field("limit", "integer", "of the pictures; the first so many", low=1)
SAMPLES = Field("samples", "integer", "bootstrap resamples", low=200, high=100_000)
SEED = Field("seed", "integer", "of everything random")
OUT = Field("out", "folder", "a new folder for the results", required=True)
COST = Field("max_cost", "number", "US dollars, at most", high=10_000)
CALLS = Field("max_calls", "integer", "requests, at most")
STEPS = Field("iterations", "integer", "steps; the network's own if empty", low=1)
MINUTES = Field("minutes", "number", "stop after so long", high=100_000)
RESUME = Field("resume", "flag", "go on from the checkpoint in the folder")

COMMANDS = {
    command.name: command
    for command in (
        Command(
            "generate",
            "Ask an LLM for the descriptions that the store lacks",
            (
                LLM,
                VOCAB,
                ATTRIBUTES,
                Field("classes", "names", "between commas; all if empty"),
                Field("samples", "integer", "texts of each description", low=1, high=20),
                Field("limit", "integer", "descriptions, at most", low=1),
                COST,
                CALLS,
                Field("concurrency", "integer", "requests that go on at once", low=1, high=512),
                Field("retry_errors", "flag", "ask again for what failed before"),
                Field("batch", "flag", "the provider's batch API"),
                Field("dry_run", "flag", "only say what would be asked, and what it would cost"),
            ),
        ),
        Command(
            "ablate",
            "Score every attribute alone, then search for the best combination",
            (
                Field("llm", "llm", "who wrote; several between commas are compared",
                      "bundled", several=True),
                DATA,
                ATTRIBUTES,
                Field("composition", "choice", "what is searched",
                      choices=("both", "concat", "ensemble")),
                Field("missing", "choice", "classes without descriptions",
                      choices=("fail", "name", "skip")),
                Field("strategy", "choice", "how combinations are gone through",
                      choices=("beam", "greedy", "chain", "exhaustive")),
                LIMIT,
                SAMPLES,
                SEED,
                OUT,
            ),
        ),
        Command(
            "refine",
            "Refine the best set of a run class by class, with what holds on unused pictures",
            (
                Field("run", "choice", "the run", choices="runs", first=True, required=True),
                Field("llm", "llm", "who is asked for what is missing; nobody if empty"),
                Field("rounds", "integer", "rounds, at most", low=1, high=100),
                Field("rule", "choice", "what decides",
                      choices=("set", "single", "stepdown", "fdr", "paper")),
                COST,
                CALLS,
                OUT,
            ),
        ),
        Command(
            "run",
            "All four stages and refinement on what ships inside",
            (LLM, Field("no_refine", "flag", "without refinement"), OUT),
        ),
        Command(
            "train",
            "Train a network on pictures and prompts",
            (
                Field("config", "choice", "the network", choices="networks"),
                DATA,
                LLM,
                STEPS,
                MINUTES,
                Field("batch_size", "integer", "pictures a step", low=1),
                SEED,
                OUT,
                RESUME,
            ),
        ),
        Command(
            "pretrain",
            "Train a CLIP on pictures and texts",
            (DATA, LLM, STEPS, MINUTES, SEED, OUT, RESUME),
        ),
        Command(
            "recipes run",
            "Run a published table again, small, on what ships inside",
            (
                Field("recipe", "choice", "the table", choices="recipes", first=True,
                      required=True),
                LIMIT,
                SEED,
                OUT,
            ),
        ),
    )
}  # fmt: skip
