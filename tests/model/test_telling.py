"""Captions as data, the rules' captioner and its grammar, captions from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsmseg_model.data.benchmark import MiniStuff
from lsmseg_model.data.captioners import FileCaptions, RulesCaptions, open_captions
from lsmseg_model.data.descriptions import Described, Description, from_json, same_name
from lsmseg_model.data.ministuff.drawing import COLOURS
from lsmseg_model.data.ministuff.scenes import IGNORE, SEEN, draw_training
from lsmseg_model.data.ministuff.telling import (
    RELATIONS,
    SIZES,
    CaptionErrors,
    look,
    parse,
    tell,
    written,
)
from lsmseg_model.errors import ConfigError, DataError, UsageError

CAR_ON_ROAD = Description((Described("car", ("red",)), Described("road")), ((0, "on", 1),))
NAMES = {3: "car", 5: "road", 7: "sky", 9: "kite", 11: "banana"}


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A red car on a gray road below a blue sky with a small kite in it, of 100 x 100 pixels."""
    labels = np.full((100, 100), 7)
    labels[50:] = 5
    labels[40:60, 20:50] = 3  # 600 pixels: 6 %
    labels[30:34, 45:50] = 9  # 20 pixels: 0.2 %
    labels[0, 0] = 11  # too little of it
    image = np.zeros((100, 100, 3), np.uint8)
    for label, rgb in {
        7: (48, 96, 204),
        5: (130, 130, 130),
        3: (214, 36, 35),
        9: (247, 218, 54),
    }.items():
        image[labels == label] = rgb
    return image, labels


# -- descriptions ------------------------------------------------------------------------


def test_a_json_value_becomes_a_description() -> None:
    value = {
        "objects": [{"name": " Red \x1b Car ", "attributes": ["Shiny"]}, {"name": "road"}],
        "relations": [["Red Car", "On", 1]],
    }  # fmt: skip
    with pytest.raises(DataError, match="'Red Car', which is not among"):
        from_json(value | {"objects": [{"name": "car"}]})
    told = from_json(value)
    assert told.objects == (Described("red car", ("shiny",)), Described("road"))
    assert told.relations == ((0, "on", 1),)


def test_names_that_are_one_are_merged_with_their_attributes_and_relations() -> None:
    objects = [Described("Car", ("red",)), Described("road"), Described("cars", ("red", "small"))]
    merged = Description.merged(objects, [(2, "on", 1), (0, "on", 1), (0, "beside", 2)])
    assert merged.objects == (Described("car", ("red", "small")), Described("road"))
    assert merged.relations == ((0, "on", 1),)


def test_plurals_are_the_same_name() -> None:
    for one, other in [("bus", "buses"), ("Berry", "berries"), ("horse", "horses"),
                       ("glass", "glasses"), ("traffic light", "traffic lights")]:  # fmt: skip
        assert same_name(one, other) and same_name(other, one)
    assert not same_name("grass", "gras s") and not same_name("car", "cart")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([], "not a JSON object"),
        ({}, "its objects are not a list"),
        ({"objects": [], "more": 1}, "has a field 'more'"),
        ({"objects": ["car"]}, "'car' is not a name with attributes"),
        ({"objects": [{"name": "car", "color": "red"}]}, "is not a name with attributes"),
        ({"objects": [{"name": 3}]}, "3 is not a word"),
        ({"objects": [{"name": "\x00"}]}, "is empty or has more"),
        ({"objects": [{"name": "a" * 61}]}, "more than 60 characters"),
        ({"objects": [{"name": "car"}] * 65}, "65 objects"),
        ({"objects": [{"name": "car", "attributes": ["a"] * 17}]}, "17 attributes"),
        ({"objects": [{"name": "car", "attributes": "red"}]}, "are not a list"),
        ({"objects": [{"name": "car"}], "relations": [["car", "on", 0]] * 257}, "257 relations"),
        ({"objects": [{"name": "car"}], "relations": [["car", "on", 1]]}, "a relation has 1"),
        ({"objects": [{"name": "car"}], "relations": [["car", "on", True]]}, "relation has True"),
        ({"objects": [{"name": "car"}], "relations": [["car", "on"]]}, "is not [object, word"),
    ],
)  # fmt: skip
def test_anything_else_is_refused(value: Any, why: str) -> None:
    with pytest.raises(DataError) as caught:
        from_json(value, "Line 3 of x.jsonl")
    assert why in str(caught.value) and str(caught.value).startswith("Line 3 of x.jsonl is not")


