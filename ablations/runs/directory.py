"""The run directory: made first, held while it is filled, removed if it stays empty."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from lsmseg_model.files import PROGRESS, check_folder, result_folder
from lsmseg_model.progress_file import progress_file
from lsmseg_prompts.terminal import progress_to

REPORT = "report.html"


def run_path(out: str | Path | None) -> Path:
    """Where a run's results go: ``out``, else runs/<time>, which does not exist yet."""
    if out is not None:
        return Path(out)
    stamp = datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S")
    path, number = Path("runs") / stamp, 1
    while path.exists():
        number += 1
        path = Path("runs") / f"{stamp}-{number}"
    return path


@contextmanager
def run_directory(
    out: str | Path | None,
    force: bool = False,
    command: str = "ablate",
    earlier: Callable[[Path], bool] | None = None,
) -> Iterator[Path]:
    """The run directory, made first so that a place that takes no run is noticed at once.

    While it is filled it holds a file that says how far the run is (`runs.live`).

    Args:
        out: Its path (default: runs/<time>).
        force: Whether it may hold other files.
        command: Whose results it takes.
        earlier: Tells whether a folder holds an earlier result of the command; by default of a run.

    Raises:
        DataError: What `result_folder` raises.
    """
    with (
        result_folder(run_path(out), command, earlier or is_run, force) as folder,
        progress_file(folder / PROGRESS, command) as told,
        progress_to(told.update),
    ):
        yield folder


def check_run_directory(path: Path, force: bool = False) -> None:
    """Raise DataError, before anything is paid for, where a folder cannot take a run."""
    check_folder(path, "ablate", is_run, force)


def is_run(folder: Path) -> bool:
    """Whether a folder holds the record of a run, or of a comparison."""
    return b'"format": "lsmseg-prompts/' in _head(folder / "run.json")


def is_recipe(folder: Path) -> bool:
    """Whether a folder holds the results of a recipe, or networks that it trained before."""
    return b'"recipe": ' in _head(folder / "results.json") or (folder / "networks").is_dir()


def _head(path: Path) -> bytes:
    with suppress(OSError), path.open("rb") as file:
        return file.read(100)
    return b""
