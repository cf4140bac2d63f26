"""Stage 4: which attributes together? Greedy forward search (Table 3 of the paper).

From the best single attribute on, the attribute that helps most is added, as long as it helps
for sure: the paired 95 % interval of the gain on the selection split must lie above 0. A tie
thus goes to fewer attributes. The best of many candidates looks better than it is, so the path
is reported on pictures it was not chosen on, with the number of candidates tried.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ablations.scoreboard import (
    NAME,
    TYPICAL,
    Candidate,
    Progress,
    Score,
    Scoreboard,
    fields,
    number,
    table_rows,
)
from ablations.single import best_single, controls
from ablations.statistics import Interval
from lsmseg_prompts.errors import UsageError

RULES = ("interval", "paper")


@dataclass(frozen=True)
class Step:
    """One round of the search: the candidates tried, and the one taken or turned down."""

    candidate: Candidate
    added: str
    status: str  # start, accepted or rejected
    gain: Interval | None  # over the step before, on the selection split
    tried: tuple[Candidate, ...]


@dataclass
class Search:
    """The path of the search; ``best`` is its last accepted step."""

    rule: str
    steps: list[Step] = field(default_factory=list)
    candidates: list[dict[str, Any]] = field(default_factory=list)

    @property
    def best(self) -> Candidate:
        return next(s.candidate for s in reversed(self.steps) if s.status != "rejected")

    @property
    def tried(self) -> int:
        """How many candidates were compared on the selection split."""
        return sum(len(step.tried) for step in self.steps)


def search(
    board: Scoreboard,
    attributes: Sequence[str],
    rule: str = "interval",
    progress: Progress | None = None,
) -> Search:
    """Greedy forward search on the selection split.

    ``rule``: "interval" accepts a step when the lower end of its gain's interval is above 0,
    "paper" any gain at all. Of several that qualify the one with the highest mIoU is taken. The
    search ends at the first step that none qualifies for, which is recorded as rejected.
    """
    if rule not in RULES:
        raise UsageError(f"There is no rule {rule!r}: choose {' or '.join(RULES)}.")
    start = best_single(board, attributes, progress)
    alone = tuple(Candidate((a,)) for a in attributes)
    found = Search(rule)
    found.steps.append(Step(start.candidate, start.candidate.attributes[0], "start", None, alone))
    for score in board.score("selection", alone):
        found.candidates.append(_record(0, score, None, score is start))

    current = start
    while remaining := [a for a in attributes if a not in current.candidate.attributes]:
        trial = [Candidate((*current.candidate.attributes, a)) for a in remaining]
        scores = board.score("selection", trial, progress)
        gains = [(score.miou - current.miou).interval() for score in scores]
        fit = [i for i, gain in enumerate(gains) if _accepts(gain, rule)]
        # max keeps the first of equals: the attribute named first.
        taken = max(fit or range(len(scores)), key=lambda i: scores[i].miou.value)
        number_of_step = len(found.steps)
        for i, (score, gain) in enumerate(zip(scores, gains, strict=True)):
            found.candidates.append(_record(number_of_step, score, gain, bool(fit) and i == taken))
        found.steps.append(
            Step(
                scores[taken].candidate,
                remaining[taken],
                "accepted" if fit else "rejected",
                gains[taken],
                tuple(trial),
            )
        )
        if not fit:
            break
        current = scores[taken]
    return found


def _accepts(gain: Interval, rule: str) -> bool:
    return gain.low > 0 if rule == "interval" else gain.value > 0


def _record(step: int, score: Score, gain: Interval | None, chosen: bool) -> dict[str, Any]:
    """A row of candidates.csv: scores on the selection split."""
    undecided = Interval(float("nan"), float("nan"), float("nan"))
    return {
        "step": step,
        "prompts": score.candidate.name,
        "split": score.split,
        **fields("miou", score.miou.interval()),
        **{c: number(score.mean[c].value) for c in ("seen", "unseen") if c in score.mean},
        **fields("gain", gain or undecided),
        "chosen": chosen,
    }


def path_rows(
    board: Scoreboard, found: Search, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """The path on the report split, with name, typical and the best set's controls beside it.

    Rows as in `table_rows`, plus ``step``, ``status`` (baseline, start, accepted, rejected,
    typical or control), ``added``, ``gain`` over the step before on the report split, and
    ``selection_gain``, the gain on the selection split that decided.
    """
    typical = [TYPICAL] if board.has("typical") else []
    everything = [NAME, *(s.candidate for s in found.steps), *typical, *controls(found.best)]
    scores = dict(zip(everything, board.score("report", everything, progress), strict=True))

    def rows(candidate: Candidate, status: str, step: int | None = None) -> list[dict[str, Any]]:
        here = found.steps[step] if step is not None else None
        extra: dict[str, Any] = {
            "status": status,
            "step": step,
            "added": here.added if here else None,
            "chosen": candidate == found.best,
        }
        if here and here.gain:
            extra |= fields("selection_gain", here.gain)
        previous = scores[found.steps[step - 1].candidate] if step else None
        return table_rows(scores[candidate], scores[NAME], extra, previous)

    table = rows(NAME, "baseline")
    for place, step in enumerate(found.steps):
        table += rows(step.candidate, step.status, place)
    for candidate in typical:
        table += rows(candidate, "typical")
    for candidate in controls(found.best):
        table += rows(candidate, "control")
    return table
