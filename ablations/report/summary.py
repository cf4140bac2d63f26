"""The result of a run in words and in the numbers at the head of its report.

A mean over several benchmarks is followed by its parts, always.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from ablations.report.filling import sentences
from ablations.report.sheet import Row, score
from ablations.search.path import Search

CONTROLS = {
    "typical": "a typical description",
    "cat-seg": "the names in CAT-Seg's template",
    "imagenet": "the names in CLIP's seven templates",
    "random": "random words",
    "shuffled": "the descriptions of other classes",
}
START = "what was refined"  # which is not a control, but may do as well


def rows_of(path: Sequence[Row], prompts: str) -> list[Row]:
    """The rows of a prompt set in a table: of each benchmark and, of several, their average."""
    return list({row["benchmark"]: row for row in path if row["prompts"] == prompts}.values())


def summary(
    path: Sequence[Row],
    search: Search,
    as_good: Sequence[Row] | None,
    refinement: Row | None = None,
) -> str:
    """What the best prompts reach; first of all, what does as well without them.

    It says so if they do not surely help, and where there are too few pictures to tell.

    Args:
        path: The rows of stage 4.
        search: How the best prompts were found.
        as_good: See `ablations.search.claims.as_good`.
        refinement: What it did, as run.json has it.
    """
    best = search.best.name
    whole, start = best, best
    if refinement:
        whole, start = search.combination.name, refinement["start"]
    return sentences(
        "summary.txt.j2",
        mine=rows_of(path, start),
        plain=rows_of(path, "name"),
        best=best,
        whole=whole,
        whole_rows=rows_of(path, whole),
        start=start,
        refinement=refinement,
        refined=rows_of(path, best)[-1],
        search=search,
        controls=[
            (name, CONTROLS.get(name.partition("(")[0], START), rows_of(as_good or (), name))
            for name in dict.fromkeys(row["prompts"] for row in as_good or ())
        ],
    )


def cards(path: Sequence[Row], sets: Iterable[str]) -> list[dict[str, Any]]:
    """The numbers at the head: label, value, detail, parts ("voc-21 46.8 %"), best or not.

    sets: the names of the prompt sets beside the plain name, the chosen one last.
    """
    shown = list(dict.fromkeys(["name", *sets]))
    numbers = []
    for column, what in (("miou", "mIoU, all classes"), ("unseen", "mIoU, unseen classes")):
        for prompts in shown:
            *parts, row = rows_of(path, prompts)
            if row.get(column) is None:
                continue
            number, _, interval = score(row, column).partition(" ")
            numbers.append(
                {
                    "label": f"{what}{', mean' if parts else ''}",
                    "value": f"{number} %",
                    "detail": f"{prompts} {interval}",
                    "parts": [
                        f"{p['benchmark']} {score({'value': p[column]}, 'value')} %"
                        for p in parts
                        if p.get(column) is not None
                    ],
                    "best": prompts == shown[-1] != "name",
                }
            )
    return numbers
