"""`contrast`: what tells a class from those that it is taken for, by the store's pair cells."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from ablations.refinement.candidates import Candidate
from ablations.refinement.feedback import Feedback
from ablations.refinement.texts import TextStore

NAME = "contrast"
OTHERS = 4  # the classes that a class is confused with most, of those that it has pair cells with


def propose(feedback: Feedback, store: TextStore) -> Iterator[Candidate]:
    """The pair cells with the costliest confusions: alone, two together, beside the texts."""
    name = feedback.vocabulary
    for index in feedback.classes:
        now = feedback.texts[index]
        confused = feedback.confused_with(index, len(feedback.scored))
        others = [o for o in confused if (index, o) in store.pairs][:OTHERS]
        texts = {o: store.pairs[index, o] for o in others}
        for other, text in texts.items():
            recipe = f"contrast:{name[other].name}"
            yield Candidate(index, (text,), NAME, recipe)
            if text not in now:
                yield Candidate(index, (*now, text), NAME, f"{feedback.recipes[index]} & {recipe}")
            if typical := store.descriptions.get((index, "typical")):
                yield Candidate(index, (typical, text), NAME, f"typical & {recipe}")
        for first, second in combinations(others, 2):
            recipe = f"contrast:{name[first].name} & contrast:{name[second].name}"
            yield Candidate(index, (texts[first], texts[second]), NAME, recipe)
        if len(others) > 2:
            every = " & ".join(f"contrast:{name[o].name}" for o in others)
            yield Candidate(index, tuple(texts.values()), NAME, every)
