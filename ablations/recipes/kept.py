"""What a recipe has finished, kept in its folder so that an interrupted run goes on.

A result is a file, written whole, that carries a key of everything it depends on; one with
another key is of another request and is computed anew.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from lsmseg_model.files import write_whole
from lsmseg_prompts.errors import ConfigurationError

VERSION = 1  # raised where the same request would give other results


class Kept:
    """The results in a folder. ``reused`` and ``made`` count what was found and what was new."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reused = self.made = 0

    def counts(self, name: str, key: str) -> np.ndarray | None:
        """int64 [P, C, 3] kept under this name and key, if they are there."""
        path = self._path(name, "npz")
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                if str(file["key"]) != key:
                    return None
                self.reused += 1
                return np.asarray(file["counts"], dtype=np.int64)
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):  # damaged: computed anew
            return None

    def keep_counts(self, name: str, key: str, counts: np.ndarray) -> None:
        path = self._path(name, "npz")

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.savez_compressed(file, key=np.array(key), counts=counts)

        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, write)
        self.made += 1

    def values(self, name: str, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Plain values under this name and key: those kept, or else those that `make` gives."""
        path = self._path(name, "json")
        if path.is_file():
            try:
                found = json.loads(path.read_text("utf-8"))
                if found["key"] == key:
                    self.reused += 1
                    return dict(found["values"])
            except (ValueError, KeyError, TypeError, OSError):
                pass
        values = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps({"key": key, "values": values}, indent=1))
        self.made += 1
        return values

    def _path(self, name: str, ending: str) -> Path:
        return self.folder / f"{name}.{ending}"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder for one run; the system lets go of it however the run ends.

    Raises ConfigurationError where another run holds it. Where folders cannot be locked (Windows,
    some network disks) nothing is held.
    """
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise ConfigurationError(
            f"Another run is writing into {folder}: wait for it, or name another folder with --out."
        ) from None
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""

    def write(temporary: Path) -> None:
        temporary.write_text(text, "utf-8")

    write_whole(path, write)


def slug(name: str) -> str:
    """A variant's name as that of a folder: "k = 16" -> "k-16"."""
    safe = "".join(c if c.isalnum() or c in "+." else "-" for c in name)
    return "-".join(part for part in safe.split("-") if part)


def fingerprint(value: Any) -> str:
    """A short hash of plain values, for keys."""
    text = json.dumps([VERSION, value], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
