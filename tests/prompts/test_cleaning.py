"""Cleaning replies: what comes off, what stays, and that it is the same every time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsmseg_prompts.descriptions.bundled import read_bundled
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


@pytest.mark.parametrize(
    "raw",
    [
        f"# Cat\n\n{CAT}",
        f"**Cat**\n{CAT}",
        f"Cat:\n\n{CAT}",
        f"### The color of a cat\n{CAT}\nIt purrs.",
        f"**Coat of a cat:** {CAT}",
        f"Description of a cat: {CAT}",
        f"The sentence is: {CAT}",
        f"Of course! Here you go: {CAT}",
        f"<answer>{CAT}</answer>",
        f"_{CAT}_",
        f"```{CAT}```",
        f"{CAT}”",
        f"“{CAT}”\n\nLet me know if you need more!",
    ],
)
def test_titles_labels_and_tags_go(raw):
    assert clean(raw).text == CAT


def test_a_broken_line_is_no_title():
    assert clean("A cat is black\nand white.").text == "A cat is black and white."
    assert (
        clean("A tabby cat from the\nsouth is gray.").text == "A tabby cat from the south is gray."
    )
    assert clean("A cat is black\n\nIt purrs.").text == "A cat is black."


FRAMES = [
    "**{}**", "*{}*", "_{}_", "__{}__", '"{}"', "“{}”", "«{}»", "'{}'", "`{}`", "```\n{}\n```",
    "```text\n{}\n```", "- {}", "*   {}", "1. {}", "2) {}", "# {}", "> {}", "Sure! {}", "Okay. {}",
    "Certainly: {}", "Here is a description: {}", "Here's one sentence:\n\n{}", "Color: {}",
    "Description:\n{}", "The description is: {}", "Answer: {}", "**Color:** {}", "### Color\n{}",
    "Zebra\n\n{}", "{}\n", "\n\n{}", "{}\n\nLet me know if you need more!", "{} It is nice, too.",
    "{} 🦓", "<p>{}</p>", "<answer>\n{}\n</answer>",
]  # fmt: skip


@given(st.sampled_from(sorted(read_bundled("coco-stuff").values())), st.lists(
    st.sampled_from(FRAMES), max_size=3))  # fmt: skip
def test_a_good_sentence_comes_out_of_any_frame(sentence, frames):
    raw = sentence
    for frame in frames:
        raw = frame.format(raw)
    assert clean(raw).text == sentence


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
