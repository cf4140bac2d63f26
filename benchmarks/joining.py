"""How descriptions are joined to one text: what it costs in tokens, and what it finds.

    python benchmarks/joining.py

Each description as it is worded, one after another (`concat`), the phrase that readers with
templates get, and both inside "a photo of a {}.": tokens and lost attributes on COCO-Stuff and
ADE20K-847, and the mean mIoU of lsmseg-tiny over 29 sets of attributes on MiniStuff's splits, with
95 % bootstrap intervals of the paired difference from `concat`. Prints docs/stages.md's tables.
"""

import argparse
import random
import statistics
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ablations.search.statistics import Draws, bootstrap
from benchmarks.lsmseg_tiny import PAPER, SPLITS, open_board, print_table, shown
from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.descriptions.loading import load
from lsmseg_prompts.prompts.compose import Writing
from lsmseg_prompts.prompts.prompt_set import PromptSet, build_prompt_set
from lsmseg_prompts.tokens import CONTEXT_LENGTH, count_tokens
from lsmseg_prompts.vocabularies import load_vocabulary

TEMPLATE = "a photo of a {}."
ROOM = CONTEXT_LENGTH - count_tokens(TEMPLATE.format("x")) + count_tokens("x")
WAYS = {
    "one after another (`concat`)": ("{}", Writing()),
    "the same in a template": (TEMPLATE, Writing("sentence", ROOM)),
    "phrase": ("{}", Writing("phrase")),
    "phrase in a template": (TEMPLATE, Writing("phrase", ROOM)),
}
BEST = [("color", "shape"), ("color", "size"), ("color", "shape", "texture")]
Means = dict[str, dict[str, Draws]]


def attribute_sets(seed: int = 0) -> list[tuple[str, ...]]:
    """The paper's four, four that score well, and eight each of two, three and four at random."""
    rng = random.Random(seed)
    drawn = [tuple(rng.sample(list(ATTRIBUTES), k)) for k in (2, 3, 4) for _ in range(8)]
    return [PAPER, *BEST, ("color", "shape", "pattern"), *drawn]


def joined(prompts: PromptSet, template: str) -> PromptSet:
    """The prompt set with each text inside the template."""
    texts = tuple((template.format(text.removesuffix(".")),) for (text,) in prompts.texts)
    return prompts if template == "{}" else replace(prompts, texts=texts)


def print_tokens(name: str) -> None:
    vocabulary = load_vocabulary(name)
    descriptions = load(vocabulary)
    rows = []
    for way, (template, writing) in WAYS.items():
        made = build_prompt_set(descriptions, vocabulary, PAPER, writing=writing)
        tokens = [count_tokens(text) for (text,) in joined(made, template).texts]
        row = f"{statistics.median(tokens):.0f}", str(len(made.shortened)), str(len(made.dropped))
        rows.append((way, row))
    print(f"\n{name}, {'+'.join(PAPER)}")
    print_table(("joined", "tokens, median", "classes shortened", "that lost an attribute"), rows)


def mean(draws: Sequence[Draws]) -> Draws:
    """The mean of several scores on the same resamples."""
    values = [one.value for one in draws]
    return replace(
        draws[0],
        value=float(np.mean(values)),
        draws=np.mean([one.draws for one in draws], axis=0),
    )


def scores(limit: int | None, samples: int) -> dict[str, Means]:
    """{split: {way: {"miou" or "unseen": the mean over all sets of attributes}}}."""
    board = open_board(None, limit, samples)
    (bench,) = board.benches
    found: dict[str, Means] = {}
    for split in SPLITS:
        found[split] = {}
        for way, (template, writing) in WAYS.items():
            sets = [
                joined(
                    build_prompt_set(bench.descriptions, bench.vocabulary, some, writing=writing),
                    template,
                )
                for some in attribute_sets()
            ]
            counts = bench.scorers[split].score(sets)
            drawn = [bootstrap([c], bench.subsets, board.samples, board.seed)[0] for c in counts]
            found[split][way] = {c: mean([d[c] for d in drawn]) for c in ("miou", "unseen")}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    small = parser.parse_args().small
    for name in ("coco-stuff", "ade20k-847"):
        print_tokens(name)
    found = scores(*((20, 200) if small else (None, 2000)))
    first = next(iter(WAYS))
    columns = [(split, column) for split in SPLITS for column in ("miou", "unseen")]
    rows = []
    for way in WAYS:
        values = [f"{100 * found[s][way][c].value:.1f}" for s, c in columns]
        gaps = [shown(found[s][way][c] - found[s][first][c]) for s, c in columns]
        cells = (
            values if way == first else [f"{v} ({g})" for v, g in zip(values, gaps, strict=True)]
        )
        rows.append((way, cells))
    named = [f"{s}: {'all' if c == 'miou' else 'unseen'}" for s, c in columns]
    print_table(("joined", *named), rows)


if __name__ == "__main__":
    main()
