"""Stage 3: every attribute alone, beside the plain name and the controls (Table 2 of the paper).

The best single attribute is chosen on the selection split and everything is reported on the
report split. Controls show what a gain is worth: the name in CAT-Seg's template and in those of
ImageNet, `random` words of the same length, and the same descriptions `shuffled` across classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ablations.scoring.frozen import OnProgress
from ablations.search.scoreboard import (
    NAME,
    TYPICAL,
    Candidate,
    Scoreboard,
    table_rows,
)
from lsmseg_prompts.prompts.controls import CONTROLS
from lsmseg_prompts.prompts.name_templates import NAME_TEMPLATES
from lsmseg_prompts.prompts.word_lists import WORDS

TEMPLATES = tuple(Candidate((name,)) for name in NAME_TEMPLATES if name != "name")


@dataclass(frozen=True)
class Singles:
    """The result of stage 3; ``best`` is chosen on the selection split."""

    best: Candidate
    rows: list[dict[str, Any]]


def controls(candidate: Candidate) -> list[Candidate]:
    """The controls that go with a candidate: templates of the name; of descriptions its two."""
    if candidate == NAME or candidate.name.startswith(WORDS):
        return list(TEMPLATES)
    return [*TEMPLATES, *(replace(candidate, control=control) for control in CONTROLS)]


def singles(
    board: Scoreboard, attributes: Sequence[str], on_progress: OnProgress | None = None
) -> Singles:
    """Score every attribute alone on both splits.

    Rows (see `table_rows`; ``kind`` is baseline, attribute, typical or control) are sorted: the
    baseline, the attributes by their mIoU on that split, typical, the controls.
    """
    candidates = [Candidate((a,)) for a in attributes]
    typical = [TYPICAL] if board.has("typical") and TYPICAL not in candidates else []
    # One pass over the pictures for all of them, before the best is chosen.
    board.score("selection", [NAME, *candidates, *typical, *TEMPLATES], on_progress)
    alone = board.score("selection", candidates)
    best = max(alone, key=lambda score: score.miou.value).candidate  # of equals the first named
    rows: list[dict[str, Any]] = []
    for split in ("selection", "report"):
        everything = [NAME, *candidates, *typical, *controls(best)]
        scores = dict(zip(everything, board.score(split, everything, on_progress), strict=True))
        ranked = sorted(candidates, key=lambda c: -scores[c].miou.value)
        for candidate in [NAME, *ranked, *typical, *controls(best)]:
            extra = {"kind": kind(candidate), "chosen": candidate == best}
            rows += table_rows(scores[candidate], scores[NAME], extra)
    return Singles(best, rows)


def kind(candidate: Candidate) -> str:
    """What a candidate is in the tables: baseline, typical, control or attribute(s)."""
    if candidate.control or candidate in TEMPLATES:
        return "control"
    return {NAME: "baseline", TYPICAL: "typical"}.get(candidate, "attribute")
