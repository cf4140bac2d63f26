"""The texts for pre-training on MiniStuff: none is about an unseen class or names one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from lsmseg_model.data.ministuff.captions import Told
from lsmseg_model.data.ministuff.looks import LOOKS, seen_classes
from lsmseg_model.data.ministuff.scenes import CLASS_INDICES, UNSEEN
from lsmseg_prompts.descriptions.loading import load
from lsmseg_prompts.english import names_pattern
from lsmseg_prompts.prompts.training_texts import texts_of_things, training_texts
from lsmseg_prompts.vocabularies import load_vocabulary

OF_UNSEEN = ["brick", "bricked", "brickwork", "firebrick", "sandy", "snowy"]
OF_NAMES = [*OF_UNSEEN, *["ball", "concrete", "grassy", "hydrant", "wood", "wooden"]]
"""Parts and forms of the names of MiniStuff's classes, beside the names themselves."""


def names(indices: Iterable[int]) -> set[str]:
    """All names of MiniStuff's classes. "orange" is not among them: it is a colour too."""
    classes = load_vocabulary("coco-stuff")
    return {name for index in indices for name in classes[index].names} - {"orange"}


def without_unseen(texts: Sequence[Sequence[str]]) -> list[list[str]]:
    """The texts of every class but those that name an unseen one, be it as a likeness or company.

    A class of which none would be left keeps its texts: unseen classes are not trained on.
    """
    banned = names_pattern((*names(UNSEEN), *OF_UNSEEN))
    kept = [[text for text in group if not banned.search(text)] for group in texts]
    return [some or list(group) for some, group in zip(kept, texts, strict=True)]


def about_things(seed: int) -> dict[str, Sequence[Told]]:
    """Bundled sentences, by `Look.key`: what is said of invented things that look so.

    None of them names a class of MiniStuff. To be read only, there are those of its seen classes;
    none of these names an unseen one.
    """
    every, unseen = {*names(CLASS_INDICES), *OF_NAMES}, {*names(UNSEEN), *OF_UNSEEN}
    found: dict[str, Sequence[Told]] = {}
    others = [look.name for look in LOOKS]
    for looks, avoid, borrowed in ((LOOKS, every, others), (seen_classes(), unseen, [])):
        for name in dict.fromkeys(look.vocabulary for look in looks):
            vocabulary = load_vocabulary(name)
            cells = load(vocabulary) | load(vocabulary, attributes=["typical"])
            some = [look for look in looks if look.vocabulary == name]
            true = {(look.index, a): cells[look.index, a] for look in some for a in look.says}
            entries = [vocabulary[look.index] for look in some]
            told = texts_of_things(true, entries, avoid, borrowed, seed)
            found |= {look.key: told[look.index] for look in some}
    return found


def texts_of_ministuff(
    seed: int,
) -> tuple[str, list[list[str]], Callable[[], dict[str, Sequence[Told]]]]:
    """What a CLIP reads that is trained on MiniStuff: vocabulary, texts, and what is told.

    Of the bundled descriptions; none names an unseen class.
    """
    vocabulary = load_vocabulary("coco-stuff")
    texts = training_texts(load(vocabulary), vocabulary, seed)
    return vocabulary.name, without_unseen(texts), partial(about_things, seed)
