"""The texts a model is trained to read: names, single descriptions and combinations."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.prompt_set import build_prompt_set
from lsmseg_prompts.vocabularies import Vocabulary


def training_texts(
    descriptions: Mapping[tuple[int, str], str],
    vocabulary: Vocabulary,
    seed: int = 0,
    combos: int = 40,
) -> list[list[str]]:
    """For every class of the vocabulary the texts to train with.

    The name template, every description alone, and `combos` random combinations of 2 to 4
    attributes in random order, composed as one sentence. Classes that lack a description of
    some attribute that others have get what there is, and the template.
    """
    texts = [list(group) for group in build_prompt_set({}, vocabulary, ("name",)).texts]
    for (index, _), text in descriptions.items():
        texts[index].append(text)
    have = [a for a in ATTRIBUTES if any(attribute == a for _, attribute in descriptions)]
    full = [e for e in vocabulary.classes if all((e.index, a) in descriptions for a in have)]
    if full and len(have) > 1:
        part = Vocabulary(
            vocabulary.name,
            vocabulary.title,
            tuple(replace(e, index=i) for i, e in enumerate(full)),
        )
        cells = {(i, a): descriptions[e.index, a] for i, e in enumerate(full) for a in have}
        rng = random.Random(seed)
        for _ in range(combos):
            chosen = rng.sample(have, rng.randint(2, min(4, len(have))))
            for entry, group in zip(full, build_prompt_set(cells, part, chosen).texts, strict=True):
                texts[entry.index] += group
    return [list(dict.fromkeys(group)) for group in texts]
