"""Rounds of a refinement in the store: what was done is not done again."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ablations.refinement.candidates import Candidate
from ablations.refinement.feedback import Confusion
from ablations.refinement.loop import Refinement, Round, Trial
from ablations.search.statistics import Interval
from lsmseg_prompts.store.sqlite import utc_now
from lsmseg_prompts.store.store import Store, open_store, open_store_readonly


@dataclass(frozen=True)
class RoundStore:
    """The rounds of one refinement in an attribute store.

    Attributes:
        path: The store.
        request: The hash of all that the refinement depends on but the number of its rounds.
        about: ``labels`` ("all" or "seen"), ``vocabulary``, ``benchmark`` and ``model``.

    Raises:
        StoreError: Where the store cannot be read or written.
    """

    path: Path
    request: str
    about: Mapping[str, str]

    def load(self, so_far: Refinement) -> Refinement:
        """Take the rounds that are on file, in order."""
        with open_store_readonly(self.path) as file:
            for row in file.rows(
                "SELECT r.* FROM refinement_rounds AS r JOIN refinements AS f "
                "ON r.refinement = f.id WHERE f.request = ? ORDER BY round",
                [self.request],
            ):
                so_far.take(_round(file, row))
        return so_far

    def save(self, so_far: Refinement) -> None:
        """Enter the last round, whole or not at all."""
        one = so_far.rounds[-1]
        gain = one.gain or Interval(math.nan, math.nan, math.nan)
        with open_store(self.path) as file, file.transaction():
            began = {"request": self.request, **self.about, "created_at": utc_now()}
            file.write("refinements", began)
            (found,) = file.rows("SELECT id FROM refinements WHERE request = ?", [self.request])
            row: dict[str, Any] = {
                "refinement": found["id"],
                "round": one.number,
                "half": one.half,
                "before": one.before,
                "after": one.after,
                "gain": _known(gain.value),
                "gain_low": _known(gain.low),
                "gain_high": _known(gain.high),
                "confusions": json.dumps([asdict(pair) for pair in one.confusions]),
                "cost_usd": one.cost,
                "attempts": json.dumps(one.attempts),
                "seconds": one.seconds,
                "ended_at": utc_now(),
            }
            file.write("refinement_rounds", row)
            proposed = {trial.candidate.key: at for at, trial in enumerate(one.proposed)}
            for place, trial in enumerate(one.tried):
                at = proposed.get(trial.candidate.key)
                known = trial if at is None else one.proposed[at]
                where = {"refinement": found["id"], "round": one.number, "place": place}
                _enter(file, where, known, at)


def _enter(file: Store, where: Mapping[str, int], trial: Trial, proposed: int | None) -> None:
    candidate = trial.candidate
    texts = json.dumps(candidate.texts, ensure_ascii=False)
    file.write("refinement_texts", {"hash": candidate.key, "texts": texts})
    row = {
        **where,
        "class_index": candidate.index,
        "hash": candidate.key,
        "parent": trial.parent,
        "proposer": candidate.proposer,
        "recipe": candidate.recipe,
        "attempts": json.dumps(candidate.attempts),
        "cost_usd": candidate.cost,
        "gain": _known(trial.gain),
        "own": _known(trial.own),
        "proposed": proposed,
        "decided": trial.decided,
        "kept": trial.kept,
    }
    file.write("refinement_candidates", row)


def _round(file: Store, row: Mapping[str, Any]) -> Round:
    tried, proposed = [], dict[int, Trial]()
    for one in file.rows(
        "SELECT c.*, t.texts FROM refinement_candidates AS c JOIN refinement_texts AS t "
        "USING (hash) WHERE refinement = ? AND round = ? ORDER BY place",
        [row["refinement"], row["round"]],
    ):
        trial = _trial(one)
        tried.append(replace(trial, decided=None, kept=False))
        if one["proposed"] is not None:
            proposed[one["proposed"]] = trial
    gain = None
    if row["gain"] is not None:
        gain = Interval(row["gain"], _number(row["gain_low"]), _number(row["gain_high"]))
    return Round(
        number=row["round"],
        half=row["half"],
        confusions=tuple(Confusion(**pair) for pair in json.loads(row["confusions"])),
        tried=tuple(tried),
        proposed=tuple(proposed[place] for place in sorted(proposed)),
        before=row["before"],
        after=row["after"],
        gain=gain,
        seconds=row["seconds"],
        cost=row["cost_usd"],
        attempts=tuple(json.loads(row["attempts"])),
    )


def _trial(row: Mapping[str, Any]) -> Trial:
    candidate = Candidate(
        index=row["class_index"],
        texts=tuple(json.loads(row["texts"])),
        proposer=row["proposer"],
        recipe=row["recipe"],
        attempts=tuple(json.loads(row["attempts"])),
        cost=row["cost_usd"],
    )
    return Trial(
        candidate,
        _number(row["gain"]),
        _number(row["own"]),
        row["parent"],
        row["decided"],
        bool(row["kept"]),
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _number(value: float | None) -> float:
    return math.nan if value is None else value
