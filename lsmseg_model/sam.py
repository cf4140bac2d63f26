"""SAM's image encoder, frozen: features of its last three global-attention blocks.

The network is segment-anything's own; only the walk through its blocks is here, so that the
features in between come out. Checked against segment-anything's forward (tests/test_sam.py).
Smaller pictures than SAM's 1024 pixels are possible: the absolute positions are resized here,
the relative ones by segment-anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .checkpoints import read_state_dict
from .errors import CheckpointError, UsageError

# Per channel, RGB in 0..1: SAM's own 123.675 / 58.395 ... divided by 255.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class SamSizes:
    """The sizes of an encoder; `global_blocks` attend to everything, the others to windows."""

    width: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]
    image_size: int = 1024
    patch: int = 16
    window: int = 14


SIZES = {
    "sam-b": SamSizes(768, 12, 12, (2, 5, 8, 11)),
    "sam-l": SamSizes(1024, 24, 16, (5, 11, 17, 23)),
    "sam-h": SamSizes(1280, 32, 16, (7, 15, 23, 31)),
    "sam-tiny": SamSizes(96, 6, 3, (1, 3, 5), image_size=128, patch=8, window=4),
}


class Sam(nn.Module):
    """A frozen SAM image encoder. `width` is the number of channels of its features."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        if name not in SIZES:
            raise UsageError(f"unknown SAM {name!r}; choose one of {', '.join(SIZES)}.")
        self.name, self.sizes = name, SIZES[name]
        self.width = self.sizes.width
        self.encoder = build_encoder(self.sizes)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> "Sam":
        """Stays in evaluation mode: it is frozen."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> list[Tensor]:
        """images: [B, 3, H, W] RGB in 0..1, sides multiples of the patch size.

        Returns the outputs of the last three global-attention blocks, each [B, width, h, w].
        """
        dtype = next(self.encoder.parameters()).dtype
        x = self.encoder.patch_embed(((images - self.mean) / self.std).to(dtype))
        x = x + self._position(x.shape[1], x.shape[2])
        found = []
        wanted = self.sizes.global_blocks[-3:]
        for index, block in enumerate(self.encoder.blocks):
            x = block(x)
            if index in wanted:
                found.append(x.permute(0, 3, 1, 2))
        return found

    def _position(self, height: int, width: int) -> Tensor:
        """Absolute positions [1, h, w, D], bicubically resized where the grid differs."""
        position: Tensor = self.encoder.pos_embed
        if position.shape[1:3] == (height, width):
            return position
        rows = position.float().permute(0, 3, 1, 2)
        rows = F.interpolate(rows, (height, width), mode="bicubic", align_corners=False)
        return rows.permute(0, 2, 3, 1).to(position.dtype)


def build_encoder(sizes: SamSizes) -> Any:
    """segment-anything's encoder of these sizes, with random weights."""
    from segment_anything.modeling import ImageEncoderViT

    return ImageEncoderViT(
        img_size=sizes.image_size,
        patch_size=sizes.patch,
        embed_dim=sizes.width,
        depth=sizes.depth,
        num_heads=sizes.heads,
        mlp_ratio=4,
        out_chans=256,
        qkv_bias=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=sizes.window,
        global_attn_indexes=sizes.global_blocks,
    )


def load_sam(name: str, checkpoint: str | Path, *, device: str = "cpu", half: bool = False) -> Sam:
    """SAM with the weights of a file as Meta publishes it (`image_encoder.*`), or safetensors.

    Raises CheckpointError if the file is missing, damaged or of another size, UsageError for an
    unknown name.
    """
    sam = Sam(name)
    path = Path(checkpoint)
    if not path.is_file():
        raise CheckpointError(f"no SAM weights at {path}; give Meta's file for {name}.")
    state, _ = read_state_dict(path)
    prefix = "image_encoder."
    own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    expected = sam.encoder.state_dict()
    fill(sam.encoder, own or state, expected, f"{path} does not hold the weights of {name}")
    return (sam.half() if half else sam).to(device)


def fill(
    module: nn.Module, state: dict[str, Tensor], expected: dict[str, Tensor], complaint: str
) -> None:
    """Load `state`. Raises CheckpointError, beginning with `complaint`, unless all fits."""
    wrong = _differences(state, expected)
    if wrong:
        raise CheckpointError(f"{complaint}: {len(wrong)} keys differ, for example {wrong[0]}.")
    module.load_state_dict(state)


def _differences(state: dict[str, Tensor], expected: dict[str, Tensor]) -> Sequence[str]:
    same = state.keys() & expected.keys()
    odd = state.keys() ^ expected.keys()
    return sorted([*odd, *(k for k in same if state[k].shape != expected[k].shape)])
