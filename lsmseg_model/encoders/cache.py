"""A frozen encoder whose features are kept on disk: the same picture is looked at once.

SAM takes seconds for a picture on a CPU and learns nothing, so an evaluation that is repeated with
other prompts need not run it again. A file is named by the hash of the weights and of the picture
as it is shown, is written whole or not at all (two processes may write the same one), and holds a
checksum: a damaged file is computed again.
"""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

import torch
from torch import Tensor

from lsmseg_model.encoders.base import FrozenEncoder, resized
from lsmseg_model.files import write_whole


class CachedEncoder:
    """`encoder` with its features kept in `folder`, resized to `grid` as the fusion does it.

    half: 16-bit floats on disk (where they can hold the numbers), half the size. read, computed:
    pictures so far that came from disk, and those that did not.
    """

    def __init__(
        self,
        encoder: FrozenEncoder,
        folder: str | Path,
        grid: tuple[int, int] | None = None,
        half: bool = True,
    ) -> None:
        self.encoder, self.folder, self.grid, self.half = encoder, Path(folder), grid, half
        self.read = self.computed = 0
        self._start = f"{encoder.fingerprint()} {grid} {half}".encode()

    def __call__(self, images: Tensor) -> list[Tensor]:
        """images: [B, 3, H, W] as the encoder takes them -> its features, [B, width, *grid].

        Raises DataError where the folder cannot be written.
        """
        paths = [self._path(image) for image in images]
        found = [self._load(path, images) for path in paths]
        missing = [i for i, features in enumerate(found) if features is None]
        self.read += len(images) - len(missing)
        for i in missing:
            features = [f if self.grid is None else resized(f, self.grid).to(f.dtype)
                        for f in self.encoder(images[i : i + 1])]  # fmt: skip
            # What is kept is used at once: the next time must give the same numbers.
            found[i] = [f.to(images) for f in self._save(paths[i], features)]
            self.computed += 1
        pictures = [features for features in found if features is not None]
        return [torch.cat(layer) for layer in zip(*pictures, strict=True)]

    def bytes(self) -> int:
        """How much the folder holds, other encoders' features included."""
        return sum(path.stat().st_size for path in self.folder.glob("*/*.safetensors"))

    def __str__(self) -> str:
        return (
            f"{self.encoder.name}: {self.read} pictures read from {self.folder}, {self.computed} "
            f"computed; {self.bytes() / 1e6:.1f} MB there"
        )

    def _path(self, image: Tensor) -> Path:
        shown = image.detach().cpu().contiguous()
        digest = hashlib.sha256(self._start)
        digest.update(f"{shown.dtype} {tuple(shown.shape)}".encode())
        digest.update(shown.view(torch.uint8).numpy().data)
        name = digest.hexdigest()[:40]
        return self.folder / name[:2] / f"{name}.safetensors"

    def _load(self, path: Path, images: Tensor) -> list[Tensor] | None:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                known = (file.metadata() or {}).get("crc32")
                features = [file.get_tensor(name) for name in sorted(file.keys())]
        except (OSError, SafetensorError):
            return None
        if known != checksum(features):
            return None
        return [f.to(images.device, images.dtype) for f in features]

    def _save(self, path: Path, features: list[Tensor]) -> list[Tensor]:
        """Write the features, and return them as they will be read."""
        from safetensors.torch import save_file

        kept = [f.detach().cpu().contiguous() for f in features]
        if self.half:
            small = [f.half() for f in kept]
            kept = small if all(f.isfinite().all() for f in small) else kept
        tensors = {str(i): f for i, f in enumerate(kept)}
        write_whole(path, lambda p: save_file(tensors, p, metadata={"crc32": checksum(kept)}))
        return kept


def checksum(features: list[Tensor]) -> str:
    """CRC-32 of the tensors' bytes."""
    total = 0
    for feature in features:
        total = zlib.crc32(feature.view(torch.uint8).numpy().data, total)
    return str(total)
