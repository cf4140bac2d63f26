"""run.json: the record of a run or a comparison, which everything else is made from."""

import json
import platform
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ablations.search.enough import too_few
from lsmseg_prompts.errors import ConfigurationError
from lsmseg_prompts.files import parse_json, write_whole

FORMAT, VERSION = "lsmseg-prompts/run", 2
FIRST = 1  # the version of the records up to lsmseg-prompts 0.2
OLD = (
    "This run is of an earlier version of lsmseg-prompts: look at stage 3 for whether controls do "
    "as well as the choice, and where pictures are frames of one video, intervals are too narrow."
)
COMPARISON = "lsmseg-prompts/comparison"
RUN = "run.json"
SOFTWARE = ("lsmseg-prompts", "torch", "open_clip_torch", "numpy", "matplotlib")


def save_run(directory: Path, kind: str, started: float, content: Mapping[str, Any]) -> None:
    """Write run.json.

    Args:
        directory: The run directory.
        kind: FORMAT or COMPARISON.
        started: time.monotonic() of the beginning.
        content: What the record holds beside the time and the kind.
    """
    record = {
        "format": kind,
        "version": VERSION,
        "name": directory.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started),
        **content,
    }
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(directory / RUN, text + "\n")


def read_run(directory: Path) -> dict[str, Any]:
    """The run.json of a run, or of a comparison of several.

    Raises ConfigurationError if it is missing, damaged, not whole, or of another kind or version.
    """
    path = directory / RUN
    try:
        run = parse_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"{directory} is not a run: it has no readable {RUN}; give a folder that "
            "`lsmseg-prompts run` or `ablate` has written."
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"{path} is damaged ({error}): run the ablation again.") from error
    if not isinstance(run, dict) or run.get("format") not in (FORMAT, COMPARISON):
        raise ConfigurationError(f"{path} is not the record of a run of lsmseg-prompts.")
    if run.get("version") == FIRST:
        _bring_up_to_date(run, path)
    if run.get("version") != VERSION:
        raise ConfigurationError(
            f"{path} was written by another version of lsmseg-prompts (of the record: "
            f"{run.get('version')!r}, this one reads {VERSION}): run the ablation again."
        )
    _check(run, path)
    return run


def _bring_up_to_date(run: dict[str, Any], path: Path) -> None:
    """Make the record of a run of FIRST one of VERSION: rows say why they have no interval.

    Raises ConfigurationError for one of too few pictures: all that it claims would have to go.
    """
    from ablations.report.classwise import FEW

    try:
        for benchmark in run["benchmarks"]:
            for split in ("selection", "report"):
                if few := too_few(benchmark[split]["pictures"]):
                    raise ConfigurationError(
                        f"{path} is of an earlier version and claims what {few} do not show: run "
                        "the ablation again."
                    )
        for row in run.get("per_class", ()):
            if row["pictures"] < FEW:
                row |= {"difference_low": None, "difference_high": None}
                row["no_interval"] = f"in {too_few(row['pictures'], least=FEW)}"
        for table in ("single", "combinations", "candidates", "per_class", "rows"):
            for row in run.get(table, ()):
                row.setdefault("no_interval", None)
        run["summary"] = f"{OLD} {run['summary']}"
    except (AttributeError, KeyError, TypeError):
        pass  # not whole, as the check of all records finds
    run["version"] = VERSION


def _check(run: dict[str, Any], path: Path) -> None:
    """Raise ConfigurationError, naming the field, for a record from which no page can be made."""
    from pydantic import ValidationError

    from ablations.report import run_models

    model = run_models.Comparison if run["format"] == COMPARISON else run_models.Run
    try:
        model.model_validate(run)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or str(first["ctx"]["error"])
        wrong = "lacks" if first["type"] == "missing" else "has a wrong value in"
        raise ConfigurationError(
            f"{path} is not whole: it {wrong} the field {field!r}. Run the ablation again."
        ) from error


def versions(names: Sequence[str] = SOFTWARE) -> dict[str, str]:
    """The versions of what the scores depend on."""
    installed = {"Python": platform.python_version()}
    for name in names:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:  # run from a folder without being installed
            continue
    return installed
