"""Importing descriptions: what becomes of the texts of many kinds of files, and of the rest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsmseg_prompts.curation.edits import lock
from lsmseg_prompts.curation.history import edits
from lsmseg_prompts.curation.imports import import_file, recognise
from lsmseg_prompts.curation.phrases import apart, evidence, from_phrases, from_sentences
from lsmseg_prompts.descriptions.lint import check_text
from lsmseg_prompts.errors import ConfigurationError, StoreError, UsageError
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.store import open_store, open_store_readonly
from lsmseg_prompts.tokens import CONTEXT_LENGTH, count_tokens, fits
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary, load_vocabulary

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "formats"
samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the sample files are not beside the repo"
)

BICYCLE = ClassEntry(0, "bicycle", "bicycle", None, ("bike",))
PROLAB = [
    "Two-wheeled vehicle",
    "Frame shaped like a diamond",
    "Made of metal, often aluminum",
    "Glossy or matte finish",
    "Common colors include black, silver, red",
    "Often found in cities",
]
CUPL = [
    "A photo of a bicycle shows a red bicycle.",
    "A bicycle has two wheels and a frame.",
    "Most bicycles are black, red, or blue in color.",
    "A bicycle is made of steel or aluminum and is small.",
    "A bicycle is made of metal, steel, or aluminum.",
    "It has two wheels.",
]


def shop(*classes: ClassEntry | str, name: str = "shop") -> Vocabulary:
    entries = [
        ClassEntry(i, c, c) if isinstance(c, str) else ClassEntry(i, c.name, c.readable, c.sense,
                                                                  c.synonyms)
        for i, c in enumerate(classes)
    ]  # fmt: skip
    return Vocabulary(name, name, tuple(entries))


def write(value: object, name: str = "f.json") -> Path:
    path = Path(name)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


# -- one class's phrases -----------------------------------------------------------------


def test_phrases_are_sorted_by_attribute() -> None:
    cells = from_phrases(PROLAB, BICYCLE)
    assert cells.texts == {
        "color": "A bicycle: common colors include black, silver, red.",
        "shape": "A bicycle: frame shaped like a diamond.",
        "texture": "A bicycle: glossy or matte finish.",
        "material": "A bicycle: made of metal, often aluminum.",
        "context": "A bicycle: often found in cities.",
        "typical": "A bicycle: two-wheeled vehicle, frame shaped like a diamond, made of metal, "
        "often aluminum, glossy or matte finish, common colors include black, silver, red, often "
        "found in cities.",
    }
    assert cells.left_out == []


def test_a_phrase_speaks_for_what_it_says_most_about() -> None:
    scores = evidence("distinctive black and white striped pattern")
    assert max(scores, key=lambda name: scores[name]) == "pattern" and scores["color"] > 1
    assert evidence("served with mustard") == {}  # one weak word is not enough


def test_sentences_are_chosen_by_attribute() -> None:
    cells = from_sentences(CUPL, BICYCLE)
    assert cells.texts["typical"] == CUPL[1]
    assert cells.texts["color"] == CUPL[2]
    assert cells.texts["material"] == CUPL[4]  # the other speaks of the size too
    assert cells.texts["material#2"] == CUPL[3]
    assert cells.left_out == [("It has two wheels.", "does not name bicycle or bike")]
    assert cells.texts["color#2"] == CUPL[0]
    assert cells.review == {"color#2": 'it speaks of a photo or drawing: "photo of"'}


def test_a_text_of_several_sentences_is_taken_apart() -> None:
    text = "A bicycle is black; it gleams. Bicycles are made of steel! It has wheels."
    cells = from_sentences([text], BICYCLE)
    assert cells.texts == {
        "typical": "A bicycle is black, it gleams.", "material": "Bicycles are made of steel.",
    }  # fmt: skip
    assert [text for text, _ in cells.left_out] == ["It has wheels."]


def test_what_is_too_long_is_left_out_whole_and_said() -> None:
    long = "black " + ", ".join(["made of red and brown colored wood"] * 14)
    phrases = [long, "red and black color", *(f"blue color number {n}" for n in range(40))]
    cells = from_phrases(phrases, BICYCLE)
    assert (long, "no room in 77 tokens") in cells.left_out
    assert all(fits(text) for text in cells.texts.values())
    taken = [p for p in phrases if any(p in text for text in cells.texts.values())]
    assert sorted(taken + [p for p, _ in cells.left_out]) == sorted(phrases)


def test_doubles_and_what_is_no_sentence_are_listed() -> None:
    cells = from_phrases(["red color", "Red color.", "  ", "It is red. It is big."], BICYCLE)
    assert [reason for _, reason in cells.left_out] == [
        "repeated", "it says nothing", "several sentences",
    ]  # fmt: skip
    assert cells.texts == {"color": "A bicycle: red color."}


phrases_of = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.lists(
            st.sampled_from(["red", "A", "bicycle", "metal", "large,", "made of", "found in",
                             "e.g.", "SUV", "; and", "Wheels.", "striped", "1.5", "shape",
                             "photo"]),
            max_size=30,
        ).map(" ".join),
    ),
    max_size=12,
)  # fmt: skip


@pytest.mark.parametrize("of", [from_phrases, from_sentences])
@given(phrases=phrases_of)
def test_every_cell_is_a_good_one(of, phrases: list[str]) -> None:
    cells = of(phrases, BICYCLE)
    for text in cells.texts.values():
        assert check_text(text, BICYCLE) == [] and count_tokens(text) <= CONTEXT_LENGTH
    assert len(set(cells.texts.values())) == len(cells.texts)
    if of is from_sentences:
        phrases = [part for text in phrases for part in apart(text)]
    assert len(cells.left_out) <= len(phrases)
    if any(phrases) and not cells.texts:
        assert cells.left_out  # nothing is dropped without a word
    if of is from_sentences:
        assert len(cells.left_out) + len(cells.texts) == len(phrases)


@pytest.mark.parametrize(
    ("phrases", "format"),
    [(CUPL, "cupl"), (PROLAB, "prolab"), ([p.lower() for p in PROLAB], "dclip"), ([], "dclip")],
)
def test_formats_are_recognised(phrases: list[str], format: str) -> None:
    assert recognise(phrases) == format


# -- a file ------------------------------------------------------------------------------


def test_a_file_is_filed_with_its_source() -> None:
    path = write({"bicycle": PROLAB, "Bike rack": ["a rack"]})
    result = import_file(path, shop(BICYCLE), "prolab", store="s.sqlite")
    assert (result.format, result.classes, result.added, result.empty) == ("prolab", 1, 6, [])
    assert result.names == [{"name": "Bike rack", "reason": "is not a class (did you mean bike?)"}]
    assert result.phrases == len(PROLAB) + 1
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with open_store_readonly("s.sqlite") as store:
        (row,) = store.rows("SELECT provenance FROM llms WHERE name = 'prolab'")
        assert row["provenance"] == f"Imported from f.json (prolab, sha256 {digest})"
        rows = store.cells()
    assert {row["source"] for row in rows} == {"import"}
    assert all(row["tokens"] == count_tokens(row["text"]) for row in rows)


def test_two_files_under_one_name_keep_both_sources() -> None:
    classes = shop(BICYCLE, "car")
    import_file(write({"bicycle": PROLAB}, "a.json"), classes, "mix", store="s.sqlite")
    import_file(write({"car": ["red color"]}, "b.json"), classes, "mix", store="s.sqlite")
    import_file(write({"car": ["red color"]}, "b.json"), classes, "mix", store="s.sqlite")
    with open_store_readonly("s.sqlite") as store:
        said = store.rows("SELECT provenance FROM llms WHERE name = 'mix'")[0]["provenance"]
    assert said.count("Imported from") == 2 and "a.json" in said and "b.json" in said


def test_what_is_there_stays_unless_replaced_and_locked_always() -> None:
    classes = shop(BICYCLE)
    import_file(write({"bicycle": ["red color", "made of metal"]}), classes, "x", store="s.sqlite")
    lock(classes, "bicycle", "material", "x", "s.sqlite")
    new = write({"bicycle": ["blue color", "made of wood"]})
    result = import_file(new, classes, "x", store="s.sqlite")
    assert (result.added, result.replaced, result.kept, result.locked) == (0, 0, 2, 1)
    result = import_file(new, classes, "x", store="s.sqlite", replace=True)
    assert (result.added, result.replaced, result.kept, result.locked) == (0, 2, 0, 1)
    with open_store_readonly("s.sqlite") as store:
        texts = store.descriptions(classes, "x")
    assert texts[0, "color"] == "A bicycle: blue color."
    assert texts[0, "material"] == "A bicycle: made of metal."
    old = {row["attribute"]: row["old_text"] for row in edits(classes, classes[0].name, "s.sqlite")}
    assert old["color"] == "A bicycle: red color."


def test_a_failed_cell_is_filled() -> None:
    classes = shop(BICYCLE)
    with open_store("s.sqlite") as store:
        store.add_vocabulary(classes)
        store.put_description(
            Description(classes.name, 0, "color", "x", None, None, "failed", "no")
        )
    assert import_file(write({"bike": ["red color"]}), classes, "x", store="s.sqlite").added == 1


def test_names_mean_one_class_or_none() -> None:
    classes = shop(
        ClassEntry(0, "bat", "bat"), ClassEntry(0, "bat", "baseball bat"), BICYCLE, "traffic light"
    )
    given = {
        "bat": ["red color"],
        "Baseball  Bat": ["brown color"],
        "bicycle": ["made of metal"],
        "bike": ["made of wood"],
        "traffic_light": ["green color"],
        "bycicle": ["made of paper"],
    }
    result = import_file(write(given), classes, "x", store="s.sqlite")
    assert {row["name"]: row["reason"] for row in result.names} == {
        "bat": "means the classes 'bat' (0) and 'bat' (1)",
        "bike": "means the class 'bicycle', like 'bicycle'",
        "bycicle": "is not a class (did you mean bicycle?)",
    }
    assert result.empty == ["bat"]
    with open_store_readonly("s.sqlite") as store:
        texts = store.descriptions(classes, "x")
    assert texts == {
        (1, "color"): "A baseball bat: brown color.",
        (2, "material"): "A bicycle: made of metal.",
        (3, "color"): "A traffic light: green color.",
    }


def test_a_name_twice_in_the_file_is_refused() -> None:
    path = write('{"bicycle": ["red color"], "Bicycle": ["blue color"], "car": ["red color"]}')
    result = import_file(path, shop(BICYCLE, "car"), "x", store="s.sqlite")
    assert len(result.names) == 2 and result.empty == ["bicycle"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"bicycle": ["\\ud83d"]}', "not valid JSON"),
        ('{"bicycle": [], "bicycle": []}', "the key 'bicycle' comes twice"),
        ("[]", "JSON object"),
        ("{}", "JSON object"),
        ('["bicycle"]', "JSON object"),
        ('{"bicycle": 1}', "'bicycle' has neither a text nor a list"),
        ('{"bicycle": [1]}', "'bicycle' has neither a text nor a list"),
        ('{"bicycle": {"color": 1}}', "'bicycle' has neither a text nor a list"),
        ('{"one": {"bicycle": 1}}', "'bicycle' has neither a text nor a list"),
        ('{"car": ["red color"]}', "No name in f.json"),
    ],
    ids=lambda value: value[:24],
)
def test_files_that_are_refused(content: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        import_file(write(content), shop(BICYCLE), "x", store="s.sqlite")
    assert not Path("s.sqlite").exists()


def test_a_file_that_is_not_there_and_names_that_are_taken() -> None:
    with pytest.raises(ConfigurationError, match=r"none\.json"):
        import_file("none.json", shop(BICYCLE), "x")
    for name in ("bundled", "all", " ", "me#2"):
        with pytest.raises(UsageError, match="another --llm"):
            import_file(write({"bicycle": PROLAB}), shop(BICYCLE), name)


def test_an_error_half_way_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from lsmseg_prompts.curation import imports

    real, calls = imports._put, []

    def fail(*given) -> None:
        calls.append(given)
        if len(calls) == 3:
            raise StoreError("full")
        real(*given)

    monkeypatch.setattr(imports, "_put", fail)
    with pytest.raises(StoreError):
        import_file(write({"bicycle": PROLAB}), shop(BICYCLE), "x", store="s.sqlite")
    with open_store_readonly("s.sqlite") as store:
        assert store.cells() == [] and store.rows("SELECT * FROM llms") == []


# -- other shapes of files, samples, review ----------------------------------------------


def filed(path: Path, classes: Vocabulary, **how) -> tuple[Any, dict[tuple[int, str], str]]:
    """What an import did, and what is in the store after it."""
    result = import_file(path, classes, "x", store="s.sqlite", **how)
    with open_store_readonly("s.sqlite") as store:
        return result, store.descriptions(classes, "x")


RED = "A bicycle is red."


@pytest.mark.parametrize(
    ("name", "content", "format", "texts"),
    [
        ("f.json", '{"bicycle": "A bicycle is red."}', "texts", {"typical": RED}),
        ("f.json", '{"bike": {"colour": "red", "size": ["small", "A bike is 2 m long."]}}',
         "attributes", {"color": "A bicycle: red.", "size": "A bicycle: small.",
                        "size#2": "A bike is 2 m long."}),
        ("f.json", '{"d": {"bicycle": ["red color"]}, "e": {"bicycle": ["black"]}}',
         "clip-benchmark", {"color": "A bicycle: red color, black."}),
        ("f.csv", "class,attribute,text,note\nbicycle,color,A bicycle is red.,x\nbike,,\n",
         "csv", {"color": RED}),
        ("f.csv", "\ufeffText;Class;Attribute\nA bicycle is red.;bicycle;color\n"
                  "red;bicycle;color\n", "csv", {"color": RED, "color#2": "A bicycle: red."}),
        ("f.txt", "0:invalid_class_id\n1:bike,two-wheeler,bike\n", "fc-clip",
         {"typical": "A photo of a bike.", "typical#2": "A photo of a two-wheeler."}),
    ],
)  # fmt: skip
def test_shapes_of_files(name: str, content: str, format: str, texts: dict[str, str]) -> None:
    result, found = filed(write(content, name), shop(BICYCLE, "car"))
    assert (result.format, result.review, result.empty) == (format, 0, ["car"])
    assert {attribute: text for (_, attribute), text in found.items()} == texts
    assert result.samples == sum("#" in attribute for attribute in texts)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"class,text\nbicycle,red\n", "no column 'attribute'"),
        (b"class,attribute,text\nbicycle,color,\n", "no row with a class and a text"),
        (b"class,attribute,text\nbicycle,color,red, blue\n", "line 2 has more columns than"),
        (b"class,attribute,text\nbicycle,color,red\n,size,big\n", "line 3 has a text without a"),
        (b'class,attribute,text\nbicycle,color,"red\n', r"not valid CSV \(.*line 2"),
        (b"class,attribute,text\nbicycle,color,\xff\n", "not a text file in UTF-8"),
        (b"class,attribute,text\nbicycle,color," + b"a" * 200_000, "field limit"),
    ],
)
def test_csv_files_that_are_refused(content: bytes, says: str) -> None:
    Path("f.csv").write_bytes(content)
    with pytest.raises(UsageError, match=says):
        import_file("f.csv", shop(BICYCLE), "x", store="s.sqlite")
    assert not Path("s.sqlite").exists()


def test_attributes_that_there_are_not_are_left_out_with_the_nearest() -> None:
    result, found = filed(write({"bicycle": {"color": "red", "colr": "blue"}}), shop(BICYCLE))
    assert list(found) == [(0, "color")]
    (left,) = result.left_out
    assert left["phrase"] == "blue" and "did you mean color?" in left["reason"]


def test_samples_are_replaced_together() -> None:
    classes = shop(BICYCLE)
    three = {"bicycle": {"color": ["A bike is red.", "A bike is blue.", "A bike is gray."]}}
    filed(write(three), classes)
    result, found = filed(write({"bicycle": {"color": ["A bike is black.", RED]}}), classes)
    assert (result.added, result.kept, len(found)) == (0, 2, 3)
    lock(classes, "bicycle", "color#2", "x", "s.sqlite")
    new = write({"bicycle": {"color": ["A bike is black.", RED]}})
    result, found = filed(new, classes, replace=True)
    assert (result.replaced, result.locked) == (1, 1)
    assert list(found.values()) == ["A bike is black.", "A bike is blue."]
    old = [row["old_text"] for row in edits(classes, "bicycle", "s.sqlite")]
    assert old == ["A bike is red.", "A bike is gray."]


TANK = ClassEntry(0, "tank", "tank", "a large container for liquid or gas")


def test_texts_of_another_sense_are_for_review() -> None:
    army = ["large, armoured vehicle", "tracks or wheels", "gray or green color"]
    assert set(from_phrases(army, TANK).review.values()) == {
        'it speaks of "an armored vehicle", not of "a large container for liquid or gas"'
    }
    of_gas = [f"A tank is a steel container for {what}." for what in ("gas", "liquids", "oil")]
    cells = from_sentences([*of_gas, "A tank is a large vehicle."], TANK)
    assert [cells.texts[name] for name in cells.review] == ["A tank is a large vehicle."]
    plain = ClassEntry(0, "tank", "tank")
    assert from_phrases(army, plain).review == {} and from_phrases(army, BICYCLE).review == {}


def test_texts_of_photos_are_for_review_and_stand_alone() -> None:
    phrases = ["red color", "black and white photo", "pictured from the side"]
    cells = from_phrases(phrases, BICYCLE)
    assert cells.texts["color"] == "A bicycle: red color."
    assert [cells.texts[name] for name in cells.review] == [
        "A bicycle: black and white photo.", "A bicycle: pictured from the side.",
    ]  # fmt: skip
    photo = ClassEntry(0, "photo", "photo")
    assert from_sentences(["A photo of old is a black and white photo."], photo).review == {}


def test_two_hundred_thousand_phrases_of_one_class() -> None:
    phrases = [f"red color number {n}" for n in range(200_000)]
    result, found = filed(write({"bicycle": phrases}), shop(BICYCLE))
    assert result.phrases == 200_000 and len(found) > 50
    assert len(result.left_out) == 199_000
    assert result.left_out[0]["reason"] == "of a class the first 1,000 texts are read"
    names = ",".join(f"bike{n}" for n in range(20_000))
    result, _ = filed(write(f"1:bicycle,{names}", "f.txt"), shop(BICYCLE), replace=True)
    assert (result.phrases, len(result.left_out)) == (20_001, 19_001)


def test_five_megabytes_in_one_text_or_name() -> None:
    much = "black and white " * 320_000
    result, found = filed(write({"bicycle": [much, "red color"]}), shop(BICYCLE))
    assert list(found.values()) == ["A bicycle: red color."]
    assert result.left_out == [
        {"class": "bicycle", "phrase": much, "reason": "no room in 77 tokens"}
    ]
    with pytest.raises(UsageError) as raised:
        import_file(write({much: ["red color"]}), shop(BICYCLE), "x", store="s.sqlite")
    assert len(str(raised.value)) < 400


# -- the real files ----------------------------------------------------------------------


@samples
def test_prolabs_file_fills_every_class() -> None:
    coco = load_vocabulary("coco-stuff")
    result = import_file(SAMPLES / "prolab_coco_stuff.json", coco, "prolab", store="s.sqlite")
    assert result.format == "prolab" and (result.classes, result.empty) == (171, [])
    assert result.names == []
    with open_store_readonly("s.sqlite") as store:
        texts = store.descriptions(coco, "prolab")
    assert {index for index, attribute in texts if attribute == "typical"} == set(range(171))
    assert [found for (i, _), text in texts.items() for found in check_text(text, coco[i])] == []


@samples
@pytest.mark.parametrize(("file", "format"), [("cupl_sample", "cupl"), ("dclip_sample", "dclip")])
def test_cupls_and_dclips_files(file: str, format: str) -> None:
    path = SAMPLES / f"{file}.json"
    classes = shop(*json.loads(path.read_text("utf-8")))
    result = import_file(path, classes, "x", store="s.sqlite")
    assert (result.format, result.empty, result.names) == (format, [], [])
    with open_store_readonly("s.sqlite") as store:
        texts = store.descriptions(classes, "x")
    assert {index for index, attribute in texts if attribute == "typical"} == set(
        range(len(classes))
    )
    assert all(check_text(text, classes[index]) == [] for (index, _), text in texts.items())
