"""The loop that both trainings share: steps, checkpoints, a log, and stopping between steps."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from lsmseg_model.data.benchmark import (
    Benchmark,
    load_benchmark,
    must_be_labelled,
    training_classes,
)
from lsmseg_model.data.captioners import Captioner
from lsmseg_model.data.ministuff.captions import ToldOf
from lsmseg_model.errors import AlreadyTrainedError, DataError, TrainingError
from lsmseg_model.files import PROGRESS, check_free, result_folder, write_whole
from lsmseg_model.processes import Processes
from lsmseg_model.progress_file import progress_file
from lsmseg_model.training.dataset import (
    Augment,
    TrainingItem,
    batches,
    outlive,
    places,
    training_data,
)
from lsmseg_model.training.options import PretrainOptions, Request, TrainOptions
from lsmseg_model.training.progress import loss_bar
from lsmseg_model.training.state import History, fingerprint, read_last, tensorboard_writer
from lsmseg_model.training.step import rate_at

LAST = "last.pt"
PATIENCE = 3.0  # seconds after Ctrl-C in which another signal is taken for the same wish


class Run:
    """One training run. A subclass builds `module` and `loader`, and says what a step is.

    command: whose run it is. step: steps that are done. weights: the file that it leaves; last:
    the one that a killed run goes on from. evaluate_every, checkpoint_every: in steps, 0 for the
    last one only.
    """

    command = "train"
    evaluate_every = 0
    checkpoint_every = 0
    module: nn.Module
    loader: DataLoader[TrainingItem]

    def __init__(
        self,
        request: Request,
        settings: dict[str, Any],
        options: TrainOptions | PretrainOptions,
        team: Processes,
    ) -> None:
        self.request, self.options, self.team = request, options, team
        self.settings = {**settings, "train": asdict(options)}
        self.benchmark = training_benchmark(request)
        self.classes = training_classes(self.benchmark)
        must_be_labelled(self.benchmark, self.classes)
        self.out, self.last = request.out, request.out / LAST
        self.weights = request.out / f"{settings['name']}.safetensors"
        if self.last.exists() and not request.resume:
            raise DataError(f"{self.last} exists; add --resume to go on, or choose another --out.")
        if request.resume and not self.last.exists():
            raise DataError(f"There is no {self.last} to go on from; begin without --resume.")
        self.half = use_bf16(request.precision, request.device)
        self.step, self.history = 0, History()
        self.board: Any = None  # TensorBoard's writer
        torch.manual_seed(request.seed)

    def learn(self, items: list[TrainingItem], rate: float) -> tuple[float, float]:
        """One step at a learning rate: its loss, and the norm of the gradients."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """What `load` goes on from, beside the number of steps."""
        raise NotImplementedError

    def load(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave."""
        raise NotImplementedError

    def validate(self) -> None:
        """Score the network so far."""

    def write_log(self) -> None:
        """Write what is to be seen of the run beside a checkpoint."""

    def resume(self, *others: Any) -> None:
        """Go on from the last checkpoint, if that was asked for; `others`: see `fingerprint`."""
        texts = [list(group) for group in self.request.texts]
        data = (self.benchmark.name, len(self.benchmark))
        self.same = fingerprint(self.settings, data, self.request.seed, texts, *others)
        if self.request.resume:
            state = read_last(self.last, torch.device(self.team.device), self.same)
            self.step = int(state["step"])
            self.load(state)
        if self.step >= self.options.iterations:
            raise AlreadyTrainedError(
                f"{self.last} has already reached {self.step} iterations; ask for more."
            )

    def load_pictures(
        self, augment: Augment, told: ToldOf | None = None, captions: Captioner | None = None
    ) -> None:
        """Make the loader; see `training_data`."""
        seed, workers, team = self.request.seed, self.request.workers, self.team
        dataset, epoch = training_data(self.benchmark, augment, seed, told, captions)
        options = self.options
        self.loader = DataLoader(
            dataset,
            batch_sampler=places(
                self.step,
                options.iterations,
                options.batch_size,
                seed,
                epoch,
                team.rank,
                team.count,
            ),
            num_workers=workers,
            collate_fn=list,
            worker_init_fn=outlive,
            prefetch_factor=4 if workers else None,
        )

    def go(self, tensorboard: bool = False) -> None:
        """Train to the last step. Asked to stop, it ends the step, saves, and stops.

        Raises KeyboardInterrupt, with its `exit_code`, where a signal asked.
        """
        began, before = time.monotonic(), self.history.seconds
        code, minutes = 0, self.request.minutes
        total = self.options.iterations
        bar = loss_bar(self.request.progress and self.team.first, total, self.step)
        place = self.out / PROGRESS if self.team.first else None
        with (
            stop_between_steps() as signals,
            progress_file(place, self.command) as told,
            bar as report,
        ):
            for row in self.history.steps:
                told.loss(row[0], row[1])
            told.update("training", self.step, total)
            if tensorboard and self.team.first:
                self.board = tensorboard_writer(self.out, self.step)
            for items in batches(self.loader):
                rate = rate_at(self.step, self.options)
                loss, norm = self.learn(items, rate)
                spent = time.monotonic() - began
                self.history.steps.append((self.step, loss, rate, norm, before + spent))
                self.note(self.step, {"loss": loss, "lr": rate, "gradient_norm": norm})
                self.step += 1
                report(self.step, loss)
                told.loss(self.step, loss)
                told.update("training", self.step, total)
                late = minutes is not None and spent > 60 * minutes
                code = self.team.highest(signals[0] if signals else int(late))
                self._checkpoint(stops=code > 0)
                if code:
                    break
            if self.board:
                self.board.close()
            if code > 1:  # some process was asked to stop
                stop = KeyboardInterrupt()
                stop.exit_code = code  # type: ignore[attr-defined]
                raise stop
            self.end()

    def note(self, step: int, values: dict[str, float]) -> None:
        """Tell TensorBoard, if it is wanted and installed."""
        if self.board:
            for name, value in values.items():
                self.board.add_scalar(name, value, step)

    def about(self) -> dict[str, Any]:
        """What the weights' file says of the run."""
        return {
            "data": self.benchmark.name,
            "vocabulary": self.benchmark.vocabulary,
            "classes_trained": self.classes,
            "iterations": self.step,
            "seed": self.request.seed,
        }

    def end(self) -> None:
        """Write what is left when a run ends."""
        raise NotImplementedError

    def must_be_a_number(self, value: float, what: str) -> None:
        """Raise TrainingError, before anything is learnt from it, for what is infinite or NaN."""
        if not math.isfinite(value):
            raise TrainingError(
                f"The {what} is {value} at step {self.step}; nothing was learnt from it. Try a "
                f"lower --lr, or --precision fp32.{self.kept()}"
            )

    def kept(self) -> str:
        """What a failed run leaves, as a sentence."""
        if not self.last.exists():
            return " Nothing had been saved yet."
        return f" {self.last} holds the last good state; --resume goes on from it."

    def _checkpoint(self, stops: bool) -> None:
        """Validate and save, where this step is one of those that do."""
        done = self.step == self.options.iterations
        validates = done or (self.evaluate_every and self.step % self.evaluate_every == 0)
        often = self.checkpoint_every
        saves = done or stops or (often and self.step % often == 0)
        if not (validates or saves):
            return
        learnt = (p for p in self.module.parameters() if p.requires_grad)
        if not all(bool(p.isfinite().all()) for p in learnt):
            raise TrainingError(
                f"The weights are not numbers after step {self.step - 1}; try a lower --lr."
                f"{self.kept()}"
            )
        if validates:
            self.validate()
        if saves and self.team.first:
            state = {"same": self.same, "step": self.step, **self.state()}
            write_whole(self.last, lambda temporary: torch.save(state, temporary))
            self.write_log()


