"""Vocabularies: what ships, what a user's file may be, and what is refused in which words."""

import json
import os

import pytest

from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.vocabularies import available_vocabularies, load_vocabulary
from lsmseg_prompts.wording import article, is_named, is_plural, name_forms, normalise, plural


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(("name", "count"), [("coco-stuff", 171), ("camvid", 11)])
def test_shipped_vocabularies_are_complete(name, count):
    vocabulary = load_vocabulary(name)
    assert len(vocabulary) == count
    assert [entry.index for entry in vocabulary] == list(range(count))
    assert len({entry.name for entry in vocabulary}) == count


@pytest.mark.parametrize("name", available_vocabularies())
def test_no_two_classes_share_a_name_or_a_form_of_one(name):
    owner: dict[str, str] = {}
    for entry in load_vocabulary(name):
        for form in name_forms(entry.names):
            assert owner.setdefault(form, entry.name) == entry.name, form


@pytest.mark.parametrize("name", available_vocabularies())
def test_readable_names_are_words_for_prompts(name):
    for entry in load_vocabulary(name):
        assert not any(part in entry.readable for part in ("-other", "-stuff", "_", "  "))
        assert entry.readable == entry.readable.lower().strip()


@pytest.mark.parametrize("word", ["tie", "mouse", "kite", "orange", "bear", "remote", "sink"])
def test_ambiguous_words_have_a_sense(word):
    assert load_vocabulary("coco-stuff").find(word).sense


def test_readable_name_differs_from_the_benchmark_name():
    assert load_vocabulary("coco-stuff").find("wall-brick").readable == "brick wall"


def test_find_by_benchmark_name_readable_name_and_synonym():
    vocabulary = load_vocabulary("coco-stuff")
    assert vocabulary.find("tv") == vocabulary.find("Television") == vocabulary[62]
    assert vocabulary.find("sofa").name == "couch"
    # The benchmark's own names come first: "table" is class 153, not the dining table.
    assert vocabulary.find("table").index == 153


def test_find_suggests_the_nearest_names():
    with pytest.raises(UsageError, match=r"no class 'zebr' \(did you mean zebra"):
        load_vocabulary("coco-stuff").find("zebr")


def test_unknown_vocabulary_suggests_the_nearest_and_names_all():
    with pytest.raises(UsageError, match=r"did you mean coco-stuff.*coco-stuff and camvid"):
        load_vocabulary("coco-stuf")


def test_text_file(tmp_path):
    path = write(tmp_path, "farm.txt", "\ufeff# animals\ncow\n\n  red   barn \r\nhay_bale\n")
    vocabulary = load_vocabulary(path)
    assert vocabulary.name == "farm"
    assert [e.name for e in vocabulary] == ["cow", "red barn", "hay_bale"]
    assert vocabulary[2].readable == "hay bale"


@pytest.mark.parametrize(
    "content",
    [
        ["cow", "bat"],
        [{"name": "cow"}, {"name": "bat", "sense": "the animal", "synonyms": ["flying fox"]}],
        {"name": "farm", "title": "Farm", "classes": ["cow", {"index": 1, "name": "bat"}]},
    ],
)
def test_json_file(tmp_path, content):
    vocabulary = load_vocabulary(write(tmp_path, "farm.json", json.dumps(content)))
    assert [e.name for e in vocabulary] == ["cow", "bat"]
    assert vocabulary.name == "farm"


def test_our_own_files_are_of_the_format_users_may_write(tmp_path):
    own = load_vocabulary("camvid")
    classes = [
        {"name": e.name, "readable": e.readable, "sense": e.sense, "synonyms": list(e.synonyms)}
        for e in own
    ]
    raw = {"name": "camvid", "title": own.title, "classes": classes}
    assert load_vocabulary(write(tmp_path, "x.json", json.dumps(raw))) == own


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", "names no class"),
        ("a.txt", "# only a comment\n\n", "names no class"),
        ("a.txt", "cat\ndog\n  CAT\n", "'CAT' twice"),
        ("a.txt", b"\x89PNG\r\n\x1a\n\x00\x00", "not text in UTF-8"),
        ("a.txt", "cat\n".encode("utf-16"), "not text in UTF-8"),
        ("a.txt", "cat\n---\n", "not a word"),
        ("a.txt", "cat\x07\n", "control characters"),
        ("a.json", "", "is empty"),
        ("a.json", "[]", "names no class"),
        ("a.json", "[1]", "neither a name nor an object"),
        ("a.json", '["cat"', "not valid JSON"),
        ("a.json", "{}", "no class list"),
        ("a.json", "[" * 100_000, "nested too deep"),
        ("a.json", '[{"name": "cat", "synonym": []}]', "unknown field 'synonym'"),
        ("a.json", '[{"name": "cat", "synonyms": "kitty"}]', "not a list"),
        ("a.json", '[{"name": "cat", "index": 3}]', "says index 3"),
        ("a.json", '["cat", {"name": ""}]', "not a word"),
        ("a.csv", "cat", "neither .txt nor .json"),
        ("camvid.txt", "sky\nriver\n", "rename it"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(tmp_path, name, content, message):
    path = write(tmp_path, name, content)
    with pytest.raises(UsageError, match=message) as caught:
        load_vocabulary(path)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(UsageError, match="There is no file"):
        load_vocabulary(tmp_path / "none.txt")
    folder = tmp_path / "folder.txt"
    folder.mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        load_vocabulary(folder)
    if os.geteuid() != 0:
        path = write(tmp_path, "a.txt", "cat")
        path.chmod(0)
        with pytest.raises(UsageError, match="Cannot read"):
            load_vocabulary(path)


@pytest.mark.parametrize(
    ("name", "many", "lead"),
    [
        ("person", "people", "a"),
        ("airplane", "airplanes", "an"),
        ("knife", "knives", "a"),
        ("bus", "buses", "a"),
        ("scissors", "scissors", ""),
        ("pair of scissors", "pairs of scissors", "a"),
        ("hourglass", "hourglasses", "an"),
        ("uniform", "uniforms", "a"),
        ("umbrella", "umbrellas", "an"),
        ("sky", "skies", "the"),
        ("grass", "grasses", ""),
        ("berry", "berries", "a"),
    ],
)
def test_plurals_and_articles(name, many, lead):
    assert plural(name) == many
    assert article(name) == lead


def test_is_plural():
    assert is_plural("water drops")
    assert not any(is_plural(name) for name in ("grass", "bus", "tennis", "glass", "cat"))


def test_is_named_takes_whole_words_in_any_case_and_number():
    assert is_named("Wine  Glasses stand here.", ("wine glass",))
    assert is_named("A cat's fur.", ("cat",))
    assert not is_named("A caterpillar.", ("cat",))
    assert normalise("  A\tB ") == "a b"
