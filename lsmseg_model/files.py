"""Files written whole or not at all, and never over what is the user's.

`check_free` and `result_folder` say so before anything is computed: a command replaces a file that
is there only with --force, what it reads never, and of a folder only what it left itself.
"""

import csv
import json
import logging
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lsmseg_model.errors import ConfigError, DataError


def is_path(name: str) -> bool:
    """Whether what may be a name or a path is meant as a path.

    It has a separator, or an ending such as .json.
    """
    return "/" in name or os.sep in name or Path(name).suffix[1:2].isalpha()


def named_file(path: Path, what: str) -> Path:
    """A file that the user named; ConfigError, which says `what` it should be, if it is not one."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder, not a file: check the path of the {what}.")
    if not path.is_file():
        raise ConfigError(f"There is no file {path}: check the path of the {what}.")
    return path


def read_json(path: Path) -> Any:
    """What a JSON file of the user's holds.

    Raises ValueError for what is none, for a field that comes twice, of which Python would take
    the last, and for nesting without end.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{twice[0]!r} comes twice")
        return dict(pairs)

    try:
        return json.loads(path.read_text("utf-8"), object_pairs_hook=once)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}
"""Where a user may send a file instead: what the system has open under these numbers."""
LOCK = ".lsmseg-lock"
"""In a result folder while it is filled, and after a run that did not come to its end."""
PROGRESS = ".lsmseg-progress.json"
"""In a result folder while it is filled, for whoever watches; see progress_file.py."""

_held: set[int] = set()  # the files by which this process holds locks
if hasattr(os, "register_at_fork"):  # a forked child would go on holding them after a kill

    def _let_go() -> None:
        for handle in _held:
            os.close(handle)
        _held.clear()

    os.register_at_fork(after_in_child=_let_go)


def check_free(
    paths: Iterable[Path], force: bool = False, inputs: Iterable[str | Path | None] = ()
) -> None:
    """Check, before anything is computed for them, that files may be written.

    Args:
        paths: The files; a device or a pipe is left to the writer.
        force: Whether files that are there may be replaced.
        inputs: What is read for them, which is never replaced, whatever it is called there.

    Raises:
        DataError: An input, a file that is there, a folder, or a place that takes none.
    """
    read = {_identity(Path(one)) for one in inputs if one is not None} - {None}
    for path in paths:
        if str(path) in STREAMS:
            continue
        if path.is_dir():
            raise DataError(f"Cannot write {path}: it is a folder; give a file name.")
        if os.path.islink(os.path.realpath(path)):
            raise DataError(f"Cannot write {path}: it is a link to itself; name a file.")
        if path.is_file():
            if _identity(path) in read:
                raise DataError(
                    f"Cannot write {path}: the same command reads it, and --force never replaces "
                    "what is read; name another file."
                )
            if not force:
                raise DataError(f"{path} exists: name another file, or add --force.")
        place = next(one for one in Path(os.path.realpath(path)).parents if one.exists())
        if not place.is_dir():
            raise DataError(
                f"Cannot write {path}: {place} is a file, not a folder; choose a writable place."
            )


def may_be_folder(path: Path) -> None:
    """Raise DataError, before anything is computed, where a file is in the way of a folder."""
    place = next(one for one in (path, *path.parents) if os.path.lexists(one))
    if not place.is_dir():
        reason = f"{place} is a file, not a folder"
        raise DataError(f"Cannot write into {path}: {reason}; choose a writable place.")


def _identity(path: Path) -> tuple[int, int] | None:
    """What links and other spellings of a file have in common; None of what is no file."""
    try:
        about = path.stat()
    except (OSError, ValueError):
        return None
    return (about.st_dev, about.st_ino) if path.is_file() else None


def check_folder(
    path: Path, command: str, earlier: Callable[[Path], bool], force: bool = False
) -> None:
    """Check, before anything is computed, that a folder may take the results of a command.

    It may be missing or empty, hold an earlier result of the same command, which is replaced or
    gone on with, or one that was cut short. Hidden files are the system's and do not count.

    Args:
        path: The folder.
        command: The command's name.
        earlier: Tells whether a folder holds an earlier result.
        force: Whether any folder will do.

    Raises:
        DataError: For a folder with other files, and where a file is in the way.
    """
    may_be_folder(path)
    if (
        force
        or not path.is_dir()
        or earlier(path)
        or _holder(path / LOCK).get("command") == command
    ):
        return
    other = next((one.name for one in sorted(path.iterdir()) if not one.name.startswith(".")), None)
    if other is not None:
        raise DataError(
            f"{path} holds {other}, which is no result of `{command}`: name another folder, or "
            "add --force to write into it all the same."
        )


@contextmanager
def result_folder(
    path: Path, command: str, earlier: Callable[[Path], bool], force: bool = False
) -> Iterator[Path]:
    """Make and hold a folder that takes the results of one long run; see `check_folder`.

    What was made here and stays empty goes again. A run that was cut short leaves its LOCK, which
    holds nobody up, and by which the same command knows the folder again.

    Args:
        path: The folder.
        command: The command's name.
        earlier: Tells whether a folder holds an earlier result.
        force: Whether any folder will do.

    Raises:
        DataError: For a folder with other files, one that another run is writing into, and a place
            that takes none.
    """
    check_folder(path, command, earlier, force)

    def stays() -> bool:
        return not earlier(path) and any(one.name not in (LOCK, PROGRESS) for one in path.iterdir())

    holder = f"{command} --force" if force else command  # that the folder is its own, is not said
    with new_folder(path), locked(path / LOCK, holder, stays=stays):
        yield path


