"""Word lists: what is made of a vocabulary's names and of a user's file, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lsmseg_prompts.errors import ConfigurationError, RefusedError, UsageError
from lsmseg_prompts.prompts.word_lists import read_words, word_lists
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary, load_vocabulary

FOUR = Vocabulary(
    "four",
    "Four",
    tuple(
        ClassEntry(i, name, readable, synonyms=synonyms)
        for i, (name, readable, synonyms) in enumerate(
            [("wall-brick", "brick wall", ()), ("couch", "couch", ("sofa", "settee")),
             ("sky", "sky", ()), ("tree", "tree", ("trees",))]
        )
    ),
)  # fmt: skip


def write(name: str, content: object) -> str:
    text = content if isinstance(content, str) else json.dumps(content)
    Path(name).write_text(text, encoding="utf-8")
    return name


def test_lists_of_a_vocabulary() -> None:
    lists = word_lists(FOUR)
    assert list(lists) == ["name", "words:benchmark", "words:synonyms"]
    assert lists["name"].texts[:2] == (("a photo of a brick wall",), ("a photo of a couch",))
    assert lists["words:benchmark"].texts[0] == ("a photo of a wall-brick",)
    assert lists["words:synonyms"].texts[1] == (
        "a photo of a couch", "a photo of a sofa", "a photo of a settee",
    )  # fmt: skip
    assert {(one.composition, one.llm) for one in lists.values()} == {("ensemble", "none")}


def test_voc_21_has_one_word_for_background_too() -> None:
    voc = load_vocabulary("voc-21")
    background = tuple(range(20, 59))
    lists = word_lists(voc, background=background)
    assert lists["words:background"].texts[19:22] == (
        lists["name"].texts[19], ("a photo of a background",), ("a photo of a background",),
    )  # fmt: skip
    assert lists["words:benchmark"].texts[20:] == lists["name"].texts[20:]
    words = read_words(
        write("w.json", {"background": ["sky", "road"], "sofa": "couch"}), voc, background
    )
    assert words[17] == ("couch",) and [words[i] for i in (20, 21, 58)] == [
        ("sky",),
        ("road",),
        ("sky",),
    ]
    with pytest.raises(UsageError, match="40 words for background"):
        read_words(write("w.json", {"background": [f"a{i}" for i in range(40)]}), voc, background)
    with pytest.raises(UsageError, match="no class 'background'"):
        read_words(write("w.json", {"background": "sky"}), voc)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("w.json", {"settee": "long seat", "tree": ["oak", " big  tree ", "oak"]}),
        ("w.json", ["brick wall", "long seat", ["sky"], ["oak", "big tree"]]),
        ("w.txt", "brick wall\n\nlong seat\nsky\noak, big tree\n"),
    ],
)
def test_files_of_words(name: str, content: object) -> None:
    made = word_lists(FOUR, [write(name, content)])["words:w"]
    assert made.texts == (
        ("a photo of a brick wall",), ("a photo of a long seat",), ("a photo of a sky",),
        ("a photo of a oak", "a photo of a big tree"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("w.json", "{", "not valid JSON"),
        ("w.json", '"sofa"', "is not a word list"),
        ("w.json", {"zebra": "horse"}, "no class 'zebra'"),
        ("w.json", {"sofa": "a", "couch": "b"}, "names the class 'couch' twice"),
        ("w.json", {"sofa": []}, "where a name or a list of names belongs"),
        ("w.json", {"sofa": {"a": 1}}, "where a name or a list of names belongs"),
        ("w.json", {"sofa": "a\u202eb"}, "invisible signs"),
        ("w.json", {"sofa": " - "}, "without a letter"),
        ("w.json", ["a", "b"], "names 2 classes and four has 4"),
        ("w.txt", "a\nb\n", "names 2 classes"),
        ("synonyms.json", {"sofa": "x"}, "Two word lists are called synonyms"),
    ],
)
def test_what_is_refused(name: str, content: object, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        word_lists(FOUR, [write(name, content)])


def test_other_things_that_are_refused() -> None:
    Path("w.txt").write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(UsageError, match="UTF-8"):
        word_lists(FOUR, ["w.txt"])
    with pytest.raises(ConfigurationError):
        word_lists(FOUR, ["none.json"])
    with pytest.raises(RefusedError, match="would be cut"):
        word_lists(FOUR, [write("w.json", {"sofa": "very " * 90})])
    plain = Vocabulary("v", "v", (ClassEntry(0, "sky", "sky"),))
    with pytest.raises(UsageError, match="nothing to vary"):
        word_lists(plain)
