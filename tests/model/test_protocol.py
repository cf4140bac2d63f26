"""CAT-Seg's test protocol, picture to probabilities, against a plain one with nn.Unfold and Fold.

Written from what the published code does, step by step: the picture comes with its short side at
640; it is squashed to 640 x 640 for the crops; the whole is resized from the picture itself to the
crops' 384; all go to CLIP's size; logits are enlarged to 384, then sigmoid; the whole is enlarged
to 640 after its sigmoid.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.cost_maps import DROPPED
from support.whole_network import small_network
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.networks.backbones.base import View
from lsmseg_model.networks.lsmseg import LsmSeg
from lsmseg_model.networks.protocol import Protocol
from lsmseg_model.segmenter import Segmenter


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def as_published(net: LsmSeg, picture: np.ndarray, texts: Tensor, protocol: Protocol) -> Tensor:
    """[N, H, W] probabilities of uint8 [H, W, 3]."""
    side, kernel, stride = protocol.side, protocol.crop, protocol.stride
    height, width = picture.shape[:2]
    short = min(height, width)
    new = (side * width // short, side * height // short)  # whole numbers in these tests
    shown = np.array(Image.fromarray(picture).resize(new, Image.Resampling.BILINEAR))
    image = torch.from_numpy(shown).permute(2, 0, 1)[None] / 255
    crops = nn.Unfold(kernel, stride=stride)(resize(image, (side, side)))
    views = crops[0].T.unflatten(1, (3, kernel, kernel))
    views = torch.cat([views, resize(image, (kernel, kernel))])
    clip = net.clip.view.window
    logits, kept = net(resize(views, (clip, clip)), texts)
    if kept is not None:
        full = torch.full((len(logits), len(texts), *logits.shape[2:]), DROPPED)
        for view, row in enumerate(kept):
            full[view, row] = logits[view]
        logits = full
    seen = resize(logits, (kernel, kernel)).sigmoid()
    fold = nn.Fold((side, side), kernel, stride=stride)
    total = fold(seen[:-1].flatten(1).T[None])
    count = fold(nn.Unfold(kernel, stride=stride)(torch.ones(1, 1, side, side)))
    mean = (total / count + resize(seen[-1:], (side, side))) / 2
    return resize(mean, (height, width))[0]


@pytest.mark.parametrize("window", [16, 12])  # ViT-B's crops are CLIP's size, ViT-L's are larger
@pytest.mark.parametrize("size", [(48, 30), (24, 24), (36, 60)])
@pytest.mark.parametrize("classes", [3, 6])  # all kept, and three of six
@torch.inference_mode()
def test_every_pixel_is_as_published(window: int, size: tuple[int, int], classes: int) -> None:
    net: Any = small_network(resolution=window // 4)
    net.clip.view = View(window, window, window)
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    texts = F.normalize(torch.randn(classes, 8), dim=-1)
    expected = as_published(net, picture, texts, net.protocol)
    seen = Segmenter.of(net).encode(picture).decode(texts)
    found = torch.from_numpy(seen.scores(range(classes)))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    where, best = seen.label()
    torch.testing.assert_close(torch.from_numpy(best), expected.amax(dim=0), atol=1e-5, rtol=0)
    clear = expected.topk(2, dim=0).values.diff(dim=0)[0].abs() > 1e-5
    assert (torch.from_numpy(where) == expected.argmax(dim=0))[clear].all() and clear.any()
