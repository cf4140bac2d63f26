"""`sources`: the same cells from another LLM, or from an import."""

from __future__ import annotations

from collections.abc import Iterator

from ablations.refinement.candidates import Candidate
from ablations.refinement.feedback import Feedback
from ablations.refinement.texts import TextStore

NAME = "sources"


def propose(feedback: Feedback, store: TextStore) -> Iterator[Candidate]:
    """Another's text of each attribute alone, in place of the current texts, and beside them."""
    for index in feedback.classes:
        now = feedback.texts[index]
        mine = {text: a for (at, a), text in store.descriptions.items() if at == index}
        for llm, cells in store.others.items():
            theirs = {a: text for (at, a), text in cells.items() if at == index}
            for attribute, text in theirs.items():
                yield Candidate(index, (text,), NAME, f"{attribute} by {llm}")
                own = store.descriptions.get((index, attribute))
                if own not in (None, text):
                    yield Candidate(index, (own, text), NAME, f"{attribute} & by {llm}")
            swapped = tuple(theirs.get(mine.get(text, ""), text) for text in now)
            if swapped != now:
                yield Candidate(index, swapped, NAME, f"{feedback.recipes[index]} by {llm}")
