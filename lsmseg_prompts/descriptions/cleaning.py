"""From an LLM's raw reply to one plain sentence, the same way every time.

Models greet ("Sure!"), decorate (titles, markdown, tags, quotes, typographic characters) and go on
when one sentence was asked for. `clean` takes that off and says what it took off; the raw reply is
kept in the store beside it. It never adds or rewords anything but the final period.
"""

import html
import re
import unicodedata
from dataclasses import dataclass

from lsmseg_prompts.english import MODALS, VERB_FORMS, has_word


@dataclass(frozen=True)
class Cleaned:
    """The cleaned sentence (empty if nothing was left) and what was done, in order."""

    text: str
    notes: tuple[str, ...]


# Typographic characters that CLIP's vocabulary splits into bytes, and their plain forms.
_PLAIN = str.maketrans(
    {
        "‘": "'", "’": "'", "‚": "'", "‛": "'", "′": "'",
        "“": '"', "”": '"', "„": '"', "‟": '"', "«": '"', "»": '"', "″": '"',
        "‐": "-", "‑": "-", "‒": "-", "−": "-",
        "…": "...", "•": "-", "×": "x", "⁄": "/",
    }
)  # fmt: skip

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])")  # a terminal's colors and the like
_GREETING = re.compile(
    r"^(?:(?:sure(?: thing)?|certainly|of course|absolutely|okay|ok|great|yes|no problem"
    r"|gladly|happy to help)\b(?:\s*[!.:]|,(?=\s*(?:here|i|let)\b))|"
    r"(?:here you go|here it is)\s*[!.:]|"
    r"(?:here(?:'s| is| are)|below is|the following is)\b[^.!?\n]{0,160}:)\s*",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^(?:(?:the )?(?:description|answer|response|output|sentence|prompt)"
    r"(?: (?:is|of [^.!?:\n]{1,60}|for [^.!?:\n]{1,60}))?|color|colour|shape|size|texture"
    r"|material|position|pattern|action|context)\s*:\s+",
    re.IGNORECASE,
)
_BOLD_LABEL = re.compile(r"^(\*\*|__)[^*_\n]{1,60}(?::\1|\1:)\s*")
_TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,80}>")
_CODE_FENCE = re.compile(r"(?:```|~~~)(?:[\w-]*\n)?")
_LIST_MARK = re.compile(r"^[ \t]*(?:[-*+>]\s+|#{1,6}\s+|\d{1,2}[.)]\s+)", re.MULTILINE)
_EMPHASIS = re.compile(r"(\*\*|__|\*|`|(?<!\w)_)(?=\S)(.+?)(?<=\S)\1")
_LOOSE_MARK = re.compile(r"^[*_`]+(?=\S|\s*\n)|[ \t]*[*_`]+(?=\.?$)", re.MULTILINE)
# The first quotation mark of the text is an opening one.
_OPENED = re.compile(r"[^\"]*(?<![\w.,!?])\"(?=\S|\s*\n)")
_LINK = re.compile(r"\[([^\]\n]+)\]\([^)\s]*\)")
# Abbreviations and initials, which do not end a sentence; what a small letter follows never does.
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|approx|vs|cf|incl|ca|dr|mr|mrs|ms|st|u\.s|u\.k)|\b(?-i:[A-Z]))\.$",
    re.IGNORECASE,
)
_VERBS = VERB_FORMS | MODALS
_OPEN = re.compile(
    r"(?:and|or|but|with|of|the|an?|in|on|at|by|to|for|from|as|that|which|its)", re.IGNORECASE
)
_TITLE_WORDS = 5  # a longer first line may be a broken one
_END = re.compile(r"[.!?]+[\"')\]*_]*(?=\s|$)")


