"""`leaderboard`: everything ever scored."""

from pathlib import Path
from typing import Annotated

from typer import Context, Option

import ablations
from ablations.commands import completion, options
from ablations.commands.output import say, show

BRIEF = ("benchmark", "pictures", "model", "llm", "prompts", "miou", "low", "high")
"""The columns of a narrow terminal; the column that is sorted by comes too."""


def leaderboard(
    ctx: Context,
    benchmark: Annotated[
        str | None,
        Option(
            autocompletion=completion.benchmarks, help="Only this benchmark, such as ministuff."
        ),
    ] = None,
    model: Annotated[
        str | None,
        Option(autocompletion=completion.models, help="Only this model, such as ViT-B-16."),
    ] = None,
    llm: Annotated[
        str | None,
        Option(
            autocompletion=completion.llms,
            help="Only descriptions by this LLM; none: the plain name.",
        ),
    ] = None,
    attributes: options.Attributes = None,
    split: Annotated[
        str, Option(help="report, selection, all, or a split by its name.")
    ] = "report",
    top: Annotated[int | None, Option(min=1, help="Only the first so many.")] = None,
    sort: Annotated[str, Option(help="The column to sort by.")] = "miou",
    csv: Annotated[Path | None, Option(help="A file for the table.")] = None,
    force: options.Force = False,
    store: options.StorePath = None,
    json: options.Json = False,
) -> None:
    """Everything that was ever scored in this store, best first."""
    from ablations.runs.leaderboard import COLUMNS
    from ablations.search.enough import MIN_PICTURES, TOO_FEW
    from lsmseg_prompts.files import check_free, csv_text, write_whole
    from lsmseg_prompts.terminal import print_line

    if csv is not None:
        check_free(csv, force, options.inputs(ctx, "csv"))
    rows = ablations.leaderboard(
        store=store,
        benchmark=benchmark,
        model=model,
        llm=llm,
        attributes=options.names(attributes),
        split=None if split == "all" else split,
        top=top,
        sort=sort,
    )
    if csv is not None:
        write_whole(csv, csv_text(rows, COLUMNS))
    few = any(row["no_interval"] for row in rows)
    if not json:
        for row in rows:
            del row["no_interval"]
            row["scored"] = row["scored"][:16].replace("T", " ")
            for column in ("miou", "low", "high", "seen", "unseen"):
                value = row[column]
                row[column] = "-" if value is None else f"{100 * value:.1f}"
    if rows or json:
        show(rows, json, list(dict.fromkeys((*BRIEF, sort))))
        if few and not json:
            print_line(
                f"Rows of fewer than {MIN_PICTURES} pictures have {TOO_FEW} for an interval: no "
                "low and high."
            )
    else:
        say("Nothing like that was scored yet: `lsmseg-prompts ablate` scores prompts.")
