"""Reading a description as a clause: its subject, if that is the class, and its predicate.

    "A zebra is boldly black and white."  ->  subject "A zebra", predicate "is boldly black ..."
    "Most boats are built of wood."       ->  subject "Boats",   predicate "are usually built ..."
    "A zebra's coat looks short."         ->  owner "A zebra's", the rest "coat looks short"
    "Bold bands wrap the zebra."          ->  neither: a clause with a subject of its own

Only what is safe is understood; everything else stays a clause of its own, which is always good
English. `to_number` carries a predicate from singular to plural or back, or gives up.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

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


_ADVERB = r"(?:\w+ly|often|sometimes|always|never|also|just|still|most often|almost|seldom|either)"
_DETERMINER = r"an?|the|most|many|some|all|each|every|any|both|this|these|(?:an?\s+|the\s+)?typical"
_QUANTIFIED = {"most": "usually", "many": "often", "some": "sometimes"}
_FRONT = r"(?:typically|usually|generally|often|commonly|in general|most often|normally)"

# Words that begin a part with a subject of its own: nothing can be joined behind it without one.
_INNER = re.compile(
    r"\b(?:while|whereas|though|although|because|so that|unless|but|until)\b"
    r"|\b(?:if|when|where) (?:it|they|the|an?|its|their)\b|\bas (?:it|they|its|their)\b"
    r"|\b(?:and|with) each\b"
)
# A part after "and", up to the next comma, that has a verb behind its first word: ", and wire ones
# look silver".
_PART = re.compile(r"(?:, |\b)(?:and|so|or|yet) (?!that\b|which\b|who\b)([\w'-]+) ([^,]*)")

# ", and its surface mirrors ...": with a preposition or article behind it even a word that may
# be a noun is its verb.
_OWN_VERB = re.compile(
    r", (?:and|so) (?:an?|the|its|their|some|most|each|one) (?:[\w'-]+,? ){1,4}?([a-z]+s)"
    r"(?= (?:an?|the|its|over|on|in|at|with|nearby|from|to|into|like|up|down|out)\b)"
)


def _has_inner_clause(text: str) -> bool:
    if _INNER.search(text) or any(m[1] in PLURAL_OF for m in _OWN_VERB.finditer(text)):
        return True
    for part in _PART.finditer(text):
        if part[1].lower() in PLURAL_OF or part[1].lower() in SINGULAR_OF:
            continue
        rest = re.split(r"\b(?:that|which|who|whose|to|when|where|if|than|as|how)\b", part[2])[0]
        if any(word in VERB_FORMS or word in MODALS for word in re.findall(r"[a-z]+", rest)):
            return True
    return False


def has_verb(text: str) -> bool:
    """Whether a word of `text` is surely a verb and not a noun ("looks", not "stands")."""
    return any(word in VERB_FORMS or word in MODALS for word in re.findall(r"[a-z]+", text.lower()))


def begins_with_verb(text: str) -> bool:
    """Whether `text` begins with a verb, as a predicate does; adverbs may stand before it."""
    match = re.match(rf"(?:{_ADVERB}\s+)*(\w+)\b(?![-'])", text)
    return match is not None and has_verb(match[1])


@dataclass(frozen=True)
class Clause:
    """A description taken apart. `text` has its first letter and no final period.

    subject: the class as the sentence's subject, with its article ("a zebra", "zebras"), else "".
    predicate: what follows it, beginning with the verb or an adverb; "" if there is no subject.
    owned: for "A zebra's coat looks ...": "coat looks ..."; else "".
    number: of the class as it is named (None where the form does not say).
    closed: whether a part with a subject of its own inside keeps predicates from joining it.
    """

    text: str
    subject: str = ""
    predicate: str = ""
    owned: str = ""
    number: Number | None = None
    closed: bool = False


@lru_cache(maxsize=4096)
def _head(names: tuple[str, ...]) -> re.Pattern[str]:
    """The class as the subject of a description, and what follows."""
    return re.compile(
        rf"(?:{_FRONT},?\s+)?(?:(?P<det>{_DETERMINER})\s+)?"
        rf"(?P<name>{names_pattern(names).pattern})(?P<owner>'s|')?\s+(?P<rest>\S.*)$",
        re.IGNORECASE,
    )


@lru_cache(maxsize=65536)
def parse(description: str, names: tuple[str, ...]) -> Clause:
    """Take one description of the class called `names` apart."""
    text = _one_line(description)
    head = _head(names).match(text)
    closed = _has_inner_clause(text)
    number: Number | None
    if head is None:
        return Clause(text, closed=closed)
    det = " ".join((head["det"] or "").lower().replace("typical", "").split())
    rest = head["rest"]
    if head["owner"]:
        subject = f"{det} {_lower_first(head['name'])}".strip()
        number = _name_number(head["name"], det)
        return Clause(text, subject, "", rest, number, closed)
    match = re.match(rf"(?:{_ADVERB},?\s+)*(\w+)\b(?![-'])", rest)
    verb = match[1].lower() if match else ""
    number = _verb_number(verb, head["name"], det)
    if number is None and verb not in MODALS:
        return Clause(text, closed=closed)
    if det in _QUANTIFIED and not re.search(r"\b(?:usually|often|mostly|sometimes)\b", rest):
        rest = _with_adverb(rest, verb, _QUANTIFIED[det])
    if det in _QUANTIFIED or det in ("all", "any", "both", "these"):
        det = ""
    elif det in ("each", "every", "this"):
        det = "the"
    elif not det and head["det"] and head["det"].lower().startswith("a"):
        det = "a"
    subject = f"{det} {_lower_first(head['name'])}".strip()
    if number is None:
        number = _name_number(head["name"], det)
    return Clause(text, subject, rest, "", number, closed)


def to_number(clause: Clause, number: Number, person: bool = False) -> str | None:
    """The clause's predicate in `number`, or None where that cannot be done safely."""
    if clause.number == number or clause.number is None:
        return clause.predicate
    words = clause.predicate
    table = PLURAL_OF if number == "plural" else SINGULAR_OF
    lead = re.match(rf"((?:{_ADVERB},?\s+)*)(\w+)\b", words)
    if lead is None:
        return None
    verb = lead[2].lower()
    if verb not in table and verb not in MODALS:
        return None
    changed, rest = lead[1] + table.get(verb, verb), words[lead.end() :]
    if _has_inner_clause(rest) or re.search(r"\b(?:it|they|them|itself|themselves|one)\b", rest):
        return None
    if _tied_to_number(verb, rest, number):
        return None
    pieces = re.split(rf"((?:,\s+|\b(?:and|or|but|then)\s+)+(?:{_ADVERB}\s+)?)(?=\w)", rest)
    for place in range(2, len(pieces), 2):
        first = re.match(r"[\w'-]+", pieces[place])
        word = first[0].lower() if first else ""
        if word in table:
            if word not in VERB_FORMS or verb in MODALS:
                return None
            pieces[place] = table[word] + pieces[place][len(word) :]
    rest = "".join(pieces)
    if not person:
        old, new = ("its", "their") if number == "plural" else ("their", "its")
        rest = re.sub(rf"\b{old}\b", new, rest)
    return changed + rest