# -- the rules ---------------------------------------------------------------------------


def test_what_is_there_is_told() -> None:
    image, labels = scene()
    told = look(image, labels, NAMES)
    assert told.objects == (
        Described("road", ("huge", "gray")),
        Described("sky", ("huge", "blue")),
        Described("car", ("large", "red")),
        Described("kite", ("tiny", "yellow")),
    )
    assert told.relations == (
        (3, "in front of", 1), (3, "above", 2), (2, "on", 0), (2, "below", 1), (1, "above", 0),
        (0, "below", 3),
    )  # fmt: skip


def test_what_has_no_name_is_not_told() -> None:
    image, labels = scene()
    labels[labels == 9] = 1000
    labels[labels == 7] = IGNORE
    assert [one.name for one in look(image, labels, NAMES).objects] == ["road", "car"]
    assert look(image, np.full_like(labels, IGNORE), NAMES) == Description()


def test_errors_are_of_their_kind_and_come_at_their_rate() -> None:
    image, labels = (array[::4, ::4] for array in scene())
    true = look(image, labels, NAMES)

    def told(**rates: float) -> list[Description]:
        errors = CaptionErrors(**rates)  # type: ignore[arg-type]
        rngs = [errors.rng(str(number)) for number in range(60)]
        return [parse(tell(image, labels, NAMES, errors, rng)) for rng in rngs]

    assert set(told()) == {true}
    dropped = [len(true.objects) - len(one.objects) for one in told(drop=0.25)]
    assert 0.2 < np.mean(dropped) / len(true.objects) < 0.3 and set(told(drop=1)) == {Description()}
    wrong = [
        (a, b)
        for one in told(wrong=0.25)
        for x, y in zip(true.objects, one.objects, strict=True)
        for a, b in zip(x.attributes, y.attributes, strict=True)
    ]
    assert 0.2 < np.mean([a != b for a, b in wrong]) < 0.3
    assert all((a in SIZES) == (b in SIZES) and (a in COLOURS) == (b in COLOURS) for a, b in wrong)
    always = told(wrong=1)[0]
    assert all(not {*x.attributes} & {*y.attributes}
               for x, y in zip(true.objects, always.objects, strict=True))  # fmt: skip
    names = {**NAMES, **{100 + i: f"thing {'abcdefgh'[i]}" for i in range(8)}}
    errors = CaptionErrors(invent=0.5)
    invented = [
        {o.name for o in parse(tell(image, labels, names, errors, errors.rng(str(n)))).objects}
        - {o.name for o in true.objects}
        for n in range(60)
    ]
    assert 0.4 < np.mean([len(some) for some in invented]) / len(true.objects) < 0.6
    assert all("banana" not in some for some in invented)  # a little of it is there


def test_errors_depend_on_seed_and_key_and_add_up() -> None:
    report = MiniStuff("report", 20)
    keys = [report.key(index) for index in range(3)]

    def names(text: str) -> list[set[str]]:
        captions = open_captions(text, report)
        return [{one.name for one in captions.describe(key).objects} for key in keys]

    assert names("rules:drop=0.4") == names("rules:drop=0.4")
    assert names("rules:drop=0.4,seed=1") != names("rules:drop=0.4")
    few, many = names("rules:drop=0.6"), names("rules:drop=0.3")
    assert all(a <= b for a, b in zip(few, many, strict=True)) and few != many


def test_invented_classes_of_the_train_split_are_seen_ones() -> None:
    train = RulesCaptions(MiniStuff("train", 2), CaptionErrors())
    assert set(train.names) == SEEN
    assert len(RulesCaptions(MiniStuff("report", 2), CaptionErrors()).names) == 40
    names = [f"name {index}" for index in range(171)]
    assert RulesCaptions(MiniStuff("train", 2), CaptionErrors(), names).names[2] == "name 2"


