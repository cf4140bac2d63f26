"""How a choice compares: with everything beside it, and with the controls that do as well."""

from collections.abc import Sequence
from typing import Any

from ablations.search.enough import enough
from ablations.search.scoreboard import Score, fields, table_rows


def as_good(choice: Score, controls: Sequence[Score]) -> list[dict[str, Any]] | None:
    """The controls that the choice is not shown to be better than, on the report split.

    Those are all whose paired interval, choice minus control, does not lie above 0. None where
    there are too few pictures to tell.

    Args:
        choice: The scores of the choice.
        controls: Those of what it is compared with, on the same resamples.

    Returns:
        Of each a row per benchmark (and their average): ``prompts``, ``benchmark``, ``miou`` and
        ``difference``, the choice's mIoU minus its own, with their intervals.
    """
    if not enough(choice.miou.units):
        return None
    rows = []
    for control in controls:
        if (choice.miou - control.miou).interval().low > 0:
            continue
        parts = zip(choice.by_benchmark(), control.by_benchmark(), strict=True)
        for (benchmark, mine), (_, its) in parts:
            gap = mine["miou"] - its["miou"]
            rows.append(
                {
                    "prompts": control.candidate.name,
                    "benchmark": benchmark,
                    **fields("miou", its["miou"].interval()),
                    **fields("difference", gap.interval()),
                }
            )
    return rows


def compared(choice: Score, others: Sequence[Score]) -> list[dict[str, Any]]:
    """What the choice gains over each of some others, on the report split.

    Args:
        choice: The scores of the choice.
        others: Those of what it is compared with, on the same resamples.

    Returns:
        Of each a row per benchmark (and their average) as in `table_rows`: its name and scores, but
        the paired differences are the choice's scores minus its own.
    """
    rows = []
    for other in others:
        for mine, its in zip(
            table_rows(choice, other, {}), table_rows(other, other, {}), strict=True
        ):
            rows.append(its | {key: mine[key] for key in mine if "difference" in key})
    return rows
