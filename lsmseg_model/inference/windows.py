"""Training-free dense features of a whole picture, through overlapping windows of CLIP."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lsmseg_model.encoders.base import resized
from lsmseg_model.inference.geometry import offsets, window_picture_size
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.networks.backbones.dense import SAM_PROXY

AT_ONCE = 8  # windows


@torch.inference_mode()
def picture_features(clip: Backbone, picture: np.ndarray) -> Tensor:
    """picture: uint8 [H, W, 3] -> [h, w, D] dense features on the patch grid.

    The picture's short side is resized to ``clip.view.short_side`` and seen through windows;
    where they overlap their features are averaged. Logits are linear in the features, so this
    equals averaging the windows' logits. The other encoder of "sam-proxy" sees the whole picture
    once.
    """
    view, patch = clip.view, clip.patch_size
    size = window_picture_size(picture.shape[:2], view.short_side, view.window, patch)
    image = _resized(picture, size)
    tops, lefts = (offsets(side, view.window, view.stride) for side in size)
    boxes = [(top, left) for top in tops for left in lefts]
    rows, columns, cells = size[0] // patch, size[1] // patch, view.window // patch
    total = torch.zeros(rows, columns, clip.embed_dim, device=clip.device)
    count = torch.zeros(rows, columns, 1, device=clip.device)
    other = proxy = None
    if clip.dense == SAM_PROXY:
        other = resized(clip.proxy_features(image[None].to(clip.device)), (rows, columns))[0]
    for start in range(0, len(boxes), AT_ONCE):
        some = boxes[start : start + AT_ONCE]
        windows = [image[:, t : t + view.window, s : s + view.window] for t, s in some]
        if other is not None:
            places = [(top // patch, left // patch) for top, left in some]
            proxy = torch.stack([other[:, t : t + cells, s : s + cells] for t, s in places])
        dense = clip.encode_dense(torch.stack(windows).to(clip.device), proxy=proxy)
        for feature, (top, left) in zip(dense, some, strict=True):
            t, s = top // patch, left // patch
            total[t : t + cells, s : s + cells] += feature
            count[t : t + cells, s : s + cells] += 1
    return total / count


def _resized(picture: np.ndarray, size: tuple[int, int]) -> Tensor:
    """float32 [3, *size] in 0..1; a channel at a time, as pictures may be large."""
    channels = []
    for channel in range(3):
        plane = torch.from_numpy(np.array(picture[..., channel])).float().div_(255)[None, None]
        if size != tuple(plane.shape[-2:]):
            plane = F.interpolate(plane, size=size, mode="bilinear", antialias=True).clamp_(0, 1)
        channels.append(plane[0, 0])
    return torch.stack(channels)
