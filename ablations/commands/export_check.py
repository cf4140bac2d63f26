"""`export --check`: what the reader's own code makes of the exported file, as lines on stderr."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ablations.commands.output import say
from lsmseg_prompts.errors import RefusedError
from lsmseg_prompts.export.checking.running import CheckRequest, check
from lsmseg_prompts.export.checking.verdict import Report

SHOWN = 3  # names that a line names


def run_check(request: CheckRequest) -> None:
    """Check the file and say what arrived. Raises RefusedError where something did not."""
    report = check(request)
    for line in _lines(report, request.file):
        say(line)
    if not report.good:
        ends = f"; its code ends with {report.refused}" if report.refused else ""
        raise RefusedError(
            f"{report.reader} does not read {request.file} as it is meant: of {report.texts} texts "
            f"{report.cut} are cut, {report.split} split and {report.missing} missing{ends}. The "
            "file is written: export fewer --attributes or with --composition sentence, or the "
            "same with another --format."
        )


def _lines(report: Report, file: Path) -> Iterator[str]:
    commit = f" ({report.commit})" if report.commit else ""
    yield (
        f"{report.reader}{commit} reads {file}: {report.arrived} of {report.texts} texts arrive; "
        f"{report.cut} cut, {report.split} split, {report.missing} missing. The longest of "
        f"{report.prompts} prompts has {report.longest} tokens, {report.over} are over 77."
    )
    if report.unmatched:
        yield f"Names that {report.reader} has otherwise: {_first(report.unmatched)}."
    yield from report.notes
    if report.example:
        yield f"The longest: {report.example}"


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return "; ".join(names[:SHOWN]) + more
