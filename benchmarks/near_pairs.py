"""Which classes of COCO-Stuff are nearest by what their texts say, and which have pair cells.

python benchmarks/near_pairs.py    # the 700 nearest pairs, the nearest first, as CSV

Nearness: the cosine by a sentence model (the extra `words`), averaged over `typical` and the
sentence of four attributes, each as it is and with the class's names masked. Pairs of two classes
of MiniStuff are left out: benchmarks/confused_pairs.py counts how they are confused in pictures.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from itertools import combinations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks.corpus import Encode, masked, sentence_model
from lsmseg_model.data.ministuff.scenes import CLASS_INDICES
from lsmseg_prompts.attributes.contrast import contrast_with
from lsmseg_prompts.descriptions.bundled import PAIRED, read_bundled, read_pairs
from lsmseg_prompts.llm.bundled import TOGETHER
from lsmseg_prompts.vocabularies import load_vocabulary

SHOWN = 700


def nearness(encode: Encode) -> np.ndarray:
    """[C, C]: how near the texts of each two classes are."""
    vocabulary, cells = load_vocabulary(PAIRED), read_bundled(PAIRED)
    cosines = []
    for attribute in ("typical", TOGETHER):
        texts = {entry: cells[entry.index, attribute] for entry in vocabulary}
        for said in (list(texts.values()), [masked(t, entry) for entry, t in texts.items()]):
            vectors = encode(said)
            cosines.append(vectors @ vectors.T)
    return np.mean(cosines, axis=0)


def nearest(near: np.ndarray, left_out: Collection[int]) -> list[tuple[int, int]]:
    """The pairs of classes, the nearest first, but those of two classes that are left out."""
    pairs = [p for p in combinations(range(len(near)), 2) if not set(p) <= set(left_out)]
    return sorted(pairs, key=lambda pair: -near[pair])


def main() -> None:
    near = nearness(sentence_model())
    classes, told = load_vocabulary(PAIRED), read_pairs(PAIRED)
    print("class,other,nearness,pair_cells")
    for index, other in nearest(near, CLASS_INDICES)[:SHOWN]:
        names = classes[index].name, classes[other].name
        has = (index, contrast_with(names[1])) in told
        print(*names, f"{near[index, other]:.3f}", int(has), sep=",")


if __name__ == "__main__":
    main()
