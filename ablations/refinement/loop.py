"""The loop: look, propose, try, keep what holds on the other half, and stop.

In each round one half of the selection pictures looks and proposes, at most one candidate a class,
and the other half decides (rules.py); then they change places. The report split has no part in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ablations.refinement.asking import Inquiry
from ablations.refinement.candidates import Candidate, Group, text_key
from ablations.refinement.evaluation import Evaluation, changes_of, with_texts
from ablations.refinement.feedback import Confusion, Feedback, Views
from ablations.refinement.options import EMPTY_ROUNDS, RefineOptions
from ablations.refinement.proposers import Proposer
from ablations.refinement.rules import Decision, decide
from ablations.refinement.texts import TextStore
from ablations.scoring.frozen import OnProgress
from ablations.search.statistics import Draws, Interval
from lsmseg_prompts.prompts.prompt_set import PromptSet

AGAIN = 40  # candidates of a class that a half tries again
SHOWN = 10  # confusions of a round that are put on record


@dataclass(frozen=True)
class Trial:
    """A candidate that was tried: its gain of mIoU on the half that proposed it.

    own: the gain of its class's IoU there. parent: the hash of the texts that it would take the
    place of. decided: the gain of mIoU on the other half, for those that were proposed. kept:
    whether it stayed.
    """

    candidate: Candidate
    gain: float
    own: float
    parent: str
    decided: float | None = None
    kept: bool = False


@dataclass(frozen=True)
class Round:
    """One round: what was confused, what was tried and proposed, and what was kept.

    half: which of the two proposed. before, after: mIoU on the half that decides. gain: of all
    that was kept, with its interval. attempts: the replies of an LLM that were read. cost: dollars
    of those that no earlier round read.
    """

    number: int
    half: int
    confusions: tuple[Confusion, ...]
    tried: tuple[Trial, ...]
    proposed: tuple[Trial, ...]
    before: float
    after: float
    gain: Interval | None
    seconds: float
    cost: float = 0.0
    attempts: tuple[int, ...] = ()

    @property
    def kept(self) -> tuple[Trial, ...]:
        return tuple(trial for trial in self.proposed if trial.kept)


@dataclass
class Refinement:
    """How far the loop has come: the texts as they are, and the rounds that led there.

    recipes: what each class's texts are. origins: of the changed classes the trial that is in
    them now. ended: why the loop stopped.
    """

    start: PromptSet
    prompts: PromptSet
    recipes: dict[int, str]
    rounds: list[Round] = field(default_factory=list)
    origins: dict[int, Trial] = field(default_factory=dict)
    ended: str = ""

    @property
    def changed(self) -> list[int]:
        """The classes that have other texts than at the start."""
        pairs = enumerate(zip(self.start.texts, self.prompts.texts, strict=True))
        return [index for index, (before, now) in pairs if before != now]

    @property
    def tried(self) -> int:
        """How many different candidates were tried."""
        return len({trial.candidate.key for one in self.rounds for trial in one.tried})

    def take(self, one: Round) -> None:
        """Add a round, with what it kept."""
        self.rounds.append(one)
        self.put(one.kept)

    def put(self, trials: Sequence[Trial]) -> None:
        """Let the classes of some trials have their texts from now on."""
        if trials:
            changes = changes_of(trial.candidate for trial in trials)
            self.prompts = with_texts(self.prompts, changes)
        for trial in trials:
            self.recipes[trial.candidate.index] = trial.candidate.recipe
            self.origins[trial.candidate.index] = trial


OnRound = Callable[[Refinement], None]


class Refiner:
    """Runs the loop.

    Args:
        evaluation: Of the selection split.
        store: The texts to choose among.
        proposers: Who proposes.
        options: Rule and limits.
        classes: The places in the vocabulary of those that may be changed; by default all that
            compete.
        after: Who proposes after the others, and sees what these have gained.
        inquiry: What is asked of an LLM.
    """

    def __init__(
        self,
        evaluation: Evaluation,
        store: TextStore,
        proposers: Sequence[Proposer],
        options: RefineOptions,
        classes: Iterable[int] | None = None,
        after: Sequence[Proposer] = (),
        inquiry: Inquiry | None = None,
    ) -> None:
        self.evaluation, self.store = evaluation, store
        self.proposers, self.after, self.options = proposers, after, options
        self.inquiry = inquiry
        self.classes = tuple(evaluation.place if classes is None else classes)

    def run(
        self,
        so_far: Refinement,
        on_round: OnRound | None = None,
        on_progress: OnProgress | None = None,
    ) -> Refinement:
        """Go on from where a refinement is until rounds or gains are used up.

        Args:
            so_far: Where it starts; rounds that are in it are not done again.
            on_round: Called with it after each round.
            on_progress: Called with pictures done and in all, while candidates are tried.
        """
        while not (ended := self._ended(so_far)):
            so_far.take(self.round(so_far, on_progress))
            if on_round:
                on_round(so_far)
        so_far.ended = ended
        return so_far

    def _ended(self, so_far: Refinement) -> str:
        last = so_far.rounds[-EMPTY_ROUNDS:]
        if len(last) == EMPTY_ROUNDS and not any(one.kept for one in last):
            return "neither half proposed anything that held on the other"
        if len(so_far.rounds) >= self.options.rounds:
            return f"{len(so_far.rounds)} rounds were asked for"
        return ""

    def round(self, so_far: Refinement, on_progress: OnProgress | None = None) -> Round:
        """One round; so_far stays as it is."""
        began = time.monotonic()
        number = len(so_far.rounds) + 1
        half = 1 - number % 2  # the first round's is 0
        feedback = self.look(so_far, half)
        trials: list[Trial] = []
        hopeless = _hopeless(so_far)
        for proposers in filter(None, (self.proposers, self.after)):
            seen = replace(feedback, tried=_with(feedback.tried, trials))
            candidates = self._propose(seen, proposers, trials, hopeless)
            tried = self.evaluation.try_out(so_far.prompts, candidates, half, on_progress)
            trials += [
                Trial(c, float(gain), float(own), text_key(c.index, feedback.texts[c.index]))
                for c, gain, own in zip(candidates, tried.gains, tried.own, strict=True)
            ]
        read = self.inquiry.take() if self.inquiry else {}
        known = {attempt for one in so_far.rounds for attempt in one.attempts}
        best = _best_of_each_class(trials)
        decision, before, after, alone = self._decide(so_far, best, 1 - half)
        proposed = tuple(
            replace(t, decided=alone[place], kept=place in decision.kept)
            for place, t in enumerate(best)
        )
        return Round(
            number,
            half,
            tuple(feedback.confusions[:SHOWN]),
            tuple(trials),
            proposed,
            before,
            after,
            decision.gain,
            time.monotonic() - began,
            sum((cost for attempt, cost in read.items() if attempt not in known), 0.0),
            tuple(read),
        )

    def look(self, so_far: Refinement, half: int) -> Feedback:
        """What the current texts are confused about on the pictures of a half."""
        evaluation = self.evaluation
        pictures = tuple(evaluation.pictures(half).tolist())
        before = [trial for one in so_far.rounds if one.half == half for trial in one.tried]
        return Feedback(
            vocabulary=self.store.vocabulary,
            classes=self.classes,
            texts=so_far.prompts.texts,
            recipes=dict(so_far.recipes),
            confusion=evaluation.confusion(so_far.prompts, half),
            scored=evaluation.scorer.benchmark.class_indices,
            pictures=pictures,
            tried=_with({}, before),
            views=Views(evaluation.scorer, so_far.prompts, pictures, evaluation.labelled),
            try_out=lambda some: evaluation.try_out(so_far.prompts, some, half).gains.tolist(),
            budget=self.store.budget,
        )

    def _propose(
        self,
        feedback: Feedback,
        proposers: Sequence[Proposer],
        tried: Sequence[Trial],
        hopeless: set[tuple[int, Group]],
    ) -> list[Candidate]:
        """The candidates of some proposers, equal texts once.

        But those that are there, that were tried in this round, or that are ``hopeless``.
        """
        found: dict[tuple[int, Group], Candidate] = {}
        there = {(trial.candidate.index, trial.candidate.texts) for trial in tried}
        there |= set(enumerate(feedback.texts)) | hopeless
        count = dict.fromkeys(self.classes, 0)
        for proposer in proposers:
            for candidate in proposer.propose(feedback, self.store):
                index, texts = candidate.index, candidate.texts
                if (index, texts) in there or (index, texts) in found:
                    continue
                if count[index] < self.options.candidates:
                    count[index] += 1
                    found[index, texts] = candidate
        return list(found.values())

    def _decide(
        self, so_far: Refinement, proposals: Sequence[Trial], half: int
    ) -> tuple[Decision, float, float, list[float]]:
        """What is kept by the pictures of a half.

        With the mIoU there before and after, and what each proposal gains there by itself.
        """
        candidates = [trial.candidate for trial in proposals]
        alone = self.evaluation.try_out(so_far.prompts, candidates, half).gains.tolist()

        def score(sets: Sequence[tuple[int, ...]]) -> list[Draws]:
            wanted = [
                with_texts(so_far.prompts, changes_of(candidates[place] for place in some))
                if some
                else so_far.prompts
                for some in sets
            ]
            return self.evaluation.scores(wanted, half)

        decision = decide(self.options.rule, len(candidates), score)
        before, after = (one.value for one in score([(), decision.kept]))
        return decision, before, after, alone


def _with(
    tried: Mapping[int, list[tuple[Group, float]]], trials: Iterable[Trial]
) -> dict[int, list[tuple[Group, float]]]:
    """What was tried for each class, some trials more, the best first."""
    found = {index: list(before) for index, before in tried.items()}
    for trial in trials:
        before = found.setdefault(trial.candidate.index, [])
        before.append((trial.candidate.texts, trial.gain))
    return {index: sorted(one, key=lambda pair: -pair[1]) for index, one in found.items()}


def _hopeless(so_far: Refinement) -> set[tuple[int, Group]]:
    """What was far from its class's best when the half whose turn it is tried it last."""
    if len(so_far.rounds) < 2:
        return set()
    count: dict[int, int] = {}
    behind = set()
    for trial in sorted(so_far.rounds[-2].tried, key=lambda trial: -trial.gain):
        index = trial.candidate.index
        count[index] = count.get(index, 0) + 1
        if count[index] > AGAIN:
            behind.add((index, trial.candidate.texts))
    return behind


def _best_of_each_class(trials: Sequence[Trial]) -> list[Trial]:
    """Of each class the trial that gains most, where it gains; the largest gain first."""
    best: dict[int, Trial] = {}
    for trial in trials:
        index = trial.candidate.index
        if trial.gain > 0 and (index not in best or trial.gain > best[index].gain):
            best[index] = trial
    return sorted(best.values(), key=lambda trial: -trial.gain)
