"""How near the words of classes are: the shipped table, by hand and as a whole."""

import numpy as np
import pytest

from lsmseg_prompts.files import packaged_json
from lsmseg_prompts.vocabularies import (
    ClassEntry,
    Vocabulary,
    available_vocabularies,
    load_vocabulary,
    named_vocabulary,
)
from lsmseg_prompts.vocabularies.similarity import place, word_similarity

TABLE = packaged_json("lsmseg_prompts.vocabularies", "lexicon.json")


def near(*names: str | ClassEntry) -> float:
    entries = [
        name if isinstance(name, ClassEntry) else ClassEntry(at, name, name)
        for at, name in enumerate(names)
    ]
    return float(word_similarity(Vocabulary("v", "v", tuple(entries)))[0, 1])


@pytest.mark.parametrize(
    ("one", "other", "nearness"),
    [
        ("zebra", "horse", 3 / 4),  # animal, mammal, hoofed animal above both
        ("zebra", "bear", 2 * 2 / 8),  # animal, mammal
        ("zebra", "animal", 2 * 1 / 5),
        ("brick wall", "concrete wall", 3 / 4),  # by their last word
        ("zebra", "sofa", 0),
        ("sofa", "couch", 1),
        ("Sofas", "couch", 1),
        ("scarves", "scarf", 1),
        ("gearbox housing", "wall", 0),  # nobody knows the word
    ],
)
def test_nearness_by_hand(one: str, other: str, nearness: float) -> None:
    assert near(one, other) == near(other, one) == pytest.approx(nearness)


def test_a_synonym_of_a_vocabulary_places_a_class_and_a_shared_one_makes_two_the_same() -> None:
    assert near(ClassEntry(0, "gnu", "gnu", synonyms=("cow",)), "horse") == pytest.approx(3 / 4)
    assert near(ClassEntry(0, "x", "x", synonyms=("q",)), ClassEntry(1, "y", "Q")) == 1


def test_a_word_of_two_meanings_stands_where_its_sense_says() -> None:
    drinking = load_vocabulary("pc-459").find("straw")
    stalks = load_vocabulary("coco-stuff").find("straw")
    assert place(drinking)[0] == "kitchenware" and place(stalks)[0] == "plant"  # type: ignore[index]


@pytest.mark.parametrize("name", available_vocabularies())
def test_shipped_vocabularies(name: str) -> None:
    vocabulary = load_vocabulary(name)
    similarity = word_similarity(vocabulary)
    np.testing.assert_array_equal(similarity, similarity.T)
    assert (similarity.diagonal() == 1).all() and similarity.min() >= 0 and similarity.max() == 1
    lacking = [entry.readable for entry in vocabulary if place(entry) is None]
    assert len(lacking) <= 0.05 * len(vocabulary), lacking


def test_the_table_is_a_tree() -> None:
    members = [word for words in TABLE["groups"].values() for word in words]
    same = [word for words in TABLE["same"] for word in words]
    assert len(members) == len(set(members)) and len(same) == len(set(same))
    assert not set(members) & {word for words in TABLE["same"] for word in words[1:]}
    above = {word: group for group, words in TABLE["groups"].items() for word in words}
    for group in TABLE["groups"]:
        steps = 0
        while group in above and steps < 10:
            group, steps = above[group], steps + 1
        assert steps < 10


def test_the_vocabulary_of_a_prompt_set() -> None:
    assert named_vocabulary("camvid", ()) is load_vocabulary("camvid")
    assert named_vocabulary("mine", ("sofa", "sky"))[0].readable == "sofa"
