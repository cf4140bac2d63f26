"""Small facts about English: plurals, articles, verb forms, and names found in a sentence."""

import json
import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal

Number = Literal["singular", "plural"]

# nouns.json: plurals that follow no rule; words that are plural as they stand, without a singular
# that means one of them; words without an article; those of one referent in a picture, which take
# "the"; persons. verbs.json: verbs in their base form. The -s form of "plain" ones is never a noun,
# so that they are recognised anywhere in a predicate; that of "also_nouns" may be one ("rests").
_NOUNS, _VERBS = (
    json.loads((files("lsmseg_prompts") / f"{kind}.json").read_text("utf-8"))
    for kind in ("nouns", "verbs")
)
IRREGULAR: dict[str, str] = _NOUNS["irregular_plurals"]
PLURAL_ONLY, MASS, DEFINITE, PERSONS = (
    frozenset[str](_NOUNS[kind]) for kind in ("plural_only", "mass", "definite", "persons")
)


def normalise(name: str) -> str:
    """A name for comparison: case folded, whitespace runs made one space."""
    return " ".join(name.split()).casefold()


@cache
def plural(name: str) -> str:
    """The plural of a name: its head word ("pair of scissors": pair) in the plural."""
    head = head_phrase(name)
    first, space, last = head.rpartition(" ")
    return first + space + _plural_word(last) + name[len(head) :]


def head_phrase(name: str) -> str:
    """A name without what is said behind it: "pair" of scissors, "person" in jeans."""
    return re.split(r" (?:of|in) ", name, maxsplit=1)[0]


def _plural_word(word: str) -> str:
    low = word.lower()
    if low in IRREGULAR:
        return IRREGULAR[low]
    if is_plural(word):
        return word
    return _with_s(word, _ES)


_ES = ("s", "x", "z", "ch", "sh")


def _with_s(word: str, es: tuple[str, ...]) -> str:
    """A noun's plural or a verb's third person; endings in `es` take "es"."""
    low = word.lower()
    if low.endswith(es):
        return word + "es"
    if low.endswith("y") and low[-2:-1] not in ("a", "e", "i", "o", "u", ""):
        return word[:-1] + "ies"
    return word + "s"


def is_plural(name: str) -> bool:
    """Whether a name is plural as it stands ("scissors", "clouds", "water drops")."""
    last = head_phrase(name).lower().rpartition(" ")[2]
    return last in PLURAL_ONLY or (
        len(last) > 3 and last.endswith("s") and not last.endswith(("ss", "us", "is"))
    )


def article(name: str) -> str:
    """The article a name takes at the start of a sentence: "a", "an", "the" or none ("")."""
    low = name.lower()
    last = head_phrase(low).rpartition(" ")[2]
    if last in DEFINITE:
        return "the"
    if low in MASS or is_plural(name):
        return ""
    # By sound: a uniform, an umbrella, a one-way sign, an hourglass, a TV.
    if re.match(r"(uni(?!n)|use|usu|utensil|eu|one\b|one-|u-)", low):
        return "a"
    return "an" if re.match(r"[aeiou]|hour|honest", low) else "a"


@lru_cache(maxsize=1024)
def name_forms(names: tuple[str, ...]) -> tuple[str, ...]:
    """Every form, singular and plural, under which a sentence may name a class; longest first.

    Loose on purpose: a form nobody writes does no harm unless it names another class.
    """
    forms: set[str] = set()
    for name in {*map(normalise, names), *map(str.lower, names)}:  # "strasse" and "straße"
        forms |= {name, plural(name), name + "s"}
        if name == "pedestrian":
            forms.add("people")
        if name.endswith(("o", "s", "x", "z", "ch", "sh")):
            forms.add(name + "es")
        if name.endswith("y"):
            forms.add(name[:-1] + "ies")
        if name.endswith("f"):
            forms.add(name[:-1] + "ves")
        if name.endswith("fe"):
            forms.add(name[:-2] + "ves")
        if is_plural(name) and name not in ("clothes",):
            forms.add(name[:-1])
            if name.endswith("ies"):
                forms.add(name[:-3] + "y")
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def has_word(text: str) -> bool:
    """Whether there is a letter or a digit in `text`."""
    return any(character.isalnum() for character in text)


def has_hidden(text: str) -> bool:
    """Whether `text` has control characters, or signs that nobody sees but that turn or part it.

    Two joiners may stand: words of Persian and several emoji are written with them.
    """
    return not text.isprintable() and any(
        unicodedata.category(character) in ("Cc", "Cf") and not character.isspace()
        for character in text
        if character not in "\u200c\u200d"
    )


def excerpt(text: str, most: int = 60) -> str:
    """The beginning of a text for a message."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


# "1.5 m", "e.g. a tabby", "U.S. made" and "St. Bernard" are inside a sentence.
_SENTENCE_END = re.compile(r"(?<!\b(?i:Dr|Mr|Mt|St))[.!?]+[\"')]*\s+(?=[\"'(]*[A-Z])|\s*;\s*")


def sentences(text: str) -> list[str]:
    """`text` parted where a sentence ends inside it and at semicolons, which join two."""
    return _SENTENCE_END.split(text)


@lru_cache(maxsize=4096)
def names_pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    """Matches any form of any of the names as whole words, case-insensitively."""
    body = "|".join(re.escape(form).replace(r"\ ", r"\s+") for form in name_forms(names))
    return re.compile(rf"(?<!\w)(?:{body})(?!\w)", re.IGNORECASE)


def is_named(text: str, names: Iterable[str]) -> bool:
    """Whether `text` names the class by one of its names, singular or plural."""
    return names_pattern(tuple(names)).search(text) is not None


def nearest(name: str, names: Iterable[str]) -> str:
    """A tail like " (did you mean cat or bat?)" for a message; empty if nothing is near."""
    by_form = {normalise(other): other for other in names}
    close = get_close_matches(normalise(name), list(by_form), n=3, cutoff=0.6)
    return f" (did you mean {' or '.join(by_form[c] for c in close)}?)" if close else ""


MODALS = {"can", "may", "might", "could", "will", "would", "must", "should"}
_BE_HAVE = {"is": "are", "has": "have", "was": "were", "does": "do", "goes": "go"}


def _s_form(verb: str) -> str:
    return "has" if verb == "have" else _with_s(verb, (*_ES, "o"))


PLURAL_OF = {_s_form(v): v for v in (*_VERBS["plain"], *_VERBS["also_nouns"])} | _BE_HAVE
SINGULAR_OF = {base: s for s, base in PLURAL_OF.items()}
VERB_FORMS = {f for v in _VERBS["plain"] for f in (v, _s_form(v))} | {*_BE_HAVE, *_BE_HAVE.values()}
"""Forms that are surely a verb's and not a noun's."""


def verb_in_number(word: str, number: Number) -> str:
    """The form of a verb in `number`; any other word, or one already right, as it is."""
    table = PLURAL_OF if number == "plural" else SINGULAR_OF
    return table.get(word, word)
