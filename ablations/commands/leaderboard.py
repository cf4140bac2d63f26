"""`leaderboard`: everything ever scored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from ablations.commands.options import Attributes, Json, Shown, StorePath, names, show


def leaderboard(
    benchmark: Annotated[
        str | None, Option("--benchmark", help="Only this benchmark, such as ministuff.")
    ] = None,
    model: Annotated[
        str | None, Option("--model", help="Only this model, such as ViT-B-16.")
    ] = None,
    llm: Annotated[
        str | None, Option("--llm", help="Only descriptions by this LLM; none: the plain name.")
    ] = None,
    attributes: Attributes = None,
    split: Annotated[
        str, Option("--split", help="report, selection, all, or a split by its name.")
    ] = "report",
    top: Annotated[int | None, Option("--top", min=1, help="Only the first so many.")] = None,
    sort: Annotated[str, Option("--sort", help="The column to sort by.")] = "miou",
    csv: Annotated[Path | None, Option("--csv", help="A file for the table.")] = None,
    store: StorePath = None,
    json: Json = False,
) -> None:
    """Everything that was ever scored in this store, best first."""
    from ablations.runs.leaderboard import COLUMNS
    from ablations.runs.leaderboard import leaderboard as rows_of
    from lsmseg_prompts.files import csv_text, write_whole
    from lsmseg_prompts.terminal import note

    rows = rows_of(
        store=store,
        benchmark=benchmark,
        model=model,
        llm=llm,
        attributes=names(attributes),
        split=None if split == "all" else split,
        top=top,
        sort=sort,
    )
    if csv is not None:
        write_whole(csv, csv_text(rows, COLUMNS))
    if not json:
        for row in rows:
            row["scored"] = row["scored"][:16].replace("T", " ")
            for column in ("miou", "low", "high", "seen", "unseen"):
                value = row[column]
                row[column] = "-" if value is None else f"{100 * value:.1f}"
    if rows or json:
        show(rows, json)
    elif not Shown.quiet:
        note("Nothing like that was scored yet: `lsmseg-prompts ablate` scores prompts.")
