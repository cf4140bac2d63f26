"""What a training run keeps: the state to go on from, and the history as CSV, plot, TensorBoard."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lsmseg_model.errors import CheckpointError
from lsmseg_model.files import write_whole
from lsmseg_model.networks.lsmseg import LsmSeg
from lsmseg_model.training.step import Optimizer

STEP_COLUMNS = ("step", "loss", "lr", "gradient_norm", "seconds")


@dataclass
class History:
    """`steps`: rows of STEP_COLUMNS. `scores`: an evaluation each, with its step."""

    steps: list[tuple[int, float, float, float, float]] = field(default_factory=list)
    scores: list[dict[str, float]] = field(default_factory=list)

    @property
    def best(self) -> dict[str, float] | None:
        return max(self.scores, key=lambda s: s["miou"]) if self.scores else None

    @property
    def seconds(self) -> float:
        return self.steps[-1][4] if self.steps else 0.0

    def tail(self, count: int = 50) -> float:
        """The mean loss of the last steps."""
        losses = [row[1] for row in self.steps[-count:]]
        return sum(losses) / len(losses) if losses else float("nan")


def fingerprint(settings: dict[str, Any], *others: Any) -> str:
    """What must stay the same for a resumed run to equal an unbroken one."""
    free = ("iterations", "evaluate_every", "checkpoint_every")
    options = {k: v for k, v in settings["train"].items() if k not in free}
    fixed = {**settings, "train": options}
    return hashlib.sha256(json.dumps([fixed, *others]).encode()).hexdigest()


def save_last(
    path: Path, network: LsmSeg, optimizer: Optimizer, step: int, history: History, same: str
) -> None:
    """Write everything that a run goes on from; the frozen second encoder is filled anew."""
    weights = {k: v for k, v in network.state_dict().items() if not k.startswith("sam.")}
    state = {
        "same": same,
        "network": weights,
        "optimizer": optimizer.adamw.state_dict(),
        "step": step,
        "history": json.dumps(asdict(history)),
    }
    write_whole(path, lambda temporary: torch.save(state, temporary))


def resume(path: Path, network: LsmSeg, optimizer: Optimizer, same: str) -> tuple[int, History]:
    """The step to go on with, and what was. Raises CheckpointError for a file that does not fit."""
    try:
        state = torch.load(path, map_location=network.clip.device, weights_only=True)
        found, step = state["same"], int(state["step"])
        weights, moments, told = state["network"], state["optimizer"], state["history"]
        history = json.loads(told)
    except Exception as error:
        raise CheckpointError(
            f"{path} cannot be resumed from; it is damaged, or no checkpoint of `train`."
        ) from error
    if found != same:
        raise CheckpointError(
            f"{path} was made with other options, texts, weights, data or seed; repeat the command "
            "that made it with --resume, or choose another --out."
        )
    network.load_state_dict(weights, strict=False)
    optimizer.adamw.load_state_dict(moments)
    return step, History([tuple(row) for row in history["steps"]], history["scores"])


def write_history(folder: Path, history: History) -> None:
    """loss.csv, scores.csv and curves.png."""
    write_whole(folder / "loss.csv", lambda path: _write_steps(path, history))
    if history.scores:
        write_whole(folder / "scores.csv", lambda path: _write_scores(path, history))
    write_whole(folder / "curves.png", lambda path: _plot(path, history))


def _write_steps(path: Path, history: History) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(STEP_COLUMNS)
        writer.writerows(history.steps)


def _write_scores(path: Path, history: History) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history.scores[0]))
        writer.writeheader()
        writer.writerows(history.scores)


def _plot(path: Path, history: History) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    steps = [row[0] for row in history.steps]
    losses = np.array([row[1] for row in history.steps])
    width = max(1, len(losses) // 50)
    smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(steps, losses, color="0.8", linewidth=0.6)
    left.plot(steps[width - 1 :], smooth, color="tab:blue")
    left.set(xlabel="iteration", ylabel="loss", yscale="log")
    for name, label in (("miou", "all"), ("miou_seen", "seen"), ("miou_unseen", "unseen")):
        points = [(s["step"], 100 * s[name]) for s in history.scores if name in s]
        if points:
            right.plot(*zip(*points, strict=True), marker="o", markersize=3, label=label)
    right.set(xlabel="iteration", ylabel="mIoU, %")
    if history.scores:
        right.legend(frameon=False)
    figure.savefig(path, dpi=130)


class TensorBoard:
    """The same numbers for TensorBoard, where it is installed; else nothing is written."""

    def __init__(self, folder: Path, start: int, wanted: bool) -> None:
        self.writer: Any = None
        if not wanted:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=start)

    def step(self, row: tuple[int, float, float, float, float]) -> None:
        if self.writer:
            for name, value in zip(STEP_COLUMNS[1:4], row[1:4], strict=True):
                self.writer.add_scalar(name, value, row[0])

    def scores(self, found: dict[str, float]) -> None:
        if self.writer:
            for name, value in found.items():
                if name != "step":
                    self.writer.add_scalar(f"validation/{name}", value, int(found["step"]))

    def close(self) -> None:
        if self.writer:
            self.writer.close()
