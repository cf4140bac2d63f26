"""Refinement of a benchmark's best prompt set: by all labels, by seen ones, and the control."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ablations.refinement.evaluation import Evaluation
from ablations.refinement.loop import OnRound, Refinement, Refiner, Trial
from ablations.refinement.options import RefineOptions
from ablations.refinement.proposers import Proposer, attributes
from ablations.refinement.records import RoundStore
from ablations.refinement.seen import SeenLabels, transfer, unseen_of, with_transfer
from ablations.refinement.texts import TextStore
from ablations.scoring.count_store import key_of
from ablations.scoring.frozen import FrozenScorer, OnProgress, Scorer
from lsmseg_prompts.prompts.name_templates import name_texts
from lsmseg_prompts.prompts.prompt_set import PromptSet

VERSION = 1  # of how rounds come about: with another one those in the store are not found


@dataclass(frozen=True)
class Refined:
    """The results: by all labels, by those of seen classes only, and by another class's texts.

    seen: None where seen and unseen classes are not told apart, or the scorer cannot do it.
    control: what the same loop makes of shuffled texts.
    """

    labelled: Refinement
    seen: Refinement | None
    transferred: Sequence[Trial]
    control: Refinement | None


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

    def evaluation(self, scorer: Scorer | None = None) -> Evaluation:
        return Evaluation(scorer or self.scorer, self.samples, self.seed, self.stream)

    def beginning(self) -> Refinement:
        recipes = dict.fromkeys(range(len(self.start)), self.recipe)
        return Refinement(self.start, self.start, recipes)

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
                "options": [self.options.keep, self.options.candidates],
                "statistics": [self.samples, self.seed, self.stream],
                "labels": labels,
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

    Rounds that are on file are not done again. Raises UsageError for too few pictures, StoreError.
    """
    labelled = _loop(job, begin, "all labels", job.evaluation())
    seen, transferred = None, list[Trial]()
    benchmark = job.scorer.benchmark
    if unseen_of(benchmark) and isinstance(job.scorer, FrozenScorer):
        masked = job.scorer.relabelled(SeenLabels(benchmark))
        evaluation = job.evaluation(masked)
        unseen = set(unseen_of(benchmark))
        classes = [index for index in evaluation.place if index not in unseen]
        seen = _loop(job, begin, "labels of seen classes only", evaluation, classes, "seen")
        everyone = replace(
            Refiner(evaluation, job.store, (), job.options).look(job.beginning(), 0),
            texts=job.start.texts,
        )
        names = [name_texts(entry) for entry in job.store.vocabulary]
        embedded = np.asarray(job.scorer.clip.encode_texts(names).cpu())
        candidates = attributes.propose(everyone, job.store)
        transferred = transfer(seen, evaluation, candidates, embedded)
        seen = with_transfer(seen, transferred)
    control = _control(job, begin)
    return Refined(labelled, seen, transferred, control)


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
    refiner = Refiner(evaluation, job.store, list(job.proposers.values()), job.options, classes)
    save = partial(_both, rounds.save, on_round)
    return refiner.run(rounds.load(job.beginning()), save, on_progress)


def _control(job: Job, begin: Start) -> Refinement | None:
    """The same loop with other classes' descriptions and pair cells, by those who read them."""
    read = {name: one for name, one in job.proposers.items() if name in ("attributes", "contrast")}
    if not read:
        return None
    other = replace(job, store=job.store.shuffled(job.seed), proposers=read)
    return _loop(other, begin, "control: shuffled texts", other.evaluation())


def _both(first: OnRound, second: OnRound | None, so_far: Refinement) -> None:
    first(so_far)
    if second:
        second(so_far)
