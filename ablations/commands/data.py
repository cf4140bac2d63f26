"""The commands `data ...`: is a benchmark's folder whole; label maps from original downloads."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

import lsmseg_model
from ablations.commands import completion, options
from ablations.commands.app import example, group
from ablations.commands.output import Shown, show
from lsmseg_prompts.terminal import note, progress_bar

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
