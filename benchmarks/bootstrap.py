"""What the intervals take: the bootstrap at the size of COCO-Stuff's validation pictures.

python benchmarks/bootstrap.py                      # 20 sets x 5,000 pictures x 171 classes
python benchmarks/bootstrap.py --met 171            # every class predicted in every picture

1,000 resamples. The counts are random: of each picture 8 classes are labelled and --met are
predicted by each set, drawn like real classes, a few often and most seldom; the labelled ones are
among them. `plain` is the sum of the weighted counts of all classes and sets in one float64
matrix product per block, without the sums' division; `memory` is what each holds at its highest
besides the counts. One thread more or less is for OMP_NUM_THREADS.
"""

from __future__ import annotations

import argparse
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def random_counts(
    sets: int, pictures: int, classes: int, met: int, labelled: int = 8
) -> np.ndarray:
    """int64 [S, P, C, 3] with the same labels in all sets."""
    rng = np.random.default_rng(0)
    popular = 1 / (10 + np.arange(classes))
    # Gumbel noise on the logarithm draws without replacement, the popular ones more often.
    key = np.log(popular) + rng.gumbel(size=(pictures, classes))
    order = np.argsort(-key, axis=1)
    truth = np.zeros((pictures, classes), dtype=np.int64)
    pixels = rng.integers(500, 60_000, (pictures, labelled))
    np.put_along_axis(truth, order[:, :labelled], pixels, axis=1)
    counts = np.empty((sets, pictures, classes, 3), dtype=np.int64)
    for one in counts:
        key = np.log(popular) + rng.gumbel(size=(pictures, classes)) + 9 * (truth > 0)
        order = np.argsort(-key, axis=1)[:, :met]
        hit = (truth * rng.uniform(0.2, 0.8, truth.shape)).astype(np.int64)
        wrong = np.zeros_like(truth)
        np.put_along_axis(wrong, order, rng.integers(1, 9000, order.shape), axis=1)
        one[..., 0], one[..., 1], one[..., 2] = hit, hit + wrong, truth
    return counts


def plain(counts: np.ndarray, samples: int) -> None:
    from ablations.search.statistics import resample_weights

    flat = [one.reshape(len(one), -1) for one in counts]
    for weights in resample_weights(counts.shape[1], samples):
        exact = weights.astype(np.float64)
        for one in flat:
            exact @ one.astype(np.float64)


def measured(work: Callable[[], object], repeat: int) -> tuple[float, float, float]:
    """Seconds by the clock and of the processor, the best of some; MiB at the highest."""
    seconds, processor = [], []
    for _ in range(repeat):
        began, busy = time.perf_counter(), time.process_time()
        work()
        seconds.append(time.perf_counter() - began)
        processor.append(time.process_time() - busy)
    tracemalloc.start()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return min(seconds), min(processor), peak / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", type=int, default=20)
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--classes", type=int, default=171)
    parser.add_argument("--met", type=int, default=30)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--plain", action="store_true", help="measure the plain product too")
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    options = parser.parse_args()
    if options.small:
        options.sets, options.pictures, options.classes, options.met = 2, 20, 10, 5
        options.samples, options.repeat = 20, 1

    from ablations.search.statistics import Subset, bootstrap

    counts = random_counts(options.sets, options.pictures, options.classes, options.met)
    half = tuple(range(options.classes // 2))
    subsets = {
        "miou": Subset(),
        "union": Subset(definition="union"),
        "seen": Subset(half),
        "unseen": Subset(tuple(range(options.classes // 2, options.classes))),
    }
    print(
        f"{options.samples} resamples of {options.sets} sets x {options.pictures} pictures x "
        f"{options.classes} classes, {options.met} of them predicted in a picture; "
        f"{len(subsets)} mIoUs each"
    )
    rows = {"bootstrap": lambda: bootstrap(counts, subsets, options.samples)}
    if options.plain:
        rows["plain"] = lambda: plain(counts, options.samples)  # type: ignore[assignment, return-value]
    for name, work in rows.items():
        seconds, processor, memory = measured(work, options.repeat)
        print(f"{name:10} {seconds:6.2f} s  {processor:6.2f} s of the processor  {memory:6.0f} MiB")


if __name__ == "__main__":
    main()
