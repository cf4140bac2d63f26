"""Counts that were measured before, in the store or in memory: nothing is scored twice.

They are found by two hashes: the scorer's, of all that they depend on but the texts (weights,
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

from lsmseg_prompts.store.store import open_store, utc_now

Counts = dict[str, np.ndarray]
"""By the hash of the texts: int64 [P, C, 3]."""
AT_ONCE = 500  # rows that one SELECT asks for


def key_of(what: Any) -> str:
    """The hash of anything that JSON can say."""
    text = json.dumps(what, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:40]


class Memory:
    """Counts of this process only."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], np.ndarray] = {}

    def find(self, scorer: str, texts: Sequence[str]) -> Counts:
        """Those of ``texts`` that are known."""
        return {t: self._kept[scorer, t] for t in texts if (scorer, t) in self._kept}

    def keep(self, scorer: str, found: Mapping[str, np.ndarray]) -> None:
        """found: by the hash of the texts, int64 [P, C, 3]."""
        self._kept |= {(scorer, texts): counts for texts, counts in found.items()}


class Stored:
    """Counts in a store, for all runs. Raises StoreError where it cannot be read or written."""

    def __init__(self, store: Path) -> None:
        self.store = store

    def find(self, scorer: str, texts: Sequence[str]) -> Counts:
        """Those of ``texts`` that are known; damaged ones are not."""
        found: Counts = {}
        with open_store(self.store) as file:
            for start in range(0, len(texts), AT_ONCE):
                some = texts[start : start + AT_ONCE]
                for row in file.rows(
                    "SELECT texts, pictures, classes, data FROM counts WHERE scorer = ? "
                    f"AND texts IN ({', '.join('?' * len(some))})",
                    [scorer, *some],
                ):
                    counts = _unpacked(row["data"], row["pictures"], row["classes"])
                    if counts is not None:
                        found[row["texts"]] = counts
        return found

    def keep(self, scorer: str, found: Mapping[str, np.ndarray]) -> None:
        """All of them or none; what another run has entered meanwhile is the same and stays.

        found: by the hash of the texts, int64 [P, C, 3].
        """
        packed = {texts: _packed(counts) for texts, counts in found.items()}
        with open_store(self.store) as file, file.transaction():
            for texts, data in packed.items():
                pictures, classes, _ = found[texts].shape
                row = {"scorer": scorer, "texts": texts, "pictures": pictures}
                row |= {"classes": classes, "data": data, "created_at": utc_now()}
                file.write("counts", row, "UPDATE SET data = excluded.data")


def _packed(counts: np.ndarray) -> bytes:
    """Columns apart, as most numbers are 0; a checksum is zlib's own."""
    return zlib.compress(np.moveaxis(counts, -1, 0).astype("<i8").tobytes(), 1)


def _unpacked(data: bytes, pictures: int, classes: int) -> np.ndarray | None:
    try:
        flat = np.frombuffer(zlib.decompress(data), "<i8")
    except zlib.error:
        return None
    if flat.size != 3 * pictures * classes:
        return None
    return np.moveaxis(flat.reshape(3, pictures, classes), 0, -1).astype(np.int64)
