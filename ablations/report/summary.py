"""The result of a run in words and in the numbers at the head of its report.

A mean over several benchmarks is followed by its parts, always.
"""

from collections.abc import Sequence
from typing import Any

from ablations.report.filling import sentences
from ablations.report.sheet import Row, score


def rows_of(path: Sequence[Row], prompts: str) -> list[Row]:
    """The rows of a prompt set in the path: of each benchmark and, of several, their average."""
    return list({row["benchmark"]: row for row in path if row["prompts"] == prompts}.values())


def summary(path: Sequence[Row], best: str, tried: int) -> str:
    """What the best prompts reach, chosen from so many; it says so if they do not surely help."""
    mine, plain = rows_of(path, best), rows_of(path, "name")
    return sentences("summary.txt.j2", mine=mine, plain=plain, best=best, tried=tried)


def cards(path: Sequence[Row], best: str) -> list[dict[str, Any]]:
    """The numbers at the head: label, value, detail, parts ("voc-21 46.8 %"), best or not."""
    numbers = []
    for column, what in (("miou", "mIoU, all classes"), ("unseen", "mIoU, unseen classes")):
        for prompts in ("name", best):
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
                    "best": prompts == best != "name",
                }
            )
    return numbers
