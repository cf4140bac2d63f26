"""Reading a description as a clause: its subject, if that is the class, and its predicate.

"A zebra is boldly black and white."  ->  "is boldly black and white"
"Most boats are built of wood."       ->  "are usually built of wood"
"Bold bands wrap the zebra."          ->  None: a clause with a subject of its own
"""

import re
from functools import lru_cache
from typing import NamedTuple

from lsmseg_prompts.english import (
    MODALS,
    PERSONS,
    PLURAL_OF,
    SINGULAR_OF,
    VERB_FORMS,
    Number,
    has_word,
    is_plural,
    names_pattern,
    plural,
    sentences,
)
from lsmseg_prompts.files import packaged_json

_WORDS: dict[str, list[str]] = packaged_json("lsmseg_prompts.prompts", "clause_words.json")


def alternatives(kind: str) -> str:
    """The words of a list of clause_words.json, for a pattern."""
    return "|".join(_WORDS[kind])


# First words that keep their capital inside a sentence.
_PROPER = re.compile(rf"(?:[A-Z][A-Z0-9-]+|I|[A-Z]-\w+|{alternatives('proper')})\b")
_ADVERB = r"(?:\w+ly|often|sometimes|always|never|also|just|still|most often|almost|seldom|either)"
_DETERMINER = r"an?|the|most|many|some|all|each|every|any|both|this|these|(?:an?\s+|the\s+)?typical"
_QUANTIFIED = {"most": "usually", "many": "often", "some": "sometimes"}
_FRONT = r"(?:typically|usually|generally|often|commonly|in general|most often|normally)"


def has_verb(text: str) -> bool:
    """Whether a word of `text` is surely a verb and not a noun ("looks", not "stands")."""
    return any(word in VERB_FORMS or word in MODALS for word in re.findall(r"[a-z]+", text.lower()))


def begins_with_verb(text: str) -> bool:
    """Whether `text` begins with a verb, as a predicate does; adverbs may stand before it."""
    match = re.match(rf"(?:{_ADVERB}\s+)*(\w+)\b(?![-'])", text)
    return match is not None and has_verb(match[1])


def has_further_verb(predicate: str) -> bool:
    """Whether a part of the predicate behind a comma, "and", "or" or "but" may have a verb."""
    _, *parts = re.split(r",?\s+(?:and|or|but|while|though)\s+|,\s+", predicate)
    for part in parts:
        match = re.match(rf"(?:{_ADVERB}\s+)*(\w+)\b(?![-'])", part)
        if (match and {match[1]} & (PLURAL_OF.keys() | SINGULAR_OF)) or has_verb(main_part(part)):
            return True
    return False


_SUBORDINATE = re.compile(
    r"\b(?:that|which|who|whose|when|where|if|than|as|how|so|while|though|because)\b.*"
)


def main_part(text: str) -> str:
    """The text up to where a subordinate clause begins."""
    return _SUBORDINATE.sub("", text)


class Clause(NamedTuple):
    """What a description says of its class, without the final period.

    predicate: what follows the class, beginning with the verb or an adverb.
    number: of the class as it is named.
    """

    predicate: str
    number: Number


@lru_cache(maxsize=4096)
def _head(names: tuple[str, ...]) -> re.Pattern[str]:
    """The class as the subject of a description, and what follows."""
    return re.compile(
        rf"(?:{_FRONT},?\s+)?(?:(?P<det>{_DETERMINER})\s+)?"
        rf"(?P<name>{names_pattern(names).pattern})\s+(?P<rest>\S.*)$",
        re.IGNORECASE,
    )


@lru_cache(maxsize=65536)
def parse(description: str, names: tuple[str, ...]) -> Clause | None:
    """What a description says of the class called `names`; None if that is not its subject."""
    head = _head(names).match(bare(description))
    if head is None:
        return None
    det = " ".join((head["det"] or "").lower().replace("typical", "").split())
    name, rest = head["name"], head["rest"]
    match = re.match(rf"(?:{_ADVERB},?\s+)*(\w+)\b(?![-'])", rest)
    verb = match[1].lower() if match else ""
    number = _verb_number(verb, name, det)
    if number is None and verb not in MODALS:
        return None
    if det in _QUANTIFIED and not re.search(r"\b(?:usually|often|mostly|sometimes)\b", rest):
        rest = _with_adverb(rest, verb, _QUANTIFIED[det])
    return Clause(rest, number or _name_number(name, det))


def is_person(names: tuple[str, ...]) -> bool:
    """Whether the class is a human being, for whom the pronoun is "they" in both numbers."""
    return any(name.lower() in PERSONS for name in names)


def clauses(text: str) -> list[str]:
    """The sentences of a text without their last sign, those that have a word."""
    return [part for part in sentences(bare(text)) if has_word(part)]


def bare(text: str) -> str:
    """The text on one line, without the sign at its end."""
    return " ".join(text.split()).rstrip(" .!?;:,")


def is_finished(text: str) -> bool:
    """Whether the text ends as a sentence does."""
    return text.rstrip().endswith((".", "!", "?"))


def lower_first(text: str) -> str:
    """The text with a small first letter, unless that is a name's."""
    return text if _PROPER.match(text) else text[:1].lower() + text[1:]


def _name_number(name: str, det: str) -> Number:
    """The number of the class's name as it stands in a sentence."""
    if det in ("a", "an", "each", "every", "this"):
        return "singular"
    low = name.lower()
    if det in ("most", "many", "these", "both", "all") or is_plural(low):
        return "plural"
    return "plural" if plural(low) == low and not det else "singular"


def _verb_number(verb: str, name: str, det: str) -> Number | None:
    """The number that the form of a verb shows; None for another word and for a modal verb."""
    if verb in PLURAL_OF:
        return "singular"
    if verb in SINGULAR_OF and _name_number(name, det) == "plural":
        return "plural"
    return None


def _with_adverb(rest: str, verb: str, adverb: str) -> str:
    """As "are built" -> "are usually built"; "have legs" -> "usually have legs"."""
    if verb in ("is", "are", "may", "can", "was", "were"):
        return re.sub(rf"\b{verb}\b", f"{verb} {adverb}", rest, count=1)
    return f"{adverb} {rest}"
