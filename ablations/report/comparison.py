"""LLMs side by side, as in Table 5.9 of the thesis: the rows, and what they say in words.

First every LLM on the same attributes, those that were best for the first one; then each on those
that were best for it. Every score comes from the report split, and every difference to the first
LLM is paired: both on the same resamples of the same pictures.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ablations.report.filling import sentences
from ablations.report.sheet import side
from ablations.search.scoreboard import NAME, Candidate, Scoreboard, number, table_rows
from lsmseg_model.data import scored_names
from lsmseg_model.metrics import iou


def comparison_rows(
    boards: Mapping[str, Scoreboard], best: Mapping[str, Candidate]
) -> list[dict[str, Any]]:
    """The rows of llms.csv; the first of ``boards`` is what the others are compared with.

    Rows as in `table_rows`, where ``difference`` is the one to the first LLM, plus ``set``
    ("baseline", "same" or "own"), ``llm`` (None for the plain name) and the paired difference to
    the plain name (``over_name``, ``seen_over_name``, ``unseen_over_name``).
    """
    first = next(iter(boards))
    rows: list[dict[str, Any]] = []

    def add(kind: str, llm: str | None, candidate: Candidate) -> None:
        board = boards[llm or first]
        here, name = board.score("report", [candidate, NAME])
        (against,) = boards[first].score("report", [best[first]])
        extra = {"set": kind, "llm": llm}
        for row, named in zip(
            table_rows(here, against, extra), table_rows(here, name, {}), strict=True
        ):
            over = {
                key.replace("difference", "over_name"): value
                for key, value in named.items()
                if "difference" in key
            }
            rows.append(row | over)

    add("baseline", None, NAME)
    for llm in boards:
        add("same", llm, best[first])
    for llm in boards:
        add("own", llm, best[llm])
    return rows


def verdict(row: Mapping[str, Any]) -> str:
    """What an interval of a difference tells, as the end of a sentence."""
    if row["no_interval"]:
        return f"on {row['no_interval']} to tell"
    place = side(row)
    return f"whose interval lies {place} 0" if place else "not distinguishable from 0"


def comparison_summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """The comparison in words; it says so where a difference may be none."""
    counted = [row for row in rows if row["benchmark"] == rows[-1]["benchmark"]]
    same = {row["llm"]: row for row in counted if row["set"] == "same"}
    own = {row["llm"]: row for row in counted if row["set"] == "own"}
    return sentences("comparison.txt.j2", llms=list(same), same=same, own=own, verdict=verdict)


def comparison_classes(
    boards: Mapping[str, Scoreboard], candidate: Candidate
) -> list[dict[str, Any]]:
    """Texts and IoU of every class that occurs, per benchmark and LLM, on the same attributes.

    Those come first whose IoU differs most between the LLMs.
    """
    scores = {llm: board.score("report", [candidate])[0] for llm, board in boards.items()}
    groups = []
    for place, bench in enumerate(next(iter(boards.values())).benches):
        benchmark = bench.scorers["report"].benchmark
        totals = {llm: one.totals[bench.name] for llm, one in scores.items()}
        part = {llm: iou(total) for llm, total in totals.items()}
        sets = {llm: b.prompt_set(b.benches[place], candidate) for llm, b in boards.items()}
        labelled = next(iter(totals.values()))[:, 2]
        names = scored_names(benchmark, [entry.readable for entry in bench.vocabulary])
        rows: list[dict[str, Any]] = [
            {
                "index": index,
                "name": names[at],
                "seen": None if benchmark.seen is None else index in benchmark.seen,
                "iou": {llm: number(float(values[at])) for llm, values in part.items()},
                "texts": {llm: list(one.texts[index]) for llm, one in sets.items()},
            }
            for at, index in enumerate(benchmark.class_indices)
            if labelled[at]
        ]
        rows.sort(key=lambda row: min(row["iou"].values()) - max(row["iou"].values()))
        groups.append({"benchmark": bench.name, "classes": rows})
    return groups
