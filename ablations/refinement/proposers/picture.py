"""`picture`: a vision model sees what was missed and what was wrongly taken, and writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ablations.refinement.asking import Inquiry
from ablations.refinement.candidates import Candidate
from ablations.refinement.crops import Crop, crops
from ablations.refinement.feedback import Feedback
from ablations.refinement.rewritten import costliest, rewritten
from ablations.refinement.texts import TextStore
from lsmseg_prompts.generation.rewriting import question
from lsmseg_prompts.templates import query

NAME = "picture"
CLASSES = 8  # that are asked about in a round: those whose confusions cost most


@dataclass(frozen=True)
class _Asking:
    inquiry: Inquiry

    def propose(self, feedback: Feedback, store: TextStore) -> Iterator[Candidate]:
        """Each new sentence alone, and beside the current texts."""
        views = feedback.views
        if views is None:
            return
        template, vocabulary = query("picture"), feedback.vocabulary
        asked = {
            index: question(
                template,
                vocabulary,
                vocabulary[index],
                [crop.image for crop in shown],
                feedback.budget,
                now=list(feedback.texts[index]),
                shown=[_in_words(feedback, crop) for crop in shown],
            )
            for index, shown in crops(views, costliest(feedback, CLASSES)).items()
            if shown
        }
        name = views.scorer.benchmark.name
        yield from rewritten(self.inquiry, feedback, NAME, template, asked, name)


def asking(inquiry: Inquiry) -> _Asking:
    """The proposer."""
    return _Asking(inquiry)


def _in_words(feedback: Feedback, crop: Crop) -> dict[str, str | bool]:
    return {"missed": crop.missed, "other": feedback.vocabulary[crop.other].readable}
