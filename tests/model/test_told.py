"""What training says of invented things: nothing about a class that it must not know."""

import re
from collections.abc import Iterator

import pytest

import lsmseg_model.data.ministuff.looks as looks
from ablations.commands.pretrain import told
from lsmseg_model.data.ministuff.scenes import CLASS_INDICES, SEEN, UNSEEN
from lsmseg_prompts.english import names_pattern
from lsmseg_prompts.tokens import count_tokens
from lsmseg_prompts.vocabularies import load_vocabulary

CLASSES = load_vocabulary("coco-stuff")


def names(indices: frozenset[int]) -> re.Pattern[str]:
    """Their names, synonyms and the words that make them up; "orange" is a colour too."""
    every = {name for index in indices for name in CLASSES[index].names} - {"orange"}
    return names_pattern((*every, *({"brick", "bricks", "sandy", "snowy"} if indices else ())))


@pytest.fixture(
    scope="module",
    params=[False, pytest.param(True, marks=pytest.mark.slow)],
    ids=["some", "all"],
)
def sentences(request: pytest.FixtureRequest) -> Iterator[dict]:
    with pytest.MonkeyPatch.context() as patch:
        if not request.param:
            patch.setattr(looks, "LOOKS", looks.LOOKS[::40])
        yield told(seed=3)


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


def test_sentences_come_with_and_without_the_name(sentences: dict) -> None:
    named = [
        names_pattern(load_vocabulary(key.partition("/")[0])[int(key.partition("/")[2])].names)
        for key in sentences
    ]
    with_name = sum(
        bool(pattern.search(text))
        for pattern, some in zip(named, sentences.values(), strict=True)
        for text, _ in some
    )
    assert 0.35 < with_name / sum(map(len, sentences.values())) < 0.65
