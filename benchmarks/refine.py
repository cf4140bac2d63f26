"""Trying a candidate of `refine` beside scoring its whole prompt set: ratios of one run.

python benchmarks/refine.py
python benchmarks/refine.py --classes 171 --candidates 1000 --threads 1

For each number of classes: drawn features of a few pictures of 384 x 384 with 24 x 24 positions,
texts, and candidates for one class after the other, each at a cosine of about 0.8 to the text that
it replaces. Incremental is all that `refine` does, the two best classes of every pixel included;
full counts the whole set of a candidate as `ablate` does. Full scoring is timed on the first --full
candidates, and there all counts must be equal. Times are processor seconds of all threads, the
least of some repetitions, so that other work on the machine hardly moves the ratio.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

SIDE, PIXELS = 24, 384


def drawn(classes: int, pictures: int, candidates: int) -> tuple[Any, Any, Any, Any, Any]:
    """Features and label maps of pictures, texts, which of them are replaced, and by what."""
    import numpy as np
    import torch
    from torch.nn import functional as F

    from benchmarks.ablation import lifelike

    rng = np.random.default_rng(0)
    _, text = lifelike(classes, SIDE)
    features, labels = [], []
    for _ in range(pictures):
        # A picture shows a few classes, in blobs, with noise; the model tells most of them apart.
        shown = torch.from_numpy(rng.choice(classes, min(classes, 8), replace=False))
        coarse = torch.from_numpy(rng.standard_normal((1, len(shown), 4, 4))).float()
        blobs = F.interpolate(coarse, (SIDE, SIDE), mode="bicubic")[0].permute(1, 2, 0)
        noise = torch.from_numpy(rng.standard_normal((SIDE, SIDE, text.shape[1]))).float()
        mixed = (3 * blobs).softmax(dim=-1) @ text[shown] + 0.03 * noise
        features.append(F.normalize(mixed, dim=-1))
        large = F.interpolate(coarse, (PIXELS, PIXELS), mode="bicubic")[0].argmax(dim=0)
        label = shown.numpy()[large.numpy()].astype(np.int16)
        label[rng.random(label.shape) < 0.05] = -1  # unlabelled
        labels.append(label)
    prompts = np.arange(candidates) % classes
    noise = torch.from_numpy(rng.standard_normal((candidates, text.shape[1]))).float()
    new = F.normalize(text[prompts] + 0.7 * F.normalize(noise, dim=-1), dim=-1)
    return features, labels, text, prompts, new


def compare(classes: int, options: argparse.Namespace) -> None:
    """Incremental beside full scoring, with the same threads, in turn."""
    import numpy as np
    import torch

    from lsmseg_model.inference.counting import Features, add_replacements
    from lsmseg_model.kernels.counting import count_sets
    from lsmseg_model.kernels.threads import in_threads

    features, labels, text, prompts, new = drawn(classes, options.pictures, options.candidates)
    owner, parts = np.arange(classes), np.zeros(len(features), dtype=np.int64)
    seen = Features(features, labels, owner)
    whole = text.repeat(options.full + 1, 1, 1)
    whole[torch.arange(1, options.full + 1), prompts[: options.full]] = new[: options.full]

    def full(picture: int) -> Any:
        return count_sets(features[picture], whole, labels[picture], owner, classes)

    add_replacements(seen, text, prompts[:1], new[:1], parts)  # what is computed once for a size
    slow, quick = [], []
    for _ in range(options.repeat):
        began = time.process_time()
        counts = sum(in_threads(full, range(len(features))))
        slow.append(time.process_time() - began)
        began = time.process_time()
        change = add_replacements(seen, text, prompts, new, parts)[0]
        quick.append(time.process_time() - began)
    expected = counts[1:, :, :2] - counts[:1, :, :2]
    np.testing.assert_array_equal(change[: options.full], expected)
    changed = (change != 0).any(axis=(1, 2)).mean()
    each = 1e3 / len(features)
    a, b = each * min(slow) / (options.full + 1), each * min(quick) / len(new)
    print(
        f"{classes} classes: {a:.2f} ms a picture for a whole set, {b:.4f} ms for one of "
        f"{len(new)} candidates ({changed:.0%} change counts): {a / b:.0f} times faster, the same "
        f"counts",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="What trying a candidate takes.")
    parser.add_argument("--classes", type=int, action="append", help="default: 40, 171 and 847")
    parser.add_argument("--candidates", type=int, default=2000)
    parser.add_argument("--full", type=int, default=50, help="of them so many are scored whole")
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, help="default: PyTorch's")
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    options = parser.parse_args()
    if options.small:
        options.classes, options.candidates, options.full = [5], 10, 5
        options.pictures, options.repeat = 1, 1
    if options.full > options.candidates:
        parser.error("--full is more than --candidates")
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)
    for classes in options.classes or (40, 171, 847):
        compare(classes, options)


if __name__ == "__main__":
    main()
