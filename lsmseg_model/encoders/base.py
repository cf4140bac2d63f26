"""What the frozen encoders beside CLIP have in common: pictures in, features of 3 blocks out."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.errors import UsageError, nearest
from lsmseg_model.kernels.pieces import pieces

# Per channel, RGB in 0..1: ImageNet's, which SAM (123.675 / 255 ...) takes too.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
# Looked at together: attention over 64 x 64 takes gigabytes, and one such picture fills a GPU.
POSITIONS = 64 * 64
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class FrozenEncoder(nn.Module):
    """A second encoder. Subclasses say how it is built and in `_features` what comes out.

    width: channels of its features. patch: pixels a position. size: the side, in pixels, of the
    pictures that it was trained with. sizes: what `build` takes.
    """

    def __init__(self, name: str, sizes: dict[str, Any], encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.name, self.sizes, self.width = name, sizes, sizes["embed_dim"]
        self.patch, self.size = sizes["patch_size"], sizes["img_size"]
        self.encoder: Any = encoder or self.build(**sizes)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> FrozenEncoder:
        """Stays in evaluation mode: it is frozen."""
        return super().train(False)

    def set_precision(self, precision: str) -> FrozenEncoder:
        """Compute in "fp32", "bf16" or "fp16"; what comes out has the pictures' type still."""
        if precision not in PRECISIONS:
            raise UsageError(
                f"There is no precision {precision!r}; {nearest(precision, PRECISIONS)}"
            )
        self.encoder.to(PRECISIONS[precision])
        return self

    @torch.no_grad()
    def forward(self, images: Tensor) -> list[Tensor]:
        """images: [B, 3, H, W] RGB in 0..1, sides multiples of the patch size.

        Returns the features of three blocks, each [B, width, H / patch, W / patch], of the
        pictures' type. Raises UsageError for other sides.
        """
        height, width = images.shape[2:]
        if height % self.patch or width % self.patch:
            raise UsageError(
                f"{self.name} takes pictures whose sides are multiples of {self.patch} pixels, "
                f"not {height} x {width}."
            )
        dtype = next(self.encoder.parameters()).dtype
        shown = ((images - self.mean) / self.std).to(dtype)
        positions = height * width // self.patch**2
        parts = pieces(shown, max(1, POSITIONS // positions))
        layers = zip(*(self._features(part) for part in parts), strict=True)
        return [torch.cat(layer).to(images.dtype) for layer in layers]

    def fingerprint(self) -> str:
        """Of the network, its weights and their precision."""
        digest = hashlib.sha256(self.name.encode())
        for name, value in self.encoder.state_dict().items():
            digest.update(f"{name} {value.dtype}".encode())
            digest.update(value.cpu().contiguous().view(torch.uint8).numpy().data)
        return digest.hexdigest()[:16]

    def _features(self, images: Tensor) -> list[Tensor]:
        raise NotImplementedError

    @staticmethod
    def build(**sizes: Any) -> nn.Module:
        """The network that `_features` goes through, with random weights."""
        raise NotImplementedError

    @staticmethod
    def translate(state: dict[str, Tensor], encoder: nn.Module) -> dict[str, Tensor]:
        """The weights of a published file under the names that `encoder` has."""
        raise NotImplementedError


def resized_positions(table: Tensor, grid: tuple[int, int]) -> Tensor:
    """A table of positions [1, h, w, D] -> [1, *grid, D], bicubic where the grid differs."""
    if table.shape[1:3] == grid:
        return table
    rows = table.float().permute(0, 3, 1, 2)
    rows = F.interpolate(rows, grid, mode="bicubic", align_corners=False)
    return rows.permute(0, 2, 3, 1).to(table.dtype)


def resized(features: Tensor, size: tuple[int, int]) -> Tensor:
    """[B, C, h, w] -> float32 [B, C, *size]: bilinear, averaging where it gets smaller."""
    if features.shape[2:] == size:
        return features.float()
    return F.interpolate(
        features.float(), size, mode="bilinear", align_corners=False, antialias=True
    )
