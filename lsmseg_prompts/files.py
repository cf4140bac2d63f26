"""Writing files whole: a reader sees the old file or the new one, never half of either.

A plain ``open(path, "w")`` on a full disk leaves an empty file where a good one stood, so
everything is written to a temporary name in the same folder and moved over with os.replace.
"""

import contextlib
import csv
import io
import json
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from lsmseg_prompts.errors import ConfigurationError


def write_whole(path: str | Path, content: str | bytes) -> Path:
    """Write `content` (text as UTF-8) to `path` in one step and return the path.

    A link is followed; something that is neither a file nor a folder, such as /dev/stdout, is
    written to directly, because it cannot be replaced.

    Raises ConfigurationError if the folder is missing, `path` is a folder, or the disk refuses;
    nothing half-written is left behind.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    shown = Path(path)
    target = Path(os.path.realpath(shown))
    if target.is_dir():
        raise ConfigurationError(f"Cannot write {shown}: it is a folder; give a file name.")
    temporary = target.parent / f".lsmseg-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return shown
        with open(temporary, "xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except FileNotFoundError as error:
        if target.parent.is_dir():  # /proc and its like take no new files
            raise ConfigurationError(
                f"Cannot write {shown}: {shown.parent} takes no files; choose another place."
            ) from error
        raise ConfigurationError(
            f"Cannot write {shown}: the folder {shown.parent} does not exist; make it first."
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(
            f"Cannot write {shown}: {reason}; choose a place that can be written."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return shown


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

    Fractions have so many `decimals`, or all that they have. What a row lacks,
    None and NaN stay empty.
    """
    text = io.StringIO()
    columns = list(columns or dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _csv_cell(row[key], decimals) for key in row} for row in rows)
    return text.getvalue()


def _csv_cell(value: Any, decimals: int | None) -> Any:
    if isinstance(value, Real) and not isinstance(value, Integral):
        if value != value:
            return ""
        return value if decimals is None else f"{value:.{decimals}f}"
    return value
