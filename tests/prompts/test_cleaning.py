"""Cleaning replies: what comes off, what stays, and that it is the same every time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsmseg_prompts.descriptions.cleaning import clean

CAT = "A cat is often black, white, or orange."


@pytest.mark.parametrize(
    "raw",
    [
        CAT,
        f"  {CAT}\n",
        f'"{CAT}"',
        f"“{CAT}”",
        f"Sure! {CAT}",
        f"Certainly! Here's a description of a cat:\n\n{CAT}",
        f"Sure, here is one:\n{CAT}",
        f"**Color:** {CAT}",
        f"Description: {CAT}",
        f"- {CAT}",
        f"1. {CAT}\n2. A cat is small.",
        f"```text\n{CAT}\n```",
        f"# {CAT}",
        "A cat is often **black**, _white_, or orange.".replace("_", "*"),
        "A cat is often black,\u00a0white,\u200b or orange.",
        "A cat is often black, white, or orange!",
        "A cat is often black, white, or orange",
        "A cat is often black,\nwhite, or orange. It purrs.",
        f"{CAT} 😀",
        f"Answer: '{CAT}'",
        "a cat is often black, white, or orange.",
    ],
)
def test_one_plain_sentence_is_left(raw):
    assert clean(raw).text == CAT


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("A cat, e.g. a tabby, is 1.5 m long. It runs.", "A cat, e.g. a tabby, is 1.5 m long."),
        ("A St. Bernard is a big dog. It drools.", "A St. Bernard is a big dog."),
        ("A cat’s fur — soft — is gray.", "A cat's fur, soft, is gray."),
        ("A mug is 8–10 cm tall.", "A mug is 8-10 cm tall."),
        ("A stop sign reads &quot;STOP&quot;.", 'A stop sign reads "STOP".'),
        ('The word "STOP" is on a stop sign.', 'The word "STOP" is on a stop sign.'),
        ("Great Danes are big dogs.", "Great Danes are big dogs."),
        ("Sure-footed goats climb.", "Sure-footed goats climb."),
        ("", ""),
        ("!!!", ""),
    ],
)
def test_what_stays_and_what_goes(raw, text):
    assert clean(raw).text == text


def test_notes_say_what_was_done():
    assert clean(CAT).notes == ()
    assert clean(f"Sure! **{CAT}** It purrs.").notes == ("markdown", "greeting", "more sentences")


@given(st.text(max_size=300))
def test_never_raises_and_always_gives_the_same(raw):
    once = clean(raw)
    assert once == clean(raw)
    assert "\n" not in once.text and "  " not in once.text
    assert once.text == once.text.strip()
    assert not once.text or once.text.endswith(".")
