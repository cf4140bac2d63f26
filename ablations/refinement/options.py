"""How prompts are refined: the options, checked; loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from lsmseg_prompts.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from ablations.refinement.asking import Asking

RULES = ("set", "single", "stepdown", "fdr", "paper")
OFFLINE = ("attributes", "edit", "names", "sources", "contrast")
"""The proposers that need no LLM: they try what the store has."""
ASKING = ("rewrite", "picture")
"""Those that ask an LLM; `contrast` asks too, where there is one."""
EXTRAS = ("optuna", "gepa")
"""Optional extras, each of a package of its own; only where they are named. gepa asks an LLM."""
AFTER = (*ASKING, *EXTRAS)
KNOWN = (*OFFLINE, *AFTER)
ROUNDS = 8
EMPTY_ROUNDS = 2  # rounds that keep nothing, one for each half, end the loop


@dataclass(frozen=True)
class RefineOptions:
    """How the loop proposes, tries and keeps.

    Attributes:
        rounds: At most so many.
        rule: What decides on the half that did not propose: "set" tests a round's changes
            together, the worst dropped one by one; "single" each by itself; "stepdown" the same
            step by step; "fdr" by the rate of false discoveries; "paper" takes any gain.
        proposers: Which of them; None is those that need no LLM, with `ask` also `rewrite`, and
            where it may look at pictures, `picture`; never the extras.
        candidates: At most so many for a class and round, the proposers' first ones; of those that
            ask an LLM as many again.
        start: A file of a prompt set to start from, such as what another model's refinement left;
            by default the best set of stage 4.
        required: Whether too few pictures for two halves are an error; else nothing is refined.
        ask: The LLM that is asked for what is missing; None asks nobody.

    Raises:
        UsageError: For a rule or a number that does not exist, and for a proposer that asks where
            nobody is to be asked.
        ConfigurationError: For an extra that is not installed.
    """

    rounds: int = ROUNDS
    rule: str = "set"
    proposers: Sequence[str] | None = None
    candidates: int = 200
    start: str | None = None
    required: bool = True
    ask: Asking | None = None

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise UsageError(f"There is no rule {self.rule!r}: choose {', '.join(RULES)}.")
        if self.rounds < 1:
            raise UsageError(f"The number of rounds must be at least 1, not {self.rounds}.")
        if self.candidates < 1:
            raise UsageError(
                f"The number of candidates of a class must be at least 1, not {self.candidates}."
            )
        looks = self.ask is not None and self.ask.look
        usual = (*OFFLINE, *(["rewrite"] if self.ask else []), *(["picture"] if looks else []))
        chosen = tuple(dict.fromkeys(usual if self.proposers is None else self.proposers))
        if self.ask is None and (asking := [n for n in chosen if n in (*ASKING, "gepa")]):
            raise UsageError(f"The proposer {asking[0]} asks an LLM: name one with --llm.")
        if "picture" in chosen and not looks:
            raise UsageError(
                "The proposer picture shows parts of pictures to the LLM: allow it with --look."
            )
        for name in chosen:
            if name in EXTRAS and find_spec(name) is None:
                raise ConfigurationError(
                    f"{name} is not installed: run `pip install 'lsmseg-prompts[{name}]'`, or "
                    "leave it out of --proposers."
                )
        object.__setattr__(self, "proposers", chosen)
