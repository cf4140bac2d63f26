"""How combinations are searched: the options, checked; loads nothing."""

from __future__ import annotations

from dataclasses import dataclass

from lsmseg_prompts.errors import UsageError

BEAM_WIDTH = 3
RULES = ("interval", "paper")
STRATEGIES = ("greedy", "beam", "chain", "exhaustive")


@dataclass(frozen=True)
class SearchOptions:
    """How stage 4 goes through the combinations of attributes.

    rule: "interval" adds an attribute when the lower end of its gain's simultaneous interval is
    above 0, "paper" at any gain at all. strategy: one of `STRATEGIES`. beam_width: sets that a
    beam keeps. orders: try the clauses of the set that is taken in other orders too.

    Raises UsageError for a rule or strategy that does not exist, and a beam width without a beam.
    """

    rule: str = "interval"
    strategy: str = "greedy"
    beam_width: int = BEAM_WIDTH
    orders: bool = False

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise UsageError(f"There is no rule {self.rule!r}: choose {' or '.join(RULES)}.")
        if self.strategy not in STRATEGIES:
            raise UsageError(
                f"There is no strategy {self.strategy!r}: choose {', '.join(STRATEGIES)}."
            )
        if self.beam_width < 1:
            raise UsageError("The beam width, the number of sets kept, must be at least 1.")
        if self.beam_width != BEAM_WIDTH and self.strategy != "beam":
            raise UsageError("The beam width has no effect without --strategy beam: leave it out.")
