"""The native export: what is written comes back, and nothing over budget or damaged passes."""

import dataclasses
import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsmseg_prompts.descriptions.bundled import read_bundled
from lsmseg_prompts.errors import ConfigurationError, RefusedError, UsageError
from lsmseg_prompts.export import export_native, load_native
from lsmseg_prompts.files import write_whole
from lsmseg_prompts.prompts.prompt_set import PromptSet, build_prompt_set
from lsmseg_prompts.tokens import count_tokens
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary, load_vocabulary

CAMVID = load_vocabulary("camvid")


@pytest.fixture(scope="module")
def prompt_set():
    return build_prompt_set(read_bundled("camvid"), CAMVID, ["color", "shape", "size", "texture"])


@pytest.mark.parametrize("composition", ["concat", "ensemble"])
def test_round_trip(tmp_path, composition):
    made = build_prompt_set(read_bundled("camvid"), CAMVID, ["color", "size"], composition)
    assert load_native(export_native(made, CAMVID, tmp_path / "p.json")) == made


def sets_of_all_readings():
    """A set by each composition that reads several texts of a class, with and without weights."""
    cells = read_bundled("camvid")
    made = [
        build_prompt_set(cells, CAMVID, ["color", "size"], how)
        for how in ("ensemble", "mean-score", "max", "adaptive")
    ]
    made.append(dataclasses.replace(made[3], temperature=0.25))
    texts = [group[: 1 + index % 2] for index, group in enumerate(made[0].texts)]
    made.append(dataclasses.replace(made[0], composition="refined", texts=tuple(texts)))
    weights = [tuple((-0.5) ** i for i, _ in enumerate(group)) for group in texts]
    made.append(dataclasses.replace(made[-1], weights=tuple(weights)))
    weights = tuple((1.0, 0.0) for _ in made[0].texts)
    return [*made, *(dataclasses.replace(one, weights=weights) for one in made[:2])]


def test_all_readings_come_back(tmp_path):
    for number, made in enumerate(sets_of_all_readings()):
        path = export_native(made, CAMVID, tmp_path / f"{number}.json")
        assert load_native(path) == made
        raw = json.loads(path.read_text())
        assert ("weights" in raw["classes"][0]) == (made.weights is not None)
        assert raw.get("temperature") == made.temperature


def without_hash(raw, **changes):
    raw["classes"][1] |= changes
    del raw["classes"][1]["sha256"]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda raw: raw["classes"][1].update(weights=[2.0, 1.0]), "class 1 'building'"),
        (lambda raw: raw["classes"][1].pop("weights"), "class 1 'building'"),
        (lambda raw: without_hash(raw, weights=3), "classes.1. weights is not a list"),
        (lambda raw: without_hash(raw, weights=[1.0, 2.0, 3.0]), "not one weight for each text"),
        (lambda raw: without_hash(raw, weights=[1.0, True]), "weights of 'building' .* nan"),
        (lambda raw: without_hash(raw, weights=[1.0, "2"]), "weights of 'building' .* nan"),
        (lambda raw: without_hash(raw, weights=[1, 10**400]), "weights of 'building' .* nan"),
        (lambda raw: without_hash(raw, weights=[0.0, 0]), "weights of 'building' .* 0.0, 0.0"),
        (lambda raw: raw.update(composition="max"), "max have no weights"),
        (lambda raw: raw.update(temperature=1.0), "refined has no temperature"),
    ],
)
def test_damaged_weights_are_refused(tmp_path, damage, says):
    path = export_native(sets_of_all_readings()[6], CAMVID, tmp_path / "p.json")
    raw = json.loads(path.read_text())
    damage(raw)
    path.write_text(json.dumps(raw))
    with pytest.raises(UsageError, match=says):
        load_native(path)


@pytest.mark.parametrize("temperature", [0, -1.0, "0.1", True, [1]])
def test_a_damaged_temperature_is_refused(tmp_path, temperature):
    path = export_native(sets_of_all_readings()[4], CAMVID, tmp_path / "p.json")
    raw = json.loads(path.read_text())
    path.write_text(json.dumps(raw | {"temperature": temperature}))
    with pytest.raises(UsageError, match="damaged prompt set: The temperature"):
        load_native(path)


def test_the_file_says_everything(tmp_path, prompt_set):
    scores = {"miou": 0.25, "interval": [np.float64(0.2), float("nan")]}
    path = export_native(prompt_set, CAMVID, tmp_path / "p.json", scores, {"seed": 1})
    raw = json.loads(path.read_text())
    assert (raw["format"], raw["version"]) == ("lsmseg-prompts/native", 1)
    assert raw["attributes"] == ["color", "shape", "size", "texture"]
    assert raw["scores"] == {"miou": 0.25, "interval": [0.2, None]}
    assert raw["provenance"] == {"seed": 1}
    assert [c["index"] for c in raw["classes"]] == list(range(11))
    for item in raw["classes"]:
        assert item["tokens"] == [count_tokens(text) for text in item["texts"]]
        assert max(item["tokens"]) <= 77


