"""What scoring prompts takes, in ratios of one run: pictures once, texts once, the exact argmax.

python benchmarks/ablation.py                    # all three parts
python benchmarks/ablation.py argmax sets exhaustive --threads 1 --pictures 200

argmax      171 and 847 classes, 24 x 24 -> 480 x 640: enlarging all classes beside best_class
sets        ViT-B/16 at full size with random weights: 1 and 10 prompt sets of 150 classes, a whole
            pass over --pictures each (few of them show the texts, which are embedded once)
exhaustive  all 511 combinations on MiniStuff's selection split, features on disk, from the
            descriptions to the counts, for both compositions

Each number is the best of some repetitions where that is possible. Features vary smoothly over a
picture and some classes fit better than others, as a network's do; how many classes can win
somewhere, which is what the argmax's time depends on, is printed.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def seconds(run: Callable[[], Any], repeat: int) -> float:
    """The best of some runs."""
    spent = []
    for _ in range(repeat):
        began = time.perf_counter()
        run()
        spent.append(time.perf_counter() - began)
    return min(spent)


def lifelike(classes: int, side: int, width: int = 512) -> Any:
    """Features [side, side, width] that vary smoothly, with noise, and texts [classes, width]."""
    import torch
    from torch.nn import functional as F

    torch.manual_seed(0)
    coarse = torch.randn(1, width, side // 4, side // 4)
    features = F.interpolate(coarse, (side, side), mode="bicubic")[0].permute(1, 2, 0)
    features = features + 0.2 * torch.randn(features.shape)
    texts = torch.randn(classes, width)
    return F.normalize(features, dim=-1), F.normalize(texts, dim=-1)


def argmax(options: argparse.Namespace) -> None:
    """Enlarging all classes beside visiting those that can win."""
    import torch

    from lsmseg_model.kernels.argmax import Contenders, best_class, bordered
    from lsmseg_model.networks.cost_map import cost_map, upsample
    from lsmseg_model.networks.memory import peak

    size = (480, 640)
    for classes in (5,) if options.small else (171, 847):
        features, texts = lifelike(classes, 24)

        def plain(features: Any = features, texts: Any = texts) -> Any:
            return upsample(cost_map(features[None], texts), size).max(dim=1)

        def exact(features: Any = features, texts: Any = texts) -> Any:
            return best_class(features, texts, size)

        with torch.inference_mode():
            exact()  # what is the same for all pictures of a size is computed once
            slow, fast = seconds(plain, options.repeat), seconds(exact, 3 * options.repeat)
            much, little = peak(plain), peak(exact)
            cost = torch.einsum("hwd,nd->nhw", bordered(features), texts)[None].contiguous()
            contenders = Contenders.of(cost).count.float().mean()
            _, index = plain()
            where, _ = exact()
            two = upsample(cost_map(features[None], texts), size)[0].topk(2, dim=0).values
            far = (where != index[0]) & (two[0] - two[1] > 1e-6)
            double = best_class(features.double(), texts.double(), size)[0]
            wanted = upsample(cost_map(features.double()[None], texts.double()), size)
            same = bool((double == wanted.max(dim=1).indices[0]).all())
        print(
            f"argmax {classes} classes: {1e3 * slow:.0f} ms and {1e3 * fast:.1f} ms, "
            f"{slow / fast:.1f} times faster; {much / 1e6:.0f} MB and {little / 1e6:.0f} MB, "
            f"{little / much:.3f} of the memory; {contenders:.1f} classes a cell; "
            f"float64 the same: {same}; float32 differs beyond 1e-6 at {int(far.sum())} pixels",
            flush=True,
        )


def sets(options: argparse.Namespace) -> None:
    """One pass over the pictures for ten prompt sets, beside the pass for one."""
    import numpy as np
    import torch

    from lsmseg_model.inference.windows import picture_features
    from lsmseg_model.kernels.counting import count_sets
    from lsmseg_model.kernels.threads import in_threads
    from lsmseg_model.networks.backbones.clip import Clip
    from lsmseg_model.networks.backbones.load import open_clip_model

    torch.manual_seed(0)
    classes = 2 if options.small else 150
    model = open_clip_model("ViT-B-16", quick_gelu=True)
    clip = Clip(model, "ViT-B-16", "naclip", None, "")
    clip.eval()
    rng = np.random.default_rng(0)
    pictures = [
        rng.integers(0, 256, (480, 640, 3), dtype=np.uint8) for _ in range(options.pictures)
    ]
    labels = rng.integers(-1, classes, (480, 640)).astype(np.int16)
    texts = [
        [
            f"A thing of kind {c} has a large, round and smooth shape number {s}"
            for c in range(classes)
        ]
        for s in range(10)
    ]
    # The argmax of a network that tells classes apart, not of one with random weights.
    side = picture_features(clip, pictures[0]).shape[:2]
    smooth, words = lifelike(10 * classes, 28)
    smooth, words = smooth[: side[0], : side[1]].contiguous(), words.view(10, classes, -1)
    owner = np.arange(classes)

    def score(many: int) -> dict[str, float]:
        """One pass over the pictures for so many prompt sets: seconds of each part."""
        began = time.perf_counter()
        clip.encode_texts([[text] for texts_of_set in texts[:many] for text in texts_of_set])
        embedded = time.perf_counter()
        for picture in pictures:
            picture_features(clip, picture)
        looked = time.perf_counter()
        count = partial(count_sets, smooth, words[:many], stands_for=owner, classes=classes)
        list(in_threads(lambda _: count(labels), pictures))
        ended = time.perf_counter()
        return {"texts": embedded - began, "features": looked - embedded, "counts": ended - looked}

    score(1)  # what is the same for all pictures of a size is computed once
    one, ten = score(1), score(10)
    first, second = sum(one.values()), sum(ten.values())
    print(
        f"sets: {len(pictures)} pictures, {first:.1f} s for one prompt set of {classes} classes, "
        f"{second:.1f} s for ten: {second / first:.3f} times (a plain evaluator "
        "10)"
    )
    for what in one:
        print(f"      {what}: {one[what]:.1f} s and {ten[what]:.1f} s", flush=True)


def exhaustive(options: argparse.Namespace) -> None:
    """All combinations of the nine attributes, from the descriptions to the counts."""
    from ablations.scoring.frozen import FrozenScorer
    from ablations.scoring.splits import BenchmarkSource
    from lsmseg_model.inference.feature_cache import FeatureCache
    from lsmseg_model.segmenter import Segmenter
    from lsmseg_prompts.attributes import ATTRIBUTES
    from lsmseg_prompts.descriptions.bundled import read_bundled
    from lsmseg_prompts.prompts.prompt_set import build_prompt_set
    from lsmseg_prompts.vocabularies import load_vocabulary

    vocabulary = load_vocabulary("coco-stuff")
    descriptions = read_bundled("coco-stuff")
    names = list(ATTRIBUTES)
    most = 1 if options.small else len(names)
    combinations = [c for k in range(1, most + 1) for c in itertools.combinations(names, k)]
    source = BenchmarkSource("ministuff", limit=2 if options.small else None)
    benchmark, clip = source.splits()["selection"], Segmenter().clip
    with tempfile.TemporaryDirectory() as folder:
        FrozenScorer(clip, benchmark, FeatureCache(clip, folder)).encode_pictures()
        for composition in ("concat", "ensemble"):
            began = time.perf_counter()
            scorer = FrozenScorer(clip, benchmark, FeatureCache(clip, folder))
            scorer.encode_pictures()
            looked = time.perf_counter()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            only = frozenset(scorer.needs)
            prompts = [
                build_prompt_set(descriptions, vocabulary, c, composition, only=only)
                for c in combinations
            ]
            built = time.perf_counter()
            counts = scorer.score(prompts)
            ended = time.perf_counter()
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(
                f"exhaustive {composition}: {len(counts)} prompt sets x {len(benchmark)} pictures "
                f"x {len(benchmark.class_indices)} classes in {ended - began:.1f} s (pictures and "
                f"features {looked - began:.1f}, sentences {built - looked:.1f}, embedding and "
                f"counting {ended - built:.1f}); {(after - before) / 1024:.0f} MiB more memory",
                flush=True,
            )


PARTS = {"argmax": argmax, "sets": sets, "exhaustive": exhaustive}


def main() -> None:
    parser = argparse.ArgumentParser(description="What scoring prompts takes.")
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--pictures", type=int, default=8, help="that ViT-B/16 looks at")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, help="default: PyTorch's")
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    options = parser.parse_args()
    if options.small:
        options.pictures, options.repeat = 1, 1
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)
    for name in options.parts or PARTS:
        PARTS[name](options)


if __name__ == "__main__":
    main()
