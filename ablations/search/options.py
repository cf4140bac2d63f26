"""What stage 4 searches, and how: the options, checked; loads nothing."""

from __future__ import annotations

from dataclasses import dataclass

from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.prompts.prompt_set import BUILT

BEAM_WIDTH = 3
RULES = ("interval", "paper")
STRATEGIES = ("beam", "greedy", "chain", "exhaustive")
SEARCHED = tuple(name for name in BUILT if name != "sentence")
BOTH = "both"
COMPOSITIONS_OF_BOTH = ("concat", "ensemble")
GIVEN_SET = "given"  # the name of a set that refinement is told to start from
BY_CLASS = "class by class"  # what the step of refinement adds, which is not one of the search


@dataclass(frozen=True)
class SearchOptions:
    """How stage 4 goes through the combinations of attributes and compositions.

    rule: "interval" adds an attribute when the lower end of its gain's simultaneous interval is
    above 0, "paper" at any gain at all. strategy: one of `STRATEGIES`. beam_width: sets that a
    beam keeps. orders: try the clauses of the set that is taken in other orders too, if they are
    joined. composition: one, several between commas, or "both", which are concat and ensemble.

    Raises UsageError for what does not exist, and for a beam width without a beam and orders
    without clauses.
    """

    rule: str = "interval"
    strategy: str = "beam"
    beam_width: int = BEAM_WIDTH
    orders: bool = False
    composition: str = BOTH

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
        self._check_compositions()

    @property
    def compositions(self) -> tuple[str, ...]:
        """Those that are searched."""
        if self.composition == BOTH:
            return COMPOSITIONS_OF_BOTH
        return tuple(dict.fromkeys(name.strip() for name in self.composition.split(",")))

    def _check_compositions(self) -> None:
        if "sentence" in self.compositions:
            raise UsageError(
                "A sentence is written for one set of attributes, so there is nothing to search "
                "among: use --composition concat or ensemble, or score it with `evaluate`."
            )
        for name in self.compositions:
            if name not in SEARCHED:
                raise UsageError(
                    f"There is no composition {name!r} to search: choose {', '.join(SEARCHED)}, "
                    f"several between commas, or {BOTH} for {' and '.join(COMPOSITIONS_OF_BOTH)}."
                )
        if self.orders and "concat" not in self.compositions:
            raise UsageError(
                f"The composition {self.composition} has no clauses whose order could matter: "
                "leave out --orders, or use --composition concat."
            )
