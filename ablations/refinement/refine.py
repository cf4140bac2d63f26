"""Refinement of a benchmark's best prompt set: by all labels, by seen ones, and the control."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ablations.refinement.asking import Inquiry
from ablations.refinement.evaluation import Evaluation
from ablations.refinement.loop import OnRound, Refinement, Refiner
from ablations.refinement.options import AFTER, RefineOptions
from ablations.refinement.proposers import Proposer, attributes, open_proposers
from ablations.refinement.records import RoundStore
from ablations.refinement.seen import transfer, unseen_of
from ablations.refinement.texts import TextStore
from ablations.scoring.count_store import key_of
from ablations.scoring.frozen import FrozenScorer, OnProgress, Scorer
from lsmseg_prompts.prompts.name_templates import name_texts
from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.tokens import CLIP

VERSION = 1  # of how rounds come about: with another one those in the store are not found


@dataclass(frozen=True)
class Refined:
    """The results: by all labels, by those of seen classes only, and by another class's texts.

    seen: None where seen and unseen classes are not told apart. Its start is the same as that of
        the others, which stage 4 chose with all labels.
    control: what the same loop makes of shuffled texts.
    """

    labelled: Refinement
    seen: Refinement | None
    control: Refinement


@dataclass(frozen=True)
class Job:
    """What is refined, on what, with which texts, and where its rounds are kept.

    Attributes:
        scorer: Of the selection split.
        start: The prompt set that it starts from.
        recipe: What the texts of its classes are.
        store: The texts to choose among.
        proposers: Who proposes, by name.
        options: Rule and limits.
        samples, seed, stream: See `Evaluation`.
        path: The attribute store that keeps the rounds.
        model: For the record.
        inquiry: What is asked of an LLM; None where nobody is asked.
    """

    scorer: Scorer
    start: PromptSet
    recipe: str
    store: TextStore
    proposers: dict[str, Proposer]
    options: RefineOptions
    samples: int
    seed: int
    stream: int
    path: Path
    model: str
    inquiry: Inquiry | None = None

    def evaluation(self, classes: Sequence[int] | None = None) -> Evaluation:
        return Evaluation(self.scorer, self.samples, self.seed, self.stream, classes)

    def beginning(self) -> Refinement:
        recipes = dict.fromkeys(range(len(self.start)), self.recipe)
        return Refinement(self.start, self.start, recipes)

    @property
    def _other_budget(self) -> list[str]:
        """What is known of a budget by its hash, where it is not CLIP's."""
        return [] if self.store.budget == CLIP else [str(self.store.budget.described)]

    def rounds(self, evaluation: Evaluation, labels: str, names: Sequence[str]) -> RoundStore:
        """Where the rounds of this job are kept, under the hash of all they depend on."""
        texts = self.store
        request = key_of(
            {
                "version": VERSION,
                "scorer": evaluation.scorer.key,
                "start": self.start.texts,
                "texts": [
                    sorted((*cell, text) for cell, text in texts.descriptions.items()),
                    sorted((*cell, text) for cell, text in texts.pairs.items()),
                    sorted(
                        (llm, *cell, text)
                        for llm, cells in texts.others.items()
                        for cell, text in cells.items()
                    ),
                ],
                "proposers": list(names),
                "options": [self.options.rule, self.options.candidates, *self._other_budget],
                "statistics": [self.samples, self.seed, self.stream],
                "labels": labels,
                "asked": self.inquiry and self.inquiry.key,
            }
        )
        about = {
            "labels": labels,
            "vocabulary": self.store.vocabulary.name,
            "benchmark": self.scorer.benchmark.name,
            "model": self.model,
        }
        return RoundStore(self.path, request, about)


Start = Callable[[str], tuple[OnRound | None, OnProgress | None]]
"""Called with what begins; gives what is told of its rounds and of its progress."""


def refine_set(job: Job, begin: Start) -> Refined:
    """Refine by all labels, then by seen classes' labels only, then the control.

    Rounds that are on file are not done again. Where the budget for asking is spent, the round is
    finished with what came back, and so are those that follow; they are not put on file, so that
    the same job goes on asking there. Raises UsageError for too few pictures, StoreError, and
    ConfigurationError or ProviderError where an LLM cannot be asked.
    """
    if job.inquiry is not None:
        job = replace(job, store=job.inquiry.without(job.store))
    labelled = _loop(job, begin, "all labels", job.evaluation())
    seen = _by_seen_labels(job, begin)
    control = _control(job, begin)
    return Refined(labelled, seen, control)


def _by_seen_labels(job: Job, begin: Start) -> Refinement | None:
    """Seen classes refined by their own labels, and what that teaches about the unseen ones."""
    benchmark = job.scorer.benchmark
    unseen = set(unseen_of(benchmark))
    if not unseen:
        return None
    classes = [index for index in benchmark.class_indices if index not in unseen]
    evaluation = job.evaluation(classes)
    if job.options.rule == "set":
        # What a passenger of a set takes from unseen classes nobody would notice.
        job = replace(job, options=replace(job.options, rule="single"))
    seen = _loop(job, begin, "labels of seen classes only", evaluation, classes, "seen")
    if not isinstance(job.scorer, FrozenScorer):  # names are compared by its text tower
        return seen
    everyone = Refiner(evaluation, job.store, (), job.options).look(job.beginning(), 0)
    names = [name_texts(entry) for entry in job.store.vocabulary]
    embedded = np.asarray(job.scorer.clip.encode_texts(names).cpu())
    candidates = attributes.propose(everyone, job.store)
    seen.put(transfer(seen, evaluation, candidates, embedded))
    return seen


def _loop(
    job: Job,
    begin: Start,
    label: str,
    evaluation: Evaluation,
    classes: Sequence[int] | None = None,
    labels: str = "all",
) -> Refinement:
    rounds = job.rounds(evaluation, labels, list(job.proposers))
    on_round, on_progress = begin(label)
    first = [one for name, one in job.proposers.items() if name not in AFTER]
    after = [one for name, one in job.proposers.items() if name in AFTER]
    refiner = Refiner(evaluation, job.store, first, job.options, classes, after, job.inquiry)

    def save(so_far: Refinement) -> None:
        if job.inquiry is None or job.inquiry.spent is None:
            rounds.save(so_far)
        if on_round:
            on_round(so_far)

    return refiner.run(rounds.load(job.beginning()), save, on_progress)


def _control(job: Job, begin: Start) -> Refinement:
    """The same loop with other classes' descriptions and pair cells, by those who read them."""
    reads = ("attributes", "contrast", "optuna")
    read = [name for name in job.proposers if name in reads] or ["attributes"]
    texts = job.store if job.inquiry is None else job.inquiry.added(job.store)
    offline = open_proposers(read)
    other = replace(job, store=texts.shuffled(job.seed), proposers=offline, inquiry=None)
    return _loop(other, begin, "control: shuffled texts", other.evaluation())
