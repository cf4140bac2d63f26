"""From the refined cost map to logits: two steps of up-sampling with guidance (Eq. 9).

CAT-Seg's parts under its parameter names. The guidance is the same for every class: its part of
the convolutions is computed once a picture.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.kernels.onednn import is_supported, last_convolution, map_threads

AT_ONCE = 4  # classes, on the CPU without gradients: what lies between stays in the cache


class DoubleConv(nn.Module):
    """Two 3x3 convolutions, each with GroupNorm (16 channels a group) and ReLU."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(into, out, 3, padding=1, bias=False),
            nn.GroupNorm(out // 16, out),
            nn.ReLU(inplace=True),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.GroupNorm(out // 16, out),
            nn.ReLU(inplace=True),
        )


class Up(nn.Module):
    """Twice the size, joined with the guidance of that size.

    Between the transposed convolution and the first 3x3 convolution is nothing that is not
    linear: they are one transposed convolution of 4x4, whose kernel is made of theirs. That is
    half of the multiplications.
    """

    def __init__(self, into: int, out: int, guidance: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(into, into - guidance, 2, stride=2)
        self.conv = DoubleConv(into, out)

    def kernel(self) -> Tensor:
        """[into, out, 4, 4]."""
        first: Tensor = self.conv.double_conv[0].weight[:, : self.up.out_channels]  # type: ignore[index]
        return F.conv_transpose2d(self.up.weight, first.transpose(0, 1).flip(2, 3))

    def guided(self, guidance: Tensor) -> Tensor:
        """What the guidance [B, G, 2H, 2W] and the first bias add: [B, out, 2H, 2W]."""
        bias = self.up.bias[:, None, None]  # type: ignore[index]
        bias = bias.expand(guidance.shape[0], -1, *guidance.shape[2:])
        guided = self.conv.double_conv[0](torch.cat([bias, guidance], dim=1))
        return guided.contiguous(memory_format=torch.channels_last)  # as what it is added to

    def forward(self, x: Tensor, kernel: Tensor, guided: Tensor) -> Tensor:
        """x: [B * N, into, H, W]; guided: [B, out, 2H, 2W] -> [B * N, out, 2H, 2W]."""
        x = F.conv_transpose2d(x, kernel, stride=2, padding=1)
        x.unflatten(0, (guided.shape[0], -1)).add_(guided[:, None])
        for layer in self.conv.double_conv[1:]:
            x = layer(x)
        return x


class Decoder(nn.Module):
    """Two `Up` steps and a 3x3 head.

    dim: channels of the cost map. out: channels after each step. guidance: channels that come
    in at each step, and projected: what they are made before they are joined.
    """

    def __init__(
        self, dim: int, out: Sequence[int], guidance: Sequence[int], projected: Sequence[int]
    ) -> None:
        super().__init__()
        self.decoder_guidance_projection = nn.ModuleList(
            nn.Sequential(nn.Conv2d(g, p, 3, padding=1), nn.ReLU())
            for g, p in zip(guidance, projected, strict=True)
        )
        self.decoder1 = Up(dim, out[0], projected[0])
        self.decoder2 = Up(out[0], out[1], projected[1])
        self.head = nn.Conv2d(out[1], 1, 3, padding=1)

    def forward(self, x: Tensor, guidance: Sequence[Tensor]) -> Tensor:
        """x: [B, N, H, W, D]; guidance: [B, G, 2H, 2W] and [B, G', 4H, 4W].

        Returns logits [B, N, 4H, 4W].
        """
        ups = (self.decoder1, self.decoder2)
        kernels = [up.kernel() for up in ups]
        guided = [
            up.guided(project(g))
            for up, project, g in zip(ups, self.decoder_guidance_projection, guidance, strict=True)
        ]

        def decode(part: Tensor) -> Tensor:
            y = part.flatten(0, 1).permute(0, 3, 1, 2)
            for up, kernel, what in zip(ups, kernels, guided, strict=True):
                y = up(y, kernel, what)
            return last_convolution(self.head, y)[:, 0].unflatten(0, (x.shape[0], -1))

        parts = x.split(AT_ONCE, dim=1) if is_supported(x) else (x,)
        return torch.cat(map_threads(decode, parts), dim=1)
