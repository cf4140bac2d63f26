"""The phrases that are tried, and the texts that stand behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.english import normalise
from lsmseg_prompts.llm.bundled import LLM_NAME
from lsmseg_prompts.prompts.class_texts import texts_for_classes
from lsmseg_prompts.vocabularies import available_vocabularies, load_vocabulary

if TYPE_CHECKING:
    from ablations.studio.state import Studio

OWN = ":"  # between a name and a text of one's own: "zebra: black and white stripes"


@dataclass
class Phrase:
    """A line of the page: a name and the texts that the model reads for it.

    ``place``: which line it is. ``tokens``: of its longest text. ``described``: whether the texts
    are descriptions. ``said``: why the phrase is left out of the competition.
    """

    place: int
    name: str
    texts: list[str] = field(default_factory=list)
    tokens: int = 0
    described: bool = False
    said: str | None = None


def read_phrases(
    studio: Studio, lines: Sequence[str], attributes: Sequence[str], llm: str
) -> list[Phrase]:
    """The phrases of lines that are not empty, with their texts.

    A word that ``llm`` has described stands with these descriptions if attributes are named;
    ``name: text`` stands with this text; all others with the model's template.

    Args:
        studio: Its model, budget and store.
        lines: One phrase each.
        attributes: What words are described by; none: by nothing.
        llm: Who wrote the descriptions.

    Raises:
        UsageError: There is no such attribute or LLM.
    """
    budget, found, met = studio.budget, [], set()
    own: dict[int, str] = {}
    for place, line in enumerate(map(str.strip, lines)):
        name, _, text = line.partition(OWN)
        phrase = Phrase(place, " ".join(name.split()))
        if not phrase.name:
            continue
        if text.strip():
            own[place] = text.strip()
        template = studio.model.default_texts([phrase.name])[0]
        phrase.texts = [own[place]] if place in own else list(template)
        if normalise(phrase.name) in met:
            phrase.said = "named twice"
        met.add(normalise(phrase.name))
        found.append(phrase)
    plain = [one for one in found if one.said is None and one.place not in own]
    plain = [one for one in plain if all(map(budget.fits, one.texts))]
    if attributes and plain:
        store = studio.options.store
        there = store if store is not None and Path(store).exists() else None
        names = [one.name for one in plain]
        chosen = texts_for_classes(names, attributes, llm, there, None, budget)
        for phrase, texts, described in zip(plain, chosen.texts, chosen.described, strict=True):
            if described:
                phrase.texts, phrase.described = list(texts), True
    for phrase in found:
        phrase.tokens = max(map(budget.count, phrase.texts))
        if phrase.tokens > budget.limit and phrase.said is None:
            over = phrase.tokens - budget.limit
            phrase.said = f"{over} token{'s' * (over > 1)} too long"
    return found


@cache
def suggested_names() -> dict[str, Any]:
    """Every name of a class in the shipped vocabularies, with the places of these."""
    vocabularies = available_vocabularies()
    names: dict[str, dict[int, None]] = {}
    for place, vocabulary in enumerate(vocabularies):
        for entry in load_vocabulary(vocabulary):
            for name in (entry.readable, *entry.synonyms):
                names.setdefault(name, {})[place] = None
    listed = [[name, *where] for name, where in sorted(names.items())]
    return {"vocabularies": list(vocabularies), "names": listed}


def choices(studio: Studio) -> dict[str, Any]:
    """What the page offers: attributes with what they mean, LLMs, and the budget."""
    from lsmseg_prompts.store.store import status

    rows: Sequence[Mapping[str, Any]] = status(studio.store) if studio.store.exists() else ()
    llms = [LLM_NAME, studio.options.llm, *sorted({str(row["llm"]) for row in rows if row["llm"]})]
    budget = studio.budget
    return {
        "attributes": ATTRIBUTES,
        "llms": list(dict.fromkeys(llms)),
        "llm": studio.options.llm,
        "limit": budget.limit,
        "unit": budget.unit,
        "drawings": studio.drawings,
    }
