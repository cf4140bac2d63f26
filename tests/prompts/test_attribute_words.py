"""Which attributes a sentence names: by hand, by property, and over the bundled descriptions."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.attributes.words import named_attributes

WORDS = json.loads((files("lsmseg_prompts.attributes") / "attribute_words.json").read_text("utf-8"))
PLAIN = [(a, w) for a, words in WORDS.items() for w in words if "*" not in w]


@pytest.mark.parametrize(
    ("sentence", "attribute", "words"),
    [
        ("An ORANGE tabby cat with a cream-colored chest.", "color", ["orange", "cream-colored"]),
        ("A bowl of oranges.", "color", []),
        ("A tall steel bridge.", "material", ["steel"]),
        ("The boat has a dark wooden hull.", "material", ["wooden"]),
        ("A pair of glasses lies there.", "material", []),
        ("It is heart-shaped, with two rectangles.", "shape", ["heart-shaped", "rectangles"]),
        ("He wears shorts.", "size", []),
        ("Two large sails, 3 meters high.", "size", ["large", "meters"]),
        ("Its fur is smooth and\n glossy.", "texture", ["smooth", "glossy"]),
        ("Above it, at the edge  of the river.", "position", ["above", "at the", "edge of"]),
        ("It has subtle stripes, and striped ears.", "pattern", ["stripes", "striped"]),
        ("A carefree greenhouse redesign.", "color", []),
        ("Two airplanes are flying.", "action", ["flying"]),
        ("A ceiling in the building.", "action", []),
        ("A shoreline with buildings is visible outdoors.", "context",
         ["shoreline", "buildings", "outdoors"]),
    ],
)  # fmt: skip
def test_named_attributes(sentence, attribute, words):
    found = named_attributes(sentence).get(attribute, [])
    # Words that begin inside another ("3 meters high") may come along; these must be there.
    assert found[: len(words)] == words if words else found == []


def test_the_lists_are_the_nine_and_tidy():
    assert list(WORDS) == list(ATTRIBUTES)
    for words in WORDS.values():
        assert words == sorted(set(words)) and all(w == w.strip().lower() != "" for w in words)


@given(st.sampled_from(PLAIN), st.sampled_from([str.upper, str.title, str]))
@example(("context", "glasses"), str)
def test_every_listed_word_names_its_attribute(item, case):
    attribute, word = item
    found = named_attributes(f"Here: {case(word)}.")
    assert word in " ".join(found[attribute])
    assert attribute not in named_attributes(f"Here: x{word.replace(' ', 'x')}x.")


@given(st.text())
def test_any_text_is_read(text):
    found = named_attributes(text)
    assert list(found) == [a for a in ATTRIBUTES if a in found]
    low = " ".join(text.lower().split())
    for words in found.values():
        assert words and len(words) == len(set(words))
        assert all(word.casefold() in low.casefold() for word in words)


def test_bundled_descriptions_name_their_own_attribute():
    """Measured: 98 % (context) to 100 % of the bundled sentences name their own attribute."""
    rows = [
        json.loads(line)
        for name in ("coco-stuff", "camvid")
        for line in (files("lsmseg_prompts.descriptions.bundled") / f"{name}.jsonl")
        .read_text()
        .splitlines()
    ]
    named_in = {row["text"]: set(named_attributes(row["text"])) for row in rows}
    for attribute in ATTRIBUTES:
        own = [row["text"] for row in rows if row["attribute"] == attribute]
        named = sum(attribute in named_in[text] for text in own)
        assert len(own) == 182 and named / len(own) > 0.97
        # and the lists are no catch-all: most sentences about something else lack them
        other = [row["text"] for row in rows if row["attribute"] not in (attribute, "typical")]
        assert sum(attribute in named_in[text] for text in other) / len(other) < 0.4


def test_no_word_is_only_letters_apart_from_joints():
    for _, word in PLAIN:
        assert re.fullmatch(r"[a-z]+(?:[ '-][a-z]+)*", word), word
