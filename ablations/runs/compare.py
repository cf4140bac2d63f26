"""Stages 3 and 4 with the descriptions of several LLMs, side by side."""

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ablations.runs.ablate import OpenAblation
from ablations.runs.directory import REPORT, run_directory
from ablations.runs.open import (
    benchmark_sources,
    coverage,
    encode_pictures,
    load_descriptions,
    open_benches,
)
from ablations.runs.reproduce import command_of
from ablations.runs.request import AblationRequest
from ablations.runs.result import Comparison
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.store.store import open_store
from lsmseg_prompts.terminal import note

if TYPE_CHECKING:
    from ablations.runs.record import RunRecord

TABLE, PLOT, PAPER_PLOT = "llms.csv", "llms.png", "llms.pdf"
RESERVED = {TABLE, PLOT, PAPER_PLOT, "run.json", "report.html"}
STAGE = "llms"  # what its evaluations are filed under in the store
LONGEST_NAME = 80


def compare(request: AblationRequest, llms: Sequence[str], *, progress: bool = True) -> Comparison:
    """Stages 3 and 4 with the descriptions of each LLM, and a comparison (thesis, Table 5.9).

    The pictures are encoded once. Every LLM leaves its own run directory below ``out``; beside
    them stand llms.csv, llms.png, run.json and report.html, which compare: all LLMs on the
    attributes that were best for the first one, and each on those that were best for it.
    Differences are to the first LLM, on the same resamples. ``llm`` of the request is not used.
    Sources that lack descriptions can be compared too: see ``missing`` of the request.

    An LLM need not be one that can be asked: it is a name under which the store has texts.
    Raises what `ablate` raises; the descriptions of all LLMs are checked before anything runs.
    """
    names = [llms] if isinstance(llms, str) else list(llms)
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"The LLM {twice[0]} is named twice: name each once.")
    if len(names) < 2:
        raise UsageError("Name at least two LLMs to compare; one alone is for `ablate`.")
    started = time.monotonic()
    sources, vocabularies = benchmark_sources(request)
    descriptions = load_descriptions(request, vocabularies, names)
    with run_directory(request.out, request.force) as directory:
        model, benches = open_benches(request, sources, vocabularies, progress)
        if progress:
            note(f"Results go to {directory / REPORT}")
        encode_pictures(benches, request.store_path, progress)
        command = command_of("compare", request, f"llms={names!r}")
        there = coverage(request, vocabularies, descriptions)
        opened = OpenAblation(request, model, benches, command, progress, True, coverage=there)
        records: dict[str, RunRecord] = {}
        for llm, folder in safe_names(names).items():
            with run_directory(directory / folder, request.force) as below:
                run = f"{directory.name}/{folder}"
                records[llm], _ = opened.run(llm, descriptions[llm], below, run)
        return _write_comparison(records, directory, started)


def safe_names(llms: Sequence[str]) -> dict[str, str]:
    """A folder's name for each LLM, such as "openai-gpt-4" for "openai/gpt-4".

    Plain ASCII, no two alike even where capitals do not count, none that of a file beside them.
    """
    taken = set(RESERVED)
    names: dict[str, str] = {}
    for llm in llms:
        plain = re.sub(r"[^A-Za-z0-9_.+-]+", "-", llm)[:LONGEST_NAME].strip(".-") or "llm"
        name, again = plain, 1
        while name.lower() in taken:
            again += 1
            name = f"{plain}-{again}"
        taken.add(name.lower())
        names[llm] = name
    return names


def _write_comparison(
    records: "Mapping[str, RunRecord]", directory: Path, started: float
) -> Comparison:
    """Write the files that compare into ``directory``, and the scores into the store.

    records: of each LLM; its run directory is ``directory / safe name``.
    started: time.monotonic() of the beginning.
    """
    from ablations.report import comparison as report
    from ablations.report.figures import figure_of
    from ablations.report.files import write_csv
    from ablations.report.html import write_report
    from ablations.report.plots import llm_plot
    from ablations.report.run_file import COMPARISON, save_run, versions

    boards = {llm: record.board for llm, record in records.items()}
    candidates = {llm: record.candidate for llm, record in records.items()}
    folders = safe_names(list(records))
    first, record = next(iter(records.items()))
    rows = report.comparison_rows(boards, candidates)
    write_csv(directory / TABLE, rows)
    llm_plot(rows, directory / PLOT)
    content = {
        "summary": " ".join([report.comparison_summary(rows), *record.shared()]),
        "first": first,
        "same": candidates[first].name,
        "llms": [
            {**one.llm, "directory": folders[llm], "best": one.best} for llm, one in records.items()
        ],
        **{key: value for key, value in record.provenance().items() if key != "llm"},
        "versions": versions(),
        "store": str(record.request.store_path),
        "figures": [figure_of("llms", first=first)],
        "rows": rows,
        "classes": report.comparison_classes(boards, candidates[first]),
    }
    save_run(directory, COMPARISON, started, content)
    with open_store(record.request.store_path) as file, file.transaction():
        for llm, one in records.items():
            own = [row for row in rows if row["llm"] == llm]
            for row in one.evaluations(directory.name, {STAGE: own}):
                file.add_evaluation(**row)
    write_report(directory)
    files = {
        TABLE: "the scores of each LLM, and the differences",
        PLOT: "the same as a plot",
        PAPER_PLOT: "the plot for a paper",
        "run.json": "everything the report is made from",
        "report.html": "the comparison on one page",
        **{f"{folder}/": f"all of the run with {llm}" for llm, folder in folders.items()},
    }
    return Comparison(
        rows,
        content["summary"],
        {llm: one.best for llm, one in records.items()},
        directory,
        {llm: directory / folder for llm, folder in folders.items()},
        files,
    )
