"""Many pictures through a model, in order: a core each, or in batches on a GPU.

On a CPU each core takes a picture, reads, encodes and scores it alone: nothing waits for another,
and what a picture gives depends on that picture, not on the others, the cores or the processes.
(Products of matrices may end in other bits with more threads or rows.) On a GPU threads read
pictures and cut them up ahead, and views of several go through the model together; there batches
of another size may differ by rounding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from lsmseg_model.data.parallel import in_order
from lsmseg_model.inference import protocol as sliding
from lsmseg_model.inference import windows
from lsmseg_model.inference.augmented import EncodedViews, encode_views
from lsmseg_model.inference.feature_cache import FeatureCache
from lsmseg_model.inference.finite import check_finite
from lsmseg_model.inference.options import AUTO, NONE, Augmentation, RunOptions
from lsmseg_model.inference.pictures import (
    EncodedPicture,
    enough_memory,
    resized_picture,
)
from lsmseg_model.inference.precision import lowered
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.networks.base import Network
from lsmseg_model.networks.protocol import Protocol

BATCH = 64  # views that a GPU is given at a time
NETWORKS = 16  # pictures that a CPU takes through a whole network side by side: memory

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Picture:
    """What a reader gives: uint8 [H, W, 3], or None where there is nothing to encode.

    name: for messages, such as "picture a.png". about: what was found with it, such as labels.
    """

    image: np.ndarray | None
    name: str
    about: Any = None


Encoded = EncodedPicture | EncodedViews
Work = Callable[[Picture, Encoded | None], Result]
"""What is done with a picture and its features; without an image there are none."""


@dataclass(frozen=True)
class Pipeline(Generic[Item]):
    """Pictures through a model.

    read: gives the picture of an item; called in threads. cache: of a backbone, keeps features,
    which then are on the CPU. alone: on a CPU one picture after another with all cores, as
    `Segmenter` does it. augmentation: the views of a picture that are averaged; on a GPU a picture
    with several is a batch of its own.
    """

    model: Backbone | Network
    read: Callable[[Item], Picture]
    how: RunOptions = AUTO
    cache: FeatureCache | None = None
    alone: bool = False
    augmentation: Augmentation = NONE

    def run(self, items: Sequence[Item], work: Work[Result]) -> Iterator[Result]:
        """What `work` makes of each picture, in order; it may be called in threads.

        Raises what reading and encoding raise, see `encode_picture`.
        """
        on_cpu = self.model.device.type == "cpu"
        return self._side_by_side(items, work) if on_cpu else self._in_batches(items, work)

    @property
    def _apart(self) -> bool:
        """Whether a picture is a batch of its own on a GPU too."""
        described = isinstance(self.model, Network) and self.model.described
        return described or not self.augmentation.plain

    def _side_by_side(self, items: Sequence[Item], work: Work[Result]) -> Iterator[Result]:
        def whole(item: Item) -> Result:
            picture = self.read(item)
            return work(picture, None if picture.image is None else self._one(picture))

        how, cores = self.how, torch.get_num_threads()
        alone = self.alone or self.model.compiled  # compiled code has the threads it was made with
        most = 1 if alone else cores if isinstance(self.model, Backbone) else NETWORKS
        threads = min(how.workers or most, how.batch_size or most, cores, max(1, len(items)))
        each = cores if alone else 1  # of PyTorch's threads the number is each thread's own
        with ThreadPoolExecutor(threads, "pictures", torch.set_num_threads, (each,)) as pool:
            yield from in_order(whole, items, pool, 2 * threads)

    def _one(self, picture: Picture) -> Encoded:
        assert picture.image is not None
        if self.cache is None:
            return encode_views(self.model, picture.image, self.augmentation, picture.name)
        return self._encoded(picture, self.cache(picture.image))

    def _encoded(self, picture: Picture, features: Any) -> EncodedPicture:
        assert picture.image is not None
        if isinstance(features, Tensor):
            check_finite(features, self.model, picture.name)
        size = (picture.image.shape[0], picture.image.shape[1])
        return EncodedPicture(self.model, features, size, picture.name)

    def _in_batches(self, items: Sequence[Item], work: Work[Result]) -> Iterator[Result]:
        model, cache = self.model, self.cache

        def prepare(item: Item) -> _Waiting:
            picture = self.read(item)
            if picture.image is None or self._apart:
                return _Waiting(picture, None, [])
            if cache is not None and (kept := cache.load(picture.image)) is not None:
                return _Waiting(picture, None, [], kept)
            if isinstance(model, Backbone):
                shown = windows.cut(model, picture.image)
                return _Waiting(picture, shown, shown.views)
            protocol = model.protocol or Protocol()
            image = resized_picture(picture.image, protocol.side)
            return _Waiting(picture, None, sliding.show(model, image, protocol))

        def done(one: _Waiting) -> Result:
            if one.picture.image is None:
                return work(one.picture, None)
            if self._apart:
                return work(one.picture, self._one(one.picture))
            features = one.kept
            if features is None:
                with torch.inference_mode():
                    features = one.joined(model)
                if cache is not None:
                    features = cache.keep(one.picture.image, features.cpu())
            return work(one.picture, self._encoded(one.picture, features))

        batches = _Batches(model, self.how.batch_size or BATCH)
        threads = max(1, min(self.how.workers or torch.get_num_threads(), len(items)))
        waiting: deque[_Waiting] = deque()
        with ThreadPoolExecutor(threads, "reading", torch.set_num_threads, (1,)) as pool:
            for one in in_order(prepare, items, pool, 2 * threads):
                ready = next((at for at, w in enumerate(waiting) if not w.ready), len(waiting))
                waiting.append(one)
                began = batches.add(one)
                if len(waiting) > 2 * batches.size:  # most of them need no encoding
                    batches.finish()
                # These were finished before: a GPU has the next batch while they are looked at.
                for _ in range(ready if began or one.ready else 0):
                    yield done(waiting.popleft())
            batches.finish()
            while waiting:
                yield done(waiting.popleft())


@dataclass
class _Waiting:
    """A picture whose views are being encoded: their features as they come, in order."""

    picture: Picture
    shown: windows.Windows | None
    views: list[Tensor]
    kept: Tensor | None = None
    parts: list[Any] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        return len(self.parts) == len(self.views)

    def joined(self, model: Backbone | Network) -> Any:
        if isinstance(model, Backbone):
            assert self.shown is not None
            return windows.join(model, self.shown, self.parts)
        return sliding.join(self.parts)


class _Batches:
    """Views of several pictures through a model together, ``size`` at a time, as they come."""

    def __init__(self, model: Backbone | Network, size: int) -> None:
        self.model, self.size = model, size
        self._queue: deque[tuple[_Waiting, Tensor, Tensor | None]] = deque()
        device = model.device
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None

    def add(self, one: _Waiting) -> bool:
        """Take a picture's views; encode what makes whole batches. Whether there were any."""
        others = None
        if isinstance(self.model, Backbone) and one.shown is not None:
            with torch.inference_mode(), enough_memory(), lowered(self.model):
                others = windows.proxies(self.model, one.shown)
        for at, view in enumerate(one.views):
            self._queue.append((one, view, None if others is None else others[at]))
        full = len(self._queue) >= self.size
        while len(self._queue) >= self.size:
            self._encode()
        return full

    def finish(self) -> None:
        """Encode what is left."""
        while self._queue:
            self._encode()

    @torch.inference_mode()
    def _encode(self) -> None:
        """The next batch; half as many views, from now on, where memory does not suffice."""
        while True:
            some = [self._queue[at] for at in range(min(self.size, len(self._queue)))]
            views, others = [view for _, view, _ in some], [o for _, _, o in some if o is not None]
            try:
                with lowered(self.model):
                    parts = self._parts(self._sent(views), torch.stack(others) if others else None)
                break
            except torch.OutOfMemoryError:
                if len(some) == 1:
                    with enough_memory():
                        raise
            self.size = len(some) // 2
            torch.cuda.empty_cache()
        for (one, _, _), part in zip(some, parts, strict=True):
            one.parts.append(part)
            self._queue.popleft()

    def _sent(self, views: list[Tensor]) -> Tensor:
        """The views as one batch on the model's device, copied there while that computes."""
        if self._copies is None:
            return torch.stack(views).to(self.model.device)
        shape = (len(views), *views[0].shape)
        pinned = torch.stack(views, out=torch.empty(shape, pin_memory=True))
        now = torch.cuda.current_stream(self.model.device)
        with torch.cuda.stream(self._copies):
            batch = pinned.to(self.model.device, non_blocking=True)
        now.wait_stream(self._copies)
        batch.record_stream(now)
        return batch

    def _parts(self, batch: Tensor, proxy: Tensor | None) -> list[Any]:
        """The features of each view of a batch, as `windows.join` and `sliding.join` take them."""
        if isinstance(self.model, Backbone):
            return list(self.model.encode_dense(batch, proxy=proxy))
        features, appearance, guidance = self.model.encode(batch)
        each = zip(*(layer.split(1) for layer in guidance), strict=True)
        return list(zip(features.split(1), appearance.split(1), map(list, each), strict=True))
