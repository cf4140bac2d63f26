"""The run directory: made first, removed if it stays empty."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from lsmseg_prompts.errors import ConfigurationError

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
def run_directory(out: str | Path | None) -> Iterator[Path]:
    """The run directory, made first so that an unwritable place is noticed at once.

    One that was made here and stays empty, because the run failed, is removed again.
    """
    path = run_path(out)
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigurationError(
            f"Cannot write into {path}: {error.strerror or error}; name another folder with --out."
        ) from error
    try:
        yield path
    except BaseException:
        with suppress(OSError):  # not empty: what is in it is whole and may be of use
            for folder in made:
                folder.rmdir()
        raise