def is_person(names: tuple[str, ...]) -> bool:
    """Whether the class is a human being, for whom the pronoun is "they" in both numbers."""
    return any(name.lower() in PERSONS for name in names)


def _one_line(description: str) -> str:
    """Without the final period; several sentences as one, without those that have no word."""
    text = " ".join(description.split()).rstrip(" .!?;:,")
    first, *more = [part for part in sentences(text) if has_word(part)] or [""]
    return ", ".join([first, *map(_lower_first, more)])


def _lower_first(text: str) -> str:
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


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


_PREPOSITION = rf"\b(?:{alternatives('prepositions')})\b"
# What a thing has one of: "bicycles have frames" is not "a bicycle has frames".
_SINGLE = re.compile(rf"\b(?:{alternatives('single_parts')})\b")


def _tied_to_number(verb: str, rest: str, number: Number) -> bool:
    """Whether what follows the verb shows the old number ("is a box", "are long boxes")."""
    near = re.split(_PREPOSITION, rest, maxsplit=1)[0]
    linking = ("is", "are", "was", "were", "look", "looks", "form", "forms", "become", "becomes")
    if verb in linking or verb in MODALS:
        if number == "plural":
            return re.search(r"\b(?:an?|one|another)\b", near) is not None
        plurals = (
            word
            for word in re.findall(r"[a-z]+", near.lower())
            if is_plural(word) and word not in ("always", "sometimes", "perhaps", "less")
        )
        return any(plurals)
    if number == "singular":
        return _SINGLE.search(rest) is not None
    return False
