"""From the refined cost map to logits: two steps of up-sampling with guidance (Eq. 9).

CAT-Seg's parts under its parameter names. The guidance is the same for every class: its part of
the convolutions is computed once a picture.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class DoubleConv(nn.Module):
    """Two 3x3 convolutions, each with GroupNorm (16 channels a group) and ReLU."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(into, out, 3, padding=1, bias=False),
            nn.GroupNorm(out // 16, out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.GroupNorm(out // 16, out),
            nn.ReLU(),
        )

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """x: [B * N, C, H, W]; guidance: [B, G, H, W] joined to it -> [B * N, out, H, W]"""
        first, *rest = self.double_conv
        weight: Tensor = first.weight  # type: ignore[assignment]
        own = x.shape[1]
        joined = F.conv2d(x, weight[:, :own], padding=1)
        seen = F.conv2d(guidance, weight[:, own:], padding=1)
        joined = (joined.unflatten(0, (seen.shape[0], -1)) + seen[:, None]).flatten(0, 1)
        for layer in rest:
            joined = layer(joined)
        return joined


class Up(nn.Module):
    """Twice the size, joined with the guidance of that size."""

    def __init__(self, into: int, out: int, guidance: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(into, into - guidance, 2, stride=2)
        self.conv = DoubleConv(into, out)

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """x: [B * N, into, H, W]; guidance: [B, G, 2H, 2W] -> [B * N, out, 2H, 2W]"""
        return self.conv(self.up(x), guidance)


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
        pictures = x.shape[0]
        seen = [
            project(g)
            for project, g in zip(self.decoder_guidance_projection, guidance, strict=True)
        ]
        y = x.flatten(0, 1).permute(0, 3, 1, 2)
        y = self.decoder2(self.decoder1(y, seen[0]), seen[1])
        return self.head(y)[:, 0].unflatten(0, (pictures, -1))
