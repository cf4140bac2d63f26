"""Counts of a prompt set in which the text of one prompt is replaced, for many such replacements.

A replaced text changes one cost map; the best of the others stays what it was at every pixel. So
the two best prompts of every pixel are found once, and of each new text only the cells are
enlarged in which it can win, or in which the old one did. What comes out are the counts that
`count_sets` gives for each whole set (tests/model/test_replacing.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lsmseg_model.kernels.argmax import Contenders, bordered, enlarged, first_max, weights
from lsmseg_model.kernels.counting import Labels

AT_ONCE = 1 << 20  # values that are compared together: 4 MB


@dataclass(frozen=True)
class TwoBest:
    """The two best prompts of every pixel of a picture, cell by cell: [cells, pixels] each.

    best, second: their values; of equals the first prompt is the better one. winner, runner_up:
    which prompts they are.
    """

    best: Tensor
    second: Tensor
    winner: Tensor
    runner_up: Tensor

    @classmethod
    def of(cls, cost: Tensor, labels: Labels) -> TwoBest:
        """cost: [1, N, h, w] of at least two prompts, as in `Contenders.of`."""
        contenders = Contenders.of(cost, places=2)
        shape = labels.at.shape
        best, second = cost.new_zeros(shape), cost.new_zeros(shape)
        winner = torch.zeros(shape, dtype=torch.int32, device=cost.device)
        runner_up = torch.zeros_like(winner)
        for some, chosen, value in contenders.contests(cost, labels.rows, labels.columns):
            # Cells with fewer classes repeat their last one: that is not a runner-up.
            turn = torch.arange(value.shape[1], device=cost.device)
            repeated = turn >= contenders.count[some, None]
            value.masked_fill_(repeated[..., None], -torch.inf)
            for values, prompts in ((best, winner), (second, runner_up)):
                most, index = first_max(value)
                values[some] = most
                prompts[some] = chosen.gather(1, index).int()
                value.scatter_(1, index[:, None], -torch.inf)
        return cls(best, second, winner, runner_up)


@torch.inference_mode()
def count_replacements(
    features: Tensor,
    text: Tensor,
    labels: np.ndarray,
    stands_for: np.ndarray,
    classes: int,
    prompts: np.ndarray,
    replacements: Tensor,
) -> np.ndarray:
    """int64 [K, C, 2]: what each replacement adds to the set's counts on one picture.

    Of the intersection and of the prediction (see ``metrics``); labelled pixels stay the same.

    Args:
        features: [h, w, D].
        text: [N, D] the set, of at least two prompts.
        labels: int [H, W] class positions, below 0 ignored.
        stands_for: int [N], the class position of each prompt.
        classes: C.
        prompts: int [K], the prompt that each replaces.
        replacements: [K, D], what it is replaced by.
    """
    device = features.device
    ruled = Labels.of(labels, (features.shape[0], features.shape[1]), classes)
    at = ruled.at.to(device)
    owner = torch.from_numpy(np.asarray(stands_for, np.int64)).to(device)
    replaced = torch.from_numpy(np.asarray(prompts, np.int64)).to(device)
    flat = bordered(features)
    high, wide = flat.shape[:2]
    flat = flat.flatten(0, 1).T.contiguous()
    two = TwoBest.of((text @ flat).view(1, -1, high, wide), ruled)
    cost = (replacements @ flat).view(-1, high, wide)
    change = torch.zeros(len(replacements) * classes, 2, dtype=torch.int64, device=device)
    which, cell = _undecided(cost, two, at, replaced).nonzero(as_tuple=True)
    weight = weights(ruled.rows, ruled.columns, cost.dtype, cost.device)
    corners = cost.new_tensor([0, 1, wide, wide + 1]).long()
    step = max(1, AT_ONCE // weight.shape[2])
    for start in range(0, len(which), step):
        k, c = which[start : start + step], cell[start : start + step]
        place = k * (high * wide) + c // (wide - 1) * wide + c % (wide - 1)
        corner = cost.flatten().take(place[:, None] + corners)
        value = enlarged(corner[:, None], weight.index_select(0, c))[:, 0]
        prompt, label = replaced[k, None].int(), at.index_select(0, c)
        before = two.winner.index_select(0, c)
        own = before == prompt
        rival = torch.where(own, two.runner_up.index_select(0, c), before)
        bar = torch.where(own, two.second.index_select(0, c), two.best.index_select(0, c))
        won = (value > bar) | ((value == bar) & (prompt < rival))
        moved = ((won != own) & (label >= 0)).nonzero(as_tuple=True)
        row = k[moved[0]] * classes
        label = label[moved]
        for prompts_then, sign in ((before[moved], -1), (None, 1)):
            if prompts_then is None:
                prompts_then = torch.where(won, prompt, rival)[moved]
            then = owner.take(prompts_then.long())
            signs = torch.full_like(then, sign)
            change[:, 1].index_add_(0, row + then, signs)
            right = (then == label).nonzero()[:, 0]
            change[:, 0].index_add_(0, (row + then)[right], signs[right])
    return change.view(-1, classes, 2).cpu().numpy()


def _undecided(cost: Tensor, two: TwoBest, at: Tensor, replaced: Tensor) -> Tensor:
    """Where a replacement may change anything, as truth values [K, cells].

    Args:
        cost: [K, h, w] of the replacements.
        two: The two best of every pixel.
        at: The labels of `Labels`; what lies beyond a cell's pixels is below 0 there.
        replaced: [K] prompts.
    """
    upper = torch.maximum(cost[:, :-1], cost[:, 1:])
    upper = torch.maximum(upper[..., :-1], upper[..., 1:]).flatten(1)
    counted = at >= 0
    lowest = two.best.masked_fill(~counted, torch.inf).amin(dim=1)
    own = torch.zeros(
        int(max(replaced.max(), two.winner.max())) + 1, len(at), dtype=torch.bool, device=at.device
    )
    cells = torch.arange(len(at), device=at.device)[:, None].expand_as(at)
    own[two.winner[counted].long(), cells[counted]] = True
    return (upper >= lowest) | own.index_select(0, replaced)
