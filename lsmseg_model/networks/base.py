"""What every network is: pictures are encoded once, then decoded with any number of texts.

LSMSeg is one (`lsmseg.py`); `closed_set` and `llmformer` are the others. Evaluation, prediction and
training know no more of a network than this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lsmseg_model.data.captioners import Captioner
from lsmseg_model.data.descriptions import Description
from lsmseg_model.errors import ConfigError, UsageError
from lsmseg_model.networks.config import CLIP_PARTS
from lsmseg_model.networks.protocol import PUBLISHED_PROTOCOL
from lsmseg_model.processes import Processes

Encoded = tuple[Tensor, Tensor, list[Tensor]]
"""What pictures are encoded to: the first dimension of every part is that of the pictures."""


@dataclass(frozen=True)
class Batch:
    """What a step, or a part of it, learns from.

    images: [B, 3, H, W] RGB in 0..1. labels: int64 [B, H, W], positions among the classes trained
    on, -1 unlabelled. texts: [N, D] embeddings of these classes. ignored: unlabelled pixels "leave"
    the loss; of LSMSeg they may be "zero". descriptions: one a picture, for a network that is
    ``described``.
    """

    images: Tensor
    labels: Tensor
    texts: Tensor
    ignored: str = "leave"
    descriptions: Sequence[Description] | None = None


class Network(nn.Module):
    """A segmentation network on top of ``clip``, which sees the pictures and reads the texts.

    ``name``, ``weights_hash``, ``settings``, ``protocol``: who this is and how it is tested;
    `networks.build` and `load_network` fill them in. ``precision``, ``compiled``: how pictures go
    through it, see `inference/precision.py` and `inference/compiled.py`. A network that is
    ``described`` wants a description of each picture, which ``captions`` gives.
    """

    described: ClassVar[bool] = False
    precision, compiled = "fp32", False

    def __init__(self, clip: Any) -> None:
        super().__init__()
        self.name, self.weights_hash = "", "random"
        self.settings: dict[str, Any] = {}
        self.protocol = PUBLISHED_PROTOCOL
        self.loaded: Any = None  # catseg.Loaded
        self.captions: Captioner | None = None
        self._masks: list[Any] = []  # handles of what `trainable` hung on CLIP's projections
        self.clip = clip

    @property
    def device(self) -> torch.device:
        device: torch.device = self.clip.device
        return device

    def forward(
        self,
        images: Tensor,
        texts: Tensor,
        descriptions: Sequence[Description] | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """What `decode` gives of what `encode` gives."""
        return self.decode(self.encode(images, descriptions), texts)

    def encode(self, images: Tensor, descriptions: Sequence[Description] | None = None) -> Encoded:
        """The features of pictures, [B, 3, H, W] RGB in 0..1, which no text changes.

        descriptions: one a picture, for a network that is ``described``.
        """
        raise NotImplementedError

    def decode(
        self, encoded: Encoded, texts: Tensor, wanted: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The logits of texts in encoded pictures.

        Args:
            encoded: What `encode` gave.
            texts: [N, D] embeddings of the classes.
            wanted: bool [B, N], classes that a filter must keep.

        Returns (logits [B, K, h, w], the kept classes [B, K], None where all N were kept).
        """
        raise NotImplementedError

    def describe(self, name: str) -> Description | None:
        """What ``captions`` say of a picture, by its key or file's name; None if none is wanted.

        Raises UsageError without captions, and what `Captioner.describe` raises.
        """
        if not self.described:
            return None
        if self.captions is None:
            raise UsageError(
                f"{self.name} reads a description of each picture: give --captions FILE, or "
                "--captions rules where there are labels (docs/other-networks.md)."
            )
        return self.captions.describe(Path(name.removeprefix("picture ")).name)

    def training_loss(self, batch: Batch) -> Tensor:
        """The loss of a batch, summed over its labelled pixels, so that parts of one add up."""
        raise NotImplementedError

    def keep_features(self, folder: str | Path, half: bool = True) -> Any:
        """Keep what a second encoder sees; see LSMSeg's. Raises UsageError where there is none."""
        raise UsageError(f"{self.name or 'This network'} has no second encoder to keep.")

    def after_step(self, team: Processes) -> None:
        """What a network does once the optimizer has made its step, on every process."""

    def trainable(self, clip: str = "qv") -> None:
        """Set which parameters learn: the head, and of CLIP what `clip` says.

        In both towers' blocks the queries and values ("qv"), "qk", "kv", or everything ("full") or
        nothing ("freeze"). The rows of joint projections that are not named get no gradient; no
        weight is copied.
        """
        if clip not in CLIP_PARTS:
            raise ConfigError(f"There is no part of CLIP {clip!r}; choose {', '.join(CLIP_PARTS)}.")
        self.clip.requires_grad_(clip == "full")
        for hook in self._masks:
            hook.remove()
        self._masks.clear()
        if clip in ("full", "freeze"):
            return
        for weight, rows in self.clip.learning_rows(clip):
            weight.requires_grad_(True)
            hook = weight.register_hook(
                lambda grad, rows=rows: grad * rows.to(grad.device, grad.dtype)
            )
            self._masks.append(hook)