def test_a_training_scene_is_told_of_by_its_seen_classes() -> None:
    drawn = draw_training(3)
    captions = RulesCaptions(MiniStuff("train", 2), CaptionErrors())
    told = captions.describe_scene("training-3", drawn.image, drawn.labels)
    present = {captions.names[v] for v in np.unique(drawn.labels).tolist() if v in captions.names}
    assert {one.name for one in told.objects} <= present


WORDS = st.text("abcdeg-", min_size=1, max_size=8)  # of no colour, size or relation
OBJECTS = st.builds(
    Described,
    st.one_of(
        st.lists(WORDS, min_size=1, max_size=3).map(" ".join), st.sampled_from(["orange", "light"])
    ),
    st.lists(st.sampled_from([*SIZES, *COLOURS]), unique=True, max_size=3).map(tuple),
)


@given(st.data())
def test_the_grammar_is_read_as_it_is_written(data: st.DataObject) -> None:
    objects = data.draw(st.lists(OBJECTS, max_size=5))
    place = st.integers(0, max(0, len(objects) - 1))
    triples = st.tuples(place, st.sampled_from(RELATIONS), place)
    relations = data.draw(st.lists(triples, max_size=4)) if objects else []
    described = Description.merged(objects, relations)
    assert parse(written(described)) == described


@given(st.text("There isacontd. \n", max_size=80))
def test_any_other_text_is_a_data_error(text: str) -> None:
    try:
        parse(text)
    except DataError as error:
        assert str(error).startswith("The caption ")


@pytest.mark.parametrize(
    "text",
    ["A car.", "There is a car", "There is a car. The car is on the road.", "There is .", "."],
)
def test_sentences_that_the_grammar_lacks(text: str) -> None:
    with pytest.raises(DataError, match="the rules do not"):
        parse(text)


# -- files and names ---------------------------------------------------------------------


def test_captions_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "captions.jsonl"
    first = {"picture": "a/one.jpg", "objects": [{"name": "car", "attributes": ["red"]},
             {"name": "road"}], "relations": [["car", "on", "road"]]}  # fmt: skip
    told = "There is a red car. There is a road. The car is on the road."
    path.write_text(f"{json.dumps(first)}\n\n" + json.dumps({"picture": "two", "caption": told}))
    captions = open_captions(str(path), MiniStuff("report", 1))
    assert captions.describe("a/one.jpg") == captions.describe("one") == CAR_ON_ROAD
    assert captions.describe("two") == CAR_ON_ROAD
    with pytest.raises(DataError, match=r"has no caption of three"):
        captions.describe("three")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "Line 2 of .* is not JSON"),
        ("[" * 10**5, "Line 2 of .* is not JSON"),
        ("[]", "Line 2 of .* does not name its picture"),
        ('{"objects": []}', "Line 2 of .* does not name its picture"),
        ('{"picture": "a", "objects": []}', "Line 2 of .* is a second caption of a"),
        ('{"picture": "b", "caption": "A car."}', "Line 2 of .* has a sentence"),
        ('{"picture": "b", "caption": 3}', "Line 2 of .* is not a description"),
        ('{"picture": "b"}', "Line 2 of .* is not a description"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, why: str) -> None:
    path = tmp_path / "captions.jsonl"
    path.write_text(f'{{"picture": "a", "objects": []}}\n{line}\n')
    with pytest.raises(DataError, match=why):
        FileCaptions(path)


def test_wrong_files_and_options_are_refused(tmp_path: Path) -> None:
    report = MiniStuff("report", 1)
    (tmp_path / "x.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="cannot be read as captions"):
        open_captions(str(tmp_path / "x.jsonl"), report)
    with pytest.raises(ConfigError, match="There is no file nowhere"):
        open_captions("nowhere.jsonl", report)
    for text in ("rules:drop", "rules:none=1", "rules:seed=0.5", "rules:drop=x=1"):
        with pytest.raises(UsageError, match="the rules have drop"):
            open_captions(text, report)
    for text in ("rules:drop=1.5", "rules:wrong=nan", "rules:seed=-1"):
        with pytest.raises(UsageError, match="of the rules must be"):
            open_captions(text, report)
    with pytest.raises(DataError, match="has no picture report-0001"):
        open_captions("rules", report).describe("report-0001")
    report.name = "other"
    with pytest.raises(UsageError, match="not those of other"):
        open_captions("rules", report)
