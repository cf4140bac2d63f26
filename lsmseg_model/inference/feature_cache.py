"""Dense features kept on disk: a picture goes through CLIP once, however many runs score it.

A file is named by the hash of all that its features depend on: the weights, the last block's
variant, how the picture is shown (`View`), VERSION, and the picture's own bytes. It is written
whole or not at all, so two processes may write the same one, and holds a checksum: a damaged file
is computed again. A disk that is full stops the keeping, not the run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lsmseg_model.encoders.cache import checksum
from lsmseg_model.errors import DataError
from lsmseg_model.files import write_whole
from lsmseg_model.inference.windows import picture_features
from lsmseg_model.networks.backbones.clip import Clip

VERSION = 1  # of what windows.py makes of a picture: another one finds none of the old files


class FeatureCache:
    """The dense features of ``clip``, kept in ``folder`` (None: nowhere).

    half: 16-bit floats on disk, half the size, no longer the same numbers. read, computed: pictures
    so far. problem: why nothing more is kept, once a file could not be written; told to ``tell``.
    """

    def __init__(
        self,
        clip: Clip,
        folder: str | Path | None,
        half: bool = False,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.clip, self.folder, self.half = clip, Path(folder) if folder else None, half
        self.read = self.computed = 0
        self.problem: str | None = None
        self._tell = tell
        self._start = f"{VERSION} {identity(clip)} {half}".encode() if folder else b""

    def __call__(self, picture: np.ndarray) -> Tensor:
        """picture: uint8 [H, W, 3] -> [h, w, D] on the CPU, see `picture_features`.

        What comes from a file is mapped, not read into memory.
        """
        path = self.path(picture)
        found = None if path is None else _load(path)
        if found is not None:
            self.read += 1
            return found.float()
        features = picture_features(self.clip, picture).cpu()
        self.computed += 1
        if path is not None and self.problem is None:
            kept = features.half() if self.half else features
            try:
                _save(path, kept.contiguous())
            except DataError as error:
                self.problem = str(error)
                if self._tell:
                    self._tell(f"Features are not kept any more: {error}")
                return features
            found = _load(path)
        return features if found is None else found.float()

    def path(self, picture: np.ndarray) -> Path | None:
        """The file that holds, or would hold, the picture's features."""
        if self.folder is None:
            return None
        digest = hashlib.sha256(self._start)
        digest.update(f" {picture.shape} {picture.dtype} ".encode())
        digest.update(np.ascontiguousarray(picture).data)
        name = digest.hexdigest()[:40]
        return self.folder / name[:2] / f"{name}.safetensors"


def identity(clip: Clip) -> str:
    """What the dense features and text embeddings of a CLIP depend on, for keys.

    The name too: ViT-B-16 and ViT-B-16-quickgelu make different features of the same file.
    """
    weights = clip.weights_hash
    if weights == "random":
        weights = state_hash(clip.model)
    return f"{clip.name} {weights} {clip.dense} {clip.view} {clip.image_size}"


def state_hash(module: nn.Module) -> str:
    """The hash of a network's numbers, for weights that are of no file."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def _load(path: Path) -> Tensor | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            features: Tensor = file.get_tensor("features")
            known = (file.metadata() or {}).get("crc32")
    except (OSError, SafetensorError):
        return None
    return features if known == checksum([features]) else None


def _save(path: Path, features: Tensor) -> None:
    from safetensors.torch import save_file

    about = {"crc32": checksum([features])}
    write_whole(path, lambda p: save_file({"features": features}, p, metadata=about))
