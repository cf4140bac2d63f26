"""What a training run keeps: the state to go on from, and the history as CSV, plot, TensorBoard."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lsmseg_model.encoders.checkpoints import check_finite
from lsmseg_model.errors import CheckpointError
from lsmseg_model.files import write_csv, write_whole

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


def read_last(path: Path, device: torch.device, same: str) -> dict[str, Any]:
    """What a run goes on from. Raises CheckpointError for a file that does not fit."""
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        fits = state["same"] == same
    except Exception as error:
        raise CheckpointError(
            f"{path} cannot be resumed from; it is damaged, or not the checkpoint of a training."
        ) from error
    if not fits:
        raise CheckpointError(
            f"{path} was made with other options, texts, data or seed, or from other weights; "
            "repeat the command that made it with --resume, or choose another --out."
        )
    check_finite(path, state)
    return state


def write_history(folder: Path, history: History) -> None:
    """loss.csv, scores.csv and curves.png."""
    write_csv(folder / "loss.csv", STEP_COLUMNS, history.steps)
    if history.scores:
        rows = [list(scores.values()) for scores in history.scores]
        write_csv(folder / "scores.csv", list(history.scores[0]), rows)
    plot(folder / "curves.png", history, scores=True)


def plot(path: Path, history: History, scores: bool) -> None:
    """A plot of the loss, and beside it of the validation's `scores`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2) if scores else (6, 3.2), layout="constrained")
    axes = figure.subplots(1, 2 if scores else 1, squeeze=False)[0]
    steps = [row[0] for row in history.steps]
    losses = np.array([row[1] for row in history.steps])
    width = max(1, len(losses) // 50)
    smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
    axes[0].plot(steps, losses, color="0.8", linewidth=0.6)
    axes[0].plot(steps[width - 1 :], smooth, color="tab:blue")
    axes[0].set(xlabel="iteration", ylabel="loss", yscale="log")
    if scores:
        for name, label in (("miou", "all"), ("miou_seen", "seen"), ("miou_unseen", "unseen")):
            points = [(s["step"], 100 * s[name]) for s in history.scores if name in s]
            if points:
                axes[1].plot(*zip(*points, strict=True), marker="o", markersize=3, label=label)
        axes[1].set(xlabel="iteration", ylabel="mIoU, %")
        if history.scores:
            axes[1].legend(frameon=False)
    write_whole(path, lambda temporary: figure.savefig(temporary, dpi=130))


def tensorboard_writer(folder: Path, start: int) -> Any:
    """A `SummaryWriter` that goes on from step `start`; None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=start)
