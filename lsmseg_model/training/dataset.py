"""Training items: a picture, its label map and, for invented things, their captions.

Every item is a function of (seed, step, place in the batch), so a resumed run sees what an
unbroken one would have seen.
"""

import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lsmseg_model.data.benchmark import Benchmark, MiniStuff
from lsmseg_model.data.captioners import Captioner, RulesCaptions
from lsmseg_model.data.descriptions import Description
from lsmseg_model.data.ministuff.captions import Sentence, ToldOf
from lsmseg_model.data.ministuff.looks import Gallery
from lsmseg_model.data.ministuff.scenes import draw_training
from lsmseg_model.errors import LsmsegModelError, UsageError

WATCH = 0.5  # seconds between a worker's looks at whether its run still lives


@dataclass
class TrainingItem:
    """One picture to train on.

    ``labels`` hold vocabulary indices, IGNORE, or keys of ``captions`` (1000 and up): things that
    belong to no class, each with a true sentence. ``shown``: the values of attributes of all that
    is there, or nearly. ``values``: by label, those that it has, where that is known.
    ``description``: what a captioner says of the picture.
    """

    image: Tensor  # float32 [3, S, S] in 0..1
    labels: Tensor  # int64 [S, S]
    captions: dict[int, Sentence] = field(default_factory=dict)
    shown: frozenset[str] = frozenset()
    values: dict[int, frozenset[str]] = field(default_factory=dict)
    description: Description | None = None


def batches(loader: Iterable[list[TrainingItem]]) -> Iterator[list[TrainingItem]]:
    """The batches of a loader; an error in a worker process as the one sentence it was there.

    torch raises it again with the worker's whole traceback for a message, our sentence last.
    """
    try:
        yield from loader
    except LsmsegModelError as error:
        sentence = str(error).rpartition(f"{type(error).__name__}: ")[2].strip()
        # Without its traceback, whose frames would keep the loader's processes running.
        raise type(error)(sentence) from error.with_traceback(None)


