"""Everything that was ever scored, best first: the evaluations of the working store."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ablations.search.enough import too_few
from lsmseg_prompts.english import nearest
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.store.sqlite import working_store_path
from lsmseg_prompts.store.store import open_store_readonly

# What makes two scores of the same thing; of these the last one is shown.
SAME = ("benchmark", "split", "pictures", "model", "weights", "llm", "composition", "prompts")
ORIGIN = ("run", "scored")
STORED = {"weights": "weights_hash", "prompts": "prompt_set", "scored": "created_at"}
SCORES = ("miou", "low", "high", "seen", "unseen")
COLUMNS = (*SAME, *SCORES, "no_interval", *ORIGIN)
HALVES = ("report", "selection")
Row = dict[str, Any]


def leaderboard(
    *,
    store: str | Path | None = None,
    benchmark: str | None = None,
    model: str | None = None,
    llm: str | None = None,
    attributes: Sequence[str] | None = None,
    split: str | None = "report",
    top: int | None = None,
    sort: str = "miou",
) -> list[Row]:
    """A row for each prompt set, model and benchmark, with the keys COLUMNS, best first.

    Controls are prompt sets too. ``no_interval`` says where there are too few pictures for one.

    Args:
        store: The attribute store; by default the working store.
        benchmark: Only this one.
        model: Only this one.
        llm: Only descriptions by this one.
        attributes: Only prompt sets with all of these.
        split: "report" and "selection" are also what halves and splits of other names were for;
            None: all.
        top: Only the first so many rows.
        sort: A column; scores fall, names rise, and undefined scores stand last.

    Raises:
        UsageError: For an unknown column, and for what nothing in the store is called.
        StoreError: Where the store cannot be read.
    """
    if sort not in COLUMNS:
        raise UsageError(
            f"There is no column {sort!r} to sort by{nearest(sort, COLUMNS)}; there are "
            f"{', '.join(COLUMNS)}."
        )
    with open_store_readonly(working_store_path(store)) as file:
        evaluations = file.evaluations()
    wanted = {"benchmark": benchmark, "model": model, "llm": llm}
    named = set(attributes or ())
    every = _rows(evaluations)
    for what, value in (*wanted.items(), *(("attributes", name) for name in sorted(named))):
        _check_known(what, value, every)
    if split not in HALVES and not any(_of_split(row, split) for row in every):
        _check_known("split", split, every)
    rows = [
        row
        for row in every
        if all(value is None or row[key] == value for key, value in wanted.items())
        and named <= set(row["attributes"])
        and _of_split(row, split)
    ]
    rows.sort(key=lambda row: _order(row, "miou"))
    rows.sort(key=lambda row: _order(row, sort))
    return [{column: row[column] for column in COLUMNS} for row in rows[:top]]


def _rows(evaluations: Iterable[Mapping[str, Any]]) -> list[Row]:
    """The subsets of classes side by side; what was scored again replaces what was."""
    rows: dict[tuple[Any, ...], Row] = {}
    for one in evaluations:
        fresh: Row = {
            column: one[STORED.get(column, column)] for column in (*SAME, "attributes", *ORIGIN)
        }
        fresh["benchmark"] = one["benchmark"].partition("#")[0]
        key = tuple(fresh[column] for column in SAME)
        row = rows.get(key)
        if row is None or (one["subset"] == "all" and row["miou"] is not None):
            groups = one["details"].get("groups")
            units = one["pictures"] if groups is None else groups
            few = None if units is None else too_few(units, groups is not None)
            rows[key] = row = fresh | dict.fromkeys(SCORES) | {"no_interval": few}
        _check_number(one)
        if one["subset"] == "all":
            low, high = one["miou_low"], one["miou_high"]
            if row["no_interval"] or low == high:
                low = high = None
            row |= {"miou": one["miou"], "low": low, "high": high}
        elif one["subset"] in SCORES:
            row[one["subset"]] = one["miou"]
    return list(rows.values())


def _check_number(one: Mapping[str, Any]) -> None:
    """Raise ConfigurationError for a score that cannot be compared."""
    for column in ("miou", "miou_low", "miou_high"):
        if one[column] is not None and not math.isfinite(one[column]):
            raise ConfigurationError(
                f"The store has {one[column]} as a score of {one['prompt_set']} by "
                f"{one['model']} on {one['benchmark']} (run {one['run']}), which is no number: "
                "score it again, or leave it out with --model or --benchmark."
            )


def _role(split: str) -> str:
    """What a split was for: "report" of "val: report half (seed 0)" and of "val: report"."""
    return split.rpartition(": ")[2].partition(" ")[0]


def _of_split(row: Row, split: str | None) -> bool:
    """Whether a row is of the split: by its name, or by what it was for."""
    return split is None or split in (row["split"], _role(row["split"] or ""))


def _check_known(what: str, value: str | None, rows: Sequence[Row]) -> None:
    """Raise UsageError for a name that no row has, and say which there are; none in no rows."""
    known: set[str] = set()
    for row in rows:
        known.update(row[what] if what == "attributes" else filter(None, [row[what]]))
    if rows and value is not None and value not in known:
        raise UsageError(
            f"Nothing in the store has the {what.removesuffix('s')} {value!r}"
            f"{nearest(value, known)}; there are {', '.join(sorted(known)) or 'none'}."
        )


def _order(row: Row, column: str) -> tuple[bool, Any]:
    value = row[column]
    if column in (*SCORES, "pictures"):
        return value is None, -(value or 0)
    return value is None, value or ""
