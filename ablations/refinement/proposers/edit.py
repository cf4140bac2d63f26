"""`edit`: clauses of the current texts dropped, added, swapped, or in another order."""

from __future__ import annotations

from collections.abc import Iterator

from ablations.refinement.candidates import Candidate
from ablations.refinement.feedback import Feedback
from ablations.refinement.texts import TextStore
from lsmseg_prompts.errors import RefusedError
from lsmseg_prompts.prompts.compose import compose, written_for
from lsmseg_prompts.prompts.shortening import shorten

NAME = "edit"


def propose(feedback: Feedback, store: TextStore) -> Iterator[Candidate]:
    """Each text less a part, each text less, and all of them as one in either order."""
    for index in feedback.classes:
        entry, now = feedback.vocabulary[index], feedback.texts[index]
        recipe = feedback.recipes[index]
        for place, text in enumerate(now):
            shorter = shorten(text, entry.names)
            while shorter is not None:
                edited = (*now[:place], shorter, *now[place + 1 :])
                yield Candidate(index, edited, NAME, f"{recipe}, shortened")
                shorter = shorten(shorter, entry.names)
            if len(now) > 1:
                rest = (*now[:place], *now[place + 1 :])
                yield Candidate(index, rest, NAME, f"{recipe}, a text less")
        if len(now) > 1:
            for order, said in ((now, "joined"), (now[::-1], "joined in the other order")):
                try:
                    composed = compose(order, entry, written_for(store.budget))
                except RefusedError:
                    continue
                yield Candidate(index, (composed.text,), NAME, f"{recipe}, {said}")
