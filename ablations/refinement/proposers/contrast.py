"""`contrast`: what tells a class from those that it is taken for, by the store's pair cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

from ablations.refinement.asking import Inquiry, Pair, credited
from ablations.refinement.candidates import Candidate
from ablations.refinement.feedback import Feedback
from ablations.refinement.texts import TextStore

NAME = "contrast"
ASKED = 3  # the classes that a class is confused with most, whose pair cells are asked for
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


@dataclass(frozen=True)
class _Asking:
    """The same, where pair cells that the store does not have are asked for first."""

    inquiry: Inquiry

    def propose(self, feedback: Feedback, store: TextStore) -> Iterator[Candidate]:
        """The store's pair cells and those of the costliest confusions, in both directions."""
        lacking = [pair for pair in wanted(feedback) if pair not in store.pairs]
        written = self.inquiry.pairs(feedback.vocabulary, lacking, feedback.budget)
        texts = {pair: text for pair, (text, _) in written.items()}
        paid = dict(written.values())
        for candidate in propose(feedback, replace(store, pairs={**store.pairs, **texts})):
            yield credited(candidate, paid)


def asking(inquiry: Inquiry) -> _Asking:
    """The proposer that asks for missing pair cells."""
    return _Asking(inquiry)


def wanted(feedback: Feedback) -> list[Pair]:
    """The pairs that the costliest confusions of each class call for, the costliest first.

    The order and the choice do not depend on which are there already, so that a refinement that
    goes on wants the same.
    """
    pairs: dict[Pair, None] = {}
    closest = {index: feedback.confused_with(index, ASKED) for index in feedback.classes}
    for one in feedback.confusions:
        for index, other in ((one.label, one.predicted), (one.predicted, one.label)):
            if other in closest.get(index, ()) or index in closest.get(other, ()):
                pairs |= {(index, other): None} if index in closest else {}
    return list(pairs)
