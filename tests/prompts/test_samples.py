"""Several texts a cell, and cells that are not there: what prompt sets make of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lsmseg_prompts.attributes.samples import sample, sampled, with_samples
from lsmseg_prompts.curation.edits import edit, lock
from lsmseg_prompts.descriptions.lint import lint
from lsmseg_prompts.descriptions.loading import load, show
from lsmseg_prompts.errors import RefusedError, UsageError
from lsmseg_prompts.export import export
from lsmseg_prompts.prompts.from_store import prompt_set
from lsmseg_prompts.prompts.prompt_set import build_prompt_set
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.store import open_store, status
from lsmseg_prompts.tokens import count_tokens
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary

SHOP = Vocabulary(
    "shop", "Shop", tuple(ClassEntry(i, n, n) for i, n in enumerate(("cat", "dog", "cow")))
)
CELLS = {
    (0, "color"): "A cat is gray.",
    (0, "color#2"): "A cat is often black.",
    (0, "color#10"): "A cat is white.",
    (0, "shape"): "A cat has a tail.",
    (1, "color"): "A dog is brown.",
}
PLAIN = ("a photo of a cow",)


def built(*attributes: str, **how: str):
    return build_prompt_set(CELLS, SHOP, attributes, **{"missing": "name", **how})


def test_samples_have_numbers() -> None:
    assert (sample("color", 1), sample("color", 2)) == ("color", "color#2")
    assert [sampled(name) for name in ("color", "color#2", "color#0", "#2")] == [
        ("color", 1), ("color", 2), ("color#0", 1), ("#2", 1),
    ]  # fmt: skip
    there = ["color#10", "color", "color#2", "shape#2"]
    assert with_samples(["color"], there) == ("color", "color#2", "color#10")


def test_samples_are_averaged_and_of_several_attributes_joined_the_first() -> None:
    assert built("color").texts[0] == ("A cat is gray.", "A cat is often black.", "A cat is white.")
    assert built("color").composition == "ensemble" and built("shape").composition == "concat"
    assert len(built("color", "shape", composition="ensemble").texts[0]) == 4
    (joined,) = built("color", "shape").texts[0]
    assert "gray" in joined and "tail" in joined and "black" not in joined


def test_what_is_missing_has_its_name_or_no_text() -> None:
    named = built("color", "shape")
    assert named.texts[1:] == (("A dog is brown.",), PLAIN) and named.undescribed == (2,)
    assert built("shape", missing="skip").texts[1:] == ((), ())
    with pytest.raises(UsageError, match="'dog' and 1 more class"):
        built("shape", missing="fail")
    with pytest.raises(UsageError, match="--missing is one of fail, name, skip"):
        built("shape", missing="no")


def test_controls_are_of_the_described_classes_alone() -> None:
    shuffled = built("color", control="shuffled")
    assert "brown" in shuffled.texts[0][0] and "cat" in shuffled.texts[0][0]
    assert len(shuffled.texts[1]) == 3 and shuffled.texts[2] == PLAIN
    assert built("color", control="random").texts[2] == PLAIN


def file_them() -> None:
    with open_store("s.sqlite") as store, store.transaction():
        store.add_vocabulary(SHOP)
        for (index, attribute), text in CELLS.items():
            cell = ("shop", index, attribute, "me")
            store.put_description(Description(*cell, text, count_tokens(text), source="import"))


def test_samples_in_the_store_are_cells_like_others() -> None:
    file_them()
    assert "color#2" not in {a for _, a in load(SHOP, "me", ["color"], "s.sqlite", False)}
    assert load(SHOP, "me", None, "s.sqlite", False, samples=True) == CELLS
    second = load(SHOP, "me#2", ["color", "shape"], "s.sqlite", False)
    assert second == {(0, "color"): "A cat is often black."}
    shown = [row["attribute"] for row in show(SHOP, "cat", "me", store="s.sqlite")]
    assert shown == ["color", "color#2", "color#10", "shape"]
    edit(SHOP, "cat", "color#2", "A cat is orange.", "me", "s.sqlite")
    assert len(lock(SHOP, "cat", None, "me", "s.sqlite")) == 3  # the edited one was
    row = next(row for row in status("s.sqlite") if row["store"] != "shipped")
    assert (row["attributes"], row["done"], row["samples"]) == (2, 3, 2)
    for wrong in ("color#1", "color#x", "color#"):
        with pytest.raises(UsageError, match="is not a sample"):
            edit(SHOP, "cat", wrong, "A cat is orange.", "me", "s.sqlite")
    found = lint({(0, "color#2"): "A cat is made of wood."}, SHOP)
    assert [one.rule for one in found] == ["leak"]


def test_formats_that_can_hold_fewer_classes_do() -> None:
    file_them()
    every = prompt_set(SHOP, ["color"], "ensemble", "me", "s.sqlite", "skip", samples=True)
    export(every, SHOP, "c.json", "cupl")
    assert json.loads(Path("c.json").read_text()) == {
        "cat": ["A cat is gray.", "A cat is often black.", "A cat is white."],
        "dog": ["A dog is brown."],
    }
    for format in ("native", "cat-seg", "fc-clip"):
        with pytest.raises(RefusedError, match="1 of 3 classes have no text"):
            export(every, SHOP, "no", format)
