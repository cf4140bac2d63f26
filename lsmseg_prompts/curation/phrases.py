"""Other projects' texts about a class as cells: sentences of one attribute each.

CuPL has whole sentences, DCLIP and ProLab have phrases ("made of metal, often aluminum"). How they
are placed is in docs/store.md. A word of lint_words.json counts twice for its attribute, one that
names the attribute thrice; where lint_words.json lists the attribute, a single other word of
attribute_words.json is too little. What there is beyond one sentence becomes samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from lsmseg_prompts.attributes import ATTRIBUTES, NAMING_WORDS
from lsmseg_prompts.attributes.samples import sample
from lsmseg_prompts.attributes.words import named_attributes
from lsmseg_prompts.curation.doubts import picture_doubt, sense_doubt, text_doubt
from lsmseg_prompts.descriptions.cleaning import clean
from lsmseg_prompts.descriptions.lint import check_text, is_one_sentence
from lsmseg_prompts.english import article, has_hidden, has_word, is_named, sentences
from lsmseg_prompts.files import packaged_json
from lsmseg_prompts.prompts.word_lists import written
from lsmseg_prompts.tokens import fits
from lsmseg_prompts.vocabularies import ClassEntry

MOST_TEXTS = 1000
"""So many texts of a class are read: no mean of more is any better."""
MOST_LETTERS = 2000
"""A longer text has more than 77 tokens, and takes long to count."""
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
    _samples: Counter[str] = field(default_factory=Counter)

    def add(self, attribute: str, text: str, review: str | None = None) -> None:
        """File a sentence as the next sample of an attribute."""
        self._samples[attribute] += 1
        name = sample(attribute, self._samples[attribute])
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
    best = {phrase: _best(evidence(phrase)) for phrase in plain}
    sound = [phrase for phrase in plain if not doubts[phrase]]
    filed: set[str] = set()

    def add(attribute: str, taken: Sequence[str], doubt: str | None) -> None:
        cells.add(attribute, _sentence(taken, entry), doubt)
        filed.update(taken)

    for attribute in ATTRIBUTES:
        for taken in _together((phrase for phrase in sound if best[phrase] == attribute), entry):
            add(attribute, taken, of_sense)
    rest = [phrase for phrase in sound if best[phrase] == "typical"]
    summary = set(_fitting(_fitting([], rest, entry), sound, entry))
    in_order = [phrase for phrase in sound if phrase in summary]
    if in_order and _sentence(in_order, entry) not in cells.texts.values():
        add("typical", in_order, of_sense)
    for taken in _together((phrase for phrase in rest if phrase not in filed), entry):
        add("typical", taken, of_sense)
    for phrase, doubt in doubts.items():
        if doubt and fits(_sentence([phrase], entry)):
            add(best[phrase], [phrase], doubt)
    cells.left_out += [(phrase, NO_ROOM) for phrase in plain if phrase not in filed]
    return cells


def from_sentences(texts: Sequence[str], entry: ClassEntry) -> Cells:
    """Cells of CuPL's lists: `typical` gets the first sound one, the others what they speak of.

    A text of several sentences is taken apart.
    """
    cells = Cells()
    good: list[str] = []
    for sentence in _plain([part for text in texts for part in apart(text)], cells):
        if broken := check_text(sentence, entry):
            cells.left_out.append((sentence, "; ".join(message for _, message in broken)))
        else:
            good.append(sentence)
    of_sense = sense_doubt(good, entry)
    doubts = {sentence: of_sense or text_doubt(sentence, entry) for sentence in good}
    good.sort(key=lambda sentence: doubts[sentence] is not None)
    placed = [("typical", 0.0, sentence) for sentence in good[:1]]
    placed += [(*_purest(evidence(sentence)), sentence) for sentence in good[1:]]
    placed.sort(key=lambda one: (doubts[one[2]] is not None, -one[1]))
    for attribute, _, sentence in placed:
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
    for name in _read(names, cells):
        text = written(entry, name)
        text = f"{text[0].upper()}{text[1:].rstrip('.')}."
        if has_hidden(text) or not fits(text):
            cells.left_out.append((name, NO_ROOM if not fits(text) else "invisible signs"))
        else:
            cells.add("typical", text)
    return cells


def _best(scores: dict[str, int]) -> str:
    """The attribute that a phrase says most about."""
    return max(scores, key=lambda name: scores[name]) if scores else "typical"


def _purest(scores: dict[str, int]) -> tuple[str, float]:
    """The attribute that a sentence says most about, less half of what it says about others."""
    total = sum(scores.values())
    purity = {name: points - (total - points) / 2 for name, points in scores.items()}
    best = max(purity, key=lambda name: purity[name], default="typical")
    return (best, purity[best]) if purity.get(best, 0) > 0 else ("typical", 0.0)


def _read(texts: Iterable[str], cells: Cells) -> Iterator[str]:
    """The texts that are looked at; those beyond the bounds are listed as left out."""
    for number, text in enumerate(texts):
        if number >= MOST_TEXTS:
            cells.left_out.append((text, f"of a class the first {MOST_TEXTS:,} texts are read"))
        elif len(text) > MOST_LETTERS:
            cells.left_out.append((text, NO_ROOM))
        else:
            yield text


def apart(text: str) -> list[str]:
    """The sentences of a text that has several."""
    if len(text) > MOST_LETTERS:
        return [text]
    parts = [part for part in sentences(text.replace(";", ",")) if has_word(part)]
    return [f"{part.rstrip(' .!?')}." for part in parts] if len(parts) > 1 else [text]


def _plain(phrases: Iterable[str], cells: Cells) -> list[str]:
    """The phrases as plain sentences, each once; what cannot be one is listed as left out."""
    plain: dict[str, str] = {}
    for raw in _read(phrases, cells):
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
