"""ECAC on rare classes: training pictures with planted frequencies, and every part left out once.

python benchmarks/closed_set_ecac.py --out runs/ecac              # five seeds, about 20 minutes
python benchmarks/closed_set_ecac.py --out runs/ecac --small      # only to see that it runs
python benchmarks/closed_set_ecac.py --out runs/sweep --arms ecac --more momentum=0.5 scores=dot

Pictures of MiniStuff's train split are picked so that the pixels of its 28 seen classes follow
Zipf's law with the exponent 1.5, three surfaces among the rarest, so that these are not only the
smallest. On the shipped backbone, frozen, a layer that learns (1x1, norm, ReLU) and

 plain       a classifier, cross-entropy
 weighted    the same, re-weighted cross-entropy as in ECAC
 parameters  as many parameters as ECAC has, position by position, re-weighted cross-entropy
 ecac        ECAC; no-memory, no-kl, no-iv, no-calibration: without one part; no-weights: rho = 0
 teacher     ECAC's teacher, which SEES THE TEST LABELS: an upper bound, never a result

Scored on the selection and the report split, at every second pixel of a row and of a column,
unseen classes ignored. Intervals of 95 %: pictures and seeds are drawn together, the same for both
arms of a difference. `spread`: the standard deviation over seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from closed_set import POSITIONS, SEEN, pictures

from lsmseg_model.data.benchmark import MiniStuff
from lsmseg_model.metrics import confusion_counts, iou
from lsmseg_model.networks.closed_set.config import ClosedSetOptions
from lsmseg_model.networks.closed_set.ecac import ECAC
from lsmseg_model.networks.closed_set.ecac_losses import class_weights, weighted_cross_entropy
from lsmseg_model.processes import Processes

AMONG = ("floor-tile", "grass", "mountain")
RARE, EXPONENT, WIDTH = 9, 1.5, 128
BASE = ClosedSetOptions(addon="ecac", memory_from=200)
ECACS = {
    "ecac": BASE,
    "no-memory": replace(BASE, memory=False),
    "no-kl": replace(BASE, kl=0.0),
    "no-iv": replace(BASE, iv=0.0),
    "no-calibration": replace(BASE, calibration=False),
    "no-weights": replace(BASE, rho=0.0),
}
ARMS = ["plain", "weighted", "parameters", *ECACS]
OTHERS = ("plain", "weighted", "parameters", "ecac")


def order_of(counts: np.ndarray) -> list[int]:
    """The classes from the most frequent to the rarest, as they are planted."""
    natural = sorted(range(len(SEEN)), key=lambda c: -counts[:, c].sum())
    moved, others = ([c for c in natural if (SEEN[c][1] in AMONG) is yes] for yes in (True, False))
    mixed = [c for pair in zip(moved, others[-6:-3], strict=True) for c in pair]
    return [*others[:-6], *mixed, *others[-3:]]


def pick(counts: np.ndarray, wanted: np.ndarray, size: int) -> list[int]:
    """Pictures, each the one that brings the frequencies nearest to those wanted (in KL)."""
    chosen: list[int] = []
    total = np.zeros(counts.shape[1])
    for _ in range(size):
        new = np.maximum(total + counts, 1e-9)
        share = np.maximum(new / new.sum(axis=1, keepdims=True), 1e-6)
        distance = (wanted * np.log(wanted / share)).sum(axis=1)
        distance[chosen] = np.inf
        chosen.append(int(distance.argmin()))
        total += counts[chosen[-1]]
    return chosen


def planted(pool: int, size: int) -> tuple[list[int], list[int], np.ndarray]:
    """The pictures, the classes by rank, and the frequencies found [N]; prints them."""
    train, rows = MiniStuff("train", pool), []
    for index in range(pool):
        labels = POSITIONS[train.labels(index)]
        rows.append(np.bincount(labels[labels >= 0], minlength=len(SEEN)))
    counts = np.stack(rows).astype(float)
    ranks, wanted = order_of(counts), np.zeros(len(SEEN))
    wanted[ranks] = np.arange(1, len(SEEN) + 1) ** -EXPONENT
    wanted /= wanted.sum()
    chosen = pick(counts, wanted, size)
    found = counts[chosen].sum(axis=0) / counts[chosen].sum()
    for rank, c in enumerate(ranks, 1):
        print(
            f"  {rank:2} {SEEN[c][1]:14} planted {wanted[c]:7.2%} found {found[c]:7.2%} "
            f"in {int((counts[chosen, c] > 0).sum()):3} pictures"
        )
    return chosen, ranks, found


def on_grid(labels: Tensor, size: int) -> Tensor:
    """Labels near the middle of the features' positions."""
    return F.interpolate(labels[:, None].float(), (size, size), mode="nearest-exact")[:, 0].long()