@contextmanager
def training_folder(request: Request, command: str, name: str, team: Processes) -> Iterator[None]:
    """Hold the folder of a run, see `result_folder`; of several processes the first does so.

    Args:
        request: What is asked for.
        command: train or pretrain.
        name: That of the weights' file.
        team: The processes of the run.

    Raises:
        DataError: Where the run would write over what it reads, and what `result_folder` raises.
    """
    if not team.first:
        yield
        return
    weights = (request.out / file for file in (f"{name}.safetensors", "best.safetensors", LAST))
    read = (getattr(request, field, None) for field in ("pretrained", "encoder", "init"))
    check_free(weights, True, read)
    with result_folder(request.out, command, lambda o: (o / LAST).exists(), request.force):
        yield


def training_benchmark(request: Request) -> Benchmark:
    """The pictures to train on. Raises DataError where they have another vocabulary's labels."""
    benchmark = load_benchmark(
        request.data, request.data_root, "train", None, len(request.texts), request.vocabulary_name
    )
    if benchmark.vocabulary != request.vocabulary_name:
        raise DataError(
            f"{benchmark.name} is labelled with {benchmark.vocabulary}, not "
            f"{request.vocabulary_name}; use --vocab {benchmark.vocabulary}."
        )
    return benchmark


def use_bf16(precision: str, device: str) -> bool:
    """Whether to compute in 16-bit brain floats: "auto" does where the device has them."""
    if precision != "auto":
        return precision == "bf16"
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported()
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)  # private in torch
    return device == "cpu" and native()


@contextmanager
def stop_between_steps() -> Iterator[Sequence[int]]:
    """Ctrl-C and SIGTERM are noted as exit codes for the loop; a second Ctrl-C stops at once.

    `torchrun` passes Ctrl-C on to processes that got it already: that is not a second.
    """
    codes: list[int] = []
    first = [0.0]

    def note(number: int, frame: Any) -> None:
        if not codes:
            first[0] = time.monotonic()
        elif time.monotonic() - first[0] > PATIENCE:
            raise KeyboardInterrupt
        codes.append(128 + number)

    before = {}
    with suppress(ValueError):  # not the main thread: Ctrl-C does not come here
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
    try:
        yield codes
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
