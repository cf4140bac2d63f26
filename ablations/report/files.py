"""The tables of a run as files for a paper: CSV, and LaTeX with booktabs; from run.json alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablations.report.class_tables import (
    class_groups,
    class_sheet,
    confusion_sheet,
    ends,
    length_sheet,
    seen_sheet,
)
from ablations.report.latex import latex
from ablations.report.refinement_tables import changed_rows, round_rows
from ablations.report.sheet import Sheet
from ablations.report.tables import choice_sheet, combination_sheets, single_sheets
from lsmseg_prompts.files import csv_text, write_whole

MOST_PAIRS = 20  # of confusions in LaTeX; the CSV has all


def write_tables(run: Mapping[str, Any], directory: Path) -> dict[str, str]:
    """Write what can be made from the record of a run; returns what each file is."""
    files = {}
    if groups := class_groups(run):
        flat = [
            {k: " | ".join(v) if isinstance(v, list) else v for k, v in row.items()}
            for group in groups
            for row in group.rows
        ]
        write_csv(directory / "per_class.csv", flat)
        files["per_class.csv"] = "IoU of every class and its texts, before and after"
    if record := run.get("refinement"):
        for name, rows, what in (
            ("rounds.csv", round_rows(record), "refinement: every round of every loop"),
            ("refined_classes.csv", changed_rows(record), "refinement: the classes it changed"),
        ):
            if rows:
                write_csv(directory / name, rows)
                files[name] = what
    if run.get("differences"):
        write_csv(directory / "differences.csv", run["differences"])
        files["differences.csv"] = "the choice minus each of what it is compared with, paired"
    if run["lengths"]:
        flat = [{k: v for k, v in row.items() if k != "lengths"} for row in run["lengths"]]
        write_csv(directory / "lengths.csv", flat)
        files["lengths.csv"] = "how many of CLIP's tokens the prompts take"
    for stem, sheet in paper_sheets(run):
        write_whole(directory / f"{stem}.tex", latex(sheet, stem))
        files[f"{stem}.tex"] = f"{sheet.title}, LaTeX with booktabs"
    return files


def paper_sheets(run: Mapping[str, Any]) -> Iterator[tuple[str, Sheet]]:
    """(stem of the file, table); the second benchmark's files end in -2."""
    for stem, sheets in (
        ("single", single_sheets(run["single"])),
        ("combinations", combination_sheets(run["combinations"])),
    ):
        for place, sheet in enumerate(sheets):
            yield f"{stem}{suffix(place)}", sheet
    if run.get("differences"):
        yield "differences", choice_sheet(run["differences"], run["best"]["prompts"])
    seen = seen_sheet(run["single"], run["combinations"])
    if seen:
        yield "seen_unseen", seen
    for place, group in enumerate(class_groups(run)):
        shown = ends(group.rows)
        sheet = class_sheet(shown, in_full=False)
        if len(shown) < len(group.rows):
            title = f"Classes that gained and that lost most ({group.benchmark})"
            sheet = replace(sheet, title=title)
        yield f"per_class{suffix(place)}", sheet
        if group.pairs:
            pairs = sorted(group.pairs, key=lambda row: -abs(row["change"]))[:MOST_PAIRS]
            pairs.sort(key=lambda row: row["change"])
            yield f"confusions{suffix(place)}", confusion_sheet(pairs)
    if run["lengths"]:
        yield "lengths", length_sheet(run["lengths"])


def suffix(place: int) -> str:
    """The end of a file's name: none for the first, "-2" for the second."""
    return f"-{place + 1}" if place else ""


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A run's table as CSV, scores with six decimals."""
    write_whole(path, csv_text(rows, decimals=6))
