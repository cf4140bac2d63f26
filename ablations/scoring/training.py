"""The one job that trains a network for a prompt set: resumable, and found again when it is done.

A training lives in a folder named by the hash of all that its network depends on, and is done when
its weights are there: they are written last, and whole.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ablations.scoring.count_store import key_of
from ablations.scoring.splits import BenchmarkSource
from lsmseg_model.data.benchmark import load_benchmark
from lsmseg_model.errors import AlreadyTrainedError
from lsmseg_model.files import locked, new_folder
from lsmseg_model.networks.build import read_network
from lsmseg_model.pull.find import FOLDER, here

Texts = tuple[tuple[str, ...], ...]
Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""What calls a function for each of some jobs, in order: `map`, or that of an executor."""


@dataclass(frozen=True)
class Training:
    """How networks are trained on a benchmark's train split; only the texts differ.

    Attributes:
        folder: Holds a folder for each training.
        config, network: The network, and fields of it that are changed.
        options: Fields of `TrainOptions` that are changed; iterations apart.
        source: What to train on.
        pretrained, encoder: See `start_network`.
        validated: Pictures that are scored when a training ends; here they decide nothing.
        pictures: The hash of the training pictures (see `training_pictures`), where it is there.
        captions: What describes pictures to a network that wants it, see `open_captions`.
    """

    folder: Path
    config: str
    source: BenchmarkSource
    iterations: int | None = None
    pretrained: str | None = None
    encoder: str | None = None
    seed: int = 0
    device: str = "cpu"
    network: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "auto"
    workers: int = 0
    validated: int = 1
    pictures: tuple[int, str] | None = None
    captions: str | None = None

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What a trained network depends on but the texts."""
        settings = read_network(self.config, **self.network)
        if self.options:
            settings["train"] = {**settings.get("train", {}), **self.options}
        pictures = self.pictures or training_pictures(self.source)
        return {
            "settings": settings,
            "iterations": self.iterations,
            "files": [_file(self.pretrained), _file(self.encoder)],
            "data": [self.source.data, *pictures],
            "seed": self.seed,
            **({} if self.precision == "auto" else {"precision": self.precision}),
            **({} if self.captions is None else {"captions": self.captions}),
        }

    def job(self, texts: Texts, progress: bool = False) -> TrainingJob:
        """The training with these texts, a group for each prompt of the vocabulary."""
        out = self.folder / key_of([self.identity, texts])
        return TrainingJob(self, texts, out, self.identity["settings"]["name"], progress)


@dataclass(frozen=True)
class TrainedNetwork:
    """A training's end: the file of weights, and what it took."""

    weights: Path
    seconds: float
    iterations: int


@dataclass(frozen=True)
class TrainingJob:
    """One network to train into the folder ``out``, wherever an executor runs it."""

    training: Training
    texts: Texts
    out: Path
    name: str
    progress: bool = False

    @property
    def weights(self) -> Path:
        """The file of weights; it is there when the training is done."""
        return self.out / f"{self.name}.safetensors"

    def train(self) -> None:
        """Train, or go on from the last checkpoint. Raises what `lsmseg_model.train` raises."""
        from lsmseg_model.train import train
        from lsmseg_model.training.options import TrainOptions, TrainRequest

        how = self.training
        request = TrainRequest(
            config=how.config,
            data=how.source.data,
            data_root=how.source.root,
            texts=self.texts,
            vocabulary_name=str(how.source.vocabulary),
            out=self.out,
            pretrained=how.pretrained,
            encoder=how.encoder,
            changes=dict(how.network),
            options=TrainOptions.of(how.config, **{**how.options, "iterations": how.iterations}),
            test_limit=how.validated,
            resume=(self.out / "last.pt").exists(),
            force=True,
            precision=how.precision,
            seed=how.seed,
            device=how.device,
            workers=how.workers,
            tensorboard=False,
            captions=how.captions,
            progress=self.progress,
        )
        train(request)


def train_network(job: TrainingJob) -> TrainedNetwork:
    """Train a network, go on with one that was interrupted, or take the one that is there.

    One that another run is training, with the same cache, is waited for.
    """
    last = job.out / "last.pt"
    if not job.weights.is_file() or last.is_file():
        lock = Path(f"{job.out}.lock")
        with new_folder(lock.parent), locked(lock, "ablate", wait=True):
            if not job.weights.is_file():  # nor made by a run that was waited for
                try:
                    job.train()
                except AlreadyTrainedError:  # it was killed before it wrote its weights
                    last.unlink()
                    job.train()
            last.unlink(missing_ok=True)  # twice the weights, and for going on only
    with (job.out / "loss.csv").open(encoding="utf-8", newline="") as file:
        steps = list(csv.DictReader(file))
    return TrainedNetwork(job.weights, float(steps[-1]["seconds"]), len(steps))


def training_pictures(source: BenchmarkSource) -> tuple[int, str]:
    """How many pictures there are to train on, and the hash of their files' names and sizes."""
    about = source.prompts, source.vocabulary
    benchmark: Any = load_benchmark(source.data, source.root, "train", None, *about)
    pairs = [
        [a.name, a.stat().st_size, b.stat().st_size] for a, b in getattr(benchmark, "pairs", ())
    ]
    return len(benchmark), key_of(pairs)


def _file(path: str | None) -> list[Any] | str | None:
    """What tells that a file of weights is another one, without reading gigabytes."""
    file = path if path is None or not path.startswith(FOLDER) else here("", path)
    if file is None or not Path(file).is_file():
        return path
    stat = Path(file).stat()
    return [path, stat.st_size, stat.st_mtime_ns]
