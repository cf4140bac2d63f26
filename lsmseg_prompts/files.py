"""Writing files whole: a reader sees the old file or the new one, never half of either.

A plain ``open(path, "w")`` on a full disk leaves an empty file where a good one stood, so
everything is written to a temporary name in the same folder and moved over with os.replace.
`check_free` says, before anything is computed, that nothing of the user's would be replaced.
"""

import contextlib
import csv
import io
import json
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from lsmseg_prompts.errors import ConfigurationError

LARGEST = 256 << 20
"""Bytes of a file that a user names; a larger one is read by mistake, and would fill the memory."""
STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}
"""Where a user may send a file instead: what the system has open under these numbers."""


def check_free(
    path: str | Path, force: bool = False, inputs: Iterable[str | Path | None] = ()
) -> None:
    """Check, before anything is computed for it, that the file `path` may be written.

    Args:
        path: the file; a device or a pipe always may.
        force: whether a file that is there may be replaced.
        inputs: what the same call reads, which is never replaced, whatever it is called there.

    Raises:
        ConfigurationError: an input, a file that is there, a folder, or a place that takes none.
    """
    shown = Path(path)
    if shown.is_dir():
        raise ConfigurationError(f"Cannot write {shown}: it is a folder; give a file name.")
    if str(shown) in STREAMS:
        return
    if str(shown) == "-":
        raise ConfigurationError("Cannot write -: name a file, or /dev/stdout.")
    if shown.is_symlink() and Path(os.path.realpath(shown)).is_symlink():
        raise ConfigurationError(f"Cannot write {shown}: it is a link to itself; name a file.")
    if shown.is_file():
        for one in inputs:
            if one is not None and os.path.exists(one) and shown.samefile(one):
                raise ConfigurationError(
                    f"Cannot write {shown}: the same command reads it, and --force never replaces "
                    "what is read; name another file."
                )
        if not force:
            raise ConfigurationError(f"{shown} exists: name another file, or add --force.")
    place = next(folder for folder in Path(os.path.realpath(shown)).parents if folder.exists())
    if not place.is_dir():
        raise ConfigurationError(
            f"Cannot write {shown}: {place} is a file, not a folder; choose a writable place."
        )


def write_whole(path: str | Path, content: str | bytes) -> Path:
    """Write `content` (text as UTF-8) to `path` in one step and return the path.

    Its folder is made where it is missing, and goes again if nothing could be written. A link is
    followed; something that is neither a file nor a folder, such as /dev/stdout, is written to
    directly, because it cannot be replaced.

    Raises ConfigurationError if `path` is a folder, or the disk refuses; nothing half-written is
    left behind.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    shown = Path(path)
    target = Path(os.path.realpath(shown))
    if target.is_dir():
        raise ConfigurationError(f"Cannot write {shown}: it is a folder; give a file name.")
    try:
        if _is_open_already(shown):
            with open(os.dup(STREAMS[str(shown)]) if str(shown) in STREAMS else shown, "wb") as to:
                to.write(data)
        else:
            with new_folder(target.parent) as folder:
                _replace(target, folder / f".lsmseg-{os.getpid()}-{secrets.token_hex(4)}.tmp", data)
    except OSError as error:
        raise ConfigurationError(_why_not(shown, target, error)) from error
    return shown


def _replace(target: Path, temporary: Path, data: bytes) -> None:
    try:
        with open(temporary, "xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder, made where it is missing; one that was made here goes if nothing was written."""
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        yield path
    except BaseException:
        for folder in made:
            with contextlib.suppress(OSError):  # not empty: another program's
                folder.rmdir()
        raise


def _is_open_already(path: Path) -> bool:
    """Whether a path is no file but a device, a pipe, or where stdout or stderr go."""
    if str(path) in STREAMS:
        return path.exists()
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _why_not(shown: Path, target: Path, error: OSError) -> str:
    """The sentence about a file that could not be written."""
    if isinstance(error, FileNotFoundError) and target.parent.is_dir():  # /proc takes no new files
        return f"Cannot write {shown}: {shown.parent} takes no files; choose another place."
    reason = error.strerror or str(error)
    if isinstance(error, FileExistsError | NotADirectoryError):
        place = next(folder for folder in target.parents if folder.exists())
        reason = f"{place} is a file, not a folder"
    return f"Cannot write {shown}: {reason}; choose a place that can be written."


