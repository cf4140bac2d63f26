"""Runs one reader on one file, in a process of its own: `running` starts it.

It reads what is asked from a JSON file and writes a JSON file with the report, or with what the
checkout lacks.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lsmseg_prompts.export.checking.modules import OtherVersionError
from lsmseg_prompts.export.checking.readers import READERS
from lsmseg_prompts.export.checking.reading import Asked, Names, Reading, StoppedError
from lsmseg_prompts.export.checking.verdict import report


def checked(asked: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The report on what is asked, or {"lacks": what the checkout lacks}."""
    reader = READERS[asked["format"]]
    job = Asked(
        checkout=Path(asked["checkout"]),
        file=Path(asked["file"]),
        vocabulary=asked["vocabulary"],
        classes=tuple(
            Names(name, readable, tuple(more)) for name, readable, *more in asked["classes"]
        ),
        folder=folder,
    )
    try:
        files = {module: job.need(path) for module, path in reader.files.items()}
        try:
            reading = reader.read(job, files)
        except StoppedError as error:
            reading = Reading([], refused=str(error))
    except OtherVersionError as error:
        return {"lacks": str(error)}
    return asdict(report(reader.project, asked["commit"], asked["texts"], reading))


if __name__ == "__main__":
    request, reply = map(Path, sys.argv[1:])
    done = checked(json.loads(request.read_text("utf-8")), request.parent)
    reply.write_text(json.dumps(done), "utf-8")
