"""Which described class a user's own class means, and what `vocab new` makes of a list."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from ablations.commands import meanings as asked
from lsmseg_prompts import load_vocabulary, vocab_new
from lsmseg_prompts.descriptions.loading import load
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import csv_text
from lsmseg_prompts.llm.bundled import Bundled
from lsmseg_prompts.prompts.class_texts import texts_for_classes
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary
from lsmseg_prompts.vocabularies.meanings import (
    choices,
    nearest_meanings,
    other_senses,
    reference,
    referred,
    unsure,
)


def entry(name: str, **more) -> ClassEntry:
    return ClassEntry(0, name, name, **more)


@pytest.mark.parametrize(
    ("name", "means", "how"),
    [
        # a name of a later vocabulary before a synonym of an earlier one (coco-stuff's water, ...)
        ("pond", "ade20k-847/pond", "name"),
        ("pool", "ade20k-847/pool", "name"),
        ("sidewalk", "ade20k-847/sidewalk", "name"),
        ("settee", None, None),
        ("Traffic-Light", "coco-stuff/traffic light", "name"),
        ("trafficlight", "coco-stuff/traffic light", "name"),
        ("wristwatch", "ade20k-847/watch", "synonym"),
        ("sneakers", "ade20k-847/sneaker", "number"),
        ("weed", "ade20k-847/weeds", "number"),
        ("chickens", "pc-459/chicken", "number"),
        ("wheat field", "ade20k-847/field", "head word"),
        ("old brick wall", "coco-stuff/brick wall", "head word"),
        ("flock of sheep", None, None),
        ("scarecrow", None, None),
    ],
)
def test_a_name_means_a_described_class(name, means, how):
    found = choices(entry(name))
    assert (found[0].reference, found[0].how) == (means, how) if means else found == []


def test_a_name_of_ade20k_leads_to_a_class_of_that_name():
    """26 names of ade20k-847 gave the text of another vocabulary's synonym."""
    for one in load_vocabulary("ade20k-847"):
        found = choices(entry(one.readable))[0]
        said = {name.replace(" ", "") for name in (found.entry.readable, found.entry.name)}
        assert found.how == "name" and one.readable.replace(" ", "") in said, one


def test_a_sense_that_contradicts_is_another_meaning():
    assert choices(entry("crane", sense="the lifting machine that nobody has")) == []
    senses = {one.entry.sense for one in choices(entry("crane"))}
    for sense in senses:
        assert choices(entry("crane", sense=sense))[0].entry.sense == sense


def test_a_sense_in_other_signs_is_the_same():
    for sense in ("A computer mouse.", "computer-mouse", "the Computer  mouse"):
        assert choices(entry("mouse", sense=sense))[0].reference == "coco-stuff/mouse"
        assert other_senses(entry("mouse", sense=sense)) == []


