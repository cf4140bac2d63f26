"""Features of pictures on disk: one scheme of keys, and files that are whole or not there.

A file is named by the hash of all that its features depend on and of the picture's own bytes. Two
processes may write the same file; it holds a checksum, and a damaged one counts as missing.
"""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lsmseg_model.files import write_whole


class FeatureFiles:
    """The features that one model makes of pictures, in `folder`.

    identity: all that the features depend on beside the picture. half: 16-bit floats on disk
    (where they can hold the numbers), half the size.
    """

    def __init__(self, folder: str | Path, identity: str, half: bool) -> None:
        self.folder, self.half = Path(folder), half
        self._start = f"{identity} {half}".encode()

    def path(self, picture: np.ndarray | Tensor) -> Path:
        """The file that holds, or would hold, the features of a picture."""
        kind = str(picture.dtype).removeprefix("torch.")
        digest = hashlib.sha256(self._start)
        digest.update(f" {tuple(picture.shape)} {kind} ".encode())
        digest.update(
            _bytes(picture) if isinstance(picture, Tensor) else np.ascontiguousarray(picture).data
        )
        name = digest.hexdigest()[:40]
        return self.folder / name[:2] / f"{name}.safetensors"

    def load(self, path: Path) -> list[Tensor] | None:
        """The features in a file, mapped rather than read; None if it is missing or damaged."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                expected = (file.metadata() or {}).get("crc32")
                features = [file.get_tensor(name) for name in sorted(file.keys())]
        except (OSError, SafetensorError):
            return None
        return features if expected == _checksum(features) else None

    def save(self, path: Path, features: list[Tensor]) -> list[Tensor]:
        """Write the features, and return them as they are read from there, out of memory.

        Raises DataError where the folder cannot be written.
        """
        from safetensors.torch import save_file

        kept = [f.detach().cpu().contiguous() for f in features]
        if self.half:
            small = [f.half() for f in kept]
            kept = small if all(f.isfinite().all() for f in small) else kept
        tensors = {str(i): f for i, f in enumerate(kept)}
        write_whole(path, lambda p: save_file(tensors, p, metadata={"crc32": _checksum(kept)}))
        return self.load(path) or kept


def _bytes(values: Tensor) -> memoryview:
    return values.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data


def _checksum(features: list[Tensor]) -> str:
    """CRC-32 of the tensors' bytes."""
    total = 0
    for feature in features:
        total = zlib.crc32(_bytes(feature), total)
    return str(total)