class Arm(nn.Module):
    """A layer that learns, a classifier on it, and what the arm adds."""

    def __init__(self, name: str, options: ClosedSetOptions | None, shares: list[float]) -> None:
        super().__init__()
        d, n = WIDTH, len(shares)
        self.name = name
        self.neck = nn.Sequential(nn.Conv2d(d, d, 1, bias=False), nn.BatchNorm2d(d), nn.ReLU())
        self.coarse = nn.Conv2d(d, n, 1)
        self.ecac = ECAC(d, n, options, shares) if options else None
        # 3 d^2 parameters, as the two layers of the student have.
        wide = 3 * d // 2
        self.more = nn.Sequential(nn.Conv2d(d, wide, 1), nn.ReLU(), nn.Conv2d(wide, d, 1))
        self.last = nn.Conv2d(d, n, 1)
        rho = 0.0 if name == "plain" else BASE.rho
        self.register_buffer("weights", class_weights(shares, rho))

    def forward(self, seen: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Any]:
        features = self.neck(seen)
        coarse = self.coarse(features)
        if self.ecac is not None:
            logits, losses = self.ecac(features, coarse, labels)
        else:
            losses, logits = {}, coarse
            if self.name == "parameters":
                logits = self.last(features + self.more(features))
            if labels is not None:
                losses["last"] = weighted_cross_entropy(logits, labels, self.weights)
        if labels is not None and logits is not coarse:
            losses["coarse"] = F.cross_entropy(coarse, labels, ignore_index=-1)
        return logits, losses


def trained(arm: Arm, data: tuple[Tensor, Tensor], seed: int, o: Any) -> dict[str, float]:
    """Train an arm; returns how near the bank's rows are to the classes' means (of ECAC)."""
    features, labels = data
    learns = torch.optim.AdamW(arm.parameters(), lr=o.lr, weight_decay=1e-4)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(learns, o.steps)
    rng, team, near = np.random.default_rng(seed), Processes(0, 1, "cpu"), {}
    arm.train()
    for step in range(o.steps):
        some = torch.from_numpy(rng.choice(len(features), o.batch, replace=False))
        _, losses = arm(features[some], labels[some])
        learns.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        learns.step()
        rate.step()
        if arm.ecac is not None:
            arm.ecac.update(team)
            if step + 1 == min(1000, o.steps) and arm.ecac.options.memory:
                near = nearness(arm, features, labels)
    arm.eval()
    return near


@torch.no_grad()
def nearness(arm: Arm, features: Tensor, labels: Tensor) -> dict[str, float]:
    """Cosines of the bank's rows to the true means of the training set, as the network is now."""
    ecac: Any = arm.eval().ecac
    each = torch.cat([arm.neck(part) for part in features.split(50)]).movedim(1, -1)
    arm.train()
    found = ecac.filled.nonzero().flatten().tolist()
    means = F.normalize(torch.stack([each[labels == c].mean(dim=0) for c in found]), dim=-1)
    cosine = F.normalize(ecac.bank[found], dim=-1) @ means.T
    own, other = cosine.diagonal(), (cosine - 2 * torch.eye(len(found))).amax(dim=1)
    return {
        "lowest": float(own.min()),
        "mean": float(own.mean()),
        "nearest_other_mean": float(other.mean()),
        "own_is_nearest": float((own > other).float().mean()),
    }


@torch.no_grad()
def counted(arm: Arm, data: tuple[Tensor, Tensor], teacher: bool = False) -> np.ndarray:
    """Counts [P, N, 3] on test pictures."""
    rows: list[np.ndarray] = []
    for seen, labels in zip(data[0].split(50), data[1].split(50), strict=True):
        if teacher and arm.ecac is not None:
            logits = arm.ecac.teach(arm.neck(seen), on_grid(labels, seen.shape[-1]))
        else:
            logits, _ = arm(seen)
        best = F.interpolate(logits, labels.shape[1:], mode="bilinear").argmax(dim=1)
        pairs = zip(best.numpy(), labels.numpy(), strict=True)
        rows += [confusion_counts(one, true, len(SEEN)) for one, true in pairs]
    return np.stack(rows)


def mean_iou(counts: np.ndarray, classes: list[int]) -> np.ndarray:
    """Counts [..., N, 3] -> [...] percent, over the classes that are labelled."""
    some = counts[..., classes, :]
    return 100 * np.nanmean(np.where(some[..., 2] > 0, iou(some), np.nan), axis=-1)


