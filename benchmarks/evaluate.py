"""What a picture takes in `evaluate` beside the bare picture encoder, all in one run.

python benchmarks/evaluate.py

ViT-B/16, random weights, 32 pictures of 640 x 480 pixels with labels of 171 classes. Each round
takes some of them through every row, so that a busy machine slows all alike: the times are medians
over the rounds, the ratios medians of the rounds' ratios.

The bare encoder is open_clip's own `encode_image` of the views that the row's model sees, the views
of a picture a batch, prepared beforehand and side by side on the cores as `evaluate` does: nothing
is read, resized, scored or counted. It stands there as open_clip has it, and with this code's
products for the CPU (lsmseg_model/kernels/onednn.py). The other rows are all of `evaluate` from the
picture in memory to its counts. A plain loop is what others write: picture by picture, PyTorch's
own operations, all classes enlarged, then the best of each pixel; it and cat-seg-b have part in the
first rounds alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from benchmarks.network import label_all_at_once  # noqa: E402
from lsmseg_model.inference import protocol  # noqa: E402
from lsmseg_model.inference.counting import count_pictures  # noqa: E402
from lsmseg_model.inference.pictures import encode_picture  # noqa: E402
from lsmseg_model.kernels import onednn  # noqa: E402
from lsmseg_model.kernels.threads import in_threads  # noqa: E402
from lsmseg_model.metrics import confusion_counts  # noqa: E402
from lsmseg_model.networks.backbones import load  # noqa: E402
from lsmseg_model.networks.backbones.base import Backbone, View  # noqa: E402
from lsmseg_model.networks.backbones.open_clip_models import create  # noqa: E402
from lsmseg_model.networks.build import build_network  # noqa: E402
from lsmseg_model.networks.cost_map import cost_map, upsample  # noqa: E402

FROZEN_VIEW = View(short_side=336, window=224, stride=112)  # of CLIPs without training, 6 windows
BARE, OURS = "open_clip's encoder", "... with this code's products"


@dataclass
class Pictures:
    """Synthetic pictures with labels, as a `Benchmark`."""

    many: int
    size: tuple[int, int]
    class_indices: tuple[int, ...]
    name: str = "synthetic"
    split: str = "val"
    vocabulary: str = "none"
    seen: frozenset[int] | None = None
    owners: tuple[int, ...] | None = None
    groups = None

    def __len__(self) -> int:
        return self.many

    def key(self, index: int) -> str:
        return str(index)

    def picture(self, index: int) -> np.ndarray:
        return np.random.default_rng(index).integers(0, 256, (*self.size, 3), dtype=np.uint8)

    def labels(self, index: int) -> np.ndarray:
        cells = self.size[0] // 32, self.size[1] // 32
        coarse = np.random.default_rng(index).integers(0, len(self.class_indices), cells)
        return np.kron(coarse, np.ones((32, 32), dtype=np.int64))


def views_seen(model: Any, run: Callable[[], Any]) -> Tensor:
    """The pictures that reach a model's encoder in `run`."""
    seen: list[Tensor] = []
    conv = model.model.visual.conv1
    hook = conv.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    run()
    hook.remove()
    return torch.cat(seen)


def plain_loop(model: Any, data: Pictures, texts: Tensor, some: list[int]) -> Any:
    """The counts of pictures without any of this code's haste."""
    classes, counts = len(texts), []
    with onednn.disabled(), torch.inference_mode():
        for index in some:
            features = encode_picture(model, data.picture(index)).features
            if isinstance(model, Backbone):
                where = upsample(cost_map(features[None], texts), data.size)[0].argmax(dim=0)
            else:
                seen = protocol.decode(model, features, texts, model.protocol)
                where, _ = label_all_at_once(seen, classes, data.size)
            counts.append(confusion_counts(where.numpy(), data.labels(index), classes))
    return counts