def test_another_sense_is_shown_to_copy(call, monkeypatch):
    """A sense in words of one's own, as far as anybody can tell, is another sense."""
    mouse = entry("mouse", sense="a pointing device")
    [other] = other_senses(mouse)
    assert (other.reference, other.how) == ("coco-stuff/mouse", "other sense")
    says = r"are of a computer mouse \(coco-stuff/mouse\), not of a pointing device: where that"
    with pytest.raises(UsageError, match=says):
        Bundled().answer("mine", mouse, "color")
    pole = entry("pole", sense="a person from Poland")
    with pytest.raises(UsageError, match=r" or of .*: where that is meant, say \"bundled\": \""):
        Bundled().answer("mine", pole, "color")
    Path("a.json").write_text(json.dumps([{"name": "mouse", "sense": "a pointing device"}]))
    made = call("vocab", "new", "a.json", "-o", "mine.json", "--yes", "--json")
    assert json.loads(made.out)["classes"][0]["others"] == ["coco-stuff/mouse"]
    assert "in another sense than yours: mouse as a computer mouse (coco-stuff/mouse)" in made.err
    monkeypatch.setattr(asked.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(asked.typer, "prompt", lambda _, usual, **__: usual + 1)
    made = call("vocab", "new", "a.json", "-o", "mine.json", "--force")
    assert "'mouse' as a pointing device is not described; of that name are" in made.err
    [mouse] = load_vocabulary("mine.json")
    assert (mouse.bundled, mouse.sense) == ("coco-stuff/mouse", "a pointing device")
    assert "mouse" in Bundled().answer("mine", mouse, "color").lower()


def test_what_a_class_says_of_itself_comes_first():
    barn = entry("barn", bundled="coco-stuff/house", sense="the farm building")
    assert choices(barn)[0].entry.readable == "house"
    text = Bundled().answer("farm", barn, "color")
    assert "barn" in text.lower() and "house" not in text.lower()
    with pytest.raises(UsageError, match="described are coco-stuff"):
        referred("zebra")
    with pytest.raises(UsageError, match="has no class 'zebr'"):
        referred("coco-stuff/zebr")


def test_references_lead_back():
    for home in ("coco-stuff", "ade20k-847", "pc-459"):
        for one in load_vocabulary(home):
            assert referred(reference(home, one)).entry == one


def test_classes_named_freely_are_found_in_the_same_order():
    chosen = texts_for_classes(["pond", "sneakers", "scarecrow"])
    assert chosen.described == [True, True, False]
    pond = load_vocabulary("ade20k-847").find("pond")
    assert choices(entry("pond"))[0].entry == pond
    farm = tuple(
        replace(one, index=i)
        for i, one in enumerate((
            entry("bat", sense="a flying mammal"), entry("barn", bundled="coco-stuff/house"),
            entry("pond", bundled=""), entry("weed"),
        ))
    )  # fmt: skip
    assert texts_for_classes(["bat"]).described == [True]
    assert texts_for_classes(Vocabulary("farm", "Farm", farm)).described == [
        False, True, False, True
    ]  # fmt: skip


def test_a_new_vocabulary_and_its_table():
    farm = Vocabulary("farm", "Farm", tuple(
        replace(entry(name), index=i) for i, name in enumerate(["weed", "scarecrow", "apple tree"])
    ))  # fmt: skip
    made = vocab_new(farm)
    written = json.loads(made.as_json())["classes"]
    assert [one.get("bundled") for one in written] == [
        "ade20k-847/weeds", None, "coco-stuff/tree"
    ]  # fmt: skip
    assert written[0]["sense"] == "wild unwanted plants" and written[2]["sense"] is None
    rows = list(csv.DictReader(made.as_csv().splitlines()))
    assert made.missing == 10 and [row["text"] for row in rows[:10]] == [""] * 10
    assert {row["class"] for row in rows[:10]} == {"scarecrow"} and len(rows) == 30
    assert all("eed" in row["text"] for row in rows if row["class"] == "weed")
    assert [one.entry.readable for one in nearest_meanings(entry("hay bale"))] == ["hay"]


def test_what_ships_is_not_made_anew():
    with pytest.raises(UsageError, match="ships inside"):
        vocab_new("camvid")


def test_the_command(call, monkeypatch):
    Path("farm.txt").write_text("pole\nhay bale\ngoats\nweed\n")
    assert call("vocab", "new", "farm.txt", "-o", "mine.txt", "--yes").code == 2
    away = call("vocab", "new", "farm.txt", "-o", "mine.json")
    assert away.code == 2 and "add --yes" in away.err and not Path("mine.json").exists()
    made = call("vocab", "new", "farm.txt", "-o", "mine.json", "--yes")
    assert made.code == 0 and "2 of 4 classes of farm.txt are described." in made.out
    assert "pole as pole (a tall upright post of metal or wood)" in made.err
    assert "store import mine.csv --vocab mine.json" in made.err
    assert call("vocab", "new", "farm.txt", "-o", "mine.json", "--yes").code == 4
    numbers = iter([2, 9, 1])
    monkeypatch.setattr(asked.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(asked.typer, "prompt", lambda *_, **__: next(numbers))
    again = call("vocab", "new", "farm.txt", "-o", "mine.json", "--force", "--json")
    record = json.loads(again.out)
    assert [one["meaning"] for one in record["classes"]] == [
        "camvid/pole", "ade20k-847/hay", None, "ade20k-847/weeds"
    ]  # fmt: skip
    assert (record["described"], record["missing"]) == (3, 10)
    assert "Type a number from 0 to 1." in again.err
    assert load_vocabulary("mine.json")[1].bundled == "ade20k-847/hay"


def test_a_word_of_several_senses_is_asked_about_and_may_be_none(call, monkeypatch):
    Path("zoo.txt").write_text("bat\nzebra\ncrane\n")
    unasked = call("vocab", "new", "zoo.txt", "-o", "yes.json", "--yes")
    assert "these were taken: bat as bat (a club for hitting balls), crane as" in unasked.err
    asked_of = []
    made = vocab_new("zoo.txt", lambda one, offered: asked_of.append(one.name))
    assert asked_of == ["bat", "crane"] and len(made.taken) == 1 and made.unsure == frozenset()
    Path("mine.json").write_text(made.as_json())
    bat, zebra, _ = load_vocabulary("mine.json")
    assert (bat.bundled, zebra.bundled) == ("", "coco-stuff/zebra") and choices(bat) == []
    with pytest.raises(UsageError, match="The class list gives 'bat' no bundled"):
        Bundled().answer("zoo", bat, "color")
    again = vocab_new("mine.json", lambda one, offered: None)
    assert again.as_json() == made.as_json()
    sensed = entry("bat", sense="a club for hitting balls")
    assert not unsure(sensed, choices(sensed))


def test_a_filled_table_is_a_source_of_all_classes(call):
    Path("farm.txt").write_text("weed\nscarecrow\n")
    assert call("vocab", "new", "farm.txt", "-o", "mine.json", "--yes").code == 0
    rows = list(csv.DictReader(Path("mine.csv").read_text().splitlines()))
    for row in rows:
        row["text"] = row["text"] or "A scarecrow wears a straw hat and an old coat."
    Path("mine.csv").write_text(csv_text(rows))
    assert call("store", "import", "mine.csv", "--vocab", "mine.json", "--llm", "mine").code == 0
    texts = load("mine.json", "mine", ["color", "shape"])
    assert len(texts) == 4 and "yellow" in texts[0, "color"].lower()
    chosen = texts_for_classes(load_vocabulary("mine.json"), ["color"], "mine")
    assert chosen.texts[1] == ["A scarecrow wears a straw hat and an old coat."]
    assert call("vocab", "new", "mine.json", "-o", "again.json", "--yes").code == 0
    assert json.loads(Path("again.json").read_text()) == json.loads(Path("mine.json").read_text())


def test_failures_are_told_by_class(call):
    Path("farm.txt").write_text("weed\nscarecrow\napple tree\n")
    done = call("generate", "--vocab", "farm.txt", "--attributes", "color,shape")
    assert done.code == 3 and done.err.count("scarecrow") == 2
    assert "failed: scarecrow, color, shape: There are no bundled" in done.err
    assert "vocab new" in done.err and "--retry-errors" not in done.err
    assert "apple tree as tree" in done.err
