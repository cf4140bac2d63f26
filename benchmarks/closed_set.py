"""CAA on drawings: does its affinity tell classes apart, and does that help the segmentation?

python benchmarks/closed_set.py --keep runs/caa --out runs/caa.json   # goes on where it stopped
python benchmarks/closed_set.py --small                               # only to see that it runs

The shipped backbone, frozen; its dense features (128 channels, 16 x 16 positions) of MiniStuff's
pictures are seen once and kept. On them the library's own closed-set network (`ClosedSet`) learns
the 28 seen classes with its own losses; all arms with the same steps, batches and seeds:

 none        the classifier alone, a 1x1 convolution
 plain       position by position with as many parameters as CAA: what `difference` is against
 caa         all of CAA; no-centres, no-affinity, no-intra, no-inter: without one part;
             no-affinity-loss, no-aux-loss: without one loss
 shuffled    the rows of the affinity map in another order, in training and at test
 oracle      the affinity of the LABELS, in training and at test: a ceiling, never a result

Scored on the report split, 128 x 128 pixels, unseen classes ignored; `position` mIoU: at the 16 x
16 positions of the features, each by the label of its middle, where CAA works. AUC: how well a
score of two positions tells pairs of one class from others, the mean over pictures. Edge: pixels
within 2 of a label's edge; edge IoU: Boundary IoU (Cheng et al.) of that width. Intervals of 95 %:
pictures and seeds are drawn together, the same for both arms of a difference. `spread`: the
standard deviation over seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsmseg_model.data.benchmark import MiniStuff
from lsmseg_model.data.ministuff.scenes import CLASSES
from lsmseg_model.metrics import at_edges, boundary_counts, confusion_counts, iou
from lsmseg_model.networks.backbones.base import View
from lsmseg_model.networks.backbones.load import load_backbone
from lsmseg_model.networks.closed_set.caa import CAA, affinity_loss, same_class
from lsmseg_model.networks.closed_set.config import ClosedSetOptions
from lsmseg_model.networks.closed_set.hosts import BackboneHost, Host
from lsmseg_model.networks.closed_set.segmenter import ClosedSet

SEEN = [(index, name) for index, name, seen in CLASSES if seen]
POSITIONS = np.full(2 + max(index for index, _, _ in CLASSES), -1)  # the last is that of IGNORE
POSITIONS[[index for index, _ in SEEN]] = np.arange(len(SEEN))
SIDE, WIDTH = 128, 2  # pixels of a picture, and of an edge
CAA_ALL = ClosedSetOptions(addon="caa")
ARMS = {
    "none": ClosedSetOptions(addon="none"),
    "plain": ClosedSetOptions(addon="plain"),
    "caa": CAA_ALL,
    "no-centres": replace(CAA_ALL, centres=False),
    "no-affinity": replace(CAA_ALL, affinity=False),
    "no-intra": replace(CAA_ALL, intra=False),
    "no-inter": replace(CAA_ALL, inter=False),
    "no-affinity-loss": replace(CAA_ALL, affinity_loss=0.0),
    "no-aux-loss": replace(CAA_ALL, aux_loss=0.0),
    "shuffled": CAA_ALL,
    "oracle": CAA_ALL,
}
PLAIN = "plain"


@dataclass(frozen=True)
class Pictures:
    """features: [P, D, h, w]; labels: int64 [P, SIDE, SIDE], positions in SEEN or -1."""

    features: Tensor
    labels: Tensor

    @property
    def grid(self) -> Tensor:
        """The labels at the features' positions."""
        return resized(self.labels, self.features.shape[2])


def resized(labels: Tensor, side: int) -> Tensor:
    """labels: [P, H, W] -> [P, side, side], by the pixel in the middle of each."""
    small = F.interpolate(labels[:, None].float(), (side, side), mode="nearest-exact")
    return small[:, 0].long()


def pictures(split: str, chosen: Iterable[int]) -> Pictures:
    """Pictures of a split, through the frozen backbone."""
    benchmark, host = MiniStuff(split), BackboneHost(load_backbone()).eval()
    features, labels = [], []
    for at in chosen:
        image = torch.from_numpy(benchmark.picture(at).copy()).permute(2, 0, 1).float() / 255
        with torch.no_grad():
            features.append(host(image[None]))
        labels.append(torch.from_numpy(POSITIONS[benchmark.labels(at)]))
    return Pictures(torch.cat(features), torch.stack(labels))


