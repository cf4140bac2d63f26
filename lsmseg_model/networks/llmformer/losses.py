"""Matching masks with the classes of a picture, and the loss of the matched (Mask2Former's).

Section (d). A target is a binary mask of each class that is labelled in the picture. Decided: label
maps are reduced to the masks' grid (the pixel in the middle); unlabelled pixels leave the mask
losses, and a mask that is matched with nothing and lies on them mostly is not called void: nobody
knows what it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lsmseg_model.errors import ConfigError
from lsmseg_model.networks.llmformer.config import LlmFormerOptions


@dataclass(frozen=True)
class Targets:
    """What is to be found in B pictures, padded to T classes.

    classes: int64 [B, T], -1 for padding. masks: 0 or 1, [B, T, P]. labelled: 0 or 1, [B, P].
    """

    classes: Tensor
    masks: Tensor
    labelled: Tensor


def targets_of(labels: Tensor, size: tuple[int, int]) -> Targets:
    """labels: int64 [B, H, W], -1 unlabelled -> the targets on a grid of `size`."""
    small = F.interpolate(labels[:, None].double(), size, mode="nearest-exact")
    small = small[:, 0].long().flatten(1)
    each = [one.unique() for one in small]
    each = [classes[classes >= 0] for classes in each]
    padded = torch.nn.utils.rnn.pad_sequence(each, batch_first=True, padding_value=-1)
    masks = (small[:, None] == padded[..., None]) & (padded >= 0)[..., None]
    return Targets(padded, masks.float(), (small >= 0).float())


def mask_costs(masks: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy (mean over labelled pixels) and dice loss of every pair, [B, q, T] each.

    masks: logits [B, q, P]. Dice: 1 - (2 sum p g + 1) / (sum p + sum g + 1), as Mask2Former has it.
    """
    labelled, wanted = targets.labelled[:, None], targets.masks.mT
    pixels = labelled.sum(dim=-1, keepdim=True).clamp(min=1)
    bce = ((F.softplus(masks) * labelled).sum(dim=-1, keepdim=True) - masks @ wanted) / pixels
    shown = masks.sigmoid() * labelled
    sums = shown.sum(dim=-1, keepdim=True) + wanted.sum(dim=1, keepdim=True)
    return bce, 1 - (2 * (shown @ wanted) + 1) / (sums + 1)


def match(cost: Tensor, classes: Tensor) -> Tensor:
    """The query of each target by least total cost (the Hungarian method), int64 [B, T].

    cost: [B, q, T]; classes: see `Targets`; padding gets -1. What is not a number
    is taken for 0, so that the loss tells of it. Raises ConfigError without scipy.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ConfigError(
            'Training an LLMFormer needs scipy: pip install "lsmseg-prompts[data]".'
        ) from error
    found = torch.full(classes.shape, -1)
    counts = (classes >= 0).sum(dim=1).tolist()
    for at, one in enumerate(cost.detach().float().nan_to_num().cpu().numpy()):
        rows, columns = linear_sum_assignment(one[:, : counts[at]])
        found[at, torch.from_numpy(columns)] = torch.from_numpy(rows)
    return found.to(classes.device)


def set_loss(logits: Tensor, masks: Tensor, targets: Targets, options: LlmFormerOptions) -> Tensor:
    """2 CE + 5 BCE + 5 dice of each picture: means over its queries and its targets, [B].

    Args:
        logits: [B, q, N + 1], of the classes and of void.
        masks: logits [B, q, P].
        targets: Of the pictures.
        options: With the weights.
    """
    bce, dice = mask_costs(masks, targets)
    pairs = options.mask_weight * bce + options.dice_weight * dice
    classes = targets.classes.clamp(min=0)[:, None].expand(-1, logits.shape[1], -1)
    likely = logits.softmax(dim=-1).gather(2, classes)
    query = match(pairs - options.class_weight * likely, targets.classes)
    picture, place = (query >= 0).nonzero(as_tuple=True)
    wanted = torch.full(logits.shape[:2], logits.shape[2] - 1, device=logits.device)
    wanted[picture, query[picture, place]] = targets.classes[picture, place]
    weight = torch.ones(logits.shape[2], device=logits.device)
    weight[-1] = options.void_weight
    shown, labelled = masks.detach().sigmoid(), targets.labelled[:, None]
    known = (shown * labelled).sum(dim=-1) >= (shown * (1 - labelled)).sum(dim=-1)
    known[picture, query[picture, place]] = True
    each = weight[wanted] * known
    entropy = (F.cross_entropy(logits.mT, wanted, reduction="none") * each).sum(dim=1)
    found = pairs.gather(1, query.clamp(min=0)[:, None])[:, 0] * (query >= 0)
    matched = (query >= 0).sum(dim=1).clamp(min=1)
    return options.class_weight * entropy / each.sum(dim=1).clamp(min=1e-6) + found.sum(1) / matched
