"""A name for each class, chosen among those of several word lists by the loop of refinement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ablations.refinement.candidates import Candidate
from ablations.refinement.evaluation import Evaluation
from ablations.refinement.feedback import Feedback
from ablations.refinement.loop import Refinement, Refiner
from ablations.refinement.options import RefineOptions
from ablations.refinement.texts import TextStore
from ablations.scoring.frozen import OnProgress, Scorer
from ablations.search.words import CHOSEN
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.vocabularies import Vocabulary


@dataclass(frozen=True)
class NamesOfLists:
    """Proposes for each class what any list calls it: each name alone, and each list's names."""

    lists: Mapping[str, PromptSet]

    def propose(self, feedback: Feedback, store: TextStore) -> Iterator[Candidate]:
        for index in feedback.classes:
            for name, one in self.lists.items():
                group = one.texts[index]
                for texts in (group,) if len(group) == 1 else (*((t,) for t in group), group):
                    yield Candidate(index, texts, "words", name)


def choose_names(
    scorer: Scorer,
    vocabulary: Vocabulary,
    lists: Mapping[str, PromptSet],
    start: PromptSet,
    *,
    rule: str = "interval",
    samples: int = 2000,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> tuple[PromptSet | None, int, str]:
    """The words with other names for some classes, or None; of how many names; and how that went.

    One half of the selection pictures proposes, the other decides, swapped each round, until two
    rounds keep nothing. What counts as background is left as it is.

    Args:
        scorer: Of the selection split.
        vocabulary: The classes.
        lists: The word lists.
        start: The words so far.
        rule: "interval": what a round proposes is tested together on the half that did not; or
            "paper": any gain.
        samples: Resamples.
        seed: Of the halves and the resamples.
        on_progress: Called with pictures done and in all.
    """
    try:
        evaluation = Evaluation(scorer, samples, seed)
    except UsageError as error:
        return None, 0, f"No names were chosen class by class: {error}"
    owners = scorer.benchmark.owners or ()
    classes = [c for c in evaluation.place if not owners or owners.count(owners[c]) == 1]
    options = RefineOptions(rule="set" if rule == "interval" else "paper", proposers=())
    refiner = Refiner(
        evaluation, TextStore(vocabulary, "none", {}), [NamesOfLists(lists)], options, classes
    )
    so_far = Refinement(start, start, dict.fromkeys(range(len(vocabulary)), start.name))
    done = refiner.run(so_far, on_progress=on_progress)
    changed = {0: "no class", 1: "1 class"}.get(len(done.changed), f"{len(done.changed)} classes")
    how = (
        f"Then names were chosen class by class, one half of the selection pictures proposing and "
        f"the other deciding: {done.tried} were tried, and {changed} took another."
    )
    if not done.changed:
        return None, done.tried, how
    chosen = replace(done.prompts, name=CHOSEN.name, attributes=CHOSEN.attributes)
    return chosen, done.tried, how
