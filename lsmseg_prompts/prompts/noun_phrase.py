"""A description as a noun phrase, for readers that put it into "a photo of a {}".

    "A zebra is black and white all over, and has a stiff mane."
 -> "zebra, black and white all over, with a stiff mane"

The class's name, then what each sentence says of it: "is X" becomes "X", "has X" "with X", "stands
X" "standing X". A sentence about something else is kept as "with ... -ing": "Bold stripes wrap a
zebra." -> "with bold stripes wrapping it".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from lsmseg_prompts.english import (
    MODALS,
    PLURAL_OF,
    SINGULAR_OF,
    VERB_FORMS,
    ing_form,
    is_named,
    is_plural,
    names_pattern,
)
from lsmseg_prompts.prompts.clauses import Clause, alternatives, is_person, parse
from lsmseg_prompts.vocabularies import ClassEntry

_ADVERBS = r"(?:(?:\w+ly|often|sometimes|always|never|also|just|still|most often|either)\s+)*"
_BE = r"is|are|was|were"
_HAVE = r"has|have"
# A further predicate: ", and is red", " and have horns", ", and some rise to a peak".
_MORE = re.compile(
    rf"(,?)\s+(?:(and|or|but)\s+)?(?:(they|it|some|others|a few|many|most)\s+)?({_ADVERBS})"
    r"([a-z]+)\b(?![-'])(?=(\s+(?:\w+ly|towards?|into|from|up|down)\b)?)"
)
_BELOW = re.compile(
    r"\b(?:that|which|who|whose|when|where|if|while|though|because|so|as if|to|what|how)\b"
)
# "A pair of scissors is" says it of scissors, "the inside of a pipe is" of something else.
_UNIT = r"pair|piece|strand|sheet|length|bunch|set|roll|block|stretch|patch|heap|pile|slice|grain"
_UNIT_OF = re.compile(
    rf"(?:an?|one|each|the)\s+(?:[\w-]+\s+)?(?:{_UNIT})s? of\s+(?!an?\s|the\s)", re.IGNORECASE
)
_PROPER = re.compile(rf"(?:[A-Z][A-Z0-9-]+|[A-Z]-\w+|{alternatives('proper')})\b")
_OF = r"\b(?:of|on|in|to|for|over|around|from|along|across)"
_ARTICLE = re.compile(r"\b(?:an?|the)\s+$", re.IGNORECASE)


def phrase(descriptions: Sequence[str], entry: ClassEntry) -> str:
    """The name of the class and what the descriptions say of it, as one noun phrase."""
    said = [described(text, entry) for text in descriptions]
    return ", ".join([entry.readable, *filter(None, said)])


@lru_cache(maxsize=65536)
def described(text: str, entry: ClassEntry) -> str:
    """What one description says of its class, to stand behind the name and a comma."""
    names = entry.names
    whole = " ".join(text.split()).rstrip(" .!?;:,")
    readable = entry.readable
    if whole.lower().startswith(f"{readable.lower()}, "):  # it is such a phrase already
        return whole[len(readable) + 2 :]
    whole = _UNIT_OF.sub("", whole, count=1) if _UNIT_OF.match(whole) else whole
    clause = parse(whole, names)
    if clause.predicate:
        return _of_class(clause, entry)
    if clause.owned:
        return f"whose {clause.owned}"
    said = _fronted(whole, entry) or _of_part(whole, names)
    if said or _main_verb(whole, names) or text.rstrip().endswith((".", "!")):
        return said or _beside(whole, entry)
    bare = re.sub(
        rf"(?:(?:an?|the)\s+)?{names_pattern(names).pattern}[\s:,]*", "", whole, count=1, flags=re.I
    )
    return bare if is_named(whole, names) and whole.endswith(bare) else whole


def _of_class(clause: Clause, entry: ClassEntry) -> str:
    """A predicate of the class: "is red and has wheels" -> "red, with wheels"."""
    turned = _turned(clause.predicate)
    if clause.number == "plural" and not is_plural(entry.readable) and not is_person(entry.names):
        turned = re.sub(r"\btheir\b", "its", turned)
    return turned


def _turned(predicate: str) -> str:
    """A predicate without its finite verbs."""
    lead = re.match(rf"({_ADVERBS})([\w']+)\b\s*", predicate)
    if lead is None:
        return predicate
    verb = lead[2].lower()
    if verb in MODALS:
        return f"which {predicate}"
    said, rest, at = _head(lead[1], verb), f" {predicate[lead.end() :]}", 0
    for more in _MORE.finditer(rest):
        if not _is_predicate(more, verb in PLURAL_OF) or _BELOW.search(rest[at : more.start()]):
            continue
        joint = f"{more[1]} {more[2]} " if more[2] in ("or", "but") else ", "
        who = f"{more[3]} " if more[3] not in (None, "they", "it") else ""
        said += rest[at : more.start()] + joint + who + _head(more[4], more[5].lower())
        at = more.end()
    return " ".join((said + rest[at:]).split()).replace(" ,", ",")


def _is_predicate(more: re.Match[str], singular: bool) -> bool:
    """Whether a match of _MORE is a further predicate, and not a noun of a list."""
    who, word = more[3], more[5].lower()
    table = PLURAL_OF if who == "it" or (who is None and singular) else SINGULAR_OF
    if word not in table or not (more[1] or more[2]) or (who and not (more[1] and more[2])):
        return False
    return word in VERB_FORMS or bool(who or more[4] or more[6])


def _head(adverbs: str, verb: str) -> str:
    """What stands for the verb: nothing for "is", "with" for "has", else its -ing form."""
    if re.fullmatch(_BE, verb):
        return adverbs
    return f"{adverbs}with " if re.fullmatch(_HAVE, verb) else f"{adverbs}{ing_form(verb)} "


def _fronted(text: str, entry: ClassEntry) -> str:
    """As "Round and flat, a coin is pierced" -> "round and flat, pierced"; else ""."""
    for cut in re.finditer(r",\s+|\s+(?=the\s|an?\s)", text):
        front, rest = text[: cut.start()], text[cut.end() :]
        if is_named(front, entry.names):
            return ""
        clause = parse(rest, entry.names)
        if clause.predicate and (
            "," in cut[0] or re.match(r"(?:over|in|on|at|by|from)\b", text, re.I)
        ):
            return f"{_lower(front)}, {_of_class(clause, entry)}"
    return ""


def _of_part(text: str, names: tuple[str, ...]) -> str:
    """As "The inside of a pipe is smooth" -> "whose inside is smooth"; else ""."""
    name = names_pattern(names).pattern
    part = re.match(
        rf"(?:The\s+)?((?:[\w'-]+,?\s+){{1,4}}?)of\s+(?:an?\s+|the\s+|most\s+|many\s+)?{name}\s+(.+)",
        text,
        re.IGNORECASE,
    )
    if part is None or re.match(r"(?:an?|one|some|most|each)\s", text, re.IGNORECASE):
        return ""
    verb = re.match(rf"{_ADVERBS}(\w+)\b(?![-'])", part[2])
    if verb is None or verb[1] not in {*PLURAL_OF, *SINGULAR_OF, *MODALS}:
        return ""
    return f"whose {_lower(part[1].strip())} {part[2]}"


def _beside(text: str, entry: ClassEntry) -> str:
    """A sentence about something else: "with " and its subject, its verb in the -ing form."""
    verb = _main_verb(text, entry.names)
    if verb is None:
        return f"where {_lower(text)}"
    subject, predicate = text[: verb.start(1)].rstrip(), text[verb.start(1) :]
    front = re.match(r"([^,]+), ((?:the|its|their|an?)\s[^,]+)$", subject)
    if front:
        subject, predicate = front[2], f"{predicate}, {_lower(front[1])}"
    if verb[1] in MODALS:
        return f"where {_lower(subject)} {predicate}"
    turned = (
        f"having{predicate[len(verb[1]) :]}" if re.match(_HAVE, verb[1]) else _turned(predicate)
    )
    said = _lower(f"{subject} {turned}")
    return said if is_named(subject, entry.names) else f"with {_pronouns(said, entry)}"


def _main_verb(text: str, names: tuple[str, ...]) -> re.Match[str] | None:
    """The finite verb of the main clause: a word that is surely one, or else may be one."""
    text = names_pattern(names).sub(lambda name: "X" * (len(name[0]) - 1) + name[0][-1], text)
    words = [
        word
        for word in re.finditer(r"(?<![\w'-])([a-z]+)\b(?![-'])", text)
        if not re.search(rf"{_BELOW.pattern}|\bthan\b", re.split(r",\s", text[: word.start()])[-1])
    ]
    for word in words:
        if word[1] in VERB_FORMS or (
            word[1] in MODALS and not _ARTICLE.search(text[: word.start()])
        ):
            return word
    may = [word for word in words if _agrees(word[1], text[: word.start()])]
    starts = {word.start() for word in may}
    return next((word for word in may if word.end() + 1 not in starts), None)


def _agrees(word: str, before: str) -> bool:
    """Whether a word may be the verb of the noun before it: "snow bridges", "seats feel"."""
    noun = re.search(r"([\w'-]+)\s+(?:\w+ly\s+|just\s+)?$", before)
    if noun is None or _ARTICLE.search(before):
        return False
    return word in (SINGULAR_OF if is_plural(noun[1]) else PLURAL_OF)


def _pronouns(text: str, entry: ClassEntry) -> str:
    """As "the frame of a throne" -> "its frame", "on a throne" -> "on it"."""
    name = names_pattern(entry.names).pattern
    own, other = ("their", "them") if is_person(entry.names) else ("its", "it")
    text = re.sub(
        rf"\b(?:the|an?)\s+((?:[\w-]+,?\s+){{1,2}})of\s+(?:an?|the)\s+{name}",
        rf"{own} \1",
        text,
        flags=re.IGNORECASE,
    )
    text = re.sub(rf"\b(?:an?|the)\s+{name}'s?\b", own, text, flags=re.IGNORECASE)
    text = re.sub(
        rf"({_OF}|ing)\s+(?:an?|the)\s+{name}(?!\s+(?:{_BE}))", rf"\1 {other}", text, flags=re.I
    )
    return " ".join(text.split()).replace(" ,", ",")


def _lower(text: str) -> str:
    return text if _PROPER.match(text) else text[:1].lower() + text[1:]