# -- arms --------------------------------------------------------------------------------


class Kept(Host):
    """Stands for the backbone: its features have been seen already."""

    def __init__(self, channels: int) -> None:
        super().__init__("kept", View(SIDE, SIDE, SIDE))
        self.channels = channels


class Steered(CAA):
    """CAA whose affinity is that of labels, or in other rows. ``labels``: [B, h, w]."""

    labels: Tensor | None = None

    def __init__(self, channels: int, options: ClosedSetOptions, oracle: bool) -> None:
        super().__init__(channels, len(SEEN), options)
        self.oracle = oracle

    def forward(
        self,
        features: Tensor,
        coarse: Tensor,
        labels: Tensor | None = None,
        affinity: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        if self.oracle:
            assert self.labels is not None
            return super().forward(features, coarse, labels, same_class(self.labels)[0])
        logits = self.affinity(features)
        order = torch.randperm(logits.shape[1])
        found, losses = super().forward(features, coarse, labels, logits.sigmoid()[:, order])
        if labels is not None:
            losses["affinity"] = self.options.affinity_loss * affinity_loss(logits, labels)
        return found, losses


def network_of(arm: str, channels: int, reduce: int) -> ClosedSet:
    options = replace(ARMS[arm], reduce=reduce)
    network = ClosedSet(Kept(channels), options, [name for _, name in SEEN])
    if arm in ("shuffled", "oracle"):
        network.addon = Steered(channels, options, oracle=arm == "oracle")
    return network


def train(arm: str, seed: int, data: Pictures, run: argparse.Namespace) -> ClosedSet:
    """A network of this arm. The order of the pictures depends on the seed alone."""
    torch.manual_seed(seed)
    network = network_of(arm, data.features.shape[1], run.reduce).train()
    rng, grid = np.random.default_rng(seed), data.grid
    parameters = list(network.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=run.lr, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, run.lr, run.steps, pct_start=0.1)
    # Labels of half the side: four times faster, and still four times finer than the grid.
    labels = resized(data.labels, run.size)
    for _ in range(run.steps):
        some = torch.from_numpy(rng.choice(len(labels), run.batch, replace=False))
        if isinstance(network.addon, Steered):
            network.addon.labels = grid[some]
        loss = network.loss(data.features[some], labels[some]) / (labels[some] >= 0).sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
    return network.eval()


# -- scores ------------------------------------------------------------------------------


@torch.inference_mode()
def score(network: ClosedSet, data: Pictures) -> dict[str, np.ndarray]:
    """Counts [P, C, 3] of whole pictures ("all"), of edges and of the features' positions;

    "pixels": [P, 4] right and labelled ones, first at the edges, then inside.
    """
    found: dict[str, list[np.ndarray]] = {"all": [], "edges": [], "positions": [], "pixels": []}
    for at, (label, grid) in enumerate(zip(data.labels.numpy(), data.grid, strict=True)):
        if isinstance(network.addon, Steered):
            network.addon.labels = grid[None]
        logits, _, _ = network.classify(data.features[at : at + 1])
        large = F.interpolate(logits, (SIDE, SIDE), mode="bilinear", align_corners=False)
        seen = large[0].argmax(dim=0).numpy()
        found["all"].append(confusion_counts(seen, label, len(SEEN)))
        position = logits[0].argmax(dim=0).numpy()
        found["positions"].append(confusion_counts(position, grid.numpy(), len(SEEN)))
        ratio = WIDTH / float(np.hypot(SIDE, SIDE))
        found["edges"].append(boundary_counts(seen, label, len(SEEN), ratio))
        edge, right, known = at_edges(label, WIDTH), seen == label, label >= 0
        found["pixels"].append(
            np.array([(edge & right).sum(), (edge & known).sum(),
                      (~edge & right).sum(), (~edge & known).sum()])
        )  # fmt: skip
    return {name: np.stack(rows) for name, rows in found.items()}


def auc(scores: Tensor, grid: Tensor) -> float:
    """The part of pairs of different classes that score below a pair of one class; nan of none.

    scores: [P, P] of two positions; pairs of a position with itself do not count.
    """
    same, pairs = (x[0].bool() for x in same_class(grid[None]))
    pairs = pairs & ~torch.eye(len(pairs), dtype=torch.bool)
    values, of_one = scores[pairs].double().numpy(), same[pairs].numpy()
    ones, others = int(of_one.sum()), int((~of_one).sum())
    if not ones or not others:
        return float("nan")
    _, place, size = np.unique(values, return_inverse=True, return_counts=True)
    rank = (np.cumsum(size) - (size - 1) / 2)[place]  # ties share a rank
    return float((rank[of_one].sum() - ones * (ones + 1) / 2) / (ones * others))


@torch.inference_mode()
def pair_scores(kind: str, network: ClosedSet | None, data: Pictures) -> np.ndarray:
    """[P] the AUC in every picture of "affinity", "cosine" or "probabilities" (of one class)."""
    found = []
    for at, grid in enumerate(data.grid):
        features = data.features[at : at + 1]
        if network is None:
            each = F.normalize(features[0].flatten(1), dim=0)
        else:
            each = network.classify(features)[0][0].flatten(1).softmax(dim=0)
        pair = each.T @ each
        if kind == "affinity":
            assert network is not None
            addon: Any = network.addon
            pair = addon.affinity(features)[0]
        found.append(auc(pair, grid))
    return np.array(found)


# -- intervals ---------------------------------------------------------------------------


def mean_iou(counts: np.ndarray) -> float:
    """counts: [S, P, C, 3] of seeds and pictures: the mean over seeds of the mean over classes."""
    return float(np.nanmean(iou(counts.sum(axis=1)), axis=-1).mean())


def accuracy(part: int) -> Callable[[np.ndarray], float]:
    """Of pixels [S, P, 4] those at edges (0) or inside (1), in the mean over seeds."""

    def of(pixels: np.ndarray) -> float:
        right, all_of = np.moveaxis(pixels.sum(axis=1)[:, 2 * part : 2 * part + 2], -1, 0)
        return float((right / all_of).mean())

    return of


FIGURES: dict[str, tuple[str, Callable[[np.ndarray], float]]] = {
    "mIoU": ("all", mean_iou),
    "position mIoU": ("positions", mean_iou),
    "edge IoU": ("edges", mean_iou),
    "edge accuracy": ("pixels", accuracy(0)),
    "inner accuracy": ("pixels", accuracy(1)),
}


def interval(
    figure: Callable[[np.ndarray], float], one: np.ndarray, other: np.ndarray | None, draws: int
) -> list[float]:
    """The 2.5th and 97.5th percentile over drawn seeds and pictures, of a difference or alone."""
    rng, found = np.random.default_rng(0), []
    for _ in range(draws):
        seeds = rng.integers(len(one), size=len(one))
        some = rng.integers(one.shape[1], size=one.shape[1])
        drawn = figure(one[seeds][:, some])
        found.append(drawn - (0 if other is None else figure(other[seeds][:, some])))
    return [float(x) for x in np.percentile(found, (2.5, 97.5))]


def table_of(scores: dict[str, dict[str, np.ndarray]], draws: int) -> list[dict[str, Any]]:
    """A row an arm: every figure with its spread, its difference to `plain` and the interval."""
    rows = []
    for arm, of in scores.items():
        row: dict[str, Any] = {"arm": arm}
        for name, (key, figure) in FIGURES.items():
            seeds = [figure(of[key][seed : seed + 1]) for seed in range(len(of[key]))]
            row[name] = float(np.mean(seeds))
            row[f"{name} spread"] = float(np.std(seeds, ddof=1)) if len(seeds) > 1 else 0.0
            if arm != PLAIN and PLAIN in scores:
                row[f"{name} difference"] = row[name] - figure(scores[PLAIN][key])
                row[f"{name} interval"] = interval(figure, of[key], scores[PLAIN][key], draws)
        rows.append(row)
    return rows


def nan_mean(values: np.ndarray) -> float:
    """values: [S, P]."""
    return float(np.nanmean(values))


def shown(rows: list[dict[str, Any]], pairs: list[dict[str, Any]]) -> str:
    """Both tables as text, in points of 100."""
    lines = [f"{'':18}" + "".join(f"{name:>38}" for name in FIGURES)]
    for row in rows:
        cells = []
        for name in FIGURES:
            cell = f"{100 * row[name]:.2f}±{100 * row[f'{name} spread']:.2f}"
            if f"{name} interval" in row:
                low, high = (100 * x for x in row[f"{name} interval"])
                cell += f" {100 * row[f'{name} difference']:+.2f} [{low:+.2f}, {high:+.2f}]"
            cells.append(f"{cell:>38}")
        lines.append(f"{row['arm']:18}" + "".join(cells))
    lines.append("\nAUC of pairs of one class, in the mean over pictures")
    for row in pairs:
        low, high = row["interval"]
        lines.append(f"{row['score']:44}{row['auc']:.4f} [{low:.4f}, {high:.4f}] "
                     f"spread {row['spread']:.4f}")  # fmt: skip
    return "\n".join(lines)


# -- the run -----------------------------------------------------------------------------


def result(arm: str, seed: int, learned: Pictures, held_out: Pictures,
           run: argparse.Namespace) -> dict[str, np.ndarray]:  # fmt: skip
    """The scores of one network, and its AUCs; from the folder --keep where they are there."""
    how = run.steps, run.batch, run.lr, run.size, run.reduce, run.pictures, run.held_out
    path = Path(run.keep or "") / f"{'-'.join(map(str, (arm, seed, *how)))}.npz"
    if run.keep and path.exists():
        with np.load(path) as kept:
            return dict(kept)
    start = time.monotonic()
    network = train(arm, seed, learned, run)
    found = score(network, held_out)
    kind = "probabilities" if arm in ("none", PLAIN) else "affinity"
    if arm not in ("no-affinity", "oracle"):
        found[f"{kind} of {arm}"] = pair_scores(kind, network, held_out)
    found["parameters"] = np.array(sum(p.numel() for p in network.parameters()))
    print(f"{arm} {seed}: {time.monotonic() - start:.0f} s, mIoU "
          f"{100 * mean_iou(found['all'][None]):.2f}", flush=True)  # fmt: skip
    if run.keep:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **found)  # type: ignore[arg-type]
    return found


