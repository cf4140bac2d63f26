"""Training-free dense features of a whole picture, through overlapping windows of CLIP."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lsmseg_model.encoders.base import resized
from lsmseg_model.inference.geometry import offsets, window_picture_size
from lsmseg_model.inference.precision import lowered
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.networks.backbones.dense import SAM_PROXY

AT_ONCE = 8  # windows


@dataclass(frozen=True)
class Windows:
    """A picture as a backbone sees it: resized, [3, H, W] in 0..1, on the CPU, and cut up.

    places: top and left of each window, in pixels. window: their side.
    """

    image: Tensor
    places: list[tuple[int, int]]
    window: int

    @property
    def views(self) -> list[Tensor]:
        """[3, window, window] each."""
        side = self.window
        return [self.image[:, top : top + side, left : left + side] for top, left in self.places]


def cut(clip: Backbone, picture: np.ndarray) -> Windows:
    """picture: uint8 [H, W, 3]; its short side becomes ``clip.view.short_side``."""
    view, patch = clip.view, clip.patch_size
    size = window_picture_size(picture.shape[:2], view.short_side, view.window, patch)
    tops, lefts = (offsets(side, view.window, view.stride) for side in size)
    places = [(top, left) for top in tops for left in lefts]
    return Windows(_resized(picture, size), places, view.window)


def proxies(clip: Backbone, windows: Windows) -> list[Tensor] | None:
    """What the other encoder of "sam-proxy" sees in each window, [C, h, w]; else None.

    It sees the whole picture once.
    """
    if clip.dense != SAM_PROXY:
        return None
    patch, image = clip.patch_size, windows.image
    grid, cells = (image.shape[1] // patch, image.shape[2] // patch), windows.window // patch
    other = resized(clip.proxy_features(image[None].to(clip.device)), grid)[0]
    places = [(top // patch, left // patch) for top, left in windows.places]
    return [other[:, t : t + cells, s : s + cells] for t, s in places]


def join(clip: Backbone, windows: Windows, dense: Iterable[Tensor]) -> Tensor:
    """The features [h, w, D] of a picture: where windows overlap, the mean of theirs.

    dense: of each window, [h, w, D]. Logits are linear in the features, so this equals averaging
    the windows' logits.
    """
    patch, image = clip.patch_size, windows.image
    grid, cells = (image.shape[1] // patch, image.shape[2] // patch), windows.window // patch
    total = torch.zeros(*grid, clip.embed_dim, device=clip.device)
    count = torch.zeros(*grid, 1, device=clip.device)
    for feature, (top, left) in zip(dense, windows.places, strict=True):
        t, s = top // patch, left // patch
        total[t : t + cells, s : s + cells] += feature
        count[t : t + cells, s : s + cells] += 1
    return total / count


@torch.inference_mode()
def picture_features(clip: Backbone, picture: np.ndarray) -> Tensor:
    """picture: uint8 [H, W, 3] -> [h, w, D] dense features on the patch grid, through windows."""
    windows = cut(clip, picture)
    views, others = windows.views, proxies(clip, windows)
    dense: list[Tensor] = []
    for start in range(0, len(views), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        proxy = None if others is None else torch.stack(others[some])
        with lowered(clip):
            dense += clip.encode_dense(torch.stack(views[some]).to(clip.device), proxy=proxy)
    return join(clip, windows, dense)


def _resized(picture: np.ndarray, size: tuple[int, int]) -> Tensor:
    """float32 [3, *size] in 0..1; a channel at a time, as pictures may be large."""
    channels = []
    for channel in range(3):
        plane = torch.from_numpy(np.array(picture[..., channel])).float().div_(255)[None, None]
        if size != tuple(plane.shape[-2:]):
            plane = F.interpolate(plane, size=size, mode="bilinear", antialias=True).clamp_(0, 1)
        channels.append(plane[0, 0])
    return torch.stack(channels)
