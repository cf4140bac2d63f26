"""What refinement reaches on MiniStuff, and how much of it something simpler does as well.

    python -m benchmarks.refinement [--out FILE]
    python -m benchmarks.refinement [WEIGHTS --carried FILE]

Everything is chosen on the selection split and starts from the best one set for all; printed, as
Markdown, are scores and gains over this start on the report split, with 95 % paired bootstrap
intervals over pictures. The first command compares the loop with averaging everything, with random
candidates for the classes that it changed, with each proposer alone, and with controls: other
classes' texts, and random words in place of every candidate's text. The second asks what carries
over to another model: the set that the first one left in FILE, and that model's own refinement.
"""

import argparse
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ablations.refinement.evaluation import Evaluation, changes_of, with_texts
from ablations.refinement.loop import Refinement, Refiner
from ablations.refinement.options import OFFLINE, RefineOptions
from ablations.refinement.proposers import open_proposers
from ablations.refinement.texts import TextStore
from ablations.runs.open import benchmark_sources, encode_pictures, load_descriptions, open_benches
from ablations.runs.refinement import text_store
from ablations.runs.request import AblationRequest
from ablations.search.scoreboard import NAME, Bench, Candidate, Scoreboard
from ablations.search.statistics import Draws, average
from lsmseg_model.metrics import iou
from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.export.native import export_native, load_native
from lsmseg_prompts.prompts.controls import random_like
from lsmseg_prompts.prompts.prompt_set import PromptSet

COLUMNS = ("miou", "seen", "unseen")
CONTROLLED = ("attributes", "contrast")  # the proposers of the controls
START = "ensemble(color+shape)"  # what stage 4 finds with the shipped weights
DRAWN = 10  # random sets


class Comparison:
    """A start, and what becomes of it; prints a row of each."""

    def __init__(self, request: AblationRequest, start: str) -> None:
        sources, vocabularies = benchmark_sources(request)
        (descriptions,) = load_descriptions(request, vocabularies, [request.llm])[request.llm]
        _, (bench,) = open_benches(request, sources, vocabularies, False)
        encode_pictures([bench], request.store_path, False)
        self.bench: Bench = replace(bench, descriptions=descriptions)
        self.board = Scoreboard([self.bench], samples=request.samples, seed=request.seed)
        self.store = text_store(request, self.bench, descriptions)
        self.evaluation = Evaluation(bench.scorers["selection"], request.samples, request.seed)
        candidate = Candidate.named(start)
        self.recipe, self.start = start, self.board.prompt_set(self.bench, candidate)
        self.shown = 0
        self.before = self.report(self.start)
        print("| | candidates | seconds | classes changed | all | seen | unseen |", end="")
        print(" gain, all | seen | unseen |\n|---|---|---|---|---|---|---|---|---|---|")

    def report(self, prompts: PromptSet) -> dict[str, Draws]:
        """The scores of a set on the report split."""
        self.shown += 1
        candidate = Candidate((f"set {self.shown}",))
        self.board.add(self.bench, candidate, prompts)
        return dict(self.board.score("report", [candidate])[0].mean)

    def refined(
        self, names: Sequence[str], store: TextStore | None = None, start: PromptSet | None = None
    ) -> tuple[Refinement, float]:
        """What the loop makes of the start with these proposers, and the seconds that it took."""
        began = time.monotonic()
        proposers = list(open_proposers(names).values())
        refiner = Refiner(self.evaluation, store or self.store, proposers, RefineOptions())
        first = start or self.start
        recipes = dict.fromkeys(range(len(first)), self.recipe)
        return refiner.run(Refinement(first, first, recipes)), time.monotonic() - began

    def row(
        self,
        label: str,
        scores: dict[str, Draws],
        loop: tuple[Refinement, float] | None = None,
        before: dict[str, Draws] | None = None,
    ) -> None:
        """Print a row; gains are those over `before`, by default the start."""
        cells = ["", "", ""]
        if loop is not None:
            found, seconds = loop
            cells = [f"{found.tried:,}", f"{seconds:.0f}", str(len(found.changed))]
        cells += [f"{100 * scores[column].value:.1f}" for column in COLUMNS]
        gains = [scores[column] - (before or self.before)[column] for column in COLUMNS]
        cells += ["" if not one.draws.any() else interval(one) for one in gains]
        print(f"| {label} | {' | '.join(cells)} |", flush=True)

    def loop(self, label: str, names: Sequence[str], store: TextStore | None = None) -> Refinement:
        """Refine, and print a row."""
        found = self.refined(names, store)
        self.row(label, self.report(found[0].prompts), found)
        return found[0]

    def random_sets(self, found: Refinement) -> dict[str, Draws]:
        """The mean score of sets that give each changed class a random candidate of its own."""
        tried = [trial.candidate for trial in found.rounds[0].tried]
        drawn = []
        for seed in range(DRAWN):
            pick = random.Random(seed).choice
            some = [pick([c for c in tried if c.index == index]) for index in found.changed]
            drawn.append(self.report(with_texts(self.start, changes_of(some))))
        return {column: average([one[column] for one in drawn]) for column in COLUMNS}

    def why(self, found: Refinement, other: Refinement) -> None:
        """Print what became of each class that a control changed, on the report split."""
        vocabulary, scorer = self.bench.vocabulary, self.bench.scorers["report"]
        sets = [found.start, found.prompts, other.prompts]
        counts = scorer.score(sets).sum(axis=1)
        print(
            "\n| class | IoU before | control | real loop | predicted / labelled before |", end=""
        )
        print(" control | real loop |\n|---|---|---|---|---|---|---|")
        for index in found.changed:
            at = scorer.benchmark.class_indices.index(index)
            each = [f"{100 * iou(one)[at]:.1f}" for one in counts]
            each += [f"{one[at, 1] / one[at, 2]:.2f}" for one in counts]
            print(f"| {vocabulary[index].readable} | {' | '.join(each)} |")
        gains = 100 * (iou(counts[1]) - iou(counts[0])) / len(counts[0])
        places = scorer.benchmark.class_indices
        own = sum(gains[places.index(index)] for index in found.changed)
        most = sorted(set(places) - set(found.changed), key=lambda i: -gains[places.index(i)])[:6]
        named = [f"{vocabulary[i].readable} {gains[places.index(i)]:+.2f}" for i in most]
        print(
            f"\nOf the control's gain of {gains.sum():.1f} points the changed classes bring ",
            end="",
        )
        print(f"{own:.1f}, the others {gains.sum() - own:.1f}: {', '.join(named)}, ...", flush=True)


