"""The controls of a prompt set, because extra words alone change CLIP's scores.

`random` puts as many tokens of random words behind the name, `shuffled` gives every class the
descriptions of another. Both depend only on the seed and what they are given.
"""

import random
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from lsmseg_prompts.english import is_named
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import packaged_json
from lsmseg_prompts.prompts.name_templates import name_texts
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import Vocabulary
from lsmseg_prompts.vocabularies.renaming import rename

CONTROLS = ("random", "shuffled")

Descriptions = Mapping[tuple[int, str], str]
"""{(class index, attribute): one sentence}."""


def donors(vocabulary: Vocabulary, seed: int = 0) -> tuple[int, ...]:
    """A derangement: donors[i] != i is the class whose descriptions class i gets when shuffled.

    Pairs in which the donor's name is part of the receiver's ("wall" for "brick wall") are
    avoided where the vocabulary allows it, so that no trace of the donor stays in the text.
    Raises UsageError for a vocabulary of one class.
    """
    count = len(vocabulary)
    if count < 2:
        raise UsageError("Shuffling descriptions across classes needs at least two classes.")
    generator = random.Random(f"shuffled {vocabulary.name} {count} {seed}")
    best: tuple[int, ...] = ()
    fewest = count + 1
    order = list(range(count))
    for _ in range(200):
        generator.shuffle(order)
        # One cycle through all classes: a derangement by construction.
        drawn = [0] * count
        for place, index in enumerate(order):
            drawn[index] = order[(place + 1) % count]
        clashes = sum(
            is_named(vocabulary[i].readable, vocabulary[donor].names)
            for i, donor in enumerate(drawn)
        )
        if clashes < fewest:
            best, fewest = tuple(drawn), clashes
        if fewest == 0:
            break
    return best


def shuffle(
    descriptions: Descriptions, vocabulary: Vocabulary, attributes: Sequence[str], seed: int = 0
) -> dict[tuple[int, str], str]:
    """The control `shuffled`: every class gets the descriptions of its donor, renamed to itself.

    Args:
        descriptions: those there are; classes without any neither give nor get one.
        vocabulary: the classes.
        attributes: which attributes to shuffle, all in the same way.
        seed: of the drawing of the donors.
    """
    described = [e for e in vocabulary if any((e.index, a) in descriptions for a in attributes)]
    drawn = donors(replace(vocabulary, classes=tuple(described)), seed) if described else ()
    given = [(entry, described[donor]) for entry, donor in zip(described, drawn, strict=True)]
    return {
        (entry.index, attribute): rename(descriptions[donor.index, attribute], donor, entry)
        for entry, donor in given
        for attribute in attributes
        if (donor.index, attribute) in descriptions
    }


@cache
def _random_words() -> list[str]:
    """Common words for things that are not visible, each a single token of CLIP's."""
    return list(packaged_json("lsmseg_prompts.prompts", "random_words.json"))


def random_like(
    texts: Sequence[tuple[str, ...]],
    vocabulary: Vocabulary,
    seed: int,
    budget: TokenBudget = CLIP,
) -> list[tuple[str, ...]]:
    """Texts like "a photo of a zebra, again chapter ..." with as many tokens as each text has.

    With another tokenizer than CLIP's, of which a word may take several, with at most as many.

    Args:
        texts: those of every class.
        vocabulary: the classes.
        seed: of the drawing of the words.
        budget: how tokens are counted.

    Raises:
        RefusedError: a class's name is over the budget.
    """
    named = [name for entry in vocabulary for name in entry.names]
    taken = set(re.findall(r"[a-z]+", " ".join(named).lower()))
    words = [word for word in _random_words() if word not in taken]
    result = []
    for entry, group in zip(vocabulary, texts, strict=True):
        generator = random.Random(f"random {vocabulary.name} {entry.index} {seed}")
        controls = []
        for text in group:
            (head,) = name_texts(entry)
            tokens = budget.count(text)
            missing = max(0, tokens - budget.count(head + ","))
            drawn = [generator.choice(words) for _ in range(missing)]
            written = [f"{head}, {' '.join(drawn[:n])}" if n else head for n in range(missing + 1)]
            most = bisect_right(written, tokens, key=budget.count) - 1
            controls.append(written[max(0, most)])
            budget.check(controls[-1], entry.readable)
        result.append(tuple(controls))
    return result
