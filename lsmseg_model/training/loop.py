"""The loop that both trainings share: steps, checkpoints, a log, and stopping between steps."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from lsmseg_model.data.benchmark import Benchmark, load_benchmark
from lsmseg_model.errors import AlreadyTrainedError, DataError, TrainingError
from lsmseg_model.files import new_folder
from lsmseg_model.training.dataset import Places, TrainingItem, batches, outlive
from lsmseg_model.training.options import PretrainOptions, Request, TrainOptions
from lsmseg_model.training.processes import Processes
from lsmseg_model.training.progress import LossBar
from lsmseg_model.training.state import History, TensorBoard, read_last, save_last

PATIENCE = 3.0  # seconds after Ctrl-C in which another signal is taken for the same wish


class Run:
    """One training run. A subclass builds `module` and `loader`, and says what a step is.

    step: steps that are done. last: the file that a killed run goes on from. evaluate_every,
    checkpoint_every: in steps, 0 for the last one only.
    """

    evaluate_every = 0
    checkpoint_every = 0
    module: nn.Module
    loader: DataLoader[TrainingItem]

    def __init__(
        self,
        request: Request,
        options: TrainOptions | PretrainOptions,
        benchmark: Benchmark,
        team: Processes,
    ) -> None:
        self.out, self.last = request.out, request.out / "last.pt"
        if self.last.exists() and not request.resume:
            raise DataError(f"{self.last} exists; add --resume to go on, or choose another --out.")
        self.request, self.benchmark, self.team = request, benchmark, team
        self.iterations, self.batch_size = options.iterations, options.batch_size
        self.half = use_bf16(request.precision, request.device)
        self.step, self.history = 0, History()
        self.board = TensorBoard(self.out, 0, False)
        torch.manual_seed(request.seed)

    def learn(self, items: list[TrainingItem]) -> tuple[float, float, float]:
        """One step: its loss, the norm of the gradients, the learning rate."""
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

    def resume(self, same: str) -> None:
        """Go on from the last checkpoint, if there is one; `same`: see `fingerprint`."""
        self.same = same
        if self.last.exists():
            state = read_last(self.last, torch.device(self.team.device), same)
            self.step = int(state["step"])
            self.load(state)
        if self.step >= self.iterations:
            raise AlreadyTrainedError(
                f"{self.last} has already reached {self.step} iterations; ask for more."
            )

    def load_pictures(self, dataset: Dataset[TrainingItem], epoch: int | None) -> None:
        """Make the loader; `epoch`: pictures of one, None where they never end."""
        workers, team = self.request.workers, self.team
        places = Places(
            self.step, self.iterations, self.batch_size, self.request.seed, epoch, team.rank,
            team.count,
        )  # fmt: skip
        self.loader = DataLoader(
            dataset,
            batch_sampler=places,
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
        bar = LossBar(self.request.progress and self.team.first, self.iterations, self.step)
        with new_folder(self.out), stop_between_steps() as signals, bar as report:
            self.board = TensorBoard(self.out, self.step, tensorboard and self.team.first)
            for items in batches(self.loader):
                loss, norm, rate = self.learn(items)
                self.step += 1
                spent = time.monotonic() - began
                row = (self.step - 1, loss, rate, norm, before + spent)
                self.history.steps.append(row)
                self.board.step(row)
                report(self.step, loss)
                late = minutes is not None and spent > 60 * minutes
                code = self.team.highest(signals[0] if signals else int(late))
                self._checkpoint(stops=code > 0)
                if code:
                    break
            self.board.close()
            if code > 1:  # some process was asked to stop
                raise _interrupt(code)
            self.end()

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
        done = self.step == self.iterations
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
            save_last(self.last, {"same": self.same, "step": self.step, **self.state()})
            self.write_log()


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


def _interrupt(code: int) -> KeyboardInterrupt:
    stop = KeyboardInterrupt()
    stop.exit_code = code  # type: ignore[attr-defined]
    return stop


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
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
    except ValueError:  # not the main thread: Ctrl-C does not come here
        pass
    try:
        yield codes
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
