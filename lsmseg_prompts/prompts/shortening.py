"""Leaving out the last part of a description, where what remains says the main thing.

    "A horse is large and heavy, with a back as high as a person's chin."
 -> "A horse is large and heavy."

Only parts set off by a comma are left out, from the end: "with ...", "though ...", "often ...",
"and its ...", relative and participle clauses, comparisons, and places. A list stays whole.
"""

import re
from functools import lru_cache

from lsmseg_prompts.english import is_named, names_pattern
from lsmseg_prompts.prompts.clauses import alternatives, begins_with_verb, has_verb, main_part

_ADVERBS = r"(?:(?:often|sometimes|occasionally|at times|usually|mostly|slightly|partly|\w+ly)\s+)*"
_WITH = r"with|without|except with"
_CONTRAST = r"though|although|while|whereas|yet|but|not|unlike"
_RELATIVE = r"which|who|whose|where"
_FREQUENCY = r"often|sometimes|occasionally|at times|rarely"
_PLACE = alternatives("places")
_COMPARISON = (
    r"(?:about|roughly|nearly|almost|only|just|much|far|slightly|somewhat|a little|even)?\s*"
    r"(?:as \w+ as|\w+er than|more \w+ than|less \w+ than|the (?:size|height|length|width) of)"
    r"|(?:\w+ )?(?:light|tall|wide|small|large|big|long|high|deep|low) enough|several times"
    r"|small beside|enough"
)
_PARTICIPLE = (
    rf"(?:\w+ing|\w+ed|{alternatives('participles')})\s+(?:{alternatives('after_participles')})"
)
_DEPENDENT = re.compile(
    rf"{_ADVERBS}(?:(?:{_WITH}|{_CONTRAST}|{_RELATIVE}|{_FREQUENCY})\b|(?:{_PLACE})\s+\w"
    rf"|(?:{_COMPARISON})\b|{_PARTICIPLE}\b)"
)
_PLACES = re.compile(rf"(?:{_PLACE})\s")
_LAST_PLACE = re.compile(rf",? (?:and|or) (?:{_PLACE}|with)\s")
_FREQUENT = re.compile(rf"(?:{_FREQUENCY})\b")
# What remains is not true, or not the statement, without these.
_NEEDED = re.compile(r"(?:in|for) (?:the )?(?:case|part|shades?|colou?rs?)\b|like (?:this|that)\b")
_LIST_END = re.compile(r", (?:and|or|nor|then)\b")
_DANGLING = re.compile(rf"(?:^|\s)(?:{alternatives('dangling')})$")
_DETERMINED = re.compile(r"(?:an?|the|its|their|one|two|three|four|many|some|several|no)\s")
_COLOR = re.compile(rf"\b(?:{alternatives('colors')})\b")
_MIN_WORDS = 5


@lru_cache(maxsize=65536)
def shorten(description: str, names: tuple[str, ...]) -> str | None:
    """`description` of the class called `names` without its last part that it can do without.

    The remainder is a sentence that names the class; None if there is nothing to leave out.
    """
    text = description.strip().rstrip(" .!?")
    for comma in reversed(list(re.finditer(r",\s+", text))):
        rest, tail = text[: comma.start()], text[comma.end() :]
        if _is_optional(rest, tail) and _stands_alone(rest, tail, names):
            return rest + "."
    return None


def _is_optional(rest: str, tail: str) -> bool:
    """Whether `tail` is one dependent part, or a clause of its own behind "and"."""
    joined = re.match(r"(?:and|so)\s+(.*)", tail)
    if joined:
        # The last clause, unless it is the last of a list of clauses or predicates.
        if _has_open_list(rest):
            return False
        own = joined[1]
        return begins_with_verb(own) or has_verb(main_part(own.partition(" ")[2]))
    if not _DEPENDENT.match(tail) or _NEEDED.match(tail):
        return False
    pieces = re.split(r",\s+", tail)
    if any(begins_with_verb(piece) for piece in pieces[1:]):
        return False  # set off in the middle: "some, like swans, are as large as a dog"
    if _PLACES.match(tail) and (_LAST_PLACE.search(tail) or any(map(_PLACES.match, pieces[1:]))):
        return False  # a list of places: "among branches, around ponds, or on power lines"
    # "..., often wet, and a nose": with one item before it, ", and a nose" ends a list that began
    # further ahead; with several ("with a nose, a tail, and ears") it is this part's own.
    end = _LIST_END.search(tail)
    if end is None:
        return True
    own_list = ", " in tail[: end.start()] and not _FREQUENT.match(tail)
    return own_list or bool(re.match(rf"(?:{_CONTRAST}|{_RELATIVE})\b", tail))


def _stands_alone(rest: str, tail: str, names: tuple[str, ...]) -> bool:
    """Whether `rest` is a whole sentence about the class without `tail`."""
    if len(rest.split()) < _MIN_WORDS or not is_named(rest, names) or _DANGLING.search(rest):
        return False
    unnamed = names_pattern(names).sub("it", rest)
    if not has_verb(main_part(_main(unnamed))):
        return False
    if _COLOR.search(tail) and len(_COLOR.findall(tail)) > 1 and not _COLOR.search(unnamed):
        return False  # the colors were the statement
    last = re.split(r",\s+", rest)[-1]
    return not (_has_open_list(rest) and _DETERMINED.match(last) and not has_verb(last))


def _main(text: str) -> str:
    """Without an introductory phrase ("Like a long box, a bus has ..." -> "a bus has ...")."""
    first, comma, later = text.partition(", ")
    return later if comma and not has_verb(main_part(first)) else text


def _has_open_list(text: str) -> bool:
    """Whether `text` has commas that are neither a list's with its end nor a dependent part's."""
    main = _main(text)
    pieces = re.split(r",\s+", main)
    if len(pieces) == 1 or _LIST_END.search(main):
        return False
    return not all(_DEPENDENT.match(piece) for piece in pieces[1:])
