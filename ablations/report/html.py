"""report.html: one page that holds a whole run or comparison, made from run.json and pictures.

Nothing is loaded from elsewhere: pictures are data URIs, style and script are inline, and the
page forbids itself anything else. Texts come from language models and users and are escaped.
Without scripts all is there but sorting and searching the tables.
"""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ablations.report.class_tables import class_groups, length_sheet, seen_sheet
from ablations.report.files import write_tables
from ablations.report.filling import fill
from ablations.report.overview import overview_sheet
from ablations.report.plots import DPI
from ablations.report.refinement_tables import story
from ablations.report.run_file import COMPARISON, RUN, read_run
from ablations.report.tables import (
    candidate_sheet,
    choice_sheet,
    combination_sheets,
    llm_sheets,
    single_sheets,
)
from lsmseg_prompts.files import write_whole

PAGE = "report.html"
PHOTOGRAPHS = ("pictures", "refined")  # sections whose figures are pictures, not plots
SCRIPT = "tables.js"  # the only script that the page lets run, named by its hash


def report(directory: str | Path) -> Path:
    """Write report.html anew from what a run left in ``directory``; returns its path.

    Raises ConfigurationError where there is no record of a run, or it is not whole.
    """
    write_report(Path(directory))
    return Path(directory) / PAGE


def write_report(directory: Path) -> dict[str, str]:
    """Write report.html, and the tables for a paper, from what the run left in ``directory``.

    Returns what each file is. Raises ConfigurationError where its record is not whole.
    """
    run = read_run(directory)
    if run["format"] == COMPARISON:
        files, page = {}, render_comparison(run, directory)
    else:
        files, page = write_tables(run, directory), render(run, directory)
    write_whole(directory / PAGE, page)
    return files | {PAGE: "all of it on one page"}


def _figures(run: Mapping[str, Any], directory: Path) -> dict[str, list[dict[str, Any]]]:
    """The figures of each section, with their data; those whose PNG is gone are left out."""
    figures: dict[str, list[dict[str, Any]]] = {}
    for figure in run["figures"]:
        path = directory / Path(figure["file"]).name
        if path.is_file():
            data = path.read_bytes()
            source = f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}"
            pixels = int.from_bytes(data[16:20], "big")  # IHDR
            width = round(pixels * 100 / DPI)  # in CSS pixels: letters are equally large in all
            looks = "pictures" if figure["section"] in PHOTOGRAPHS else "plot"
            shown = {**figure, "source": source, "width": width, "looks": looks}
            figures.setdefault(figure["section"], []).append(shown)
    return figures


def _page(template: str, **values: Any) -> str:
    script = files("ablations.report").joinpath("templates", SCRIPT).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return fill(template, script=script, script_digest=digest, **values)


def render(run: Mapping[str, Any], directory: Path) -> str:
    """The page of a run as text."""
    gained = run.get("differences")  # of a record of 0.9 or later
    return _page(
        "report.html.j2",
        run=run,
        best=run["best"],
        figures=_figures(run, directory),
        overview=overview_sheet(run["single"], run["combinations"]),
        singles=single_sheets(run["single"]),
        combinations=combination_sheets(run["combinations"]),
        candidates=candidate_sheet(run["candidates"]),
        story=story(run),
        differences=choice_sheet(gained, run["best"]["prompts"]) if gained else None,
        seen=seen_sheet(run["single"], run["combinations"]),
        groups=class_groups(run),
        lengths=length_sheet(run["lengths"]) if run["lengths"] else None,
    )


def render_comparison(run: Mapping[str, Any], directory: Path) -> str:
    """The page of a comparison as text; it holds the tables and plots of the LLMs' own runs."""
    parts: list[dict[str, Any]] = []
    for llm in run["llms"]:
        folder = directory / Path(llm["directory"]).name
        parts.append({"llm": llm, "link": None})
        if (folder / RUN).is_file():  # else moved or deleted; the comparison stands by itself
            own = read_run(folder)
            parts[-1] |= {
                "link": f"{quote(folder.name)}/{PAGE}",
                "run": own,
                "figures": _figures(own, folder),
                "singles": single_sheets(own["single"]),
                "combinations": combination_sheets(own["combinations"]),
            }
    return _page(
        "comparison.html.j2",
        run=run,
        figures=_figures(run, directory),
        sheets=llm_sheets(run["rows"]),
        parts=parts,
    )