def interval(gain: Draws) -> str:
    found = gain.interval()
    return f"{100 * found.value:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def random_words(store: TextStore, seed: int = 0) -> TextStore:
    """The store with as many tokens of random words in place of each text."""
    keys = [
        [key for cells in (store.descriptions, store.pairs) for key in cells if key[0] == one.index]
        for one in store.vocabulary
    ]
    texts = {**store.descriptions, **store.pairs}
    groups = [tuple(texts[key] for key in some) for some in keys]
    drawn = random_like(groups, store.vocabulary, seed)
    new = {
        key: text
        for some, group in zip(keys, drawn, strict=True)
        for key, text in zip(some, group, strict=True)
    }
    return replace(
        store,
        descriptions={key: new[key] for key in store.descriptions},
        pairs={key: new[key] for key in store.pairs},
        others={},
    )


def on_one_model(compared: Comparison, out: Path | None) -> None:
    """The loop beside what is simpler, and beside its controls."""
    store = compared.store
    compared.row("one set for all", compared.before)
    found = compared.loop("class by class, all proposers", OFFLINE)
    if out is not None:
        export_native(found.prompts, compared.bench.vocabulary, out, force=True)
    everything = Candidate((*ATTRIBUTES, "typical"), composition="ensemble")
    averaged = compared.board.prompt_set(compared.bench, everything)
    compared.row("everything averaged, every class", compared.report(averaged))
    if found.changed:
        label = f"random candidates for the same classes, mean of {DRAWN}"
        compared.row(label, compared.random_sets(found))
    shuffled = compared.loop("control: shuffled texts", CONTROLLED, store.shuffled())
    words = compared.loop("control: random words", CONTROLLED, random_words(store))
    compared.loop("real texts, " + ", ".join(CONTROLLED), CONTROLLED)
    alone = {name: compared.loop(f"{name} alone", [name]) for name in OFFLINE}
    first = alone["names"].prompts
    again = compared.refined(CONTROLLED, store.shuffled(), first)
    label = "shuffled texts after names, gain over names"
    compared.row(label, compared.report(again[0].prompts), again, compared.report(first))
    compared.why(shuffled, found)
    compared.why(words, found)


def carried_over(compared: Comparison, file: Path) -> None:
    """Another model's refined set beside this one's own."""
    compared.row("name", compared.report(compared.board.prompt_set(compared.bench, NAME)))
    compared.row("one set for all", compared.before)
    compared.row("refined for the other model", compared.report(load_native(file)))
    compared.loop("its own refinement", OFFLINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", nargs="?", help="a weights file; the shipped one by default")
    parser.add_argument("--start", default=START, help="the best one set for all")
    parser.add_argument("--carried", type=Path, help="the set that another model was refined to")
    parser.add_argument("--out", type=Path, help="where the refined set goes")
    parser.add_argument("--store", help="an attribute store")
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    arguments = parser.parse_args()
    request = AblationRequest(
        pretrained=arguments.weights,
        store=arguments.store,
        limit=40 if arguments.small else None,
        samples=200 if arguments.small else 2000,
    )
    compared = Comparison(request, arguments.start)
    if arguments.carried is not None:
        carried_over(compared, arguments.carried)
    else:
        on_one_model(compared, arguments.out)


if __name__ == "__main__":
    main()
