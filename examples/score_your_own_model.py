"""Score a model of your own: which texts help it to find the classes?

python examples/score_your_own_model.py
python examples/score_your_own_model.py --data runs/my_pictures --vocab runs/mine.json

A model is any function that takes a picture and texts and gives scores: write yours in the place of
`model` below. The one that stands there knows nothing but the words for colors, so that all of this
runs at once, without weights.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ablations import CallableScorer
from ablations.search.statistics import Interval, Subset, bootstrap
from lsmseg_model import load_benchmark
from lsmseg_model.errors import LsmsegModelError
from lsmseg_prompts import load_vocabulary, prompt_set
from lsmseg_prompts.errors import LsmsegPromptsError
from lsmseg_prompts.terminal import print_table, progress_bar
from lsmseg_prompts.vocabularies import benchmark_vocabulary

# -- your model ------------------------------------------------------------------------------------

COLORS = {
    "white": (240, 240, 240), "black": (20, 20, 20), "gray": (128, 128, 128), "red": (200, 40, 40),
    "orange": (235, 130, 30), "yellow": (240, 210, 60), "green": (70, 140, 60),
    "blue": (90, 140, 210), "brown": (120, 80, 50), "tan": (210, 180, 140),
}  # fmt: skip


def model(image: np.ndarray, texts: Sequence[Sequence[str]]) -> np.ndarray:
    """Scores of every class at every pixel; the highest wins.

    Args:
        image: uint8 [H, W, 3].
        texts: For each of the N classes one or more texts.

    Returns:
        float [N, H, W]; a torch tensor would do, too, and so would labels, whole numbers [H, W].
    """
    scores = np.zeros((len(texts), *image.shape[:2]))
    near = {
        color: np.exp(-((image - np.array(rgb, float)) ** 2).sum(axis=2) / (2 * 40**2))
        for color, rgb in COLORS.items()
    }
    for row, group in zip(scores, texts, strict=True):
        words = set(re.findall(r"[a-z]+", " ".join(group).lower()))
        if named := words & set(COLORS):  # a class of many colors is less likely in each of them
            row[:] = np.mean([near[color] for color in sorted(named)], axis=0)
    return scores


# -- what is scored --------------------------------------------------------------------------------

ATTRIBUTES = ("color", "shape", "typical")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this file; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="ministuff", help="a benchmark, or a folder")
    parser.add_argument("--data-root", help="the benchmark's folder")
    parser.add_argument("--split", help="its part")
    parser.add_argument("--vocab", help="the classes of a folder: a .txt or .json file")
    parser.add_argument("--pictures", type=int, default=40, help="only so many")
    options = parser.parse_args(arguments)
    try:
        rows = scores(options)
    except (LsmsegPromptsError, LsmsegModelError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    print_table(rows)
    return 0


def scores(options: argparse.Namespace) -> list[dict[str, str]]:
    """A row for each prompt set: mIoU and the difference to the first, in %, with intervals."""
    if options.vocab:
        vocabulary = load_vocabulary(options.vocab)
    else:
        vocabulary = benchmark_vocabulary(options.data)
    benchmark = load_benchmark(
        options.data, options.data_root, options.split, options.pictures,
        class_count=len(vocabulary), vocabulary=vocabulary.name,
    )  # fmt: skip
    prompt_sets = [prompt_set(vocabulary, [one]) for one in ("name", *ATTRIBUTES)]
    # The control: the same sentences, but of other classes. A gain must beat it.
    prompt_sets.append(prompt_set(vocabulary, ["color"], control="shuffled"))
    with progress_bar("Pictures") as on_progress:
        counts = CallableScorer(model, benchmark).score(prompt_sets, on_progress)
    # All sets on the same resamples of the pictures, so that differences are paired.
    drawn = [one["all"] for one in bootstrap(counts, {"all": Subset()}, groups=benchmark.groups)]
    return [
        {
            "prompts": prompts.name,
            "mIoU": in_percent(one.interval()),
            "against the first": in_percent((one - drawn[0]).interval(), "+") if at else "",
        }
        for at, (prompts, one) in enumerate(zip(prompt_sets, drawn, strict=True))
    ]


def in_percent(interval: Interval, sign: str = "") -> str:
    """Such as "57.5 [56.3, 58.8]"; of too few pictures the value alone."""
    value, *ends = (format(100 * x, f"{sign}.1f") for x in (interval.value, *ends_of(interval)))
    return f"{value} [{', '.join(ends)}]" if ends else value


def ends_of(interval: Interval) -> tuple[float, ...]:
    """The two ends, where there are enough pictures for any."""
    return () if interval.missing else (interval.low, interval.high)


if __name__ == "__main__":
    sys.exit(main())
