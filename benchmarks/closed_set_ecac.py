"""ECAC on rare classes: training pictures with planted frequencies, and every part left out once.

python benchmarks/closed_set_ecac.py --out runs/ecac              # five seeds, about 20 minutes
python benchmarks/closed_set_ecac.py --out runs/ecac --small      # only to see that it runs
python benchmarks/closed_set_ecac.py --out runs/sweep --arms ecac --more momentum=0.5 scores=dot

Of MiniStuff's train split pictures are picked, one by one, so that the pixels of its 28 seen
classes follow Zipf's law with the exponent 1.5; three surfaces are put among the rarest, so that
these are not only the smallest. The backbone is the shipped one, frozen; on it a layer that learns
(1x1, norm, ReLU), the same in all arms, and

 plain       a classifier, cross-entropy
 weighted    the same, re-weighted cross-entropy as in ECAC
 parameters  as many parameters as ECAC has, position by position, re-weighted cross-entropy
 ecac        ECAC; no-memory, no-kl, no-iv, no-calibration: without one part; no-weights: rho = 0
 teacher     ECAC's teacher, which SEES THE TEST LABELS: an upper bound, never a result

Scored on the labels of the selection and the report split, 128 x 128 pixels, unseen classes
ignored. Intervals of 95 %: pictures and seeds are drawn together, the same for both arms of a
difference. `spread` is the standard deviation over seeds.
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

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lsmseg_model.data.benchmark import MiniStuff  # noqa: E402
from lsmseg_model.data.ministuff.scenes import CLASSES  # noqa: E402
from lsmseg_model.metrics import confusion_counts, iou  # noqa: E402
from lsmseg_model.networks.backbones.load import load_backbone  # noqa: E402
from lsmseg_model.networks.closed_set.config import ClosedSetOptions  # noqa: E402
from lsmseg_model.networks.closed_set.ecac import ECAC  # noqa: E402
from lsmseg_model.networks.closed_set.ecac_losses import (  # noqa: E402
    class_weights,
    weighted_cross_entropy,
)
from lsmseg_model.processes import Processes  # noqa: E402

SEEN = [(index, name) for index, name, seen in CLASSES if seen]
AMONG_THE_RARE = ("floor-tile", "grass", "mountain")
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


# -- data --------------------------------------------------------------------------------


def to_positions(labels: np.ndarray) -> np.ndarray:
    """Positions among the seen classes; -1 for all others."""
    table = np.full(2 + max(index for index, _, _ in CLASSES), -1)  # the last is that of IGNORE
    table[[index for index, _ in SEEN]] = np.arange(len(SEEN))
    return table[labels]


def order_of(counts: np.ndarray) -> list[int]:
    """The classes from the most frequent to the rarest, as they are planted."""
    natural = sorted(range(len(SEEN)), key=lambda c: -counts[:, c].sum())
    moved = [c for c in natural if SEEN[c][1] in AMONG_THE_RARE]
    others = [c for c in natural if c not in moved]
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
    train = MiniStuff("train", pool)
    counts = np.stack(
        [
            np.bincount(y[y >= 0], minlength=len(SEEN))
            for y in (to_positions(train.labels(i)) for i in range(pool))
        ]
    ).astype(float)
    ranks = order_of(counts)
    wanted = np.zeros(len(SEEN))
    wanted[ranks] = np.arange(1, len(SEEN) + 1) ** -EXPONENT
    wanted /= wanted.sum()
    chosen = pick(counts, wanted, size)
    found = counts[chosen].sum(axis=0) / counts[chosen].sum()
    for rank, c in enumerate(ranks, 1):
        met = int((counts[chosen, c] > 0).sum())
        print(
            f"  {rank:2} {SEEN[c][1]:14} planted {wanted[c]:7.2%} found {found[c]:7.2%} "
            f"in {met:3} pictures"
        )
    return chosen, ranks, found


@torch.inference_mode()
def seen_by(backbone: Any, split: MiniStuff, indices: list[int]) -> tuple[Tensor, Tensor]:
    """Features [P, d, h, w] and labels [P, 128, 128] of pictures."""
    features, labels = [], []
    for index in indices:
        image = torch.from_numpy(split.picture(index)).permute(2, 0, 1)[None].float() / 255
        features.append(backbone.encode_dense(image).movedim(-1, 1))
        labels.append(torch.from_numpy(to_positions(split.labels(index))))
    return torch.cat(features).clone(), torch.stack(labels)


def on_grid(labels: Tensor, size: int) -> Tensor:
    return F.interpolate(labels[:, None].float(), (size, size), mode="nearest-exact")[:, 0].long()


# -- arms --------------------------------------------------------------------------------


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
    assert arm.ecac is not None
    arm.eval()
    each = torch.cat([arm.neck(part) for part in features.split(50)]).movedim(1, -1)
    arm.train()
    found = arm.ecac.filled.nonzero().flatten().tolist()
    means = F.normalize(torch.stack([each[labels == c].mean(dim=0) for c in found]), dim=-1)
    cosine = F.normalize(arm.ecac.bank[found], dim=-1) @ means.T
    own = cosine.diagonal()
    other = (cosine - 2 * torch.eye(len(own))).amax(dim=1)
    return {
        "lowest": float(own.min()),
        "mean": float(own.mean()),
        "nearest_other_mean": float(other.mean()),
        "own_is_nearest": float((own > other).float().mean()),
    }


@torch.no_grad()
def counted(arm: Arm, data: tuple[Tensor, Tensor], teacher: bool = False) -> np.ndarray:
    """Counts [P, N, 3] on test pictures."""
    rows = []
    for seen, labels in zip(data[0].split(50), data[1].split(50), strict=True):
        if teacher and arm.ecac is not None:
            logits = arm.ecac.teach(arm.neck(seen), on_grid(labels, seen.shape[-1]))
        else:
            logits, _ = arm(seen)
        best = F.interpolate(logits, labels.shape[1:], mode="bilinear").argmax(dim=1)
        for one, true in zip(best.numpy(), labels.numpy(), strict=True):
            rows.append(confusion_counts(one, true, len(SEEN)))
    return np.stack(rows)


# -- figures -----------------------------------------------------------------------------


def mean_iou(counts: np.ndarray, classes: list[int]) -> np.ndarray:
    """Counts [..., N, 3] -> [...] percent, over the classes that are labelled."""
    some = counts[..., classes, :]
    return 100 * np.nanmean(np.where(some[..., 2] > 0, iou(some), np.nan), axis=-1)


def figures(counts: dict[str, np.ndarray], groups: dict[str, list[int]], draws: int) -> Any:
    """For each arm and group: the mean, its interval, and differences to other arms."""
    rng = np.random.default_rng(0)
    seeds, pictures = next(iter(counts.values())).shape[:2]
    weights = rng.multinomial(pictures, np.full(pictures, 1 / pictures), draws).astype(float)
    drawn = rng.integers(seeds, size=(draws, seeds))
    result: dict[str, Any] = {}
    at: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}
    for arm, every in counts.items():
        sums = np.stack([(weights @ one.reshape(pictures, -1)) for one in every])
        sums = sums.reshape(seeds, draws, *every.shape[2:])
        for group, classes in groups.items():
            values = mean_iou(every.sum(axis=1), classes)
            at[arm, group] = values, mean_iou(sums, classes)[drawn.T, np.arange(draws)].mean(axis=0)
    for arm, group in at:
        values, resampled = at[arm, group]
        row = {"value": values.mean(), "spread": values.std(ddof=1) if seeds > 1 else 0.0}
        row["interval"] = np.percentile(resampled, [2.5, 97.5]).tolist()
        for other in ("plain", "weighted", "parameters", "ecac"):
            if other in counts and other != arm:
                theirs, again = at[other, group]
                low, high = np.percentile(resampled - again, [2.5, 97.5])
                row[f"minus {other}"] = [float((values - theirs).mean()), low, high]
        result.setdefault(arm, {})[group] = row
    return result


def table(found: dict[str, Any]) -> None:
    for group in next(iter(found.values())):
        print(f"\n{group}: mean IoU in %, and differences in points")
        for arm, rows in found.items():
            row = rows[group]
            low, high = row["interval"]
            text = f"  {arm:16} {row['value']:5.1f} [{low:5.1f}, {high:5.1f}]"
            text += f" spread {row['spread']:.2f}"
            for other in ("plain", "weighted", "parameters", "ecac"):
                if f"minus {other}" in row:
                    value, low, high = row[f"minus {other}"]
                    text += f" | - {other} {value:+5.2f} [{low:+5.2f}, {high:+5.2f}]"
            print(text)


def options_of(change: str) -> ClosedSetOptions:
    name, _, value = change.partition("=")
    return replace(BASE, **{name: value if name == "scores" else float(value)})


def parameters() -> None:
    """What ECAC adds at inference, at the size of table 4.6."""
    model = ECAC(512, 150, BASE)
    student = sum(p.numel() for p in model.student.parameters())
    teacher = sum(p.numel() for p in model.teacher.parameters())
    total = student + model.bank.numel()
    print(
        f"parameters at d = 512, N = 150: {total / 1e6:.3f} M at inference (published: 1.02 to "
        f"1.05 M), {teacher / 1e6:.3f} M more in training"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="a folder for ecac.json")
    parser.add_argument("--arms", nargs="*", default=ARMS, choices=ARMS)
    parser.add_argument("--more", nargs="*", default=[], help="field=value: further arms of ECAC")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    o = parser.parse_args()
    pool, size, test, draws = 4000, 400, 200, 1000
    if o.small:
        pool, size, test, draws = 60, 20, 6, 20
        o.seeds, o.steps, o.batch, o.arms = 2, 3, 4, ["plain", "parameters", "ecac"]
    began = time.monotonic()
    parameters()
    chosen, ranks, shares = planted(pool, size)
    backbone = load_backbone("lsmseg-tiny")
    seen, labels = seen_by(backbone, MiniStuff("train"), chosen)
    data = seen, on_grid(labels, seen.shape[-1])
    parts = [seen_by(backbone, MiniStuff(s), list(range(test))) for s in ("selection", "report")]
    held_out = torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])
    print(f"data after {time.monotonic() - began:.0f} s", flush=True)
    counts: dict[str, list[np.ndarray]] = {}
    near: dict[str, list[dict[str, float]]] = {}
    arms = {name: ECACS.get(name) for name in o.arms} | {c: options_of(c) for c in o.more}
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
    print(f"\n{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
