"""The result of a run in words and in the numbers at the head of its report.

A mean over several benchmarks is followed by its parts, always.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from ablations.report.sheet import Row, score, side, signed


def rows_of(path: Sequence[Row], prompts: str) -> list[Row]:
    """The rows of a prompt set in the path: of each benchmark and, of several, their average."""
    return list({row["benchmark"]: row for row in path if row["prompts"] == prompts}.values())


def summary(path: Sequence[Row], best: str, tried: int) -> str:
    """What the best prompts reach, chosen from so many; it says so if they do not surely help."""
    mine, plain = rows_of(path, best), rows_of(path, "name")
    row, base = mine[-1], plain[-1]
    verdict = {"above": "more than", "below": "less than", "": "not distinguishable from"}[
        side(row)
    ]
    several = len(mine) > 1
    text = (
        f"{best} reaches {'a mean' if several else 'an'} mIoU of {score(row, 'miou', ' %')} on the "
        f"report split{f's of {len(mine) - 1} benchmarks' if several else ''}, {verdict} the plain "
        f"name's {score(base, 'miou', ' %')}: a difference of {signed(row, 'difference')} points."
    )
    if several:
        text += _parts(
            f"{a['benchmark']} {score(a, 'miou', ' %')} against {score(b, 'miou', ' %')}, "
            f"{signed(a)} points"
            for a, b in zip(mine[:-1], plain[:-1], strict=True)
        )
    text += f" It was chosen from {tried} candidate{'s' * (tried > 1)} on the selection split."
    if row.get("unseen") is not None:
        text += (
            f" On the unseen classes it reaches {score(row, 'unseen', ' %')} against "
            f"{score(base, 'unseen', ' %')}: a difference of "
            f"{signed(row, 'unseen_difference')} points."
        )
        if several:
            text += _parts(
                f"{one['benchmark']} {score(one, 'unseen', ' %')}, "
                f"{signed(one, 'unseen_difference')} points"
                for one in mine[:-1]
                if one.get("unseen") is not None
            )
    return text


def _parts(parts: Iterable[str]) -> str:
    return f" Its parts: {'; '.join(parts)}."


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
