"""The texts a model is trained to read: names, single descriptions and combinations."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.english import names_pattern
from lsmseg_prompts.prompts.compose import SENTENCE, Writing, written_for
from lsmseg_prompts.prompts.prompt_set import build_prompt_set
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary
from lsmseg_prompts.vocabularies.renaming import rename

# Put where a class was named, so that a sentence must be read and its name is not enough.
STAND_INS = ("thing", "object", "item", "area", "blicket", "dax", "wug", "toma")

Told = tuple[str, frozenset[str]]
"""A sentence, and the attributes that it tells of."""


def training_texts(
    descriptions: Mapping[tuple[int, str], str],
    vocabulary: Vocabulary,
    seed: int = 0,
    combos: int = 40,
    budget: TokenBudget = CLIP,
) -> list[list[str]]:
    """For every class of the vocabulary the texts to train with.

    The name template, every description alone, `combos` random combinations of 2 to 4 attributes
    in random order composed as one text, and each of these once more with the class's name
    replaced by a word that says nothing. Texts are drawn evenly from the list, so the template
    stands in it several times. Classes that lack a description of some attribute that others
    have get what there is, and the template.

    Args:
        descriptions: {(class index, attribute): one sentence}.
        vocabulary: the classes.
        seed: of the random choices.
        combos: how many combinations a class gets.
        budget: the tokens that a text may take.
    """
    rng = random.Random(seed)
    writing = written_for(budget)
    plain = build_prompt_set({}, vocabulary, ("name",), writing=writing)
    names = [group[0] for group in plain.texts]
    cells = _by_class(descriptions)
    texts = []
    for entry, name in zip(vocabulary, names, strict=True):
        told = _told(entry, cells[entry.index], rng, combos, writing)
        described = [text for text, _ in told]
        anonymous = [_called(text, entry, rng.choice(STAND_INS)) for text in described]
        anonymous = [text for text in anonymous if budget.fits(text)]
        templates = [name] * max(1, (len(described) + len(anonymous)) // 10)
        texts.append(templates + described + anonymous)
    return texts


def texts_of_things(
    descriptions: Mapping[tuple[int, str], str],
    entries: Iterable[ClassEntry],
    avoid: Iterable[str],
    borrowed: Sequence[str] = (),
    seed: int = 0,
    combos: int = 24,
) -> dict[int, list[Told]]:
    """What may be said of a thing that looks like a class but is not to be known as one.

    Single descriptions and combinations as in `training_texts`, with a word that says nothing in
    place of the class's name, or a name of something else: so it must be read past. None of them
    names what is to be avoided, be it as a likeness ("like snow").

    Args:
        descriptions: {(class index, attribute): one sentence}, of attributes that the thing shows.
        entries: the classes.
        avoid: names.
        borrowed: names of something else.
        seed: of the random choices.
        combos: how many combinations a class gets.
    """
    rng = random.Random(seed)
    banned = names_pattern(tuple(avoid))
    cells = _by_class(descriptions)
    told = {}
    for entry in entries:
        about = {
            attribute: text
            for attribute, text in cells[entry.index].items()
            if not banned.search(_called(text, entry, STAND_INS[0]))
        }
        others = [name for name in borrowed if name not in entry.names]
        kept = []
        for text, attributes in _told(entry, about, rng, combos):
            names = others if others and rng.random() < 0.5 else STAND_INS
            text = _called(text, entry, rng.choice(names))
            if CLIP.fits(text) and not banned.search(text):
                kept.append((text, attributes))
        told[entry.index] = kept
    return told


def _by_class(descriptions: Mapping[tuple[int, str], str]) -> dict[int, dict[str, str]]:
    cells: dict[int, dict[str, str]] = defaultdict(dict)
    for (index, attribute), text in sorted(descriptions.items()):
        cells[index][attribute] = text
    return cells


def _told(
    entry: ClassEntry,
    about: Mapping[str, str],
    rng: random.Random,
    combos: int,
    writing: Writing = SENTENCE,
) -> list[Told]:
    """Single descriptions twice, so as often as combinations, and these."""
    about = {attribute: text for attribute, text in about.items() if writing.budget.fits(text)}
    alone = [(text, frozenset([attribute])) for attribute, text in about.items()]
    have = [attribute for attribute in ATTRIBUTES if attribute in about]
    if len(have) < 2:
        return [*alone, *alone]
    only = Vocabulary("", "", (replace(entry, index=0),))
    cells = {(0, attribute): text for attribute, text in about.items()}
    together = []
    for _ in range(combos):
        chosen = rng.sample(have, rng.randint(2, min(4, len(have))))
        ((text,),) = build_prompt_set(cells, only, chosen, writing=writing).texts
        together.append((text, frozenset(chosen)))
    return [*alone, *alone, *together]


def _called(text: str, entry: ClassEntry, name: str) -> str:
    """The text about a class with another name for it."""
    return rename(text, entry, ClassEntry(0, name, name, None, ()))
