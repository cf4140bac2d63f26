"""A frozen encoder whose features are kept on disk: the same picture is encoded once.

SAM takes seconds for a picture on a CPU and learns nothing, so an evaluation that is repeated with
other prompts need not run it again.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock

import torch
from torch import Tensor

from lsmseg_model.data.feature_files import FeatureFiles
from lsmseg_model.encoders.base import FrozenEncoder, resized


class CachedEncoder:
    """`encoder` with its features kept in `folder`, resized to `grid` as the fusion does it.

    half: see `FeatureFiles`. read, computed: pictures so far that came from disk, and those that
    did not.
    """

    def __init__(
        self,
        encoder: FrozenEncoder,
        folder: str | Path,
        grid: tuple[int, int] | None = None,
        half: bool = True,
    ) -> None:
        self.encoder, self.grid = encoder, grid
        self.files = FeatureFiles(folder, f"{encoder.fingerprint()} {grid}", half)
        self.read = self.computed = 0
        self._lock = Lock()

    def __call__(self, images: Tensor) -> list[Tensor]:
        """images: [B, 3, H, W] as the encoder takes them -> its features, [B, width, *grid].

        Raises DataError where the folder cannot be written.
        """
        pictures = [self._features(image) for image in images]
        return [torch.cat(layer).to(images) for layer in zip(*pictures, strict=True)]

    def _features(self, image: Tensor) -> list[Tensor]:
        path = self.files.path(image)
        if (kept := self.files.load(path)) is not None:
            with self._lock:
                self.read += 1
            return kept
        features = self.encoder(image[None])
        if self.grid is not None:
            features = [resized(f, self.grid).to(f.dtype) for f in features]
        with self._lock:
            self.computed += 1
        # What is kept is used at once: the next time must give the same numbers.
        return self.files.save(path, features)

    def bytes(self) -> int:
        """How much the folder holds, other encoders' features included."""
        return sum(path.stat().st_size for path in self.files.folder.glob("*/*.safetensors"))

    def __str__(self) -> str:
        return (
            f"{self.encoder.name}: {self.read} pictures read from {self.files.folder}, "
            f"{self.computed} computed; {self.bytes() / 1e6:.1f} MB there"
        )
