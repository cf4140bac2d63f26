"""Pair cells, (class, `contrast:other`): the store, the people at work on it, and loading."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsmseg_prompts import Description, load_vocabulary, open_store, store_status
from lsmseg_prompts.attributes.contrast import contrast_with, other_class, other_of
from lsmseg_prompts.curation.edits import edit, lock, unlock
from lsmseg_prompts.curation.history import edits
from lsmseg_prompts.descriptions.loading import (
    DESCRIBED,
    attributes_of,
    check_attributes,
    load,
    load_pairs,
    show,
)
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary

COCO = load_vocabulary("coco-stuff")
ZEBRA, HORSE = COCO.find("zebra"), COCO.find("horse")
STRIPES = "A zebra is covered in black and white stripes."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store in which `me` tells zebra from horse, and one attempt at horse has failed."""
    path = tmp_path / "store.sqlite"
    with open_store(path) as store:
        store.add_vocabulary(COCO)
        cell = ("coco-stuff", ZEBRA.index, "contrast:horse", "me")
        store.put_description(Description(*cell, STRIPES, 11))
        cell = ("coco-stuff", HORSE.index, "contrast:zebra", "me")
        store.put_description(Description(*cell, None, None, status="failed", reason="no"))
    return path


def test_a_pair_is_an_attribute_that_names_the_other_class() -> None:
    assert contrast_with("wall-brick") == "contrast:wall-brick"
    assert other_of("contrast:wall-brick") == "wall-brick"
    assert other_of("color") is None and other_class("color", ZEBRA, COCO) is None
    assert other_class("contrast:brick wall", ZEBRA, COCO) == COCO.find("wall-brick")
    with pytest.raises(UsageError, match="tell 'zebra' from itself: name another class"):
        other_class("contrast:zebra", ZEBRA, COCO)
    with pytest.raises(UsageError, match=r"has no class 'hors' .*horse"):
        other_class("contrast:hors", ZEBRA, COCO)


def test_it_is_an_attribute_of_one_class_only() -> None:
    assert attributes_of(ZEBRA, COCO, ["Colour", "contrast:brick wall"]) == (
        "color",
        "contrast:wall-brick",
    )
    every = attributes_of(ZEBRA, COCO)
    assert every[: len(DESCRIBED)] == DESCRIBED and len(every) == len(DESCRIBED) + len(COCO) - 1
    assert "contrast:zebra" not in every
    with pytest.raises(UsageError, match="one class from another: name an attribute that all"):
        check_attributes(["contrast:horse"])
    with pytest.raises(UsageError, match="named twice"):
        attributes_of(ZEBRA, COCO, ["contrast:wall-brick", "contrast:brick wall"])


def test_the_view_has_the_pairs_alone(path: Path) -> None:
    with open_store(path) as store:
        store.put_description(Description("coco-stuff", 0, "color", "me", "A person is pink.", 7))
        rows = store.rows("SELECT class, other, llm, text, status, source FROM pairs")
        kinds = store.rows("SELECT name, kind, meaning FROM attributes WHERE kind = 'pseudo'")
    same = {"llm": "me", "source": "llm"}
    assert rows == [
        {"class": "horse", "other": "zebra", "text": None, "status": "failed", **same},
        {"class": "zebra", "other": "horse", "text": STRIPES, "status": "done", **same},
    ]
    assert {(row["name"], row["meaning"]) for row in kinds} == {
        ("contrast:horse", "what tells a class from horse"),
        ("contrast:zebra", "what tells a class from zebra"),
    }


def test_status_counts_them_apart(path: Path) -> None:
    (row,) = (row for row in store_status(path) if row["store"] == str(path))
    counted = {key: row[key] for key in ("attributes", "done", "pairs", "failed")}
    assert counted == {"attributes": 0, "done": 0, "pairs": 1, "failed": 1}


def test_they_are_loaded_by_themselves(path: Path) -> None:
    assert load_pairs(COCO, "me", path) == {(ZEBRA.index, "contrast:horse"): STRIPES}
    assert load(COCO, "me", None, path, require=False) == {}
    with pytest.raises(ConfigurationError, match="1710 of 1710 descriptions by me are missing"):
        load(COCO, "me", None, path)


def test_they_are_shown_edited_and_locked_like_any_cell(path: Path) -> None:
    with pytest.raises(UsageError, match="from itself"):
        edit(COCO, "zebra", "contrast:zebra", STRIPES, "me", path)
    new = "A zebra wears black and white stripes from head to tail."
    cell = edit(COCO, "zebra", "contrast:horse", new, "me", path)
    assert (cell["attribute"], cell["source"], cell["locked"]) == ("contrast:horse", "human", 1)
    assert [row["old_text"] for row in edits(COCO, "zebra", path)] == [STRIPES]
    assert [row["attribute"] for row in unlock(COCO, "zebra", None, "me", path)] == [
        "contrast:horse"
    ]
    assert len(lock(COCO, "zebra", None, "me", path)) == 1
    (shown,) = show(COCO, "zebra", "me", None, path)
    assert (shown["text"], shown["locked"]) == (new, 1)
    (failed,) = show(COCO, "horse", "me", ["contrast:zebra"], path)
    assert failed["reason"] == "no"


def test_another_name_of_either_class_makes_it_stale(path: Path) -> None:
    entries = tuple(ClassEntry(i, name, name) for i, name in enumerate(("cat", "dog", "fox")))
    pets = Vocabulary("pets", "Pets", entries)
    cells = [(0, "contrast:dog"), (1, "contrast:cat"), (2, "contrast:cat")]
    with open_store(path) as store:
        store.add_vocabulary(pets)
        for index, attribute in cells:
            store.put_description(Description("pets", index, attribute, "me", STRIPES, 11))
        hound = (entries[0], ClassEntry(1, "dog", "hound"), entries[2])
        renamed = Vocabulary("pets", "Pets", hound)
        missing = set(store.missing(renamed, "me", ["contrast:dog", "contrast:cat"]))
        assert missing & set(cells) == {(0, "contrast:dog"), (1, "contrast:cat")}
        store.add_vocabulary(renamed)
        stale = store.rows("SELECT class_index FROM descriptions WHERE stale ORDER BY 1")
        assert [row["class_index"] for row in stale] == [0, 1]