def measure(run: argparse.Namespace) -> dict[str, Any]:
    """All arms with all seeds; what is written with --out."""
    learned, held_out = (
        pictures("train", range(run.pictures)),
        pictures("report", range(run.held_out)),
    )
    scores = {}
    for arm in run.arms:
        each = [result(arm, seed, learned, held_out, run) for seed in run.seeds]
        scores[arm] = {name: np.stack([one[name] for one in each]) for name in each[0]}
    pairs = {"cosine of the features": pair_scores("cosine", None, held_out)[None]}
    pairs |= {k: v for of in scores.values() for k, v in of.items() if " of " in k}
    told = []
    for name, values in pairs.items():
        spread = [nan_mean(one) for one in values]
        told.append({"score": name, "auc": nan_mean(values),
                     "spread": float(np.std(spread, ddof=1)) if len(spread) > 1 else 0.0,
                     "interval": interval(nan_mean, values, None, run.draws)})  # fmt: skip
    parameters = {arm: int(of["parameters"][0]) for arm, of in scores.items()}
    rows = table_of(scores, run.draws)
    return {"options": vars(run), "parameters": parameters, "arms": rows, "pairs": told}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", help="a JSON file for the tables")
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--keep", help="a folder for what each network scored, to go on from")
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--size", type=int, default=32, help="side of the labels in training")
    parser.add_argument("--reduce", type=int, default=128, help="channels D'")
    parser.add_argument("--pictures", type=int, default=600)
    parser.add_argument("--held-out", type=int, default=200)
    parser.add_argument("--draws", type=int, default=1000)
    run = parser.parse_args()
    if run.small:
        run.seeds, run.steps, run.pictures, run.held_out, run.draws = [0, 1], 3, 10, 4, 10
    found = measure(run)
    print(shown(found["arms"], found["pairs"]))
    if run.out:
        Path(run.out).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
