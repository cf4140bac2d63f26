"""Counts of a prompt set in which the text of one prompt is replaced, for many such replacements.

A replaced text changes one cost map; the best of the others stays what it was at every pixel. So
the two best prompts of every pixel are found once, and of each new text only the cells are
enlarged in which it can win a pixel, or lose one that the old text won. What comes out are the
counts that `count_sets` gives for each whole set (tests/model/test_replacing.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lsmseg_model.kernels.argmax import Contenders, bordered, enlarged, first_max, weights
from lsmseg_model.kernels.counting import Labels

AT_ONCE = 1 << 20  # values of the replacements' cost maps that are looked at together: 4 MB


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


Moves = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Bars:
    """What a replacement has to reach at every labelled pixel, cell by cell.

    The first rows are the cells, for prompts that win nowhere in them: their bar is the best. Then
    follow the pairs of a cell and a prompt that wins somewhere in it: there its bar is the second.

    two: the two best. bar: [rows, pixels], infinite where nothing is labelled. own: [rows, pixels],
    where the row's prompt wins. row: [prompts, cells], the row of each pair. lowest, highest:
    [prompts, cells], values below and above which no pixel changes hands.
    """

    two: TwoBest
    bar: Tensor
    own: Tensor
    row: Tensor
    lowest: Tensor
    highest: Tensor

    @classmethod
    def of(cls, two: TwoBest, at: Tensor, prompts: int) -> Bars:
        """at: the labels of `Labels`, below 0 where there is none; prompts: how many there are."""
        labelled = at >= 0
        count = len(at)
        every = torch.arange(count, device=at.device)
        pair = (two.winner.long() + prompts * every[:, None])[labelled].unique()
        cells, prompt = pair // prompts, pair % prompts
        row = every.repeat(prompts, 1)
        row[prompt, cells] = torch.arange(count, count + len(pair), device=at.device)
        own = labelled[cells] & (two.winner[cells] == prompt[:, None])
        # Of equals the first wins: a later one keeps its pixel only by more than the second.
        second, later = two.second[cells], two.runner_up[cells] < prompt[:, None]
        infinite = torch.full_like(second, torch.inf)
        second = torch.where(later, second.nextafter(infinite), second)
        bar = torch.cat([two.best, torch.where(own, second, two.best[cells])])
        cells, own = torch.cat([every, cells]), torch.cat([torch.zeros_like(labelled), own])
        bar.masked_fill_(~labelled[cells], torch.inf)
        lowest = bar.masked_fill(own, torch.inf).amin(dim=1)
        highest = bar.masked_fill(~own, -torch.inf).amax(dim=1)
        near = 8 * torch.finfo(bar.dtype).eps  # enlarging rounds
        return cls(two, bar, own, row, (lowest - near)[row], (highest + near)[row])

    def moves(self, cost: Tensor, weight: Tensor, replaced: Tensor) -> Iterator[Moves]:
        """Pixels that change hands: replacement, cell, pixel, whether it is won, and the rival.

        Args:
            cost: [K, h, w] of the replacements.
            weight: Of the cells' pixels, see `weights`.
            replaced: [K], the prompts.
        """
        wide = cost.shape[2]
        corners = torch.tensor([0, 1, wide, wide + 1], device=cost.device)
        undecided = self._undecided(cost, replaced)
        step = max(1, AT_ONCE // (8 * weight.shape[2]))
        for part in undecided.split(step):
            k, cell = part.unbind(dim=1)
            place = k * cost[0].numel() + cell // (wide - 1) * wide + cell % (wide - 1)
            corner = cost.flatten().take(place[:, None] + corners)
            value = enlarged(corner[:, None], weight.index_select(0, cell))[:, 0]
            row = self.row[replaced[k], cell]
            bar, own = self.bar.index_select(0, row), self.own.index_select(0, row)
            some, pixel = ((value >= bar) != own).nonzero(as_tuple=True)
            k, cell, won = k[some], cell[some], ~own[some, pixel]
            winner, runner_up = self.two.winner[cell, pixel], self.two.runner_up[cell, pixel]
            rival = torch.where(won, winner, runner_up).long()
            equal = won & (value[some, pixel] == bar[some, pixel]) & (rival < replaced[k])
            keep = (~equal).nonzero()[:, 0]
            yield k[keep], cell[keep], pixel[keep], won[keep], rival[keep]

    def _undecided(self, cost: Tensor, replaced: Tensor) -> Tensor:
        """[pairs, 2]: replacements and the cells in which they may move a pixel."""
        upper = torch.maximum(cost[:, :-1], cost[:, 1:])
        upper = torch.maximum(upper[..., :-1], upper[..., 1:]).flatten(1)
        lower = torch.minimum(cost[:, :-1], cost[:, 1:])
        lower = torch.minimum(lower[..., :-1], lower[..., 1:]).flatten(1)
        wins = upper >= self.lowest.index_select(0, replaced)
        return (wins | (lower <= self.highest.index_select(0, replaced))).nonzero()


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
    owner = torch.from_numpy(np.asarray(stands_for, np.int64)).to(device)
    replaced = torch.from_numpy(np.asarray(prompts, np.int64)).to(device)
    flat = bordered(features)
    high, wide = flat.shape[:2]
    flat = flat.flatten(0, 1).T.contiguous()
    two = TwoBest.of((text @ flat).view(1, -1, high, wide), ruled)
    at = ruled.at.to(device)
    bars = Bars.of(two, at, len(text))
    weight = weights(ruled.rows, ruled.columns, features.dtype, device)
    change = torch.zeros(len(replacements) * classes, 2, dtype=torch.int64, device=device)
    step = max(1, AT_ONCE // (high * wide))
    for start in range(0, len(replacements), step):
        cost = (replacements[start : start + step] @ flat).view(-1, high, wide)
        for k, cell, pixel, won, rival in bars.moves(cost, weight, replaced[start : start + step]):
            prompt, label = replaced[start + k], at[cell, pixel]
            row = (start + k) * classes
            after, before = torch.where(won, prompt, rival), torch.where(won, rival, prompt)
            for then, sign in ((before, -1), (after, 1)):
                stands = owner.take(then)
                signs = torch.full_like(stands, sign)
                change[:, 1].index_add_(0, row + stands, signs)
                right = (stands == label).nonzero()[:, 0]
                change[:, 0].index_add_(0, (row + stands)[right], signs[right])
    return change.view(-1, classes, 2).cpu().numpy()
