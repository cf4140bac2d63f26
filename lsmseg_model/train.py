"""Training a network: the paper's recipe, on one machine's processors or on several GPUs.

Everything random follows from (seed, step), so a run that was killed and resumed equals an
unbroken one, and several processes, or a batch computed in parts, equal one
(tests/model/test_train.py). Several GPUs:
`torchrun --nproc-per-node 4 --no-python lsmseg-prompts train`.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lsmseg_model.data.benchmark import Benchmark, load_benchmark
from lsmseg_model.data.captioners import Captioner, open_captions
from lsmseg_model.data.label_maps import IGNORE
from lsmseg_model.errors import TrainingError, UsageError
from lsmseg_model.networks.backbones.load import check_device
from lsmseg_model.networks.build import read_network, save_network, start_network
from lsmseg_model.networks.closed_set.complete import complete
from lsmseg_model.processes import Processes, processes
from lsmseg_model.training.dataset import Augment, TrainingItem
from lsmseg_model.training.loop import Run, training_folder
from lsmseg_model.training.options import TrainOptions, TrainRequest, training_options
from lsmseg_model.training.state import History, write_history
from lsmseg_model.training.step import Optimizer, Step, Texts, pixels
from lsmseg_model.training.validation import validate


@dataclass
class TrainResult:
    """Where a run left its files, and how it went. `best`: the best validation scores."""

    weights: Path
    best_weights: Path | None
    iterations: int
    loss: float
    best: dict[str, float] | None
    seconds: float
    finished: bool


def train(request: TrainRequest) -> TrainResult:
    """Train the network `request.config` on the train split of `request.data`.

    Leaves in `out`: <name>.safetensors (the end), best.safetensors (the best validation), last.pt
    (to go on from), loss.csv, scores.csv, curves.png and tensorboard/.

    Raises:
        ConfigError: For a wrong field or value of the network or the recipe.
        DataError: For pictures that cannot be used as they are, a checkpoint or other files in the
            way, and a folder that another run is writing into.
        CheckpointError: For weights that are missing or do not fit.
        UsageError: For a name that does not exist.
        TrainingError: Where the loss is not a number or the GPU is full: what was saved before
            stays.
    """
    check_device(request.device)
    settings = read_network(request.config, **request.changes)
    given = asdict(request.options) if request.options else {}
    options = training_options(TrainOptions, settings, given)
    with (
        processes(request.device) as team,
        training_folder(request, "train", settings["name"], team),
    ):
        run = NetworkRun(request, settings, options, team)
        run.go(request.tensorboard)
    return TrainResult(
        weights=run.weights,
        best_weights=run.best if run.best.exists() else None,
        iterations=run.step,
        loss=run.history.tail(),
        best=run.history.best,
        seconds=run.history.seconds,
        finished=run.step == options.iterations,
    )


def _held_out(request: TrainRequest) -> Benchmark | None:
    """The pictures to validate on; None where the data has no others than those to train on."""
    split = request.test_split or ("selection" if request.data == "ministuff" else None)
    benchmark = load_benchmark(
        request.data, request.data_root, split, request.test_limit, len(request.texts),
        request.vocabulary_name,
    )  # fmt: skip
    return None if benchmark.split in ("train", "train2017", "training", "") else benchmark


class NetworkRun(Run):
    """The training of one network."""

    options: TrainOptions
    request: TrainRequest

    def __init__(
        self,
        request: TrainRequest,
        settings: dict[str, Any],
        options: TrainOptions,
        team: Processes,
    ) -> None:
        self.part = options.part(team.count)
        super().__init__(request, settings, options, team)
        self.held_out = _held_out(request)
        self.best = self.out / "best.safetensors"
        self.evaluate_every = options.evaluate_every
        self.checkpoint_every = options.checkpoint_every
        self.test_texts = request.test_texts or [group[:1] for group in request.texts]
        if self.settings.get("kind") == "closed-set":
            data = self.benchmark, self.classes
            self.settings = complete(self.settings, self.test_texts, *data)
        network = start_network(self.settings, request.pretrained, request.encoder, self.half)
        network.to(team.device).trainable(options.clip)
        if team.count > 1 and team.device.startswith("cuda"):
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        self.network = network.train()
        self.optimizer = Optimizer(network, options)
        captions = self._captions(self.benchmark)
        if captions is None:
            network.describe("")  # one that reads them says that there are none
        network.captions = self._captions(self.held_out)
        told = [request.captions] if network.described else []
        self.resume(network.clip.weights_hash, str(request.encoder), self.half, *told)
        texts = [request.texts[c] for c in self.classes]
        reads = self.settings.get("kind") != "closed-set"  # those know sentences by heart
        self.table = Texts(network, texts, trains=reads and options.clip != "freeze")
        self.module: Any = Step(network, options.ignored)
        if team.count > 1:
            from torch.nn.parallel import DistributedDataParallel

            with team.together():
                self.module = DistributedDataParallel(self.module, find_unused_parameters=True)
        augment = Augment(options.short_side, settings["crop"], options.scale, "ssd")
        self.load_pictures(augment, captions=captions)

    def _captions(self, benchmark: Benchmark | None) -> Captioner | None:
        """Who describes the pictures of a benchmark, where the network wants it."""
        if self.settings.get("kind") != "llmformer" and self.request.captions is not None:
            name = self.settings["name"]
            raise UsageError(f"{name} reads no captions: leave out --captions.")
        if self.settings.get("kind") != "llmformer" or benchmark is None:
            return None
        return open_captions(self.request.captions, benchmark, self.request.class_names)

    def learn(self, items: list[TrainingItem], rate: float) -> tuple[float, float]:
        rng = np.random.default_rng([self.request.seed, self.step])
        texts = self.table.draw(rng)
        try:
            loss = self._backward(items, texts)
            self.must_be_a_number(loss, "loss")
            limit = self.options.clip_grad
            norm = float(torch.nn.utils.clip_grad_norm_(self.optimizer.parameters, limit))
            self.must_be_a_number(norm, "norm of the gradients")
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"The GPU's memory is full at step {self.step}: choose a lower --batch-size or a "
                "higher --accumulate, --precision bf16, --clip freeze, or a smaller network (--set "
                f"k=..., --set encoder_size=...).{self.kept()}"
            ) from error
        self.optimizer.step(rate)
        self.network.after_step(self.team)
        return loss, norm

    def _backward(self, items: list[TrainingItem], texts: Tensor) -> float:
        """The gradients of a step, part by part of the batch; returns its loss."""
        labels = [self._positions(item.labels) for item in items]
        count = torch.tensor(float(sum(pixels(x, self.options.ignored) for x in labels)))
        total = float(self.team.sum(count.to(self.team.device))) or 1.0
        loss = torch.zeros((), device=self.team.device)
        for start in range(0, len(items), self.part):
            last = start + self.part == len(items)
            alone = self.team.count > 1 and not last
            with self.team.together(), self.module.no_sync() if alone else nullcontext():
                some = slice(start, start + self.part)
                part = self._loss(items[some], labels[some], texts) / total
                (part * self.team.count).backward()  # processes are averaged
            loss += part.detach()
        return float(self.team.sum(loss))

    def _loss(self, items: list[TrainingItem], labels: list[Tensor], texts: Tensor) -> Tensor:
        device = torch.device(self.team.device)
        images = torch.stack([item.image for item in items]).to(device)
        told = [item.description for item in items] if self.network.described else None
        with torch.autocast(device.type, torch.bfloat16, enabled=self.half):
            return self.module(images, torch.stack(labels).to(device), texts, told)

    def _positions(self, labels: Tensor) -> Tensor:
        """Vocabulary indices to positions among the classes trained on; others are unlabelled."""
        count = max(self.classes) + 1
        place = torch.full((count,), IGNORE, dtype=torch.int64)
        place[torch.tensor(self.classes)] = torch.arange(len(self.classes))
        inside = (labels >= 0) & (labels < count)  # MiniStuff's invented things lie above
        return torch.where(inside, place[labels.clamp(0, count - 1)], IGNORE)

    def validate(self) -> None:
        if self.held_out is None:
            return
        summary = validate(self.network, self.held_out, self.test_texts, self.team, self.half)
        best = self.history.best
        self.history.scores.append({"step": float(self.step), **summary})
        if self.team.first:
            self.note(self.step, {f"validation/{name}": value for name, value in summary.items()})
            if best is None or summary["miou"] > best["miou"]:
                self._save(self.best)
        self.team.wait()

    def state(self) -> dict[str, Any]:
        # The frozen second encoder is filled anew.
        weights = {k: v for k, v in self.network.state_dict().items() if not k.startswith("sam.")}
        return {
            "network": weights,
            "optimizer": self.optimizer.rule.state_dict(),
            "history": json.dumps(asdict(self.history)),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"], strict=False)
        self.optimizer.rule.load_state_dict(state["optimizer"])
        history = json.loads(state["history"])
        self.history = History([tuple(row) for row in history["steps"]], history["scores"])

    def write_log(self) -> None:
        write_history(self.out, self.history)

    def _save(self, path: Path) -> None:
        scores = self.history.scores[-1] if self.history.scores else None
        save_network(path, self.network, {**self.about(), "scores": scores})

    def end(self) -> None:
        if self.team.first:
            self._save(self.weights)
        self.team.wait()
