"""Other projects' lists of phrases about a class as cells: one sentence an attribute.

CuPL has whole sentences, DCLIP and ProLab have phrases ("made of metal, often aluminum"). How they
are placed is in docs/store.md. A word of lint_words.json counts twice for its attribute, one that
names the attribute thrice; where lint_words.json lists the attribute, a single other word of
attribute_words.json is too little.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

from lsmseg_prompts.attributes import ATTRIBUTES, NAMING_WORDS
from lsmseg_prompts.attributes.words import named_attributes
from lsmseg_prompts.descriptions.cleaning import clean
from lsmseg_prompts.descriptions.lint import check_text, is_one_sentence
from lsmseg_prompts.english import article
from lsmseg_prompts.files import packaged_json
from lsmseg_prompts.tokens import fits
from lsmseg_prompts.vocabularies import ClassEntry


@dataclass
class Cells:
    """What became of one class's phrases: attribute -> sentence, and (phrase, why not)."""

    texts: dict[str, str] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def evidence(phrase: str) -> dict[str, int]:
    """How much a phrase speaks for each of the nine attributes; only those with enough."""
    strong = _strong_words()
    scores = {}
    for attribute, words in named_attributes(phrase).items():
        points = 0
        for word in words:
            naming = any(word in (name, name + "s") for name in NAMING_WORDS[attribute])
            points += 3 if naming else 2 if word in strong.get(attribute, ()) else 1
        if points > 1 or attribute not in strong:
            scores[attribute] = points
    return scores


def from_phrases(phrases: Sequence[str], entry: ClassEntry) -> Cells:
    """Cells of DCLIP's and ProLab's lists."""
    cells = Cells()
    plain = _plain(phrases, cells)
    groups: dict[str | None, list[str]] = {}
    for phrase in plain:
        scores = evidence(phrase)
        best = max(scores, key=lambda name: scores[name]) if scores else None
        groups.setdefault(best, []).append(_inside(phrase))
    placed: set[str] = set()
    for attribute in ATTRIBUTES:
        if taken := _fitting([], groups.get(attribute, []), entry):
            cells.texts[attribute] = _sentence(taken, entry)
            placed |= set(taken)
    everything = [_inside(phrase) for phrase in plain]
    rest = [phrase for phrase in everything if phrase not in placed]
    summary = set(_fitting(_fitting([], rest, entry), everything, entry))
    ordered = [phrase for phrase in everything if phrase in summary]
    if ordered and _sentence(ordered, entry) not in cells.texts.values():
        cells.texts["typical"] = _sentence(ordered, entry)
        placed |= summary
    cells.left_out += [(p, "no room in 77 tokens") for p in everything if p not in placed]
    return cells


def from_sentences(sentences: Sequence[str], entry: ClassEntry) -> Cells:
    """Cells of CuPL's lists."""
    cells = Cells()
    good = []
    for sentence in _plain(sentences, cells):
        if broken := check_text(sentence, entry):
            cells.left_out.append((sentence, "; ".join(message for _, message in broken)))
        else:
            good.append(sentence)
    good.sort(key=_of_photo)
    if good:
        cells.texts["typical"] = good[0]
    scores = {sentence: evidence(sentence) for sentence in good[1:]}
    ranked = sorted(
        ((_of_photo(sentence), -_purity(mine, attribute), place, attribute, sentence)
         for place, (sentence, mine) in enumerate(scores.items()) for attribute in mine
         if _purity(mine, attribute) > 0),
    )  # fmt: skip
    for *_, attribute, sentence in ranked:
        if attribute not in cells.texts and sentence not in cells.texts.values():
            cells.texts[attribute] = sentence
    cells.texts = {a: cells.texts[a] for a in (*ATTRIBUTES, "typical") if a in cells.texts}
    used = set(cells.texts.values())
    cells.left_out += [(s, "another was chosen") for s in good if s not in used]
    return cells


def _purity(scores: dict[str, int], attribute: str) -> float:
    """What a sentence says about the attribute, less half of what it says about others."""
    return scores[attribute] - (sum(scores.values()) - scores[attribute]) / 2


def _of_photo(sentence: str) -> bool:
    return re.search(r"\b(?:photo|picture|image)", sentence, re.IGNORECASE) is not None


def _plain(phrases: Iterable[str], cells: Cells) -> list[str]:
    """The phrases as plain sentences, each once; what cannot be one is listed as left out."""
    plain: dict[str, str] = {}
    for raw in phrases:
        cleaned = clean(raw)
        text = cleaned.text.replace(";", ",")
        key = text.casefold()
        if not is_one_sentence(text):
            cells.left_out.append((raw, "it says nothing" if not text else "not one sentence"))
        elif "more sentences" in cleaned.notes:
            cells.left_out.append((raw, "several sentences"))
        elif key in plain:
            cells.left_out.append((raw, "repeated"))
        else:
            plain[key] = text
    return list(plain.values())


def _inside(phrase: str) -> str:
    """A phrase as it stands within a sentence: small, without its period."""
    phrase = phrase.rstrip(".")
    first = phrase.split(maxsplit=1)[0]
    keeps = len(first) > 1 and not first[1:].islower()  # "SUV", "T-shaped"
    return phrase if keeps else phrase[0].lower() + phrase[1:]


def _fitting(begun: Sequence[str], phrases: Iterable[str], entry: ClassEntry) -> list[str]:
    """`begun` and as many more of the phrases as there is room for."""
    taken = list(begun)
    for phrase in phrases:
        longer = [*taken, phrase]
        if phrase not in taken and fits(_sentence(longer, entry)):
            taken = longer
    return taken


def _sentence(phrases: Sequence[str], entry: ClassEntry) -> str:
    """One sentence, such as "A bicycle: made of metal, with two wheels"."""
    name = f"{article(entry.readable)} {entry.readable}".strip()
    return f"{name[0].upper()}{name[1:]}: {', '.join(phrases)}."


@cache
def _strong_words() -> dict[str, frozenset[str]]:
    raw = packaged_json("lsmseg_prompts.descriptions", "lint_words.json")
    return {attribute: frozenset(item["words"]) for attribute, item in raw.items()}
