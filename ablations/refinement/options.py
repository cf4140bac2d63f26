"""How prompts are refined: the options, checked; loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lsmseg_prompts.errors import UsageError

RULES = ("set", "single", "stepdown", "fdr", "paper")
OFFLINE = ("attributes", "edit", "names", "sources", "contrast")
"""The proposers that need no LLM: they try what the store has."""
ROUNDS = 8
EMPTY_ROUNDS = 2  # rounds that keep nothing, one for each half, end the loop


@dataclass(frozen=True)
class RefineOptions:
    """How the loop proposes, tries and keeps.

    Attributes:
        rounds: At most so many.
        keep: What decides on the half that did not propose: "set" tests a round's changes
            together, the worst dropped one by one; "single" each by itself; "stepdown" the same
            step by step; "fdr" by the rate of false discoveries; "paper" takes any gain.
        proposers: Which of them; by default those that need no LLM.
        candidates: At most so many for a class and round, the proposers' first ones.

    Raises:
        UsageError: For a rule or a number that does not exist.
    """

    rounds: int = ROUNDS
    keep: str = "set"
    proposers: Sequence[str] = OFFLINE
    candidates: int = 200

    def __post_init__(self) -> None:
        if self.keep not in RULES:
            raise UsageError(f"There is no rule {self.keep!r}: choose {', '.join(RULES)}.")
        if self.rounds < 1:
            raise UsageError(f"The number of rounds must be at least 1, not {self.rounds}.")
        if self.candidates < 1:
            raise UsageError(
                f"The number of candidates of a class must be at least 1, not {self.candidates}."
            )
        object.__setattr__(self, "proposers", tuple(dict.fromkeys(self.proposers)))
