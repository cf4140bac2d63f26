"""The texts a model is trained to read: names, single descriptions and combinations."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.prompts.prompt_set import build_prompt_set
from lsmseg_prompts.tokens import CONTEXT_LENGTH, count_tokens
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary
from lsmseg_prompts.vocabularies.renaming import rename

# Put where a class was named, so that a sentence must be read and its name is not enough.
STAND_INS = ("thing", "object", "item", "area", "blicket", "dax", "wug", "toma")


def training_texts(
    descriptions: Mapping[tuple[int, str], str],
    vocabulary: Vocabulary,
    seed: int = 0,
    combos: int = 40,
) -> list[list[str]]:
    """For every class of the vocabulary the texts to train with.

    The name template, every description alone, `combos` random combinations of 2 to 4 attributes
    in random order composed as one sentence, and each of these once more with the class's name
    replaced by a word that says nothing. Texts are drawn evenly from the list, so the template
    stands in it several times. Classes that lack a description of some attribute that others
    have get what there is, and the template.

    Args:
        descriptions: {(class index, attribute): one sentence}.
        vocabulary: the classes.
        seed: of the random choices.
        combos: how many combinations a class gets.
    """
    rng = random.Random(seed)
    names = [group[0] for group in build_prompt_set({}, vocabulary, ("name",)).texts]
    single: list[list[str]] = [[] for _ in names]
    for (index, _), text in sorted(descriptions.items()):
        single[index].append(text)
    combined: list[list[str]] = [[] for _ in names]
    have = [a for a in ATTRIBUTES if any(attribute == a for _, attribute in descriptions)]
    full = [e for e in vocabulary.classes if all((e.index, a) in descriptions for a in have)]
    if full and len(have) > 1:
        renumbered = tuple(replace(e, index=i) for i, e in enumerate(full))
        part = replace(vocabulary, classes=renumbered)
        cells = {(i, a): descriptions[e.index, a] for i, e in enumerate(full) for a in have}
        for _ in range(combos):
            chosen = rng.sample(have, rng.randint(2, min(4, len(have))))
            for entry, group in zip(full, build_prompt_set(cells, part, chosen).texts, strict=True):
                combined[entry.index] += group
    texts = []
    for entry, name, alone, together in zip(vocabulary, names, single, combined, strict=True):
        described = [*alone, *alone, *together]  # singles twice, as often as combinations
        anonymous = [_without_name(text, entry, rng) for text in described]
        anonymous = [text for text in anonymous if count_tokens(text) <= CONTEXT_LENGTH]
        templates = [name] * max(1, (len(described) + len(anonymous)) // 10)
        texts.append(templates + described + anonymous)
    return texts


def _without_name(text: str, entry: ClassEntry, rng: random.Random) -> str:
    word = rng.choice(STAND_INS)
    return rename(text, entry, ClassEntry(0, word, word, None, ()))
