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
from threading import Lock

import numpy as np
import torch
from torch import Tensor, nn

from lsmseg_model.data.feature_files import FeatureFiles
from lsmseg_model.errors import DataError
from lsmseg_model.inference.precision import how
from lsmseg_model.inference.windows import picture_features
from lsmseg_model.networks.backbones.base import Backbone

VERSION = 1  # of what windows.py makes of a picture: another one finds none of the old files


class FeatureCache:
    """The dense features of ``clip``, kept in ``folder`` (None: nowhere).

    half: 16-bit floats on disk, half the size, no longer the same numbers. read, computed: pictures
    so far. problem: why nothing more is kept, once a file could not be written; ``on_message`` gets
    it.
    """

    def __init__(
        self,
        clip: Backbone,
        folder: str | Path | None,
        half: bool = False,
        on_message: Callable[[str], None] | None = None,
    ) -> None:
        self.clip = clip
        self.read = self.computed = 0
        self.problem: str | None = None
        self._lock = Lock()
        self._on_message = on_message
        self.files = FeatureFiles(folder, f"{VERSION} {identity(clip)}", half) if folder else None

    def __call__(self, picture: np.ndarray) -> Tensor:
        """picture: uint8 [H, W, 3] -> [h, w, D] on the CPU, see `picture_features`.

        What comes from a file is mapped, not read into memory.
        """
        if (kept := self.load(picture)) is not None:
            return kept
        return self.keep(picture, picture_features(self.clip, picture).cpu())

    def load(self, picture: np.ndarray) -> Tensor | None:
        """The features of a picture, where they were kept."""
        if self.files is None or (kept := self.files.load(self.files.path(picture))) is None:
            return None
        with self._lock:
            self.read += 1
        return kept[0].float()

    def keep(self, picture: np.ndarray, features: Tensor) -> Tensor:
        """Features, kept from now on, as `load` gives them."""
        with self._lock:
            self.computed += 1
        if self.files and self.problem is None:
            try:
                return self.files.save(self.files.path(picture), [features])[0].float()
            except DataError as error:
                with self._lock:
                    first, self.problem = self.problem is None, str(error)
                if first and self._on_message:
                    self._on_message(f"Features are not kept any more: {error}")
        return features


def identity(clip: Backbone) -> str:
    """What the dense features and text embeddings of a CLIP depend on, for keys.

    The name too: ViT-B-16 and ViT-B-16-quickgelu make different features of the same file.
    """
    weights = clip.weights_hash
    if weights == "random":
        weights = state_hash(clip.model)
    about = f"{clip.name} {weights} {clip.dense} {clip.view} {clip.image_size} {how(clip)}"
    return about.strip()


def state_hash(module: nn.Module) -> str:
    """The hash of a network's numbers, for weights that are of no file."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
