"""Descriptions as noun phrases, and behind "which": every word stays true, the name comes first."""

import pytest

from lsmseg_prompts.prompts.compose import Writing, compose
from lsmseg_prompts.prompts.noun_phrase import phrase
from lsmseg_prompts.prompts.relative import descriptor, relative, which
from lsmseg_prompts.tokens import count_tokens
from lsmseg_prompts.vocabularies import ClassEntry

ZEBRA = ClassEntry(0, "zebra", "zebra", synonyms=("wild horse",))
CAN = ClassEntry(1, "watering can", "watering can")


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("A zebra is black and white all over.", "black and white all over"),
        ("Zebras have a stiff mane.", "with a stiff mane"),
        ("A zebra is large, and has a stiff mane.", "large, with a stiff mane"),
        ("A zebra is large and narrows toward the head.", "large, narrowing toward the head"),
        ("Zebras run fast, and some have pale stripes.", "running fast, some with pale stripes"),
        ("A zebra may be gray or brown.", "which may be gray or brown"),
        ("Most zebras lie in the shade.", "usually lying in the shade"),
        ("Zebras keep their tails low.", "keeping its tails low"),
        ("A zebra has a tail that is long and has a tuft.", "with a tail that is long and has a "
         "tuft"),
        ("A zebra's coat looks short and sleek.", "whose coat looks short and sleek"),
        ("The coat of a zebra is short.", "whose coat is short"),
        ("Round and fat, a zebra is heavy.", "round and fat, heavy"),
        ("Bold stripes wrap the body of a zebra.", "with bold stripes wrapping its body"),
        ("Old zebras are pale, while young ones look brown.", "old zebras pale, while young ones "
         "look brown"),
        ("Several people can ride a zebra.", "where several people can ride a zebra"),
        ("a zebra with stripes", "with stripes"),
        ("Zebra: an animal", "an animal"),
        ("black and white stripes", "black and white stripes"),
        ("zebra, with stripes", "with stripes"),
    ],
)  # fmt: skip
def test_a_description_as_a_noun_phrase(sentence: str, expected: str) -> None:
    assert phrase([sentence], ZEBRA) == f"zebra, {expected}"


def test_a_name_that_holds_a_verb() -> None:
    text = "A full watering can is as much as one arm can carry."
    assert phrase([text], CAN) == "watering can, a full watering can as much as one arm can carry"


def test_several_are_one_phrase_that_fits_its_room() -> None:
    texts = ["A zebra is large and heavy, with a back as high as a chin.", "Zebras have manes."]
    whole = "zebra, large and heavy, with a back as high as a chin, with manes"
    assert compose(texts, ZEBRA, Writing("phrase")).text == whole
    shorter = compose(texts, ZEBRA, Writing("phrase", count_tokens(whole) - 1))
    assert shorter == ("zebra, large and heavy, with manes", 2, 1)
    one = compose(texts, ZEBRA, Writing("phrase", count_tokens("zebra, large and heavy") + 1))
    assert one == ("zebra, large and heavy", 1, 1)


@pytest.mark.parametrize(
    ("sentence", "expected", "in_file"),
    [
        ("A zebra is an animal.", "is an animal", "an animal"),
        ("A zebra is black.", "typically is black", "typically is black"),
        ("Zebras are often black.", "often is black", "often is black"),
        ("A zebra has a mane.", "has a mane", "has a mane"),
        ("Zebras run fast.", "typically runs fast", "typically runs fast"),
        ("Some zebras are brown.", "may be brown", "may be brown"),
        ("A zebra can kick.", "can kick", "can kick"),
        ("A zebra's coat is short.", "has a coat that is short", "has a coat that is short"),
        ("The ears of a zebra are round.", "has ears that are round", "ears that are round"),
        ("Stripes wrap a zebra.", "has stripes wrapping it", "stripes wrapping it"),
        ("zebra, which has a mane", "has a mane", "has a mane"),
    ],
)
def test_a_description_behind_which(sentence: str, expected: str, in_file: str) -> None:
    text = relative(sentence, ZEBRA)
    assert text == f"zebra, which {expected}"
    assert descriptor(text, "zebra") == in_file
    assert f"zebra, {which(in_file)}" == text
