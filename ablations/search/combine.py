"""Stage 4: which attributes together? (Table 3 of the paper; strategies.py says how).

A set has one clause order, that of its attributes' single scores, so every strategy means the same
sentences by the same set. Of many candidates the best looks better than it is: the path is
reported on pictures it was not chosen on, with the number of candidates tried.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ablations.scoring.frozen import OnProgress
from ablations.search.options import SearchOptions
from ablations.search.path import Search
from ablations.search.scoreboard import (
    NAME,
    TYPICAL,
    Candidate,
    Score,
    Scoreboard,
    fields,
    table_rows,
)
from ablations.search.single import controls
from ablations.search.strategies import Searcher


def search(
    board: Scoreboard,
    attributes: Sequence[str],
    options: SearchOptions = SearchOptions(),  # noqa: B008  (it is frozen)
    on_progress: OnProgress | None = None,
) -> Search:
    """Search the combinations of ``attributes`` on the selection split.

    Args:
        board: Scores the candidates.
        attributes: Those to combine.
        options: Rule and strategy.
        on_progress: Called with pictures done and in all.
    """
    return Searcher(board, attributes, options, on_progress).run()


def path_rows(
    board: Scoreboard, searched: Search, on_progress: OnProgress | None = None
) -> list[dict[str, Any]]:
    """The path on the report split, with name, typical and the best set's controls beside it.

    Rows as in `table_rows`, plus ``step``, ``status`` (baseline, start, accepted, rejected,
    counterpart, optimum, greedy, typical or control), ``added``, ``gain`` over the step before on
    the report split, and ``selection_gain``, that on the selection split, which decided. A search
    over all combinations has its `Certificate` in rows: the optimum and what greedy search takes,
    where the path has them not; ``rank`` is a set's place among all on the selection split,
    ``selection_behind`` and ``behind`` how far greedy's set lies behind the optimum on the
    selection and the report split, paired. The certificate gets the latter.
    """
    typical = [TYPICAL] if board.has("typical") else []
    certificate = searched.certificate
    extremes = [certificate.optimum, certificate.greedy] if certificate else []
    beside, other_way = controls(searched.best), counterparts(searched)
    steps = [step.candidate for step in searched.steps]
    everything = [NAME, *steps, *other_way, *extremes, *typical, *beside]
    scores = dict(zip(everything, board.score("report", everything, on_progress), strict=True))

    if certificate:
        behind = scores[certificate.optimum].miou - scores[certificate.greedy].miou
        searched.certificate = replace(certificate, report=behind.interval())
    rows_of = partial(_rows, board, searched, scores)
    rows = rows_of(NAME, "baseline")
    for place, step in enumerate(searched.steps):
        if step.candidate == NAME:  # the start of a search among words is the baseline's row
            continue
        rows += rows_of(step.candidate, step.status, place)
    done = set(steps)
    others = [(candidate, "counterpart") for candidate in other_way]
    others += [*zip(extremes, ("optimum", "greedy"), strict=False)]
    others += [(candidate, "typical") for candidate in typical]
    others += [(candidate, "control") for candidate in beside]
    for candidate, status in others:
        if candidate not in done:
            done.add(candidate)
            rows += rows_of(candidate, status)
    return rows


def counterparts(searched: Search) -> list[Candidate]:
    """The best combination read the other way, joined or averaged, where both were searched."""
    best, ways = searched.combination, {"concat": "ensemble", "ensemble": "concat"}
    if best.composition not in ways or not set(ways) <= set(searched.compositions):
        return []
    return [replace(best, composition=ways[best.composition])]


def _rows(
    board: Scoreboard,
    searched: Search,
    scores: Mapping[Candidate, Score],
    candidate: Candidate,
    status: str,
    place: int | None = None,
) -> list[dict[str, Any]]:
    """The rows of one candidate; place: of the step that took or turned it down."""
    step = searched.steps[place] if place is not None else None
    extra: dict[str, Any] = {
        "status": status,
        "step": place,
        "added": step.added if step else None,
        "chosen": candidate == searched.best,
    }
    if step and step.gain:
        extra |= fields("selection_gain", step.gain)
    certificate = searched.certificate
    if certificate and candidate in certificate.ranks:
        extra["rank"] = certificate.ranks[candidate]
    before = searched.previous(place) if place else None
    previous = None if before is None else scores[before]
    rows = table_rows(scores[candidate], scores[NAME], extra, previous)
    if step and step.gain and before is not None and len(rows) > 1:
        # What decided is the average's; beside it the parts, each with its plain interval.
        both = board.score("selection", [candidate, before])
        with_it, without = (dict(one.by_benchmark()) for one in both)
        for row in rows[:-1]:
            name = row["benchmark"]
            gain = with_it[name]["miou"] - without[name]["miou"]
            row |= fields("selection_gain", gain.interval())
    if certificate and candidate == certificate.greedy:
        best = dict(scores[certificate.optimum].by_benchmark())
        parts = scores[candidate].by_benchmark()
        for row, (name, columns) in zip(rows, parts, strict=True):
            row |= fields("selection_behind", certificate.behind)
            row |= fields("behind", (best[name]["miou"] - columns["miou"]).interval())
    return rows
