"""What a search leaves: its steps, its candidates, and how greedy search compares."""

import math
from dataclasses import dataclass, field
from typing import Any

from ablations.search.options import BY_CLASS
from ablations.search.scoreboard import CONCAT, Candidate, fields
from ablations.search.statistics import Interval

ORDER = "another order"  # what a step adds that changes the order of the clauses alone
UNKNOWN = Interval(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class Step:
    """One round of the search: the candidate that was taken or turned down."""

    candidate: Candidate
    added: str
    status: str  # start, accepted or rejected
    gain: Interval | None  # over the step before, on the selection split


@dataclass(frozen=True)
class Certificate:
    """Greedy search measured by all combinations, on the selection split.

    optimum: the highest mIoU of all. greedy: what greedy search takes under the same rule, and
    how far it lies ``behind`` the optimum (paired). ranks: every combination's place, 1 the best.
    """

    optimum: Candidate
    greedy: Candidate
    behind: Interval
    ranks: dict[Candidate, int] = field(repr=False)
    report: Interval | None = None  # the same on the report split, once the path is reported

    @property
    def rank(self) -> int:
        return self.ranks[self.greedy]


@dataclass
class Search:
    """The path of the search; ``best`` is its last step that was not turned down.

    compositions: those that were searched. candidates: the rows of candidates.csv. certificate: of
    an exhaustive search. orders: how many clause orders of the best set were compared, of how many
    there are. too_few: why no step was taken, where the selection split has too few pictures to
    choose by. refined: how many candidates refinement tried after the search.
    """

    rule: str
    strategy: str
    width: int | None = None
    compositions: tuple[str, ...] = (CONCAT,)
    steps: list[Step] = field(default_factory=list)
    candidates: list[dict[str, Any]] = field(default_factory=list)
    certificate: Certificate | None = None
    orders: tuple[int, int] | None = None
    too_few: str | None = None
    refined: int = 0

    @property
    def best(self) -> Candidate:
        return next(s.candidate for s in reversed(self.steps) if s.status != "rejected")

    def previous(self, step: int) -> Candidate:
        """What the gain of a step is over: the last set before it that was not turned down.

        In a chain or a list of the best of each size, the one before it.
        """
        earlier = self.steps[:step]
        afterwards = self.steps[step].added in (ORDER, BY_CLASS)
        if self.strategy in ("chain", "exhaustive") and not afterwards:
            return earlier[-1].candidate
        return next(s.candidate for s in reversed(earlier) if s.status != "rejected")

    @property
    def tried(self) -> int:
        """How many different candidates were compared on the selection split."""
        return len({row["prompts"] for row in self.candidates})

    @property
    def combination(self) -> Candidate:
        """The best one set for all classes, before refinement."""
        taken = [s for s in self.steps if s.status != "rejected" and s.added != BY_CLASS]
        return taken[-1].candidate

    def note(self) -> str:
        """The search in words."""
        if self.too_few:
            return (
                f"No combination was tried: the selection split has {self.too_few} to choose by. "
                f"{self.best.name} is the best single attribute on these pictures."
            )
        how = {
            "greedy": "Greedy forward search on the selection split from the best single attribute",
            "beam": f"Beam search on the selection split, keeping {self.width} sets at each size",
            "chain": "The attributes added on the selection split in the order of their single "
            "scores, the paper's fixed chain",
            "exhaustive": "All combinations, compared on the selection split",
        }[self.strategy]
        sizes = self.strategy in ("chain", "exhaustive")
        decided = {
            ("interval", False): "a step is taken only if the 95 % interval of its gain, made wide "
            "enough for all candidates of the step, lies above 0",
            ("paper", False): "any gain is taken, as in the paper",
            ("interval", True): "the smallest set that is not surely worse than any other is taken",
            ("paper", True): "the highest mIoU is taken, as in the paper",
        }[self.rule, sizes]
        candidates = "candidate was" if self.tried == 1 else "candidates were"
        text = (
            f"{how}, {self._composed()}: {decided}. {self.tried} {candidates} tried; the best of "
            "many looks better than it is, so the scores below come from the report split."
        )
        if not sizes:
            last = next(s for s in reversed(self.steps) if s.added not in (ORDER, BY_CLASS))
            text += (
                f" It ended because adding {last.added}, the best of the rest, did not qualify."
                if last.status == "rejected"
                else " It ended because no attribute was left."
            )
        if self.certificate:
            text += " " + self._certified(self.certificate)
        if self.orders:
            tried, all_of_them = self.orders
            taken = any(s.added == ORDER and s.status == "accepted" for s in self.steps)
            text += (
                f" {tried} of the {all_of_them} orders of its clauses were compared: "
                + ("another order was taken." if taken else "none qualified to replace this one.")
                if all_of_them > 1
                else f" {self._one_order()} has no other order."
            )
        return text

    def _composed(self) -> str:
        """The compositions searched."""
        *others, last = self.compositions
        listed = f"{', '.join(others)} and {last}" if others else last
        return f"in the composition{'s' if others else ''} {listed}"

    def _one_order(self) -> str:
        alone = len(self.best.attributes) == 1
        return "A single clause" if alone else f"The {self.best.composition} of its texts"

    def _certified(self, certificate: Certificate) -> str:
        among = len(certificate.ranks)
        if certificate.rank == 1:
            return f"Greedy search finds the optimum of all {among} combinations."
        text = (
            f"Greedy search takes {certificate.greedy.name}, number {certificate.rank} of all "
            f"{among} combinations: {_points(certificate.behind)} behind the optimum, "
            f"{certificate.optimum.name}, on the selection split"
        )
        if certificate.report is None:
            return text + "."
        return text + f", and {_points(certificate.report)} on the report split."

    def record(self) -> dict[str, Any]:
        """For run.json: how the search went, and how greedy search compares."""
        certificate = self.certificate
        return {
            "strategy": self.strategy,
            "beam_width": self.width,
            "compositions": list(self.compositions),
            "rule": self.rule,
            "tried": self.tried,
            "too_few": self.too_few,
            "orders": None
            if self.orders is None
            else {"tried": self.orders[0], "all": self.orders[1]},
            "certificate": None
            if certificate is None
            else {
                "combinations": len(certificate.ranks),
                "optimum": certificate.optimum.name,
                "greedy": certificate.greedy.name,
                "rank": certificate.rank,
                "selection": fields("behind", certificate.behind),
                "report": fields("behind", certificate.report or UNKNOWN),
            },
        }


def _points(gap: Interval) -> str:
    ends = "" if math.isnan(gap.low) else f" [{100 * gap.low:.2f}, {100 * gap.high:.2f}]"
    return f"{100 * gap.value:.2f} points{ends}"