@contextmanager
def locked(
    path: Path, command: str, wait: bool = False, stays: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Hold a lock: the file ``path``, as long as this process lives or the context lasts.

    Where the system has no such locks (Windows, some network disks) nobody is held up.

    Args:
        path: The file.
        command: Who holds it, for whoever wants it too.
        wait: Wait for another one that holds it, instead of refusing.
        stays: Whether the file, which holds nobody up any more, is left where it is.

    Raises:
        DataError: Where another run holds it, or the file cannot be made.
    """
    handle = _take(path, wait)
    _held.add(handle)
    try:
        about = {"command": command, "pid": os.getpid(), "host": platform.node()}
        with suppress(OSError):  # a full disk: it holds all the same
            os.ftruncate(handle, 0)
            os.write(handle, json.dumps(about).encode())
        yield
    finally:
        with suppress(OSError):
            if not stays():
                path.unlink()  # while it is held: whoever waits for it looks again
        _held.discard(handle)
        os.close(handle)


def _take(path: Path, wait: bool) -> int:
    """The open file that holds the lock."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise DataError(
                f"Cannot write into {path.parent}: {_reason(error)}; choose a writable place."
            ) from error
        try:
            try:
                _flock(handle, wait=False)
            except BlockingIOError:
                if not wait:
                    raise DataError(
                        f"Another run is writing into {path.parent} ({_who(path)}): wait for it, "
                        "or name another folder with --out."
                    ) from None
                logging.getLogger(__name__).info("Waiting for %s.", _who(path))
                _flock(handle, wait=True)
            if _identity(path) == (os.fstat(handle).st_dev, os.fstat(handle).st_ino):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # its holder has just removed it


def _flock(handle: int, wait: bool) -> None:
    """Lock an open file. Raises BlockingIOError where it is locked; without locks nothing."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:  # a disk without locks
        pass


def _holder(lock: Path) -> dict[str, Any]:
    """What the file of a lock says."""
    try:
        about = json.loads(lock.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def _who(lock: Path) -> str:
    about = _holder(lock)
    return f"process {about.get('pid', '?')} on {about.get('host', '?')}"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it replaces ``path``, else it vanishes.

    What goes to /dev/stdout is copied there. A link is followed; a folder that is missing is made,
    and goes again on failure. A folder or a device is refused: os.replace would take its place.
    """
    shown, path = path, Path(os.path.realpath(path))
    if str(shown) in STREAMS:
        with tempfile.TemporaryDirectory() as place:
            yield (temporary := Path(place, "file"))
            with open(os.dup(STREAMS[str(shown)]), "wb") as stream:
                stream.write(temporary.read_bytes())
        return
    if path.exists() and not path.is_file():
        raise DataError(
            f"Cannot write {shown}: it is not a file but a folder or a device; name a file."
        )
    with new_folder(path.parent, shown) as folder:
        try:
            handle, name = tempfile.mkstemp(dir=folder, prefix=f".{path.stem}-", suffix=path.suffix)
            os.close(handle)
        except OSError as error:
            raise DataError(
                f"Cannot write {shown}: {_reason(error)}; choose a writable place."
            ) from error
        with _moved(Path(name), path, shown) as temporary:
            yield temporary


@contextmanager
def _moved(temporary: Path, path: Path, shown: Path) -> Iterator[Path]:
    """On success the temporary file takes the place of ``path``."""
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
def new_folder(path: Path, shown: Path | None = None) -> Iterator[Path]:
    """Make a folder that takes results; one that was made here and stays empty goes again.

    shown: what an error names instead: the file that the folder is for.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            what = f"into {path}" if shown is None else str(shown)
            raise DataError(
                f"Cannot write {what}: {_reason(error)}; choose a writable place."
            ) from error
        yield path
    except BaseException:
        for folder in made:
            with suppress(OSError):  # not empty: what is in it is whole
                folder.rmdir()
        raise


def _full(folder: Path) -> bool:
    """Whether the disk has no room worth the name."""
    with suppress(OSError):
        return shutil.disk_usage(folder).free < 2**16
    return False


def _reason(error: OSError) -> str:
    """What the system says; of a file where a folder should be it says one of two other things."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        path = Path(str(error.filename))
        place = next((one for one in (path, *path.parents) if os.path.lexists(one)), path)
        return f"{place} is a file, not a folder"
    return error.strerror or str(error)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file that then takes the place of ``path``."""
    with whole_file(path) as temporary:
        write(temporary)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table as CSV, whole or not at all; texts are ``neutral``."""
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for row in (columns, *rows):
            writer.writerow([neutral(cell) if isinstance(cell, str) else cell for cell in row])


_FORMULA = re.compile(r"'*(?=[\t\r\n])|'*[\s\x00-\x1f\u200b-\u200f\ufeff]*[=+\-@＝＋－＠]")


def neutral(text: str) -> str:
    """A text that no spreadsheet takes for a formula, as in ``lsmseg_prompts.files``."""
    return f"'{text}" if _FORMULA.match(text) else text