names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=10)


texts = st.lists(names.map("a {}".format), min_size=1, max_size=3)


@given(st.lists(st.tuples(names, texts), min_size=1, max_size=5))
def test_any_texts_come_back(tmp_path_factory, classes):
    entries = tuple(ClassEntry(i, name, name) for i, (name, _) in enumerate(classes))
    made = PromptSet(
        "x", "own", ("x",), "ensemble", "l", tuple(e.name for e in entries),
        tuple(tuple(texts) for _, texts in classes), (0,), (0,),
    )  # fmt: skip
    path = tmp_path_factory.mktemp("export") / "p.json"
    assert load_native(export_native(made, Vocabulary("own", "", entries), path)) == made


def test_what_was_left_out_comes_back(tmp_path, prompt_set):
    assert set(prompt_set.dropped) <= set(prompt_set.shortened)
    made = dataclasses.replace(prompt_set, shortened=(1, 2, 3), dropped=(2,))
    path = export_native(made, CAMVID, tmp_path / "p.json")
    assert load_native(path) == made
    raw = json.loads(path.read_text())
    del raw["dropped"]  # as once written, when whole descriptions were all that was left out
    path.write_text(json.dumps(raw))
    assert load_native(path).dropped == (1, 2, 3)


def test_texts_over_77_tokens_are_refused_and_the_old_file_stays(tmp_path, prompt_set):
    folder = tmp_path / "out"
    folder.mkdir()
    path = export_native(prompt_set, CAMVID, folder / "p.json")
    before = path.read_bytes()
    long = dataclasses.replace(prompt_set, texts=(("cat " * 76,), *prompt_set.texts[1:]))
    with pytest.raises(RefusedError, match="'sky' takes 78 of CLIP's 77") as caught:
        export_native(long, CAMVID, path, force=True)
    assert caught.value.exit_code == 6
    assert path.read_bytes() == before
    assert os.listdir(folder) == ["p.json"]


def test_another_vocabulary_is_refused(tmp_path, prompt_set):
    with pytest.raises(UsageError, match="vocabulary camvid, not for coco-stuff"):
        export_native(prompt_set, load_vocabulary("coco-stuff"), tmp_path / "p.json")


def change(**fields):
    def apply(raw):
        raw.update(fields)

    return apply


def change_class(**fields):
    def apply(raw):
        raw["classes"][2].update(fields)

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change(format="other"), "not a prompt set"),
        (change(version=2), "format version 2"),
        (change(version="1"), "no valid format version"),
        (change(version=True), "no valid format version"),
        (change(classes=[]), "not a list of classes"),
        (change(classes={}), "not a list of classes"),
        (change(composition="mix"), "'mix' is unknown"),
        (change(llm=None), "llm is not text"),
        (change(attributes="color"), "attributes is not a list"),
        (change(shortened=[99]), "shortened is not"),
        (change(dropped=[True]), "dropped is not"),
        (change_class(index=7), "class with index 2"),
        (change_class(name=""), "name is not text"),
        (change_class(texts="A pole."), "texts is not a list"),
        (change_class(texts=[]), "has no text"),
        (change_class(texts=[1]), "texts is not a list"),
        (change_class(texts=["..."]), "says nothing, or what nobody sees"),
        (change_class(texts=["A pole is \x1b[31mred."]), "says nothing, or what nobody sees"),
    ],
)
def test_damaged_files_are_refused(tmp_path, prompt_set, damage, message):
    path = export_native(prompt_set, CAMVID, tmp_path / "p.json")
    raw = json.loads(path.read_text())
    damage(raw)
    path.write_text(json.dumps(raw))
    with pytest.raises(UsageError, match=message):
        load_native(path)


def swap_texts(raw):
    first, second = raw["classes"][1], raw["classes"][4]
    first["texts"], second["texts"] = second["texts"], first["texts"]


def swap_classes(raw):
    first, second = raw["classes"][1], raw["classes"][4]
    raw["classes"][1], raw["classes"][4] = second | {"index": 1}, first | {"index": 4}


def another_text(raw):
    raw["classes"][0]["texts"] = ["A sky is made of bricks."]


def renamed(raw):
    raw["classes"][0]["name"] = "heaven"


def one_less(raw):
    del raw["classes"][-1]


def one_more(raw):
    raw["classes"].append(raw["classes"][0] | {"index": 11, "name": "heaven"})


def own(raw):
    raw["vocabulary"] = "mine"


