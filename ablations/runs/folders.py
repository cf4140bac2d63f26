"""Which results lie in a folder of runs: runs, comparisons, recipes, trainings, and their files."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ablations.report.run_file import COMPARISON, FORMAT, RUN
from ablations.runs.directory import REPORT
from ablations.runs.live import result_folders
from lsmseg_prompts.errors import UsageError

RECIPE = "results.json"
LOSSES = "loss.csv"
LARGEST = 64 << 20  # bytes of a record; a larger one is not read
KINDS = {
    ".json": "application/json",
    ".csv": "text/csv; charset=utf-8",
    ".tex": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".pdf": "application/pdf",
    ".html": "text/html; charset=utf-8",
    ".safetensors": "application/octet-stream",
}
"""The files that a run leaves and that may be handed out, by their ending, and what each is."""
LISTED = (
    *("format", "best", "benchmarks", "model", "llm", "llms", "command", "summary"),
    *("recipe", "title", "source"),
)
"""What is kept of a record."""
MOST_POINTS = 400


@dataclass(frozen=True)
class ResultFolder:
    """The results of one run, comparison, recipe or training.

    Attributes:
        name: Below the folder of runs, with slashes.
        path: The folder.
        kind: run, comparison, recipe or training.
        created: When, in seconds since 1970.
        title: What it is about, in few words.
        best: The name of the best prompts; "" where there are none.
        score: Their mIoU on the report split, in 0..1; None where there is none.
        command: What made it; "" where that is not known.
        summary: In words.
        report: Whether there is a page.
    """

    name: str
    path: Path
    kind: str
    created: float
    title: str = ""
    best: str = ""
    score: float | None = None
    command: str = ""
    summary: str = ""
    report: bool = False


def list_results(runs: str | os.PathLike[str] = "runs") -> list[ResultFolder]:
    """What lies in a folder of runs, the latest first; what cannot be read is left out.

    Args:
        runs: The folder; it need not be there.
    """
    found = [
        result
        for name, path in result_folders(Path(runs))
        if (result := _read(name, path)) is not None
    ]
    return sorted(found, key=lambda one: -one.created)


def find_result(runs: str | os.PathLike[str], name: str) -> ResultFolder:
    """One of `list_results` by its name. Raises UsageError where there is none of that name.

    Args:
        runs: The folder of runs.
        name: As in the list: it is looked up there, and is never a path.
    """
    for one in list_results(runs):
        if one.name == name:
            return one
    raise UsageError(f"There is no run {name[:80]!r} in {Path(runs)}: look at the list of runs.")


def list_files(folder: Path) -> dict[str, Path]:
    """The files of a result that may be handed out, by name: no links, nothing hidden."""
    try:
        with os.scandir(folder) as entries:
            named = {
                e.name: Path(e.path)
                for e in entries
                if e.is_file(follow_symlinks=False)
                and not e.name.startswith(".")
                and e.name.isprintable()
                and Path(e.name).suffix.lower() in KINDS
            }
    except OSError:
        return {}
    return dict(sorted(named.items()))


def find_file(result: ResultFolder, name: str) -> Path:
    """A file of a result by its name. Raises UsageError for any name that `list_files` lacks."""
    path = list_files(result.path).get(name)
    if path is None:
        raise UsageError(
            f"There is no file {name[:80]!r} in the run {result.name}: look at its list of files."
        )
    return path


def training_curve(folder: Path) -> dict[str, Any]:
    """What a training left of its loss and its validations.

    Returns ``losses``, [step, mean loss] of at most MOST_POINTS points, and ``scores``,
    [step, mIoU]; both empty where nothing can be read.
    """
    losses = [(row[0], row[1]) for row in _numbers(folder / LOSSES, ("step", "loss"))]
    width = max(1, -(-len(losses) // MOST_POINTS))
    parts = [losses[at : at + width] for at in range(0, len(losses), width)]
    means = [[part[-1][0], sum(loss for _, loss in part) / len(part)] for part in parts]
    return {"losses": means, "scores": _numbers(folder / "scores.csv", ("step", "miou"))}


def _numbers(path: Path, columns: tuple[str, str]) -> list[list[float]]:
    """Two columns of a CSV file; none where it is not one."""
    import csv
    import math

    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [[float(row[c]) for c in columns] for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return []
    return [row for row in rows if all(map(math.isfinite, row))]


def _read(name: str, path: Path) -> ResultFolder | None:
    """What a folder holds; None where it is not a result."""
    for file, kind in ((RUN, "run"), (RECIPE, "recipe")):
        record = _record(path / file)
        if record is not None:
            told = _of_run(record) if kind == "run" else _of_recipe(record)
            if told is not None:
                created = _modified(path / file)
                report = _is_plain_file(path / REPORT)
                return ResultFolder(name, path, created=created, report=report, **told)
    for file in (LOSSES, "last.pt"):
        if _is_plain_file(path / file):
            weights = [Path(n).stem for n in list_files(path) if n.endswith(".safetensors")]
            title = ", ".join(stem for stem in weights if stem != "best")
            return ResultFolder(name, path, "training", _modified(path / file), title)
    return None


def _is_plain_file(path: Path) -> bool:
    try:
        return path.is_file() and not path.is_symlink()
    except OSError:
        return False


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _record(path: Path) -> dict[str, Any] | None:
    """A record, read once as long as it stays the same."""
    if not _is_plain_file(path):
        return None
    try:
        about = path.stat()
    except OSError:
        return None
    if about.st_size > LARGEST:
        return None
    return _parsed(path, about.st_mtime_ns, about.st_size, about.st_ino)


@lru_cache(maxsize=512)
def _parsed(path: Path, *_: int) -> dict[str, Any] | None:
    """Only what is listed is kept of a record."""
    try:
        read = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(read, dict):
        return None
    return {key: read[key] for key in LISTED if key in read}


def _of_run(record: Mapping[str, Any]) -> dict[str, Any] | None:
    if record.get("format") not in (FORMAT, COMPARISON):
        return None
    best = _part(record, "best")
    score = _part(best, "scores", "report", "all").get("value")
    names = [str(one.get("name")) for one in _parts(record, "benchmarks")]
    llm, model = _part(record, "llm").get("name"), _part(record, "model").get("name")
    compared = [str(one.get("name")) for one in _parts(record, "llms")]
    about = [", ".join(names), model, " and ".join(compared) or llm]
    return {
        "kind": "comparison" if record["format"] == COMPARISON else "run",
        "title": ", ".join(str(one) for one in about if one),
        "best": str(best.get("prompts") or ""),
        "score": score if isinstance(score, int | float) else None,
        "command": str(record.get("command") or ""),
        "summary": str(record.get("summary") or ""),
    }


def _of_recipe(record: Mapping[str, Any]) -> dict[str, Any] | None:
    if "recipe" not in record:
        return None
    about = [str(record[key]) for key in ("source", "title") if record.get(key)]
    return {
        "kind": "recipe",
        "title": ": ".join(about),
        "command": str(record.get("command") or ""),
    }


def _part(record: Any, *keys: str) -> Mapping[str, Any]:
    """What stands under some keys, one below the other; empty where it is not a mapping."""
    for key in keys:
        record = record.get(key) if isinstance(record, Mapping) else None
    return record if isinstance(record, Mapping) else {}


def _parts(record: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = record.get(key)
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
