"""The count store: counts that were measured before, in SQLite or in memory; none is made twice.

They are looked up by two hashes: the scorer's, of all that they depend on but the texts (weights,
protocol, pictures, labels), and that of the texts. A changed description changes the texts of the
prompt sets that it stands in, and of no others.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lsmseg_prompts.store.sqlite import utc_now
from lsmseg_prompts.store.store import open_store

Counts = dict[str, np.ndarray]
"""By the hash of the texts: int64 [P, C, 3]."""
AT_ONCE = 500  # rows that one SELECT asks for


def key_of(what: Any) -> str:
    """The hash of a value that can be written as JSON."""
    text = json.dumps(what, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:40]


class MemoryCountStore:
    """Counts of this process only, by the hash of the scorer and that of the texts."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], np.ndarray] = {}

    def load(self, scorer: str, texts: Sequence[str]) -> Counts:
        """Those of ``texts`` that are there and undamaged."""
        return {t: self._counts[scorer, t] for t in texts if (scorer, t) in self._counts}

    def save(self, scorer: str, counts: Mapping[str, np.ndarray]) -> None:
        """Enter counts; counts: by the hash of the texts, int64 [P, C, 3]."""
        self._counts |= {(scorer, texts): one for texts, one in counts.items()}


class SqliteCountStore:
    """Counts in a store, for all runs. Raises StoreError where it cannot be read or written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self, scorer: str, texts: Sequence[str]) -> Counts:
        loaded: Counts = {}
        with open_store(self.path) as file:
            for start in range(0, len(texts), AT_ONCE):
                some = texts[start : start + AT_ONCE]
                for row in file.rows(
                    "SELECT texts, pictures, classes, data FROM counts WHERE scorer = ? "
                    f"AND texts IN ({', '.join('?' * len(some))})",
                    [scorer, *some],
                ):
                    counts = _unpacked(row["data"], row["pictures"], row["classes"])
                    if counts is not None:
                        loaded[row["texts"]] = counts
        return loaded

    def save(self, scorer: str, counts: Mapping[str, np.ndarray]) -> None:
        """All of them or none; what another run has entered meanwhile is the same and stays."""
        # Columns apart, as most numbers are 0; a checksum is zlib's own.
        packed = {
            texts: zlib.compress(np.moveaxis(one, -1, 0).astype("<i8").tobytes(), 1)
            for texts, one in counts.items()
        }
        with open_store(self.path) as file, file.transaction():
            for texts, data in packed.items():
                pictures, classes, _ = counts[texts].shape
                row = {"scorer": scorer, "texts": texts, "pictures": pictures}
                row |= {"classes": classes, "data": data, "created_at": utc_now()}
                file.write("counts", row, "UPDATE SET data = excluded.data")


CountStore = MemoryCountStore | SqliteCountStore


def _unpacked(data: bytes, pictures: int, classes: int) -> np.ndarray | None:
    try:
        flat = np.frombuffer(zlib.decompress(data), "<i8")
    except zlib.error:
        return None
    if flat.size != 3 * pictures * classes:
        return None
    return np.moveaxis(flat.reshape(3, pictures, classes), 0, -1).astype(np.int64)
