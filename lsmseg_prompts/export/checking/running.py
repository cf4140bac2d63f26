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
from lsmseg_prompts.export.formats import with_background_first
from lsmseg_prompts.vocabularies import Vocabulary

TIME_LIMIT = 600.0  # seconds; 847 classes in 80 templates take a minute
ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class CheckRequest:
    """What to check: a file of a format, the texts that it was made of, in a reader's checkout.

    background: indices of the words that count as background, which FC-CLIP's file has in one line.
    """

    checkout: Path
    file: Path
    format: str
    vocabulary: Vocabulary
    texts: Sequence[Sequence[str]]
    background: Sequence[int] = ()

    def rows(self) -> tuple[list[list[str]], list[list[str]]]:
        """The names and the texts of each class of the file."""
        names = [[entry.name, entry.readable, *entry.synonyms] for entry in self.vocabulary]
        together = self.background if self.format in ("fc-clip", "maft") else ()
        return with_background_first(names, together), with_background_first(self.texts, together)


def check(request: CheckRequest) -> Report:
    """Run the reader's own code on the file and say what arrived.

    Raises UsageError for a format that has no such reader, ConfigurationError where the checkout is
    another project or version, or does not come to an end.
    """
    reader = reader_of(request.format, request.checkout)
    checkout = request.checkout.resolve()
    names, texts = request.rows()
    asked = {
        "format": request.format,
        "checkout": str(checkout),
        "commit": commit_of(checkout),
        "file": str(request.file.resolve()),
        "vocabulary": request.vocabulary.name,
        "classes": names,
        "texts": texts,
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
        written = f" {request.file} is written, and not checked."
        raise _another_version(checkout, reader, done["lacks"], written)
    return Report(**{**done, **{key: tuple(done[key]) for key in ("unmatched", "notes")}})


def reader_of(format: str, checkout: Path) -> Reader:
    """The reader of a format, whose checkout is there.

    Raises UsageError for a format that has no reader, ConfigurationError for a folder that is
    missing or lacks one of the files that are run.
    """
    if format not in READERS:
        raise UsageError(
            f"No reader of the format {format} can be run: choose --format {', '.join(READERS)}, "
            "or leave out --check."
        )
    reader = READERS[format]
    if not checkout.is_dir():
        raise ConfigurationError(
            f"There is no folder {checkout}: give --check the folder of a checkout of "
            f"{reader.project} ({reader.repository})."
        )
    if lost := [path for path in reader.files.values() if not (checkout / path).is_file()]:
        raise _another_version(checkout, reader, f"it has no {lost[0]}")
    return reader


def _another_version(
    checkout: Path, reader: Reader, lacks: str, written: str = ""
) -> ConfigurationError:
    """The error that a checkout is of another project or version."""
    return ConfigurationError(
        f"{checkout} is not {reader.project} as {reader.repository} has it at {reader.commit}: "
        f"{lacks}. Give --check a checkout of that version.{written}"
    )


def _run(ask: Path, reply: Path, reader: Reader, file: Path) -> str:
    """Start the process, without the keys of this one, and wait for it; what it said on stderr.

    It leaves no compiled files in the checkout.
    """
    command = [sys.executable, "-m", "lsmseg_prompts.export.checking.child", str(ask), str(reply)]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            command,
            env={**_without_keys(), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
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


def _without_keys() -> dict[str, str]:
    """The environment, without what its names call a secret."""
    secret = ("KEY", "TOKEN", "SECRET", "PASS", "CREDENTIAL", "AUTH")
    return {n: v for n, v in os.environ.items() if not any(word in n.upper() for word in secret)}


def commit_of(checkout: Path) -> str:
    """The commit of a checkout, in seven characters; "" where it is not known."""
    command = ["git", "-C", str(checkout), "rev-parse", "--short=7", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if (checkout / ".git").exists() else ""
