"""The commands `data ...`: is a benchmark's folder whole; label maps from original downloads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

import lsmseg_model
from ablations.commands import completion, options
from ablations.commands.app import example, group
from ablations.commands.output import Shown, say, show
from lsmseg_prompts.terminal import note, print_line, progress_bar

app = group("The benchmarks on your disk.")

Workers = Annotated[int | None, Option(min=1, help="Files at a time (default: one a processor).")]
Split = Annotated[str | None, Option(help="The part of the data, such as val or train.")]


@app.command("check", **example("data check --data pc-459 --data-root VOCdevkit/VOC2010"))
def data_check(
    ctx: typer.Context,
    data: Annotated[
        str, Option(autocompletion=completion.benchmarks, help="A benchmark's name, or a folder.")
    ],
    data_root: options.DataRoot = None,
    split: Split = None,
    vocab: options.MaybeVocab = None,
    limit: Annotated[int | None, Option(min=1, help="Read only the first pictures.")] = None,
    workers: Workers = None,
    json: options.Json = False,
) -> None:
    """Read every picture and label map, and list what is not as it should be."""
    from lsmseg_prompts.vocabularies import benchmark_vocabulary

    names = [entry.readable for entry in benchmark_vocabulary(data, vocab)]
    request = options.request_from(
        lsmseg_model.DataCheckRequest,
        ctx,
        class_names=names,
        workers=workers or os.cpu_count() or 1,
    )
    with progress_bar("reading", not Shown.quiet) as progress:
        report = lsmseg_model.data_check(request, on_progress=progress)
    findings = [asdict(finding) for finding in report.findings]
    if json:
        show({"summary": report.summary, "findings": findings}, json)
    else:
        show(report.summary, json)
        if findings:
            show(findings, json)
    if report.stops:
        stopping = sum(finding.stops for finding in report.findings)
        note(f"Error: {stopping} finding(s) would stop a run; see docs/benchmarks.md.")
        raise typer.Exit(4)


@app.command("pull", **example("data pull --data coco-stuff --out datasets --dry-run"))
def data_pull(
    ctx: typer.Context,
    data: Annotated[str, Option(autocompletion=completion.benchmarks, help="A benchmark's name.")],
    out: Annotated[Path, Option(help="The folder for benchmarks; --data-root afterwards.")] = Path(
        "datasets"
    ),
    split: Split = None,
    mirror: Annotated[
        str | None, Option(metavar="URL", help="Another address that has the same archives.")
    ] = None,
    offline: Annotated[
        bool, Option("--offline", help="Fetch nothing: unpack what was put in place by hand.")
    ] = False,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Only say what would be fetched, and where it would lie.")
    ] = False,
    workers: Workers = None,
    json: options.Json = False,
) -> None:
    """Fetch a benchmark that anybody may fetch, unpack it, and make its label maps."""
    request = options.request_from(
        lsmseg_model.DataPullRequest, ctx, workers=workers or os.cpu_count() or 1
    )
    plan = lsmseg_model.pull_plan(request)
    if dry_run:
        show(asdict(plan), json, printed=lambda _: _plan(plan, print_line))
        return
    _plan(plan, say)
    made = lsmseg_model.data_pull(request, on_progress=_working, on_message=say)
    say(
        f"Check it with: lsmseg-prompts data check --data {data} --data-root {out} --split "
        f"{plan.split}"
    )
    show([asdict(one) for one in made], json)


def _plan(plan: lsmseg_model.PullPlan, line: Callable[[str], None]) -> None:
    """What is fetched, from where, under which licence, and where it lies."""
    line(f"{plan.data}, split {plan.split}, into {plan.folder}")
    line(f"Licence: {plan.licence} ({plan.terms})")
    for one in plan.files:
        there = f", of which {one.there} bytes are there" if one.there else ""
        line(f"{one.url}: {one.size}{there}; checksum: {one.verified}; as {one.path}")
    if not plan.files:
        line("Nothing is to be fetched: it is there already.")


@contextmanager
def _working(title: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar; of what is fetched in megabytes, where the server says how many there are."""
    unit = 10**6 if title.startswith("fetching") else 1
    with progress_bar(f"{title}, MB" if unit > 1 else title, not Shown.quiet) as progress:

        def advance(done: int, total: int) -> None:
            if progress and total:
                progress(done // unit, total // unit)

        yield advance


@app.command(
    "prepare", **example("data prepare --data pc-459 --from VOCdevkit/VOC2010 --split val")
)
def data_prepare(
    ctx: typer.Context,
    data: Annotated[str, Option(autocompletion=completion.benchmarks, help="A benchmark's name.")],
    source: Annotated[Path, Option("--from", help="The folder of the original download.")],
    out: Annotated[
        Path | None, Option(help="The folder to fill (default: the download's own).")
    ] = None,
    split: Split = None,
    redo: Annotated[bool, Option("--redo", help="Make anew what is there already.")] = False,
    missing_ok: Annotated[
        bool, Option("--missing-ok", help="Go on where no object has the name of a class.")
    ] = False,
    workers: Workers = None,
    json: options.Json = False,
) -> None:
    """Make a benchmark's label maps from its original download; goes on where it was cut short."""
    from lsmseg_prompts.vocabularies import benchmark_vocabulary

    names = [entry.name for entry in benchmark_vocabulary(data)]
    request = options.request_from(
        lsmseg_model.DataPrepareRequest,
        ctx,
        class_names=names,
        workers=workers or os.cpu_count() or 1,
    )
    with progress_bar("label maps", not Shown.quiet) as progress:
        made = lsmseg_model.data_prepare(request, on_progress=progress)
    show([asdict(one) for one in made], json)
