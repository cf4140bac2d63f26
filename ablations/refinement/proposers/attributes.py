"""`attributes`: another subset of the class's own attributes, or another composition of them.

Each attribute alone, every two, and what the class has now with one more or one less; averaged and,
of two, also joined.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from ablations.refinement.candidates import Candidate
from ablations.refinement.feedback import Feedback
from ablations.refinement.texts import TextStore
from lsmseg_prompts.errors import RefusedError
from lsmseg_prompts.prompts.compose import compose, written_for
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import ClassEntry

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
        entry = feedback.vocabulary[index]
        for pair in combinations([a for a in described if a != "typical"], 2):
            if (one := joined(pair, sentences, entry, store.budget)) is not None:
                yield one


def averaged(index: int, subset: Sequence[str], sentences: Mapping[str, str]) -> Candidate:
    """The candidate of some attributes, a text each."""
    recipe = subset[0] if len(subset) == 1 else f"ensemble({'+'.join(subset)})"
    return Candidate(index, tuple(sentences[a] for a in subset), NAME, recipe)


def joined(
    subset: Sequence[str],
    sentences: Mapping[str, str],
    entry: ClassEntry,
    budget: TokenBudget = CLIP,
) -> Candidate | None:
    """The candidate of some attributes in one text; None where they do not all fit.

    Args:
        subset: The attributes.
        sentences: What the class is described by.
        entry: The class.
        budget: The tokens that a text may take.
    """
    try:
        composed = compose([sentences[a] for a in subset], entry, written_for(budget))
    except RefusedError:
        return None
    if composed.kept < len(subset):
        return None
    return Candidate(entry.index, (composed.text,), NAME, "+".join(subset))
