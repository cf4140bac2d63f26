"""`rewrite`: an LLM sees what was tried for a class and what it is confused with, and writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ablations.refinement.asking import Inquiry
from ablations.refinement.candidates import Candidate, Group
from ablations.refinement.feedback import Feedback
from ablations.refinement.rewritten import costliest, rewritten
from ablations.refinement.texts import TextStore
from lsmseg_prompts.generation.rewriting import question
from lsmseg_prompts.templates import query

NAME = "rewrite"
CLASSES = 20  # that are asked about in a round: those whose confusions cost most
CONFUSED, BEST, WORST = 4, 4, 3  # shown of each class


@dataclass(frozen=True)
class _Asking:
    inquiry: Inquiry

    def propose(self, feedback: Feedback, store: TextStore) -> Iterator[Candidate]:
        """Each new sentence alone, and beside the current texts."""
        template, vocabulary = query("rewrite"), feedback.vocabulary
        asked = {
            index: question(
                template,
                vocabulary,
                vocabulary[index],
                budget=feedback.budget,
                **seen(feedback, index),
            )
            for index in costliest(feedback, CLASSES)
        }
        yield from rewritten(self.inquiry, feedback, NAME, template, asked)


def asking(inquiry: Inquiry) -> _Asking:
    """The proposer."""
    return _Asking(inquiry)


def seen(feedback: Feedback, index: int) -> dict[str, Any]:
    """What the question shows of a class: its texts, its confusions, what was tried."""
    now = feedback.texts[index]
    tried = [pair for pair in feedback.tried.get(index, ()) if pair[0] != now]
    best = [pair for pair in tried[:BEST] if pair[1] > 0]
    worst = [pair for pair in tried[len(best) :][-WORST:] if pair[1] < 0]
    return {
        "now": list(now),
        "confused": confused(feedback, index),
        "best": _shown(best),
        "worst": _shown(worst),
    }


def confused(feedback: Feedback, index: int) -> list[dict[str, Any]]:
    """The costliest confusions of a class, either way, in words and numbers."""
    mine = [one for one in feedback.confusions if index in (one.label, one.predicted)]
    labelled = dict(zip(feedback.scored, feedback.confusion.sum(axis=1).tolist(), strict=True))
    rows = []
    for one in mine[:CONFUSED]:
        label, predicted = feedback.vocabulary[one.label], feedback.vocabulary[one.predicted]
        rows.append(
            {
                "label": label.readable,
                "label_sense": label.sense,
                "predicted": predicted.readable,
                "predicted_sense": predicted.sense,
                "share": f"{100 * one.pixels / labelled[one.label]:.1f}",
                "points": f"{100 * one.gain:.2f}",
            }
        )
    return rows


def _shown(tried: Sequence[tuple[Group, float]]) -> list[dict[str, Any]]:
    return [{"points": f"{100 * gain:+.2f}", "texts": list(texts)} for texts, gain in tried]
