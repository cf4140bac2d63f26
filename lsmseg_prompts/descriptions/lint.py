"""What is wrong with descriptions, cell by cell.

Rules
    tokens          more than the token budget: CLIP's 77, where no other is given
    one-sentence    not exactly one sentence that ends with a period
    hidden          control characters, or signs that nobody sees
    class-named     none of the class's names, singular or plural, is in it
    leak            a word of another attribute (lint_words.json), unless it is part of a name
    duplicate       the very text of another cell
    near-duplicate  nearly the text of another class for the same attribute

and of pair cells
    other-class     the attribute does not name another class of the vocabulary
    other-named     one of the other class's names, singular or plural, is in it
    negation        it says what is absent, or compares (CLIP reads past a "not" or an "unlike")

Tokens, one sentence, hidden signs, and what is named and how hold for every description that is
stored; the others are about a whole set.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache

from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.attributes.contrast import other_class
from lsmseg_prompts.attributes.samples import sampled
from lsmseg_prompts.english import has_hidden, has_word, is_named, names_pattern, sentences
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import packaged_json
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary

RULES = (
    "tokens", "one-sentence", "hidden", "class-named", "leak", "duplicate", "near-duplicate",
    "other-class", "other-named", "negation",
)  # fmt: skip

NEGATION = re.compile(
    r"\b(?:no|not|none|nor|neither|never|cannot|\w+n't|without|lack(?:s|ing)?|absent|absence"
    r"|missing|devoid|free of|except|unlike|than|instead|whereas|(?:in|by) contrast|compared"
    r"|differ(?:s|ent(?:ly)? from|ing)?|as opposed)\b",
    re.IGNORECASE,
)
"""Words that say what is absent, or that compare."""

# Two sentences are nearly the same when more than this share of their words match in order
# (difflib's ratio) and their lengths are close.
NEAR_RATIO = 0.6
NEAR_CHARACTERS = 30
NEAR_LENGTH_RATIO = 0.9


@dataclass(frozen=True)
class Finding:
    """One rule broken in the cell (class `index`, `attribute`)."""

    index: int
    attribute: str
    rule: str
    message: str


def lint(
    cells: Mapping[tuple[int, str], str], vocabulary: Vocabulary, budget: TokenBudget = CLIP
) -> list[Finding]:
    """All findings in `cells`, {(class index, attribute): sentence}, sorted by cell.

    Raises IndexError for a class index outside the vocabulary.
    """
    findings: list[Finding] = []
    first: dict[str, tuple[int, str]] = {}
    for (index, attribute), text in cells.items():
        broken = lint_text(text, attribute, vocabulary[index], vocabulary, budget)
        findings += [Finding(index, attribute, rule, message) for rule, message in broken]
        other = first.setdefault(text.strip().casefold(), (index, attribute))
        if other != (index, attribute):
            where = f"{vocabulary[other[0]].name}/{other[1]}"
            findings.append(Finding(index, attribute, "duplicate", f"the same text as {where}"))
    findings += _near_duplicates(cells, vocabulary)
    order = {attribute: place for place, attribute in enumerate(ATTRIBUTES)}
    return sorted(
        findings,
        key=lambda f: (f.index, order.get(f.attribute, len(order)), f.attribute, f.rule, f.message),
    )


def lint_text(
    text: str,
    attribute: str,
    entry: ClassEntry,
    vocabulary: Vocabulary,
    budget: TokenBudget = CLIP,
) -> list[tuple[str, str]]:
    """(rule, message) of each rule that a text breaks in its cell, whatever the others hold.

    Args:
        text: the text.
        attribute: of which attribute.
        entry: its class.
        vocabulary: the vocabulary of the class.
        budget: the tokens that it may take.
    """
    try:
        broken = check_text(text, entry, other_class(attribute, entry, vocabulary), budget)
    except UsageError as error:
        broken = [*check_text(text, entry, None, budget), ("other-class", str(error))]
    for owner, word in _foreign(text, attribute):
        if not _is_in_name(word, entry):
            broken.append(("leak", f'the {owner} word "{word}" leaks into {attribute}'))
    return broken


def check_text(
    text: str,
    entry: ClassEntry,
    other: ClassEntry | None = None,
    budget: TokenBudget = CLIP,
) -> list[tuple[str, str]]:
    """(rule, message) of each rule that `text` breaks by itself.

    Args:
        text: the text.
        entry: its class.
        other: the other class, where it is a pair cell's.
        budget: the tokens that it may take.
    """
    broken = []
    tokens = budget.count(text)
    if tokens > budget.limit:
        broken.append(("tokens", f"{tokens} tokens, {tokens - budget.limit} too many"))
    if not is_one_sentence(text):
        broken.append(("one-sentence", "not exactly one sentence ending with a period"))
    if has_hidden(text):
        broken.append(("hidden", "control characters or invisible signs"))
    if not is_named(text, entry.names):
        broken.append(("class-named", f"does not name {' or '.join(entry.names)}"))
    if other is not None:
        rest = names_pattern(entry.names).sub(" ", text)  # a tennis ball told from a ball
        if named := names_pattern(other.names).search(rest):
            broken.append(("other-named", f'names the other class, "{named[0]}"'))
        if said := NEGATION.search(rest):
            broken.append(("negation", f'says what is absent, or compares: "{said[0]}"'))
    return broken


def is_one_sentence(text: str) -> bool:
    """Whether `text` is one sentence: it ends with a period and no other ends inside it.

    "1.5 meters" and "e.g. a tabby" are inside a sentence; a semicolon joins two and is not
    allowed, and neither are line breaks or stray whitespace.
    """
    return (
        text.endswith(".")
        and not text.endswith("..")
        and has_word(text)
        and len(sentences(text)) == 1
        and text == " ".join(text.split())
    )


@cache
def _leak_words() -> dict[str, tuple[frozenset[str], re.Pattern[str]]]:
    """Per list of lint_words.json: the attributes it is allowed in, and a pattern of its words."""
    raw = packaged_json("lsmseg_prompts.descriptions", "lint_words.json")
    lists = {}
    for owner, item in raw.items():
        words = "|".join(re.escape(word) for word in sorted(item["words"], key=len, reverse=True))
        pattern = re.compile(rf"(?<![\w-])(?:{words})(?![\w-])", re.IGNORECASE)
        lists[owner] = (frozenset(item["allowed_in"]), pattern)
    return lists


def name_leaks(text: str, attribute: str, entry: ClassEntry) -> list[str]:
    """Words of other attributes that are let pass, because the class is called by them."""
    return [word for _, word in _foreign(text, attribute) if _is_in_name(word, entry)]


def _foreign(text: str, attribute: str) -> Iterator[tuple[str, str]]:
    """(the list it is in, word) of each word that belongs to another of the nine attributes.

    The user's own have no lists.
    """
    attribute, _ = sampled(attribute)
    if attribute in ATTRIBUTES:
        for owner, (allowed_in, pattern) in _leak_words().items():
            if attribute not in allowed_in:
                for word in dict.fromkeys(match.lower() for match in pattern.findall(text)):
                    yield owner, word


def _is_in_name(word: str, entry: ClassEntry) -> bool:
    of_word, of_names = (
        set(re.findall(r"[a-z]+", text.lower())) for text in (word, " ".join(entry.names))
    )
    return of_word <= of_names


def _near_duplicates(cells: Mapping[tuple[int, str], str], vocabulary: Vocabulary) -> list[Finding]:
    """Pairs within an attribute whose words largely match in order; the later one is reported."""
    findings = []
    by_attribute: dict[str, list[tuple[int, str]]] = {}
    for (index, attribute), text in cells.items():
        by_attribute.setdefault(attribute, []).append((index, text))
    for attribute, rows in by_attribute.items():
        words = [text.split() for _, text in rows]
        for later, earlier in _alike(words):
            (index, text), (other_index, other) = rows[later], rows[earlier]
            if text != other and nearly_same(text, other):
                message = f"nearly the text of {vocabulary[other_index].name}: {other}"
                findings.append(Finding(index, attribute, "near-duplicate", message))
    return findings


def nearly_same(text: str, other: str) -> bool:
    """Whether two texts are about as long and largely have the same words in the same order."""
    shorter, longer = sorted((len(text), len(other)))
    if longer - shorter >= NEAR_CHARACTERS or 2 * shorter <= NEAR_LENGTH_RATIO * (shorter + longer):
        return False
    words = SequenceMatcher(None, text.split(), other.split())
    return words.quick_ratio() > NEAR_RATIO and words.ratio() > NEAR_RATIO


def _alike(texts: Sequence[Sequence[str]]) -> Iterator[tuple[int, int]]:
    """Pairs (later, earlier) of texts that may match.

    The words they have in common, which cost one matrix product to count, bound difflib's ratio
    from above.
    """
    import numpy as np

    # The second "the" of a text is another word than its first.
    numbered = [
        [(word, words[:place].count(word)) for place, word in enumerate(words)] for words in texts
    ]
    distinct = dict.fromkeys(word for row in numbered for word in row)
    columns = {word: column for column, word in enumerate(distinct)}
    has = np.zeros((len(texts), len(columns)), dtype=np.float32)
    for at, row in enumerate(numbered):
        has[at, [columns[word] for word in row]] = 1
    length = has.sum(axis=1)
    near = 2 * (has @ has.T) > NEAR_RATIO * (length[:, None] + length)
    for later, earlier in zip(*np.nonzero(np.tril(near, -1)), strict=True):
        yield int(later), int(earlier)