def clean(raw: str) -> Cleaned:
    """The first complete sentence of `raw`, plain: see the module's text. Never raises."""
    notes: list[str] = []

    def step(before: str, after: str, note: str) -> str:
        if after != before and note not in notes:
            notes.append(note)
        return after

    text = step(raw, _plain_characters(raw), "characters").strip()
    for _ in range(2):  # what goes on outside the decoration hides it at first
        before = None
        while before != text:  # one decoration may be inside another; each step only takes away
            before = text
            text = step(text, _BOLD_LABEL.sub("", text), "greeting")
            text = step(text, _without_markdown(text).strip(), "markdown")
            text = step(text, _LABEL.sub("", _GREETING.sub("", text)).strip(), "greeting")
            text = step(text, _without_quotes(text), "quotes")
            text = step(text, _without_title(text), "title")
        text = step(text, _first_sentence(text), "more sentences")
    text = step(text, " ".join(text.split()), "whitespace")
    text = step(text, _without_quotes(text), "quotes")
    text = step(text, _without_trailing_dots(text), "period")
    if text and text[-1] not in ".!?":
        text = step(text, text.rstrip(" ,;:-") + ".", "period")
    if text.endswith(("!", "?")):
        text = step(text, text.rstrip("!?.") + ".", "period")
    if text and not has_word(text):
        text = step(text, "", "nothing said")
    if text and text[0].islower():
        text = step(text, text[0].upper() + text[1:], "capital")
    return Cleaned(text, tuple(notes))


def _without_trailing_dots(text: str) -> str:
    """One period for dots at the end of what is whole: after "and" or "with" a part is missing."""
    whole = re.sub(r"\s*\.{2,}$", "", text)
    last = re.search(r"[A-Za-z']+$", whole)
    return text if whole == text or last is None or _OPEN.fullmatch(last[0]) else whole + "."


def _plain_characters(raw: str) -> str:
    """Entities resolved, typographic characters plain, invisible ones and emoji removed."""
    text = _ANSI.sub("", raw.replace("\r\n", "\n").replace("\r", "\n"))
    text = html.unescape(text).translate(_PLAIN)
    text = re.sub(r"\s*[–—]\s*(?=\D)", ", ", text)
    text = re.sub(r"[–—]", "-", text)
    text = unicodedata.normalize("NFKC", text)
    return "".join(_kept(character) for character in text)


def _kept(character: str) -> str:
    category = unicodedata.category(character)
    if character in "\n\t" or category == "Zs":
        return "\n" if character == "\n" else " "
    letter = category[0] in "LNP" or category in ("Mn", "Mc")
    return character if letter or category == "Sc" or character in "$+<=>^`|~%°" else ""


def _without_markdown(text: str) -> str:
    text = _TAG.sub("", _CODE_FENCE.sub("", text))
    text = _LIST_MARK.sub("", text)
    text = _LINK.sub(r"\1", text)
    previous = None
    while previous != text:
        previous, text = text, _EMPHASIS.sub(r"\2", text)
    return _LOOSE_MARK.sub("", text)


def _without_title(text: str) -> str:
    """Without a first line that is no sentence, where one follows ("Zebra:", "Its color")."""
    first, line_break, rest = text.partition("\n")
    words = re.findall(r"[a-z]+", first.lower())
    apart = first.endswith(":") or rest.startswith("\n") or len(words) <= _TITLE_WORDS
    if not line_break or not apart or rest.strip()[:1].islower():
        return text
    return text if _END.search(first) or not _VERBS.isdisjoint(words) else rest.strip()


def _without_quotes(text: str) -> str:
    """Without quotation marks around the whole, or at one end only."""
    text = text.strip()
    for mark in "\"'":
        ended = text.rstrip(".")
        inner = ended[1:-1]
        around = text.startswith(mark) and ended.endswith(mark) and inner
        if around and (mark == "'" or mark not in inner or _OPENED.match(inner)):
            return _without_quotes(inner.strip() + text[len(ended) :] * (inner[-1] != "."))
    if text.count('"') % 2:
        return re.sub(r'"(\.?)$', r"\1", text) if '"' in text[-2:] else text.removeprefix('"')
    return text


def _first_sentence(text: str) -> str:
    """Up to the first real sentence end: not after an abbreviation, an initial or a number.

    A line break ends a sentence only if the line is complete or an empty line follows.
    """
    paragraph = re.split(r"\n\s*\n", text.strip(), maxsplit=1)[0]
    for end in _END.finditer(paragraph):
        before = paragraph[: end.end()]
        rest = paragraph[end.end() :].lstrip()
        if not rest:
            break
        if rest[0].islower() or _ABBREVIATION.search(before):
            continue
        return before
    return paragraph
