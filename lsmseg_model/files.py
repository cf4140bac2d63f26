"""Files written whole or not at all."""

import csv
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lsmseg_model.errors import DataError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it replaces ``path``, else it vanishes.

    A link is followed. A folder or a device is refused: os.replace would take a device's place.
    """
    shown, path = path, Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        raise DataError(
            f"Cannot write {shown}: it is not a file but a folder or a device; name a file."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix
        )
        os.close(handle)
    except OSError as error:
        raise DataError(
            f"Cannot write {shown}: {_reason(error)}; choose a writable place."
        ) from error
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    except DataError:
        raise
    except Exception as error:
        # torch and safetensors have their own errors for a full disk.
        if not isinstance(error, OSError) and not _full(path.parent):
            raise
        reason = _reason(error) if isinstance(error, OSError) else "No space left on device"
        raise DataError(f"Cannot write {shown}: {reason}; choose a writable place.") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Make a folder that takes results; one that was made here and stays empty goes again."""
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"Cannot make {path}: {_reason(error)}; choose a writable place."
        ) from error
    try:
        yield path
    except BaseException:
        with suppress(OSError):  # not empty: what is in it is whole
            for folder in made:
                folder.rmdir()
        raise


def _full(folder: Path) -> bool:
    """Whether the disk has no room worth the name."""
    with suppress(OSError):
        return shutil.disk_usage(folder).free < 2**16
    return False


def _reason(error: OSError) -> str:
    """What the system says; mkdir says "File exists" of a file where a folder should be."""
    if isinstance(error, FileExistsError):
        return f"{error.filename} is a file, not a folder"
    return error.strerror or str(error)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file that then takes the place of ``path``."""
    with whole_file(path) as temporary:
        write(temporary)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table as CSV, whole or not at all."""
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
