"""Other projects' texts about a class as cells: sentences of one attribute each.

CuPL has whole sentences, DCLIP and ProLab have phrases ("made of metal, often aluminum"). How they
are placed is in docs/store.md. A word of lint_words.json counts twice for its attribute, one that
names the attribute thrice; where lint_words.json lists the attribute, a single other word of
attribute_words.json is too little. What there is beyond one sentence becomes samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from lsmseg_prompts.attributes import ATTRIBUTES, NAMING_WORDS
from lsmseg_prompts.attributes.samples import sample
from lsmseg_prompts.attributes.words import named_attributes
from lsmseg_prompts.curation.doubts import picture_doubt, sense_doubt, text_doubt
from lsmseg_prompts.descriptions.cleaning import clean
from lsmseg_prompts.descriptions.lint import check_text, is_one_sentence
from lsmseg_prompts.english import article, has_hidden, is_named
from lsmseg_prompts.files import packaged_json
from lsmseg_prompts.prompts.word_lists import written
from lsmseg_prompts.tokens import fits
from lsmseg_prompts.vocabularies import ClassEntry

MOST_TEXTS = 1000
"""So many texts of a class are read: no mean of more is any better."""
NO_ROOM = "no room in 77 tokens"


@dataclass
class Cells:
    """What became of one class's texts.

    texts: attribute, or its sample (`attributes.samples`) -> sentence. review: of some of these,
    what a person should look at. left_out: (text, why not).
    """

    texts: dict[str, str] = field(default_factory=dict)
    review: dict[str, str] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def add(self, attribute: str, text: str, review: str | None = None) -> None:
        """File a sentence as the next sample of an attribute."""
        number = 1
        while (name := sample(attribute, number)) in self.texts:
            number += 1
        self.texts[name] = text
        if review:
            self.review[name] = review


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
    """Cells of DCLIP's and ProLab's lists: sound phrases together, doubtful ones apart."""
    cells = Cells()
    plain = [_inside(phrase) for phrase in _plain(phrases, cells)]
    of_sense = sense_doubt(plain, entry)
    doubts = {phrase: picture_doubt(phrase, entry) for phrase in plain}
    groups: dict[str, list[str]] = {}
    for phrase in plain:
        scores = evidence(phrase)
        best = max(scores, key=lambda name: scores[name]) if scores else "typical"
        groups.setdefault(best, []).append(phrase)
    rest = [phrase for phrase in groups.pop("typical", []) if not doubts[phrase]]
    filed: dict[str, None] = {}
    for attribute in ATTRIBUTES:
        sound = [phrase for phrase in groups.get(attribute, []) if not doubts[phrase]]
        for taken in _together(sound, entry):
            cells.add(attribute, _sentence(taken, entry), of_sense)
            filed |= dict.fromkeys(taken)
    everything = [phrase for phrase in plain if not doubts[phrase]]
    summary = set(_fitting(_fitting([], rest, entry), everything, entry))
    ordered = [phrase for phrase in everything if phrase in summary]
    if ordered and _sentence(ordered, entry) not in cells.texts.values():
        cells.add("typical", _sentence(ordered, entry), of_sense)
        filed |= dict.fromkeys(ordered)
    for taken in _together([phrase for phrase in rest if phrase not in filed], entry):
        cells.add("typical", _sentence(taken, entry), of_sense)
        filed |= dict.fromkeys(taken)
    for attribute in (*ATTRIBUTES, "typical"):
        for phrase in groups.get(attribute, plain if attribute == "typical" else []):
            if phrase not in filed and doubts[phrase] and fits(_sentence([phrase], entry)):
                cells.add(attribute, _sentence([phrase], entry), doubts[phrase])
                filed[phrase] = None
    cells.left_out += [(phrase, NO_ROOM) for phrase in plain if phrase not in filed]
    return cells


def from_sentences(sentences: Sequence[str], entry: ClassEntry) -> Cells:
    """Cells of CuPL's lists: `typical` gets the first sound one, the others what they speak of."""
    cells = Cells()
    good: list[str] = []
    for sentence in _plain(sentences, cells):
        if broken := check_text(sentence, entry):
            cells.left_out.append((sentence, "; ".join(message for _, message in broken)))
        else:
            good.append(sentence)
    of_sense = sense_doubt(good, entry)
    doubts = {sentence: of_sense or text_doubt(sentence, entry) for sentence in good}
    good.sort(key=lambda sentence: doubts[sentence] is not None)
    placed: dict[str, list[tuple[bool, float, int, str]]] = {}
    for place, sentence in enumerate(good):
        scores = evidence(sentence) if place else {}
        purity = {name: _purity(scores, name) for name in scores}
        best = max(purity, key=lambda name: purity[name]) if purity else "typical"
        if purity.get(best, 0) <= 0:
            best = "typical"
        doubtful = doubts[sentence] is not None
        placed.setdefault(best, []).append((doubtful, -purity.get(best, 0), place, sentence))
    for attribute in (*ATTRIBUTES, "typical"):
        for *_, sentence in sorted(placed.get(attribute, ())):
            cells.add(attribute, sentence, doubts[sentence])
    return cells


def from_cells(texts: Mapping[str, Sequence[str]], entry: ClassEntry) -> Cells:
    """Cells of texts whose attributes are known; a phrase stands behind the name of its class."""
    cells = Cells()
    for attribute, some in texts.items():
        plain = _plain(some, cells)
        of_sense = sense_doubt(plain, entry)
        for text in plain:
            sentence = text if is_named(text, entry.names) else _sentence([_inside(text)], entry)
            if broken := check_text(sentence, entry):
                cells.left_out.append((text, "; ".join(message for _, message in broken)))
            else:
                cells.add(attribute, sentence, of_sense or text_doubt(sentence, entry))
    return cells


def from_synonyms(names: Sequence[str], entry: ClassEntry) -> Cells:
    """Cells of names that mean the class: each in the plain template, as samples of `typical`."""
    cells = Cells()
    for name in names:
        text = written(entry, name)
        text = f"{text[0].upper()}{text[1:].rstrip('.')}."
        if has_hidden(text) or not fits(text):
            cells.left_out.append((name, NO_ROOM if not fits(text) else "invisible signs"))
        else:
            cells.add("typical", text)
    return cells


def _purity(scores: dict[str, int], attribute: str) -> float:
    """What a sentence says about the attribute, less half of what it says about others."""
    return scores[attribute] - (sum(scores.values()) - scores[attribute]) / 2


def _plain(phrases: Iterable[str], cells: Cells) -> list[str]:
    """The phrases as plain sentences, each once; what cannot be one is listed as left out."""
    plain: dict[str, str] = {}
    for number, raw in enumerate(phrases):
        if number >= MOST_TEXTS:
            cells.left_out.append((raw, f"of a class the first {MOST_TEXTS:,} texts are read"))
            continue
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


def _together(phrases: Iterable[str], entry: ClassEntry) -> Iterator[list[str]]:
    """The phrases in order, as many together as one sentence has room for."""
    taken: list[str] = []
    for phrase in phrases:
        if fits(_sentence([*taken, phrase], entry)):
            taken.append(phrase)
        elif fits(_sentence([phrase], entry)):
            yield taken
            taken = [phrase]
    if taken:
        yield taken


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
