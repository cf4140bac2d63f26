"""Exports of eight vocabularies in their readers' own code: the table of docs/export.md.

python benchmarks/readers.py             # prints the table
python benchmarks/readers.py --write     # puts it into docs/export.md

LSMSEG_PROMPTS_READERS names the folder of the checkouts, each called as its repository is (CAT-Seg,
SED, fc-clip, ...).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import lsmseg_prompts
from lsmseg_model.data.layouts import background_prompts
from lsmseg_prompts.export import export
from lsmseg_prompts.export.checking import READERS, CheckRequest, Report, check, running
from lsmseg_prompts.export.checking.child import checked
from lsmseg_prompts.export.consumers import CONSUMERS, writing_for
from lsmseg_prompts.vocabularies import BUILT_IN

ATTRIBUTES = ("size", "shape", "texture", "color")
COMPOSITIONS = ("concat", "sentence", "ensemble")
VOCABULARIES = BUILT_IN[:8]  # most of the others' texts are theirs
DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "export.md"
HEAD = "| format | `concat` | classes that lost an attribute to fit | `sentence` | `ensemble` |\n"


def run_here(ask: Path, reply: Path, *_: object) -> str:
    """The reader's code in this process: a process for each file takes seconds to start."""
    reply.write_text(json.dumps(checked(json.loads(ask.read_text("utf-8")), ask.parent)), "utf-8")
    return ""


def arrive(checkout: Path, format: str, composition: str, vocabulary: str) -> tuple[Report, int]:
    """What arrives of an export, and how many classes lost an attribute."""
    classes = lsmseg_prompts.load_vocabulary(vocabulary)
    writing = writing_for(format)
    prompts = lsmseg_prompts.prompt_set(classes, ATTRIBUTES, composition, writing=writing)
    background = background_prompts(vocabulary)
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "file"
        made = export(prompts, classes, file, format, background=background)
        request = CheckRequest(checkout, file, format, classes, made.texts, background)
        return check(request), len(made.dropped)


def row(folder: Path, format: str, vocabularies: Sequence[str]) -> str:
    """A line of the table."""
    checkout = folder / READERS[format].repository.partition("/")[2]
    if not checkout.is_dir():
        return f"| `{format}` | no checkout |\n"
    cells = [f"`{format}`"]
    for composition in COMPOSITIONS:
        if composition == "ensemble" and not CONSUMERS[format].several:
            cells.append("as concat")
            continue
        start = time.perf_counter()
        made = [arrive(checkout, format, composition, vocabulary) for vocabulary in vocabularies]
        reports = [report for report, _ in made]
        arrived, texts = (sum(getattr(r, a) for r in reports) for a in ("arrived", "texts"))
        cells.append(f"{arrived:,} of {texts:,}; {max(r.longest for r in reports)}")
        seconds = time.perf_counter() - start
        print(f"{format}, {composition}: {cells[-1]} in {seconds:.0f} s", file=sys.stderr)
        for vocabulary, report in zip(vocabularies, reports, strict=True):
            if not report.good or report.over:
                print(f"{vocabulary}: {report}", file=sys.stderr)
        if composition == "concat":
            cells.append(f"{sum(dropped for _, dropped in made):,}")
    return f"| {' | '.join(cells)} |\n"


def write(format: str, made: str) -> None:
    """Put the line of a format into the document's table."""
    head, middle, rest = DOCUMENT.read_text("utf-8").partition(HEAD)
    line = re.compile(rf"^\| `{format}` \|.*\n", re.M)
    DOCUMENT.write_text(head + middle + line.sub(lambda _: made, rest, count=1), "utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or write it into the document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--formats", default=",".join(READERS), help="between commas")
    parser.add_argument("--write", action="store_true", help="into docs/export.md")
    parser.add_argument("--small", action="store_true", help="camvid alone, nothing written")
    asked = parser.parse_args(arguments)
    running._run = run_here
    folder = Path(os.environ.get("LSMSEG_PROMPTS_READERS", "none"))
    vocabularies = ("camvid",) if asked.small else VOCABULARIES
    for name in asked.formats.split(","):
        made = row(folder, name, vocabularies)
        print(made, end="", flush=True)
        if asked.write and not asked.small:
            write(name, made)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