CHANGES = [swap_texts, swap_classes, another_text, renamed, one_less, one_more]


@pytest.mark.parametrize("damage", CHANGES)
def test_texts_that_no_longer_belong_to_their_classes_are_refused(tmp_path, prompt_set, damage):
    """Those of a vocabulary that ships, and of one of the user's own; without hashes by names."""
    mine = dataclasses.replace(CAMVID, name="mine")
    for vocabulary in (CAMVID, mine):
        made = dataclasses.replace(prompt_set, vocabulary=vocabulary.name)
        path = export_native(made, vocabulary, tmp_path / f"{vocabulary.name}.json")
        raw = json.loads(path.read_text())
        damage(raw)
        path.write_text(json.dumps(raw))
        with pytest.raises(UsageError, match=r"\.json.*export it again"):
            load_native(path)
    raw["vocabulary"] = "camvid"
    for item in raw["classes"]:
        del item["sha256"]  # as an earlier version wrote it
    path.write_text(json.dumps(raw))
    if damage in (swap_texts, another_text):
        load_native(path)
    else:
        with pytest.raises(
            UsageError, match=r"has 1[02] classes and camvid has 11|has other classes than"
        ):
            load_native(path)


def test_the_message_names_the_first_classes_and_what_to_do(tmp_path, prompt_set):
    path = export_native(prompt_set, CAMVID, tmp_path / "p.json")
    raw = json.loads(path.read_text())
    swap_texts(raw)
    path.write_text(json.dumps(raw))
    with pytest.raises(UsageError) as caught:
        load_native(path)
    assert "for class 1 'building', class 4 'pavement': names, texts or weights" in str(
        caught.value
    )
    assert 'remove the line "sha256" of a class whose text is yours' in str(caught.value)
    for index in (1, 4):
        del raw["classes"][index]["sha256"]
    path.write_text(json.dumps(raw))
    assert load_native(path).texts[1] == prompt_set.texts[4]
    raw["vocabulary"] = "mine"
    path.write_text(json.dumps(raw))
    with pytest.raises(UsageError, match=r"No class of .* the vocabulary was renamed"):
        load_native(path)


def test_a_file_that_nothing_vouches_for_is_read_and_said(tmp_path, prompt_set):
    path = export_native(prompt_set, CAMVID, tmp_path / "p.json")
    said = []
    assert load_native(path, said.append) == prompt_set
    raw = json.loads(path.read_text())
    for item in raw["classes"]:
        del item["sha256"]
    path.write_text(json.dumps(raw))
    assert load_native(path, said.append) == prompt_set and said == []
    path.write_text(json.dumps(raw | {"vocabulary": "mine"}))
    assert load_native(path, said.append).texts == prompt_set.texts
    assert "by an earlier version and mine is a vocabulary of your own" in said[0]


def test_a_text_made_too_long_by_hand_is_refused(tmp_path, prompt_set):
    path = export_native(prompt_set, CAMVID, tmp_path / "p.json")
    raw = json.loads(path.read_text())
    raw["classes"][2]["texts"] = ["pole " * 90]
    path.write_text(json.dumps(raw))
    with pytest.raises(RefusedError, match="'pole' takes 92"):
        load_native(path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}", b"[" * 100_000])
def test_what_is_not_json_is_refused(tmp_path, content):
    path = tmp_path / "p.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="not valid JSON"):
        load_native(path)


def test_missing_files_and_folders(tmp_path, prompt_set):
    with pytest.raises(ConfigurationError, match="There is no file"):
        load_native(tmp_path / "none.json")
    with pytest.raises(ConfigurationError, match="is a folder"):
        load_native(tmp_path)
    assert export_native(prompt_set, CAMVID, tmp_path / "new" / "er" / "p.json").is_file()
    with pytest.raises(ConfigurationError, match="json is a file, not a folder"):
        export_native(prompt_set, CAMVID, tmp_path / "new" / "er" / "p.json" / "q.json")
    with pytest.raises(ConfigurationError, match="is a folder"):
        export_native(prompt_set, CAMVID, tmp_path)


def test_write_whole_replaces_follows_links_and_leaves_nothing_behind(tmp_path, monkeypatch):
    folder = tmp_path / "out"
    folder.mkdir()
    real, link = folder / "real.txt", folder / "link.txt"
    real.write_text("old")
    link.symlink_to(real)
    write_whole(link, "new")
    assert link.is_symlink() and real.read_text() == "new"
    assert write_whole(folder / "b", b"\x00").read_bytes() == b"\x00"

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match="No space left on device"):
        write_whole(real, "newer")
    assert real.read_text() == "new"
    assert sorted(os.listdir(folder)) == ["b", "link.txt", "real.txt"]
