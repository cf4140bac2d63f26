"""What training says of invented things: nothing about a class that it must not know."""

import re
from collections.abc import Iterator

import pytest

from ablations.runs import pretraining
from lsmseg_model.data.ministuff.scenes import CLASS_INDICES, SEEN, UNSEEN
from lsmseg_prompts.descriptions.loading import load
from lsmseg_prompts.english import names_pattern
from lsmseg_prompts.prompts.training_texts import STAND_INS, training_texts
from lsmseg_prompts.tokens import count_tokens
from lsmseg_prompts.vocabularies import load_vocabulary

BLANK = names_pattern(STAND_INS)
CLASSES = load_vocabulary("coco-stuff")


def names(indices: frozenset[int]) -> re.Pattern[str]:
    """Their names, synonyms and the words that make them up; "orange" is a colour too."""
    every = {name for index in indices for name in CLASSES[index].names} - {"orange"}
    return re.compile(rf"{names_pattern(tuple(every)).pattern}|\w*brick\w*|sandy|snowy", re.I)


@pytest.fixture(
    scope="module",
    params=[False, pytest.param(True, marks=pytest.mark.slow)],
    ids=["some", "all"],
)
def sentences(request: pytest.FixtureRequest) -> Iterator[dict]:
    with pytest.MonkeyPatch.context() as patch:
        if not request.param:
            patch.setattr(pretraining, "LOOKS", pretraining.LOOKS[::40])
        yield pretraining.about_things(seed=3)


def test_no_sentence_is_about_a_class_or_names_one(sentences: dict) -> None:
    every, unseen = names(frozenset(CLASS_INDICES)), names(UNSEEN)
    own = {f"coco-stuff/{index}" for index in SEEN}
    assert own <= set(sentences) and not {f"coco-stuff/{i}" for i in UNSEEN} & set(sentences)
    for key, some in sentences.items():
        vocabulary, _, index = key.partition("/")
        entry = load_vocabulary(vocabulary)[int(index)]
        forbidden = unseen if key in own else every
        assert not forbidden.search(" ".join(entry.names)), key
        for text, attributes in some:
            assert not forbidden.search(text), (key, text)
            assert attributes and count_tokens(text) <= 77


def test_a_class_goes_by_other_names(sentences: dict) -> None:
    """By one that says nothing, or that of another class: what a thing is called tells nothing.

    Seen classes only by the first: their names are learnt.
    """
    own = blank = every = 0
    for key, some in sentences.items():
        if key.startswith("coco-stuff/") and int(key.partition("/")[2]) in SEEN:
            assert all(BLANK.search(text) for text, _ in some)
            continue
        vocabulary, _, index = key.partition("/")
        name = names_pattern(load_vocabulary(vocabulary)[int(index)].names)
        own += sum(bool(name.search(text)) for text, _ in some)
        blank += sum(bool(BLANK.search(text)) for text, _ in some)
        every += len(some)
    assert own < 0.02 * every
    assert 0.35 < blank / every < 0.65


def test_texts_of_classes_name_no_unseen_one_either() -> None:
    unseen = names(UNSEEN)
    texts = [
        ["a photo of a tree"],
        ["A mountain has snow on top.", "A mountain is gray."],
        ["sand"],
    ]
    assert pretraining.without_unseen(texts) == [texts[0], [texts[1][1]], texts[2]]
    described = training_texts(load(CLASSES), CLASSES, combos=2)
    seen = [t for i, g in enumerate(pretraining.without_unseen(described)) if i in SEEN for t in g]
    assert len(seen) > 800 and not any(unseen.search(text) for text in seen)
