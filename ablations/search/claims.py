"""What a choice may not be credited with: the controls that do as well as it."""

from collections.abc import Sequence
from typing import Any

from ablations.search.enough import enough
from ablations.search.scoreboard import Score, fields


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
