"""From questions for better sentences to candidates, for the proposers that ask for such."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ablations.refinement.asking import Inquiry, credited
from ablations.refinement.candidates import Candidate
from ablations.refinement.feedback import Feedback
from lsmseg_prompts.descriptions.lint import nearly_same
from lsmseg_prompts.generation.answers import Answer
from lsmseg_prompts.generation.rewriting import sentences
from lsmseg_prompts.generation.verdicts import Verdict
from lsmseg_prompts.llm.base import Request
from lsmseg_prompts.templates import Query


def costliest(feedback: Feedback, most: int) -> list[int]:
    """The classes that may be changed and whose confusions cost most, the costliest first."""
    cost: dict[int, float] = {}
    for pair in feedback.confusions:
        for index in (pair.label, pair.predicted):
            cost[index] = cost.get(index, 0.0) + pair.gain
    mine = [index for index in feedback.classes if cost.get(index, 0.0) > 0]
    return sorted(mine, key=lambda index: -cost[index])[:most]


def rewritten(
    inquiry: Inquiry,
    feedback: Feedback,
    proposer: str,
    template: Query,
    asked: Mapping[int, Request],
    pictures_of: str = "",
) -> Iterator[Candidate]:
    """Each sentence that will do, alone and beside the current texts of its class.

    Args:
        inquiry: Who is asked.
        feedback: What the questions were made of.
        proposer: Who proposes.
        template: The query that the questions were made with.
        asked: The question about each class.
        pictures_of: The benchmark whose pictures go along.
    """
    questions = list(asked.values())
    found = inquiry.answers(feedback.vocabulary, proposer, template, questions, pictures_of)
    answered = {i: one for i, one in zip(asked, found, strict=True) if one is not None}
    verdicts = {i: judged(feedback, i, answer) for i, answer in answered.items()}
    inquiry.enter_verdicts((answered[i], verdicts[i]) for i in answered)
    recipe = f"{proposer} by {inquiry.llm.name}"
    for index, answer in answered.items():
        now = feedback.texts[index]
        texts = list(dict.fromkeys(one.text for one in verdicts[index] if one.fault is None))
        paid = dict.fromkeys(texts, answer.paid)
        for text in texts:
            yield credited(Candidate(index, (text,), proposer, recipe), paid)
        for text in texts:
            if text not in now:
                beside = f"{feedback.recipes[index]} & {recipe}"
                yield credited(Candidate(index, (*now, text), proposer, beside), paid)


def judged(feedback: Feedback, index: int, answer: Answer) -> list[Verdict]:
    """As descriptions are; what is nearly the text of another class will not do."""

    def said_of(_: str, text: str) -> str | None:
        for other, texts in enumerate(feedback.texts):
            if other != index and any(nearly_same(text, one) for one in texts):
                return feedback.vocabulary[other].readable
        return None

    return sentences(answer.reply, feedback.vocabulary[index], said_of, feedback.budget)
