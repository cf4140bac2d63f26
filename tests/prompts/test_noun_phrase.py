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
        ("A zebra is black and white all over.", ", black and white all over"),
        ("Zebras have a stiff mane.", ", with a stiff mane"),
        ("A zebra typically is long, rounded, and heavy.", ", typically long, rounded, and heavy"),
        ("Most zebras have their ears up, like a horse.", ", usually with its ears up, like a "
         "horse"),
        ("A pair of zebras is pale.", ", pale"),
        # Where there may be another verb, or it is no "is" and "has", the sentence stays.
        ("A zebra is large, and has a mane.", ": a zebra is large, and has a mane"),
        ("A zebra is wide or narrows to a line.", ": a zebra is wide or narrows to a line"),
        ("Zebras are fast, and some have stripes.", ": zebras are fast, and some have stripes"),
        ("A zebra is fed, or stands still.", ": a zebra is fed, or stands still"),
        ("A zebra may be gray or brown.", ": a zebra may be gray or brown"),
        ("Zebras run fast.", ": zebras run fast"),
        ("A zebra's coat looks short.", ": a zebra's coat looks short"),
        ("Bold stripes wrap a zebra.", ": bold stripes wrap a zebra"),
        ("American zebras hide.", ": American zebras hide"),
        ("a zebra with stripes", ", with stripes"),
        ("A zebra: red color, big.", ", red color, big"),
        ("black and white stripes", ", black and white stripes"),
        ("zebra, with stripes", ", with stripes"),
        ("zebra: it runs; it rests", ": it runs; it rests"),
    ],
)  # fmt: skip
def test_a_description_as_a_noun_phrase(sentence: str, expected: str) -> None:
    assert phrase([sentence], ZEBRA) == f"zebra{expected}"
    assert phrase([f"zebra{expected}"], ZEBRA) == f"zebra{expected}"


def test_a_name_that_holds_a_verb() -> None:
    text = "A full watering can is as much as one arm can carry."
    assert (
        phrase([text], CAN) == "watering can: a full watering can is as much as one arm can carry"
    )


def test_several_are_one_phrase_that_fits_its_room() -> None:
    texts = ["A zebra is large and heavy, with a back as high as a chin.", "Zebras have manes."]
    whole = "zebra, large and heavy, with a back as high as a chin; with manes"
    assert compose(texts, ZEBRA, Writing("phrase")).text == whole
    shorter = compose(texts, ZEBRA, Writing("phrase", count_tokens(whole) - 1))
    assert shorter == ("zebra, large and heavy; with manes", 2, 1)
    mixed = [*texts, "Stripes wrap a zebra."]
    assert phrase([" ".join(mixed)], ZEBRA) == phrase(mixed, ZEBRA)
    assert phrase(mixed, ZEBRA) == f"{whole.replace(',', ':', 1)}; stripes wrap a zebra"
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
        ("Zebras have legs and look sleek.", "has this look: zebras have legs and look sleek",
         "this look: zebras have legs and look sleek"),
        ("A zebra's coat is short.", "has this look: a zebra's coat is short",
         "this look: a zebra's coat is short"),
        ("Stripes wrap a zebra.", "has this look: stripes wrap a zebra",
         "this look: stripes wrap a zebra"),
        ("with stripes", "has stripes", "stripes"),
        ("zebra, black", "typically is black", "typically is black"),
        ("zebra, which has a mane", "has a mane", "has a mane"),
    ],
)  # fmt: skip
def test_a_description_behind_which(sentence: str, expected: str, in_file: str) -> None:
    text = relative([sentence], ZEBRA)
    assert text == f"zebra, which {expected}"
    assert descriptor(text, "zebra") == in_file
    assert f"zebra, {which(in_file)}" == text


def test_several_descriptions_behind_which() -> None:
    texts = ["A zebra is black.", "Zebras have manes.", "Stripes wrap a zebra."]
    whole = "zebra, which typically is black; with manes; stripes wrap a zebra"
    assert relative(texts, ZEBRA) == whole
    assert relative([whole], ZEBRA) == whole
