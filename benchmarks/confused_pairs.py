"""Which classes of MiniStuff are most easily taken for each other: the pairs of the pair cells.

python benchmarks/confused_pairs.py            # the 8 others of each of the 40 classes, as CSV
python benchmarks/confused_pairs.py --small    # of 10 pictures only, to see that it runs

What B costs A: the pixels of A that are taken for B, and those of B that are taken for A. They are
added up over the prompt sets of PROMPTS, with the shipped model, on the selection split; the report
split is not looked at. How the sentences were written: docs/corpus.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from ablations.scoring.confusions import confusion
from ablations.scoring.frozen import FrozenScorer
from lsmseg_model.data.benchmark import load_benchmark
from lsmseg_model.segmenter import Segmenter
from lsmseg_prompts.prompts.from_store import prompt_set
from lsmseg_prompts.vocabularies import load_vocabulary

OTHERS = 8  # of each class
PROMPTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("name",), "concat"),
    (("texture",), "concat"),
    (("texture", "pattern", "shape", "size"), "ensemble"),
    (("typical",), "concat"),
)


def costliest(counts: np.ndarray, others: int = OTHERS) -> list[list[int]]:
    """For each class the positions of the others that cost it most, most costly first.

    counts: int [C, C], pixels by label (row) and prediction (column).
    """
    both = counts + counts.T
    np.fill_diagonal(both, -1)
    return [[int(at) for at in np.argsort(-row, kind="stable")[:others]] for row in both]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="The pairs of the pair cells.")
    parser.add_argument("--small", action="store_true", help="10 pictures")
    options = parser.parse_args(arguments)
    selection = load_benchmark("ministuff", split="selection", limit=10 if options.small else None)
    scorer = FrozenScorer(Segmenter().clip, selection)
    sets = [prompt_set("coco-stuff", *what) for what in PROMPTS]
    counts = np.sum([confusion(scorer, one) for one in sets], axis=0)
    classes = load_vocabulary("coco-stuff")
    indices = selection.class_indices
    print("class,other,pixels_of_class,pixels_of_other")
    for at, others in enumerate(costliest(counts)):
        for other in others:
            names = classes[indices[at]].name, classes[indices[other]].name
            print(*names, counts[at, other], counts[other, at], sep=",")


if __name__ == "__main__":
    main()