def is_path(name: str) -> bool:
    """Whether what may be a name or a path is meant as a path.

    It has a separator, or an ending such as .json.
    """
    return "/" in name or os.sep in name or Path(name).suffix[1:2].isalpha()


def _kind(path: Path) -> str:
    """What a path leads to: a file, a pipe that nobody may ever write into, or a device."""
    mode = path.stat().st_mode
    if stat.S_ISFIFO(mode):  # <(command) and standard input: what writes into them is running
        return "file" if path.parts[:2] in (("/", "dev"), ("/", "proc")) else "pipe"
    return "device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISSOCK(mode) else "file"


def read_named(path: str | Path, what: str) -> bytes:
    """What the file that a user named holds; `what` it should be, such as "prompt set".

    Raises ConfigurationError if it is missing, a folder, a pipe or a device, larger than LARGEST,
    or cannot be read.
    """
    path = Path(os.path.expanduser(path))
    try:
        kind = _kind(path)
        if kind != "file":
            raise ConfigurationError(f"{path} is a {kind}, not a file: save the {what} as a file.")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ConfigurationError(
                f"{path} is larger than {LARGEST >> 20} MB: check the path of the {what}."
            )
        return data
    except FileNotFoundError:
        raise ConfigurationError(
            f"There is no file {path}: check the path of the {what}."
        ) from None
    except IsADirectoryError:
        raise ConfigurationError(
            f"{path} is a folder, not a file: check the path of the {what}."
        ) from None
    except OSError as error:
        raise ConfigurationError(f"Cannot read the {what} {path}: {error.strerror}.") from error


def parse_json(content: str | bytes) -> Any:
    """What a file of the user's holds as JSON, in UTF-8.

    Raises ValueError with what is wrong, without a full stop: also for a key that comes twice, of
    which Python would silently take the last, for NaN, and for numbers and nesting without end.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=_each_key_once, parse_constant=_no_number)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8") from None
    except UnicodeEncodeError:
        raise ValueError("it has half a character, of the surrogates") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except ValueError as error:
        if "int_max_str_digits" not in str(error):
            raise
        raise ValueError("a number in it has thousands of digits") from None


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for key, value in pairs:
        if key in read:
            raise ValueError(f"the key {key[:60]!r} comes twice")
        read[key] = value
    return read


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def packaged_json(package: str, name: str) -> Any:
    """What the JSON file `name` that lies in `package` holds."""
    return json.loads((files(package) / name).read_text("utf-8"))


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: NaN and infinite numbers as null, paths and the rest as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return None if value != value or value in (float("inf"), float("-inf")) else value
    if isinstance(value, str | int | bool) or value is None:
        return value
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return plain(value.item())  # a NumPy scalar
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return str(value)


def csv_text(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] | None = None,
    decimals: int | None = None,
) -> str:
    """Rows as CSV; `columns` by default those of all rows, in the order they first come up.

    Fractions have so many `decimals`, or all that they have. What a row lacks, None and NaN stay
    empty. Texts are `neutral`.
    """
    columns = list(columns or dict.fromkeys(key for row in rows for key in row))
    lines: list[list[Any]] = [columns, *([row.get(column) for column in columns] for row in rows)]
    return "".join(_csv_line([_csv_cell(value, decimals) for value in line]) for line in lines)


def _csv_line(cells: Sequence[Any]) -> str:
    """One row; Python would leave a lone carriage return without quotation marks: a new row."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n") + "\n"


def _csv_cell(value: Any, decimals: int | None) -> Any:
    if value is None or value != value:
        return ""
    if isinstance(value, Real):
        whole = decimals is None or isinstance(value, Integral)
        return value if whole else f"{value:.{decimals}f}"
    return neutral(str(value))


_FORMULA = re.compile(r"'*(?=[\t\r\n])|'*[\s\x00-\x1f\u200b-\u200f\ufeff]*[=+\-@＝＋－＠]")


def neutral(text: str) -> str:
    """A text for a cell of a CSV file, which no spreadsheet takes for a formula.

    One that begins as a formula gets an apostrophe in front; `read_cell` takes it away.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def read_cell(text: str) -> str:
    """What a cell of a CSV file says, without the apostrophe that `neutral` puts in front."""
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text
