"""A check of an exported file: the reader's code in a process of its own, with a time limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lsmseg_prompts.english import excerpt
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.export.checking.readers import READERS, Reader
from lsmseg_prompts.export.checking.verdict import Report
from lsmseg_prompts.vocabularies import Vocabulary

TIME_LIMIT = 600.0  # seconds; 847 classes in 80 templates take a minute
ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class CheckRequest:
    """What to check: a file of a format, the texts that it was made of, in a reader's checkout."""

    checkout: Path
    file: Path
    format: str
    vocabulary: Vocabulary
    texts: Sequence[Sequence[str]]


def check(request: CheckRequest) -> Report:
    """Run the reader's own code on the file and say what arrived.

    Raises UsageError for a format that has no such reader, ConfigurationError where the checkout is
    another project or version, or does not come to an end.
    """
    if request.format not in READERS:
        raise UsageError(
            f"No reader of the format {request.format} can be run: choose --format "
            f"{', '.join(READERS)}, or leave out --check."
        )
    reader = READERS[request.format]
    checkout = request.checkout.resolve()
    if not checkout.is_dir():
        raise ConfigurationError(
            f"There is no folder {checkout}: give --check the folder of a checkout of "
            f"{reader.project} ({reader.repository})."
        )
    asked = {
        "format": request.format,
        "checkout": str(checkout),
        "commit": commit_of(checkout),
        "file": str(request.file.resolve()),
        "vocabulary": request.vocabulary.name,
        "classes": [[e.name, e.readable, *e.synonyms] for e in request.vocabulary],
        "texts": [list(group) for group in request.texts],
    }
    with tempfile.TemporaryDirectory(prefix="lsmseg-check-") as name:
        folder = Path(name)
        ask, reply = folder / "asked.json", folder / "reply.json"
        ask.write_text(json.dumps(asked), "utf-8")
        said = _run(ask, reply, reader, request.file)
        try:
            done = json.loads(reply.read_text("utf-8"))
        except (OSError, ValueError):
            last = excerpt((said.strip().splitlines() or ["it said nothing"])[-1], 200)
            raise ConfigurationError(
                f"The code of {reader.project} in {checkout} did not come to its end: {last}. "
                f"{request.file} is written, and not checked."
            ) from None
    if "lacks" in done:
        raise ConfigurationError(
            f"{checkout} is not {reader.project} as {reader.repository} has it at "
            f"{reader.commit}: {done['lacks']}. {request.file} is written, and not checked."
        )
    return Report(**{**done, **{key: tuple(done[key]) for key in ("unmatched", "notes")}})


def _run(ask: Path, reply: Path, reader: Reader, file: Path) -> str:
    """Start the process, without the keys of this one, and wait for it; what it said on stderr."""
    command = [sys.executable, "-m", "lsmseg_prompts.export.checking.child", str(ask), str(reply)]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            command,
            env={**{n: v for n, v in os.environ.items() if "KEY" not in n}, "PYTHONPATH": path},
            cwd=ask.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigurationError(
            f"The code of {reader.project} took longer than {TIME_LIMIT:.0f} seconds. {file} is "
            "written, and not checked."
        ) from None
    return done.stderr


def commit_of(checkout: Path) -> str:
    """The commit of a checkout, in seven characters; "" where it is not known."""
    command = ["git", "-C", str(checkout), "rev-parse", "--short=7", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if (checkout / ".git").exists() else ""
