"""Does lsmseg-tiny read descriptions? Names, attributes, combinations, controls, and what differs.

    python benchmarks/lsmseg_tiny.py [WEIGHTS] [--attributes color,shape,pattern]

Texts on MiniStuff's report split, differences on both splits, with 95 % bootstrap intervals over
pictures (of differences paired). The best attribute and the best combinations are chosen on the
selection split. Combinations: the paper's four and those of each --attributes, joined and averaged.
Prints docs/lsmseg-tiny.md's tables.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from ablations.scoring.frozen import FrozenScorer
from ablations.search.scoreboard import NAME, TYPICAL, Bench, Candidate, Scoreboard
from ablations.search.single import TEMPLATES
from ablations.search.statistics import Draws, bootstrap
from lsmseg_model.data import load_benchmark
from lsmseg_model.metrics import iou
from lsmseg_model.networks.backbones.load import load_backbone
from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.descriptions.loading import load
from lsmseg_prompts.prompts.controls import CONTROLS
from lsmseg_prompts.vocabularies import load_vocabulary

SPLITS = ("selection", "report")
PAPER = ("size", "shape", "texture", "color")
FOUND = 0.15  # the IoU from which an unseen class counts as found
COLUMNS = {"miou": "all", "seen": "seen", "unseen": "unseen"}
GAPS = [(split, column) for split in SPLITS for column in ("miou", "unseen")]
CHANCE = Candidate(("chance",))
LOOKS, OTHERS = ("color", "shape", "texture", "pattern"), ("action", "context", "position")
Means = dict[Candidate, dict[str, Draws]]
Pairs = list[tuple[Candidate, Candidate]]


def open_board(weights: str | None, limit: int | None, samples: int) -> Scoreboard:
    """MiniStuff's two splits with the bundled descriptions."""
    vocabulary, clip = load_vocabulary("coco-stuff"), load_backbone(pretrained=weights)
    parts = {split: load_benchmark("ministuff", split=split, limit=limit) for split in SPLITS}
    scorers = {split: FrozenScorer(clip, part) for split, part in parts.items()}
    descriptions = load(vocabulary) | load(vocabulary, attributes=["typical"])
    bench = Bench("ministuff", vocabulary, descriptions, scorers)
    return Scoreboard([bench], samples=samples)


def chance(board: Scoreboard, split: str) -> dict[str, Draws]:
    """What the name's predictions, as frequent as they are, would hit if they lay anywhere."""
    (bench,) = board.benches
    counts = bench.scorers[split].score([board.prompt_set(bench, NAME)])[0]  # [P, C, 3]
    total = counts.sum(axis=0)
    counts[..., 0] = np.rint(counts[..., 2] * total[:, 1] / total[:, 2].sum())
    return bootstrap([counts], bench.subsets, board.samples, board.seed)[0]


def sections(
    sets: Sequence[Candidate], best: Candidate, ways: Sequence[Candidate], single: Candidate
) -> Iterator[tuple[str, list[Candidate], Pairs]]:
    """(title, texts, pairs whose difference is shown) in the order of docs/lsmseg-tiny.md.

    sets: the combinations. best: that of them; ways: the best joined and the best averaged.
    """
    yield "the name finds", [NAME], [(NAME, CHANCE)]
    alone = {name: Candidate((name,)) for name in ATTRIBUTES}
    against: Pairs = [(alone[one], alone[other]) for one in LOOKS for other in OTHERS]
    yield "one attribute finds", [*alone.values()], [(single, NAME), *against]
    ends: Pairs = [(way, single) for way in ways]
    four = Candidate(PAPER), Candidate(PAPER, composition="ensemble")
    yield "combinations find", [*sets], [*ends, four]
    controls = [replace(one, control=control) for control in CONTROLS for one in sets]
    pairs = [(one, other) for one in (single, best) for other in (TYPICAL, *TEMPLATES)]
    own = [(best, replace(best, control=control)) for control in CONTROLS]
    yield "controls find", [TYPICAL, *TEMPLATES, *controls], [*pairs, *own]


def shown(draws: Draws) -> str:
    found = draws.interval()
    return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def print_table(columns: Sequence[str], rows: Iterable[tuple[str, Iterable[str]]]) -> None:
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for name, cells in rows:
        print(f"| {name} | {' | '.join(cells)} |")


def print_classes(board: Scoreboard, sets: Sequence[Candidate]) -> None:
    """IoU of every unseen class on the report split, and how many classes each set finds."""
    (bench,) = board.benches
    indices = bench.scorers["report"].benchmark.class_indices
    unseen = list(bench.subsets["unseen"].classes or ())
    scores = board.score("report", sets)
    ious = np.stack([iou(one.totals["ministuff"])[unseen] for one in scores], axis=1)
    names = [bench.vocabulary[indices[at]].readable for at in unseen]
    rows = [(n, [f"{100 * x:.1f}" for x in row]) for n, row in zip(names, ious, strict=True)]
    above = [str(count) for count in (ious > FOUND).sum(axis=0)]
    rows.append((f"classes above {100 * FOUND:.0f}", above))
    print_table(("unseen class, IoU in %", *(one.name for one in sets)), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", nargs="?", help="a weights file; the shipped one by default")
    parser.add_argument("--attributes", action="append", help="another combination; repeatable")
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    arguments = parser.parse_args()

    given = [tuple(one.split(",")) for one in arguments.attributes or ["color,shape,texture"]]
    pairs = [
        (Candidate(one), Candidate(one, composition="ensemble"))
        for one in dict.fromkeys([PAPER, *given])
    ]
    sets = [one for pair in pairs for one in pair]
    board = open_board(arguments.weights, *((20, 200) if arguments.small else (None, 2000)))

    def best_of(candidates: Sequence[Candidate]) -> Candidate:
        """On the selection split: nothing is chosen on the other."""
        scores = board.score("selection", candidates)
        return max(scores, key=lambda score: score.miou.value).candidate

    single, best = best_of([Candidate((name,)) for name in ATTRIBUTES]), best_of(sets)
    ways = [best_of(way) for way in zip(*pairs, strict=True)]
    parts = list(sections(sets, best, ways, single))
    texts = [text for _, some, _ in parts for text in some]
    means: dict[str, Means] = {}
    for split in SPLITS:
        means[split] = {one.candidate: one.mean for one in board.score(split, texts)}
        means[split][CHANCE] = chance(board, split)
    for title, some, compared in parts:
        print(f"\n## What {title}")
        rows = ((one.name, [shown(means["report"][one][c]) for c in COLUMNS]) for one in some)
        print_table(("text", *COLUMNS.values()), rows)
        gaps = (
            (f"{a.name} - {b.name}", [shown(means[s][a][c] - means[s][b][c]) for s, c in GAPS])
            for a, b in compared
        )
        print_table(("difference in points", *(f"{s}: {COLUMNS[c]}" for s, c in GAPS)), gaps)
        if "combinations" in title:
            print_classes(board, [NAME, single, best])


if __name__ == "__main__":
    main()
