"""The `concat` composition: several descriptions of a class as one text.

They stand one after another as they are worded. Over the token budget (CLIP's 77, where the model
has no other) first trailing parts of the descriptions are left out (shortening.py), then whole
descriptions, the last first. What other ways of joining score: docs/stages.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from lsmseg_prompts.errors import RefusedError
from lsmseg_prompts.prompts.clauses import is_finished
from lsmseg_prompts.prompts.noun_phrase import phrase
from lsmseg_prompts.prompts.relative import relative
from lsmseg_prompts.prompts.shortening import shorten
from lsmseg_prompts.tokens import CLIP, CONTEXT_LENGTH, TokenBudget
from lsmseg_prompts.vocabularies import ClassEntry


@dataclass(frozen=True)
class Writing:
    """How descriptions become one text.

    form: "sentence"; "phrase" for readers that put it into a template (noun_phrase.py);
    "descriptor" for one that puts it behind "which" (relative.py).
    room: the tokens that it may take, start and end included; with a template of the reader's
    around it fewer than the budget's. budget: how they are counted, see `written_for`.
    """

    form: str = "sentence"
    room: int = CONTEXT_LENGTH
    budget: TokenBudget = CLIP

    def write(self, descriptions: Sequence[str], entry: ClassEntry) -> str:
        """All the descriptions as one text, however long."""
        if self.form == "phrase":
            return phrase(descriptions, entry)
        if self.form == "descriptor":
            return relative(descriptions, entry)
        return join(descriptions)


SENTENCE = Writing()


def written_for(budget: TokenBudget) -> Writing:
    """Sentences that the model of a budget reads whole."""
    return Writing("sentence", budget.limit, budget)


class Composed(NamedTuple):
    """A composed text.

    kept: how many of the descriptions are in it. cuts: how many parts of those were left out.
    """

    text: str
    kept: int
    cuts: int


def compose(
    descriptions: Sequence[str], entry: ClassEntry, writing: Writing = SENTENCE
) -> Composed:
    """One text of the descriptions, in their order, within the tokens that there is room for.

    Too long, it loses trailing parts of the longest description first, one at a time, and whole
    descriptions, the last first, only where that does not suffice. Raises RefusedError if not
    even the first fits.
    """
    composed = _composed(tuple(descriptions), entry, writing)
    if composed is None:
        tokens = writing.budget.count(writing.write(descriptions[:1], entry))
        raise RefusedError(
            f"The description of {entry.readable!r} takes {tokens} tokens where {writing.room} fit "
            "and cannot be shortened by whole clauses: write a shorter one, ask for shorter ones "
            "with `generate --budget`, or use --missing name."
        )
    return composed


def can_be_written(description: str, entry: ClassEntry, writing: Writing = SENTENCE) -> bool:
    """Whether a description alone fits, whole or shortened."""
    return _composed((description,), entry, writing) is not None


# A set that loses its last description is the set without it: among all combinations of
# attributes that one has been composed before.
@lru_cache(maxsize=65536)
def _composed(
    descriptions: tuple[str, ...], entry: ClassEntry, writing: Writing
) -> Composed | None:
    """`compose`, or None where not even the first description fits."""
    held, room, count_tokens = list(descriptions), writing.room, writing.budget.count
    text = writing.write(held, entry)
    if count_tokens(text) <= room:
        return Composed(text, len(held), 0)
    shortest = [_shortest(sentence, entry.names) for sentence in held]
    if count_tokens(writing.write(shortest, entry)) <= room:
        cuts = 0
        while count_tokens(text) > room:
            places = [place for place, sentence in enumerate(held) if sentence != shortest[place]]
            longest = max(places, key=lambda place: (count_tokens(held[place]), place))
            held[longest] = shorten(held[longest], entry.names) or held[longest]
            text = writing.write(held, entry)
            cuts += 1
        return Composed(text, len(held), cuts)
    return _composed(descriptions[:-1], entry, writing) if len(held) > 1 else None


@lru_cache(maxsize=65536)
def _shortest(sentence: str, names: tuple[str, ...]) -> str:
    """Without any of the parts that can be left out."""
    while shorter := shorten(sentence, names):
        sentence = shorter
    return sentence


def join(descriptions: Sequence[str]) -> str:
    """All the descriptions one after another; a single one stays as it is."""
    *before, last = descriptions
    return " ".join([*(text if is_finished(text) else f"{text}." for text in before), last])
