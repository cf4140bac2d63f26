"""Training a network: the paper's recipe, on one machine's processors or on several GPUs.

Everything random follows from (seed, step), so a run that was killed and resumed equals an
unbroken one, and several processes, or a batch computed in parts, equal one
(tests/test_train.py). Several GPUs: `torchrun --nproc-per-node 4 --no-python lsmseg-prompts train`.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lsmseg_model.data.benchmark import Benchmark, load_benchmark, training_classes
from lsmseg_model.data.label_maps import IGNORE
from lsmseg_model.errors import AlreadyTrainedError, ConfigError, DataError, TrainingError
from lsmseg_model.files import new_folder
from lsmseg_model.networks.backbones.clip import check_device
from lsmseg_model.networks.build import read_network, save_network, start_network
from lsmseg_model.pretrain import bf16_is_fast
from lsmseg_model.training.dataset import (
    Augment,
    Places,
    TrainingItem,
    batches,
    outlive,
    training_data,
)
from lsmseg_model.training.options import TrainOptions
from lsmseg_model.training.processes import Processes, processes
from lsmseg_model.training.progress import LossBar
from lsmseg_model.training.state import (
    History,
    TensorBoard,
    fingerprint,
    resume,
    save_last,
    write_history,
)
from lsmseg_model.training.step import Optimizer, Step, Texts, pixels, rate_at
from lsmseg_model.training.validation import validate

PATIENCE = 3.0  # seconds after Ctrl-C in which another signal is taken for the same wish


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


def train(
    *,
    config: str = "lsmseg-tiny",
    data: str = "ministuff",
    texts: Sequence[Sequence[str]],
    vocabulary_name: str,
    out: Path,
    data_root: str | Path | None = None,
    test_texts: Sequence[Sequence[str]] | None = None,
    test_split: str | None = None,
    test_limit: int | None = None,
    pretrained: str | Path | None = None,
    encoder: str | Path | None = None,
    changes: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    again: bool = False,
    precision: str = "auto",
    seed: int = 0,
    device: str = "cpu",
    workers: int = 1,
    minutes: float | None = None,
    tensorboard: bool = True,
    progress: bool = True,
) -> TrainResult:
    """Train the network `config` on the train split of `data`.

    texts: for every prompt of the vocabulary one or more sentences; each step draws one.
    test_texts: those of the validations (default: the first of each). pretrained, encoder: see
    `start_network`. changes: fields of the network; options: of `TrainOptions`. again: go on from
    out/last.pt if it is there. minutes: stop after so long, resumable. precision: fp32, bf16, or
    auto (bf16 where it is native).

    Leaves in `out`: <name>.safetensors (the end), best.safetensors (the best validation), last.pt
    (to go on from), loss.csv, scores.csv, curves.png and tensorboard/. Raises ConfigError,
    DataError, CheckpointError, UsageError; TrainingError where the loss is no number or the GPU
    is full: what was saved before stays.
    """
    check_device(device)
    settings = read_network(config, **(changes or {}))
    given = {k: v for k, v in (options or {}).items() if v is not None}
    chosen = TrainOptions.read({**settings.get("train", {}), **given}, settings["name"])
    settings["train"] = asdict(chosen)
    if precision not in ("auto", "fp32", "bf16"):
        raise ConfigError(f"unknown precision {precision!r}; choose auto, fp32 or bf16.")
    half = precision == "bf16" or (precision == "auto" and bf16_is_fast(device))
    benchmark = load_benchmark(data, data_root, "train", None, len(texts), vocabulary_name)
    if benchmark.vocabulary != vocabulary_name:
        raise DataError(
            f"{benchmark.name} is labelled with {benchmark.vocabulary}, not {vocabulary_name}; "
            f"use --vocab {benchmark.vocabulary}."
        )
    held_out = _held_out(data, data_root, test_split, test_limit, len(texts), vocabulary_name)
    with processes(device) as team:
        run = _Run(settings, chosen, benchmark, held_out, team, out, seed, half)
        run.texts, run.test_texts = texts, test_texts or [group[:1] for group in texts]
        run.start(pretrained, encoder, again, workers, tensorboard and team.first)
        return run.go(minutes, progress and team.first)


def _held_out(
    data: str, root: str | Path | None, split: str | None, limit: int | None, count: int, name: str
) -> Benchmark | None:
    """The pictures to validate on; None where the data has no others than those to train on."""
    wanted = split or ("selection" if data == "ministuff" else None)
    found = load_benchmark(data, root, wanted, limit, count, name)
    return None if found.split in ("train", "train2017", "training", "") else found


class _Run:
    """One training run: what it is made of, and its loop."""

    def __init__(
        self,
        settings: dict[str, Any],
        options: TrainOptions,
        benchmark: Benchmark,
        held_out: Benchmark | None,
        team: Processes,
        out: Path,
        seed: int,
        half: bool,
    ) -> None:
        self.settings, self.options, self.benchmark = settings, options, benchmark
        self.held_out, self.team, self.out = held_out, team, out
        self.seed, self.half = seed, half
        self.part = options.part(team.count)
        self.texts: Sequence[Sequence[str]] = ()
        self.test_texts: Sequence[Sequence[str]] = ()
        self.last = out / "last.pt"

    def start(
        self,
        pretrained: str | Path | None,
        encoder: str | Path | None,
        again: bool,
        workers: int,
        tensorboard: bool,
    ) -> None:
        """Build or resume everything that the loop needs."""
        if self.last.exists() and not again:
            raise DataError(f"{self.last} exists; add --resume to go on, or choose another --out.")
        torch.manual_seed(self.seed)
        network = start_network(self.settings, pretrained, encoder, self.half)
        network.to(self.team.device).trainable(self.options.clip)
        self.network = network.train()
        self.optimizer = Optimizer(network, self.options)
        self.same = fingerprint(
            self.settings,
            (self.benchmark.name, len(self.benchmark)),
            self.seed,
            [list(group) for group in self.texts],
            network.clip.weights_hash,
            str(encoder),
            self.half,
        )
        self.step, self.history = 0, History()
        if self.last.exists():
            self.step, self.history = resume(self.last, network, self.optimizer, self.same)
        if self.step >= self.options.iterations:
            raise AlreadyTrainedError(
                f"{self.last} has already reached {self.step} iterations; ask for more."
            )
        self.classes = training_classes(self.benchmark)
        trains = self.options.clip != "freeze"
        self.table = Texts(network, [self.texts[c] for c in self.classes], trains)
        self.module: Any = Step(network, self.options.ignored)
        if self.team.count > 1:
            from torch.nn.parallel import DistributedDataParallel

            self.module = DistributedDataParallel(self.module, find_unused_parameters=True)
        self.loader = self._loader(workers)
        self.tensorboard = tensorboard

    def _loader(self, workers: int) -> DataLoader[TrainingItem]:
        options = self.options
        augment = Augment(options.short_side, self.settings["crop"], options.scale, "ssd")
        dataset, epoch = training_data(self.benchmark, augment, self.seed)
        places = Places(
            self.step,
            options.iterations,
            options.batch_size,
            self.seed,
            epoch,
            self.team.rank,
            self.team.count,
        )
        return DataLoader(
            dataset,
            batch_sampler=places,
            num_workers=workers,
            collate_fn=list,
            worker_init_fn=outlive,
            prefetch_factor=4 if workers else None,
        )

    def go(self, minutes: float | None, progress: bool) -> TrainResult:
        """The loop. Asked to stop, it ends the step, saves, and stops."""
        began, before = time.monotonic(), self.history.seconds
        every, options = self.options.evaluate_every, self.options
        bar = LossBar(progress, options.iterations, self.step)
        with new_folder(self.out), _stop_between_steps() as asked, bar as report:
            self.board = TensorBoard(self.out, self.step, self.tensorboard)
            for items in batches(self.loader):
                loss, norm, rate = self._learn(items)
                self.step += 1
                spent = time.monotonic() - began
                row = (self.step - 1, loss, rate, norm, before + spent)
                self.history.steps.append(row)
                self.board.step(row)
                report(self.step, loss)
                done = self.step == options.iterations
                late = minutes is not None and spent > 60 * minutes
                why = self.team.highest(asked[0] if asked else int(late))
                validates = self.held_out and (done or (every and self.step % every == 0))
                often = options.checkpoint_every
                saves = done or why or (often and self.step % often == 0)
                if validates or saves:
                    self._weights_must_be_numbers()
                if validates:
                    self._validate()
                if saves and self.team.first:
                    self._save_last()
                if why:
                    break
            self.board.close()
            if why > 1:  # some process was asked to stop
                raise _interrupt(why)
            return self._end()

    def _learn(self, items: list[TrainingItem]) -> tuple[float, float, float]:
        """One step: its loss, the norm of the gradients, the learning rate."""
        rng = np.random.default_rng([self.seed, self.step])
        texts = self.table.draw(rng)
        labels = [self._positions(item.labels) for item in items]
        count = torch.tensor(float(sum(pixels(x, self.options.ignored) for x in labels)))
        total = float(self.team.sum(count.to(self.team.device))) or 1.0
        loss = torch.zeros((), device=self.team.device)
        try:
            for start in range(0, len(items), self.part):
                last = start + self.part == len(items)
                alone = self.team.count > 1 and not last
                with self.module.no_sync() if alone else nullcontext():
                    some = slice(start, start + self.part)
                    part = self._loss(items[some], labels[some], texts) / total
                    (part * self.team.count).backward()  # processes are averaged
                loss += part.detach()
            self.team.sum(loss)
            self._must_be_a_number(float(loss), "loss", items)
            norm = self.optimizer.clip()
            self._must_be_a_number(norm, "norm of the gradients", items)
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"the GPU's memory is full at step {self.step}: choose a lower --batch-size or a "
                "higher --accumulate, --precision bf16, --clip freeze, or a smaller network (--set "
                f"k=..., --set encoder_size=...).{self._kept()}"
            ) from error
        rate = rate_at(self.step, self.options)
        self.optimizer.step(rate)
        return float(loss), norm, rate

    def _loss(self, items: list[TrainingItem], labels: list[Tensor], texts: Tensor) -> Tensor:
        device = torch.device(self.team.device)
        images = torch.stack([item.image for item in items]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.half):
            return self.module(images, torch.stack(labels).to(device), texts)

    def _positions(self, labels: Tensor) -> Tensor:
        """Vocabulary indices to positions among the classes trained on; others are unlabelled."""
        count = max(self.classes) + 1
        place = torch.full((count,), IGNORE, dtype=torch.int64)
        place[torch.tensor(self.classes)] = torch.arange(len(self.classes))
        known = (labels >= 0) & (labels < count)  # MiniStuff's invented things lie above
        return torch.where(known, place[labels.clamp(0, count - 1)], IGNORE)

    def _validate(self) -> None:
        assert self.held_out is not None
        found = validate(self.network, self.held_out, self.test_texts, self.team, self.half)
        scores = {"step": float(self.step), **found}
        best = self.history.best
        self.history.scores.append(scores)
        if self.team.first:
            self.board.scores(scores)
            if best is None or scores["miou"] > best["miou"]:
                self._save(self.out / "best.safetensors")
        self.team.wait()

    def _save(self, path: Path) -> None:
        about = {
            "data": self.benchmark.name,
            "vocabulary": self.benchmark.vocabulary,
            "classes_trained": self.classes,
            "iterations": self.step,
            "seed": self.seed,
            "scores": self.history.scores[-1] if self.history.scores else None,
        }
        save_network(path, self.network, about)

    def _save_last(self) -> None:
        save_last(self.last, self.network, self.optimizer, self.step, self.history, self.same)
        write_history(self.out, self.history)

    def _end(self) -> TrainResult:
        weights = self.out / f"{self.settings['name']}.safetensors"
        if self.team.first:
            self._save(weights)
        self.team.wait()
        best = self.out / "best.safetensors"
        return TrainResult(
            weights,
            best if best.exists() else None,
            self.step,
            self.history.tail(),
            self.history.best,
            self.history.seconds,
            self.step == self.options.iterations,
        )

    def _must_be_a_number(self, value: float, what: str, items: list[TrainingItem]) -> None:
        if not math.isfinite(value):
            raise TrainingError(
                f"the {what} is {value} at step {self.step}; nothing was learnt from it. Try a "
                f"lower --lr, or --precision fp32.{self._kept()}"
            )

    def _weights_must_be_numbers(self) -> None:
        if not all(bool(p.isfinite().all()) for p in self.optimizer.parameters):
            raise TrainingError(
                f"the weights are no numbers after step {self.step - 1}; try a lower --lr."
                f"{self._kept()}"
            )

    def _kept(self) -> str:
        if not self.last.exists():
            return " Nothing had been saved yet."
        return f" {self.last} holds the last good state; --resume goes on from it."


def _interrupt(code: int) -> KeyboardInterrupt:
    stop = KeyboardInterrupt()
    stop.exit_code = code  # type: ignore[attr-defined]
    return stop


@contextmanager
def _stop_between_steps() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM are noted as exit codes, for the loop to look at; a second Ctrl-C stops
    at once. torchrun passes Ctrl-C on to processes that got it already: that is no second one."""
    asked: list[int] = []
    first = [0.0]

    def note(number: int, frame: Any) -> None:
        if not asked:
            first[0] = time.monotonic()
        elif time.monotonic() - first[0] > PATIENCE:
            raise KeyboardInterrupt
        asked.append(128 + number)

    before = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
    except ValueError:  # not the main thread: Ctrl-C does not come here
        pass
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
