"""`gepa`: the texts of a class evolve by reflection; an LLM rewrites one after the other.

It is asked what `rewrite` asks, so an answer to the same question is read from the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ablations.refinement.asking import Inquiry, credited
from ablations.refinement.candidates import Candidate, Group
from ablations.refinement.feedback import Feedback
from ablations.refinement.proposers.rewrite import seen
from ablations.refinement.rewritten import costliest, judged
from ablations.refinement.texts import TextStore
from lsmseg_prompts.errors import LsmsegPromptsError
from lsmseg_prompts.generation.answers import Paid
from lsmseg_prompts.generation.rewriting import question
from lsmseg_prompts.templates import query

NAME = "gepa"
CLASSES = 5  # that evolve in a round: those whose confusions cost most
CALLS = 12  # of the metric for each of them
HALF = ["the proposing half"]  # what gepa calls data: mIoU is of all its pictures together


@dataclass(frozen=True)
class _Asking:
    inquiry: Inquiry

    def propose(self, feedback: Feedback, store: TextStore) -> Iterator[Candidate]:
        """What each class's texts evolve into."""
        for index in costliest(feedback, CLASSES):
            yield from _Evolution(self.inquiry, feedback, index).run()


def asking(inquiry: Inquiry) -> _Asking:
    """The proposer."""
    return _Asking(inquiry)


class _Evolution:
    """The adapter of one class: gepa's candidate has a component for each of its texts.

    gepa goes on after an error of a proposal; here that ends it and is raised by `run`.
    """

    def __init__(self, inquiry: Inquiry, feedback: Feedback, index: int) -> None:
        self.inquiry, self.feedback, self.index = inquiry, feedback, index
        self.start = {str(n): text for n, text in enumerate(feedback.texts[index], 1)}
        self.gains: dict[Group, float] = {}
        self.written: dict[str, Paid] = {}
        self.error: LsmsegPromptsError | None = None

    def run(self) -> Iterator[Candidate]:
        """All that was tried on the way."""
        from gepa import optimize

        adapter: Any = self
        optimize(
            self.start,
            trainset=HALF,
            adapter=adapter,
            reflection_minibatch_size=1,
            max_metric_calls=CALLS,
            stop_callbacks=lambda _: self.error is not None or self.inquiry.spent is not None,
            logger=_Silent(),
        )
        if self.error is not None:
            raise self.error
        for texts in self.gains:
            yield self._candidate(texts)

    def _candidate(self, texts: Group) -> Candidate:
        one = Candidate(self.index, texts, NAME, f"gepa by {self.inquiry.llm.name}")
        return credited(one, self.written)

    def evaluate(
        self, batch: Sequence[str], candidate: Mapping[str, str], capture_traces: bool = False
    ) -> Any:
        """The gain of the texts."""
        from gepa.core.adapter import EvaluationBatch

        texts = self._texts(candidate)
        if texts not in self.gains:
            (self.gains[texts],) = self.feedback.try_out([self._candidate(texts)])
        rows = [texts for _ in batch]
        return EvaluationBatch(rows, [self.gains[texts] for _ in batch], rows)

    def make_reflective_dataset(
        self, candidate: Mapping[str, str], eval_batch: Any, components_to_update: Sequence[str]
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """What the question shows: the texts, their confusions, and what was tried."""
        now = self._texts(candidate)
        texts = [now if i == self.index else some for i, some in enumerate(self.feedback.texts)]
        tried = [*self.feedback.tried.get(self.index, ()), *self.gains.items()]
        ranked = {self.index: sorted(dict(tried).items(), key=lambda pair: -pair[1])}
        shown = seen(replace(self.feedback, texts=tuple(texts), tried=ranked), self.index)
        return {name: [shown] for name in components_to_update}

    def propose_new_texts(
        self,
        candidate: Mapping[str, str],
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: Sequence[str],
    ) -> dict[str, str]:
        """For each component the first sentence of a reply that will do and is new."""
        try:
            return {
                name: self._rewritten(candidate, name, reflective_dataset[name][0])
                for name in components_to_update
            }
        except LsmsegPromptsError as error:
            self.error = error
            raise

    def _rewritten(self, candidate: Mapping[str, str], name: str, shown: Mapping[str, Any]) -> str:
        template, vocabulary = query("rewrite"), self.feedback.vocabulary
        budget, entry = self.feedback.budget, vocabulary[self.index]
        asked = question(template, vocabulary, entry, budget=budget, **shown)
        (answer,) = self.inquiry.answers(vocabulary, "rewrite", template, [asked])
        if answer is None:
            return candidate[name]
        verdicts = judged(self.feedback, self.index, answer)
        self.inquiry.enter_verdicts([(answer, verdicts)])
        for text in (one.text for one in verdicts if one.fault is None):
            self.written[text] = self.written.get(text, {}) | answer.paid
            texts = self._texts({**candidate, name: text})
            if text not in candidate.values() and texts not in self.gains:
                return text
        return candidate[name]

    def _texts(self, candidate: Mapping[str, str]) -> Group:
        return tuple(candidate[name] for name in self.start)


class _Silent:
    def log(self, message: str) -> None: ...