def figures(counts: dict[str, np.ndarray], groups: dict[str, list[int]], draws: int) -> Any:
    """For each arm and group: the mean, its interval, and differences to other arms."""
    rng = np.random.default_rng(0)
    seeds, pictures = next(iter(counts.values())).shape[:2]
    weights = rng.multinomial(pictures, np.full(pictures, 1 / pictures), draws).astype(float)
    drawn = rng.integers(seeds, size=(seeds, draws))
    at: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}
    for arm, every in counts.items():
        sums = np.stack([weights @ one.reshape(pictures, -1) for one in every])
        sums = sums.reshape(seeds, draws, *every.shape[2:])
        for group, classes in groups.items():
            resampled = mean_iou(sums, classes)[drawn, np.arange(draws)].mean(axis=0)
            at[arm, group] = mean_iou(every.sum(axis=1), classes), resampled
    result: dict[str, Any] = {}
    for (arm, group), (values, resampled) in at.items():
        row = {"value": values.mean(), "spread": values.std(ddof=1) if seeds > 1 else 0.0}
        row["interval"] = np.percentile(resampled, [2.5, 97.5]).tolist()
        for other in OTHERS:
            if other in counts and other != arm:
                theirs, again = at[other, group]
                ends = np.percentile(resampled - again, [2.5, 97.5]).tolist()
                row[f"minus {other}"] = [float((values - theirs).mean()), *ends]
        result.setdefault(group, {})[arm] = row
    return result


def table(found: dict[str, Any]) -> None:
    for group, rows in found.items():
        print(f"\n{group}: mean IoU in %, and differences in points")
        for arm, row in rows.items():
            text = "  {:16} {:5.1f} [{:5.1f}, {:5.1f}] spread {:.2f}"
            more = "- {} {:+.2f} [{:+.2f}, {:+.2f}]"
            cells = [text.format(arm, row["value"], *row["interval"], row["spread"])]
            for other in (name for name in OTHERS if f"minus {name}" in row):
                cells.append(more.format(other, *row[f"minus {other}"]))
            print(" | ".join(cells))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="a folder for ecac.json")
    parser.add_argument("--arms", nargs="*", default=ARMS, choices=ARMS)
    parser.add_argument("--more", nargs="*", default=[], help="field=value: further arms of ECAC")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    o = parser.parse_args()
    pool, size, test, draws = 4000, 400, 200, 1000
    if o.small:
        pool, size, test, draws = 60, 20, 6, 20
        o.seeds, o.steps, o.batch, o.arms = 2, 3, 4, ["plain", "parameters", "ecac"]
    began = time.monotonic()
    big = ECAC(512, 150, BASE)
    added = big.bank.numel() + sum(p.numel() for p in big.student.parameters())
    print(f"parameters added, d = 512, N = 150: {added / 1e6:.3f} M, published 1.02 to 1.05 M")
    chosen, ranks, shares = planted(pool, size)
    learned = pictures("train", chosen)
    data = learned.features, on_grid(learned.labels, learned.features.shape[-1])
    parts = [pictures(split, range(test)) for split in ("selection", "report")]
    labels = torch.cat([part.labels for part in parts])[:, 1::2, 1::2]
    held_out = torch.cat([part.features for part in parts]), labels
    counts: dict[str, list[np.ndarray]] = {}
    near: dict[str, list[dict[str, float]]] = {}
    arms = {name: ECACS.get(name) for name in o.arms}
    for change in o.more:
        field, _, value = change.partition("=")
        arms[change] = replace(BASE, **{field: value if field == "scores" else float(value)})
    for seed in range(o.seeds):
        for name, options in arms.items():
            torch.manual_seed(seed)
            arm = Arm(name, options, shares.tolist())
            near.setdefault(name, []).append(trained(arm, data, seed, o))
            counts.setdefault(name, []).append(counted(arm, held_out))
            if name == "ecac":
                counts.setdefault("teacher", []).append(counted(arm, held_out, teacher=True))
        print(f"seed {seed} after {time.monotonic() - began:.0f} s", flush=True)
    groups = {"rare": ranks[-RARE:], "head": ranks[:RARE], "all": list(range(len(SEEN)))}
    found = figures({name: np.stack(rows) for name, rows in counts.items()}, groups, draws)
    table(found)
    print("\nthe bank's rows after 1,000 steps, cosines to the classes' true means")
    for name, rows in near.items():
        if rows[0]:
            means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
            print(f"  {name:16} " + ", ".join(f"{k} {v:.3f}" for k, v in means.items()))
    if o.out:
        o.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"scores": found, "bank": near, "options": {**vars(o), "out": ""}})
        (o.out / "ecac.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