@dataclass
class Row:
    """What does some pictures; the views that its model sees; whether only some rounds have it."""

    name: str
    views: str
    run: Callable[[list[int]], object]
    slow: bool = False


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """For each kind of views the bare encoder twice, then the models that see them."""
    import open_clip

    torch.manual_seed(0)
    if options.small:
        config = load.read_config("lsmseg-tiny")
        sizes, frozen, networks = config["clip"], load.build_backbone(config), ["lsmseg-tiny"]
    else:
        sizes = open_clip.get_model_config("ViT-B-16")
        frozen = load.named_backbone("ViT-B-16", FROZEN_VIEW)
        frozen.dense = "naclip"
        networks = ["lsmseg-b-no-sam", "cat-seg-b"]
    classes, size = (4, (64, 96)) if options.small else (171, (480, 640))
    data, seen = Pictures(options.pictures, size, tuple(range(classes))), set()
    for name in ["frozen", *networks]:
        model: Any = (frozen if name == "frozen" else build_network(name)).eval()
        clip = frozen if name == "frozen" else model.clip
        texts = F.normalize(torch.randn(classes, clip.embed_dim), dim=-1)
        views = views_seen(clip, partial(encode_picture, model, data.picture(0)))
        kind = f"{len(views)} of {views.shape[-1]} px"
        for what in (BARE, OURS) if kind not in seen else ():
            yield Row(what, kind, bare_encoder(sizes, views, what == OURS))
        seen.add(kind)
        yield Row(name, kind, partial(count_pictures, model, data, texts), name == "cat-seg-b")
        if name != "cat-seg-b":
            yield Row(f"{name}, a plain loop", kind, partial(plain_loop, model, data, texts), True)


def bare_encoder(sizes: dict[str, Any], views: Tensor, ours: bool) -> Callable[[list[int]], object]:
    """open_clip's own model for pictures as large as the views, drawn at random."""
    vision = {**sizes["vision_cfg"], "image_size": views.shape[-1]}
    model: Any = create({**sizes, "vision_cfg": vision}).eval()
    if ours:
        onednn.use_onednn(model)
    encode = torch.inference_mode()(lambda _: model.encode_image(views))
    return lambda some: list(in_threads(encode, some))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=32)
    parser.add_argument("--round", type=int, default=4, help="pictures a round")
    parser.add_argument("--slow", type=int, default=2, help="rounds of cat-seg-b and plain loops")
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    options = parser.parse_args()
    if options.small:
        options.pictures, options.round, options.slow = 2, 2, 1
    print(f"{torch.get_num_threads()} threads; load {os.getloadavg()[0]:.1f} before", flush=True)
    every = list(rows(options))
    for row in every:  # the first calls of a kind are slower
        if options.slow or not row.slow:
            row.run([0])
    times: list[list[float]] = [[] for _ in every]
    for start in range(0, options.pictures, options.round):
        some = list(range(start, min(start + options.round, options.pictures)))
        for row, spent in zip(every, times, strict=True):
            if not row.slow or len(spent) < options.slow:
                began = time.perf_counter()
                row.run(some)
                spent.append((time.perf_counter() - began) / len(some))
    print("\n| views | row | s a picture | / open_clip's | / with this code's products |")
    print("|---|---|---|---|---|")
    at = {(row.views, row.name): spent for row, spent in zip(every, times, strict=True)}
    for (views, name), spent in at.items():
        if not spent:  # with --slow 0
            continue
        ratios = (_ratio(spent, at[views, other]) for other in (BARE, OURS))
        print(f"| {views} | {name} | {statistics.median(spent):.2f} | {' | '.join(ratios)} |")


def _ratio(spent: Sequence[float], base: Sequence[float]) -> str:
    """The median of the rounds' ratios; a slow row has only the first rounds."""
    return f"{statistics.median(a / b for a, b in zip(spent, base, strict=False)):.2f}"


if __name__ == "__main__":
    main()
