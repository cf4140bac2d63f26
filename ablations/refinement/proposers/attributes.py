"""`attributes`: another subset of the class's own attributes, or another composition of them.

Each attribute alone, every two, and what the class has now with one more or one less; averaged and,
of two, also joined.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from ablations.refinement.candidates import Candidate
from ablations.refinement.feedback import Feedback
from ablations.refinement.texts import TextStore
from lsmseg_prompts.errors import RefusedError
from lsmseg_prompts.prompts.compose import compose

NAME = "attributes"


def propose(feedback: Feedback, store: TextStore) -> Iterator[Candidate]:
    """Averaged and joined subsets of what the store says about each class."""
    for index in feedback.classes:
        described = store.attributes(index)
        sentences = {a: store.descriptions[index, a] for a in described}
        of_text = {sentence: a for a, sentence in sentences.items()}
        now = [of_text[text] for text in feedback.texts[index] if text in of_text]
        subsets: list[tuple[str, ...]] = [(a,) for a in described]
        subsets += combinations(described, 2)
        if len(now) > 1 and len(now) == len(feedback.texts[index]):
            subsets += [tuple(a for a in now if a != left) for left in now]
            subsets += [(*now, a) for a in described if a not in now]
            subsets += [
                (*(a for a in now if a != left), new)
                for left in now
                for new in described
                if new not in now
            ]
        for subset in dict.fromkeys(tuple(sorted(s, key=described.index)) for s in subsets):
            yield averaged(index, subset, sentences)
        yield from _joined(feedback, store, index, described)


def averaged(index: int, subset: Sequence[str], sentences: dict[str, str]) -> Candidate:
    """The candidate of some attributes, a text each."""
    recipe = subset[0] if len(subset) == 1 else f"ensemble({'+'.join(subset)})"
    return Candidate(index, tuple(sentences[a] for a in subset), NAME, recipe)


def _joined(
    feedback: Feedback, store: TextStore, index: int, described: Sequence[str]
) -> Iterator[Candidate]:
    entry = feedback.vocabulary[index]
    for pair in combinations([a for a in described if a != "typical"], 2):
        try:
            composed = compose([store.descriptions[index, a] for a in pair], entry)
        except RefusedError:
            continue
        if composed.kept == len(pair):
            yield Candidate(index, (composed.text,), NAME, "+".join(pair))