def outlive(worker: int) -> None:
    """A loader's worker leaves the signals that stop a run to the process that runs it.

    It ends when that is gone: torch's own watch ends in a wait for whoever reads what is queued,
    which after a `kill -9` nobody does.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH)
    os._exit(1)


class MiniStuffTraining(Dataset[TrainingItem]):
    """Freshly drawn scenes of the train split; unseen classes are IGNORE."""

    def __init__(self, seed: int, told: ToldOf | None, captions: Captioner | None = None) -> None:
        self.seed, self.gallery, self.captions = seed, Gallery(told), captions

    def __getitem__(self, place: tuple[int, int, int]) -> TrainingItem:
        scene = draw_training(place[2], self.seed, self.gallery)
        image = torch.from_numpy(scene.image).permute(2, 0, 1).float().div(255)
        labels = torch.from_numpy(scene.labels.astype(np.int64))
        told = None
        if isinstance(self.captions, RulesCaptions):
            key = f"training-{self.seed}-{place[2]}"
            told = self.captions.describe_scene(key, scene.image, scene.labels)
        return TrainingItem(image, labels, scene.captions, scene.shown, scene.values, told)


def distorted(image: Tensor) -> Tensor:
    """The photometric distortion of SSD, in CAT-Seg's measure: each change half of the time.

    image: uint8 [3, H, W]. Up to 32 steps of 255 brighter or darker; times 0.5 to 1.5, before the
    others or after them; saturation times 0.5 to 1.5; hue turned by up to a tenth of the circle.
    torchvision's RandomPhotometricDistort swaps channels too: grass would be blue.
    """
    from torchvision.transforms.v2 import functional as change
    from torchvision.tv_tensors import wrap

    def draw(low: float, high: float) -> float | None:
        drawn = float(torch.empty(1).uniform_(low, high))
        return drawn if torch.rand(()) < 0.5 else None

    def scaled(image: Tensor) -> Tensor:
        return image if scale is None else change.adjust_brightness(image, scale)

    more, scale, saturation, hue = draw(-32, 32), draw(0.5, 1.5), draw(0.5, 1.5), draw(-0.1, 0.1)
    scale_first = bool(torch.rand(()) < 0.5)
    new = image.as_subclass(torch.Tensor)
    if more is not None:
        new = (new.float() + more).clamp(0, 255).to(torch.uint8)
    new = scaled(new) if scale_first else new
    if saturation is not None:
        new = change.adjust_saturation(new, saturation)
    if hue is not None:
        new = change.adjust_hue(new, hue)
    return wrap(new if scale_first else scaled(new), like=image)


@dataclass(frozen=True)
class Augment:
    """How a picture is varied.

    Its short side is resized to `short_side` pixels times a factor drawn from `scale`, a square of
    `crop` pixels is cut out, mirrored or not, and its colours are changed ("mild", or "ssd", what
    CAT-Seg trains with, see `distorted`).
    """

    short_side: int
    crop: int
    scale: tuple[float, float] = (0.75, 1.5)
    colors: str = "mild"


class FolderTraining(Dataset[TrainingItem]):
    """Random crops of a benchmark's pictures."""

    def __init__(
        self,
        benchmark: Benchmark,
        augment: Augment,
        seed: int,
        captions: Captioner | None = None,
    ) -> None:
        self.benchmark, self.augment, self.seed = benchmark, augment, seed
        self.captions = captions
        self._cache: dict[int, tuple[Tensor, Tensor]] = {}

    def _read(self, index: int) -> tuple[Tensor, Tensor]:
        """Pictures of small data sets are kept once read."""
        if index not in self._cache:
            image = torch.from_numpy(np.array(self.benchmark.picture(index))).permute(2, 0, 1)
            labels = torch.from_numpy(self.benchmark.labels(index))[None]
            if len(self.benchmark) > 1000:
                return image, labels
            self._cache[index] = (image, labels)
        return self._cache[index]

    def __getitem__(self, place: tuple[int, int, int]) -> TrainingItem:
        from torchvision import tv_tensors
        from torchvision.transforms import v2

        image, labels = self._read(place[2])
        how = self.augment
        with torch.random.fork_rng(devices=[]):
            drawn = np.random.SeedSequence((self.seed, *place)).generate_state(1, np.uint64)
            torch.manual_seed(int(drawn[0] >> 1))
            scale = float(torch.empty(1).uniform_(*how.scale))
            side = max(how.crop, round(how.short_side * scale))
            colors = (
                v2.ColorJitter(0.3, 0.3, 0.3, 0.05)
                if how.colors == "mild"
                else v2.Lambda(distorted, tv_tensors.Image)
            )
            augment = v2.Compose(
                [
                    v2.Resize(side, antialias=True),
                    v2.RandomCrop(how.crop),
                    v2.RandomHorizontalFlip(),
                    colors,
                    v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
                ]
            )
            image, labels = augment(tv_tensors.Image(image), tv_tensors.Mask(labels))
        key = self.benchmark.key(place[2])
        told = None if self.captions is None else self.captions.describe(key)
        plain = torch.Tensor(image), labels[0].as_subclass(torch.Tensor).long()
        return TrainingItem(*plain, description=told)


def places(
    start: int,
    iterations: int,
    batch_size: int,
    seed: int,
    pictures: int | None,
    rank: int = 0,
    processes: int = 1,
) -> Iterator[list[tuple[int, int, int]]]:
    """Batches of (step, place, picture index).

    Args:
        start: The first step.
        iterations: The step to stop before.
        batch_size: Places of a batch, over all processes.
        seed: Every epoch is a permutation drawn from it and the epoch's number.
        pictures: Of an epoch; None: indices simply run on (drawn scenes never repeat).
        rank: Of this process, which gets its share of the places of every batch.
        processes: How many there are.
    """
    epoch, order = -1, np.arange(0)
    for step in range(start, iterations):
        batch = []
        for place in range(batch_size):
            index = step * batch_size + place
            if pictures is not None:
                if index // pictures != epoch:
                    epoch = index // pictures
                    order = np.random.default_rng([seed, epoch]).permutation(pictures)
                index = int(order[index % pictures])
            batch.append((step, place, index))
        yield batch[rank::processes]


def training_data(
    benchmark: Benchmark,
    augment: Augment,
    seed: int,
    told: ToldOf | None,
    captions: Captioner | None = None,
) -> tuple[Dataset[TrainingItem], int | None]:
    """The items of a benchmark, and how many pictures make an epoch (None: endless).

    Args:
        benchmark: The pictures.
        augment: How those of a folder are varied.
        seed: Of everything random.
        told: See `Gallery`, for MiniStuff.
        captions: Who describes the pictures, for a network that wants it. Of drawn scenes only
            the rules can.
    """
    if isinstance(benchmark, MiniStuff):
        if captions is not None and not isinstance(captions, RulesCaptions):
            raise UsageError(
                "MiniStuff's training scenes are drawn without end, no file describes them: give "
                "--captions rules."
            )
        return MiniStuffTraining(seed, told, captions), None
    return FolderTraining(benchmark, augment, seed, captions), len(benchmark)
