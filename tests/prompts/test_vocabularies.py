"""Vocabularies: what ships, what a user's file may be, and what is refused in which words."""

import json
import os
from collections import Counter
from dataclasses import asdict, replace

import pytest

from lsmseg_prompts.english import article, is_named, is_plural, name_forms, normalise, plural
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.llm.bundled import DESCRIBED_VOCABULARIES
from lsmseg_prompts.vocabularies import available_vocabularies, load_vocabulary
from lsmseg_prompts.vocabularies.check import check_vocabulary


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


COUNTS = {
    "coco-stuff": 171,
    "camvid": 11,
    "ade20k-150": 150,
    "ade20k-847": 847,
    "pc-59": 59,
    "pc-459": 459,
    "voc-20": 20,
    "voc-21": 59,
    "cityscapes-19": 19,
    "mapillary-65": 65,
    "coco-object-81": 171,
    "coco-object-corrclip": 96,
    "coco-object-proxyclip": 96,
    "coco-object-sclip": 112,
    "pc-60": 459,
    "voc-21-proxyclip": 46,
    "voc-21-sclip": 56,
    "ade20k-150-fcclip": 150,
    "lvis-1203": 1203,
}


def test_these_ship() -> None:
    assert available_vocabularies() == tuple(COUNTS)
    assert set(DESCRIBED_VOCABULARIES) <= set(COUNTS)


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_shipped_vocabularies_are_complete(name, count):
    vocabulary = load_vocabulary(name)
    assert len(vocabulary) == count
    assert [entry.index for entry in vocabulary] == list(range(count))
    assert len({entry.name for entry in vocabulary}) == count


@pytest.mark.parametrize("name", available_vocabularies())
def test_no_two_classes_share_a_readable_name_or_synonym(name):
    said = [normalise(n) for e in load_vocabulary(name) for n in (e.readable, *e.synonyms)]
    assert [n for n, count in Counter(said).items() if count > 1] == []


# The benchmarks that count "barrel" and "barrels" as two classes cannot pass this.
@pytest.mark.parametrize("name", ["coco-stuff", "camvid", "pc-59", "voc-20", "voc-21"])
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
        assert not any(sign in entry.readable for sign in ",;()/")
        for text in (*entry.synonyms, *([entry.sense] if entry.sense else [])):
            assert text.isascii() and text == " ".join(text.split())


LISTS = {
    "coco-stuff": "coco",
    "ade20k-150": "ade150",
    "ade20k-847": "ade847",
    "pc-59": "pc59",
    "pc-459": "pc459",
    "voc-20": "voc20",
    "voc-21": "voc20b",
}


def published(root, name):
    """The class names that a benchmark publishes, from the facts beside the repository."""
    path = root.parent / "shared" / "vocabularies" / f"{name}.json"
    if not path.exists():
        pytest.skip(f"the published list {path} is not on this machine")
    return json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize(("name", "file"), LISTS.items())
def test_names_are_the_benchmarks_own(root, name, file):
    assert [entry.name for entry in load_vocabulary(name)] == published(root, file)


def test_voc_21_is_voc_20_and_the_rest_of_pc_59_which_stands_for_background():
    twenty, more = load_vocabulary("voc-20"), load_vocabulary("voc-21")
    assert more.classes[:20] == twenty.classes
    of_59 = {entry.name: replace(entry, index=0) for entry in load_vocabulary("pc-59")}
    here = {entry.name: replace(entry, index=0) for entry in more}
    # The dining table of VOC; the annotators of PASCAL-Context marked tables of every kind.
    assert here.pop("diningtable").readable == "dining table"
    assert of_59.pop("diningtable").readable == "table"
    assert here == of_59


def test_background_is_the_rest_of_a_larger_vocabulary():
    whole, objects = load_vocabulary("pc-60"), load_vocabulary("coco-object-81")
    assert [e.name for e in whole][:59] == [e.name for e in load_vocabulary("pc-59")]
    rest = {e.name for e in load_vocabulary("pc-459")} - {e.name for e in load_vocabulary("pc-59")}
    assert {e.name for e in whole.classes[59:]} == rest - {"table"}  # diningtable of pc-59
    assert [e.name for e in objects] == [e.name for e in load_vocabulary("coco-stuff")]
    assert (whole[59].bundled, objects[0].bundled) == ("pc-459/accordion", "coco-stuff/person")


@pytest.mark.parametrize(("small", "large"), [("pc-59", "pc-459"), ("voc-20", "pc-59")])
def test_a_benchmark_and_its_larger_sister_mean_the_same(small, large):
    of_large = {entry.name: entry for entry in load_vocabulary(large)}
    for entry in load_vocabulary(small):
        if entry.name != "diningtable":  # "table" in pc-459, any table in pc-59
            twin = of_large[entry.name]
            assert replace(twin, index=entry.index) == entry


def test_ade20k_150_means_what_ade20k_847_means():
    of_847 = {entry.readable: entry for entry in load_vocabulary("ade20k-847")}
    for entry in load_vocabulary("ade20k-150"):
        twin = of_847[entry.readable]
        assert (entry.sense, entry.synonyms) == (twin.sense, twin.synonyms)
        assert entry.name.strip() in [name.strip() for name in twin.name.split(",")]


@pytest.mark.parametrize("name", available_vocabularies())
def test_nothing_would_be_misread(name):
    found = [(finding.name, finding.rule) for finding in check_vocabulary(load_vocabulary(name))]
    assert found == []


def test_lvis_says_how_frequent_its_categories_are_and_shares_what_means_the_same():
    classes = load_vocabulary("lvis-1203")
    counts = Counter(entry.frequency for entry in classes)
    assert counts == {"frequent": 405, "common": 461, "rare": 337}
    assert sum(bool(entry.bundled) for entry in classes) == 394
    assert [classes[i].name for i in (0, 135, 1202)] == ["aerosol_can", "bow_(weapon)", "zucchini"]
    assert classes.find("bow_(weapon)").readable == "archery bow"
    assert classes.find("straw_(for_drinking)").bundled == "pc-459/straw"
    for other in ("bat_(animal)", "fish_(food)", "file_(tool)", "ring", "cart"):
        assert classes.find(other).bundled == "" and classes.find(other).sense


def test_odd_benchmark_names_have_plain_readable_ones():
    def readable(name, *classes):
        return [load_vocabulary(name).find(c).readable for c in classes]

    assert load_vocabulary("ade20k-150")[7].name == "bed "
    assert readable("ade20k-150", "bed", "ashcan", "crt screen") == [
        "bed", "trash can", "cathode ray tube screen"
    ]  # fmt: skip
    assert readable("pc-459", "surveillancecamera", "hot-airballoon", "casetterecorder") == [
        "surveillance camera", "hot-air balloon", "cassette recorder"
    ]  # fmt: skip
    assert readable("pc-459", "unknown", "pelage") == ["unidentified object", "animal fur"]
    assert readable("voc-20", "diningtable", "tvmonitor") == ["dining table", "tv monitor"]


@pytest.mark.parametrize(
    ("first", "count"),
    [("bag", 3), ("pot", 2), ("basket", 2), ("screen", 2), ("pier", 2), ("control panel", 2),
     ("pipe", 2), ("grill", 2), ("patio", 2)],
)  # fmt: skip
def test_equal_first_names_of_ade20k_847_are_told_apart(first, count):
    same = [e for e in load_vocabulary("ade20k-847") if e.name.split(",")[0] == first]
    assert len(same) == count
    assert len({e.readable for e in same}) == len({e.sense or e.readable for e in same}) == count
    assert all(e.sense or e.readable != first for e in same)


HOMONYMS = {
    "ade20k-847": (
        "crane bat jack organ tank tie mouse screen pier bar plate stand cell case court pitch "
        "hood palm boot trunk dish drum fan file finger gear glass grill iron keyboard lock meter "
        "mobile model monitor pen pepper pipe plug pool ring roll scale score skip stage straw"
    ),
    "pc-459": (
        "crane mouse kite tank screen plate case court duck drum fan fly iron key keyboard line "
        "lock model pen pipe poker pot recorder ruler saw scale shell straw swing track"
    ),
    "pc-59": "mouse keyboard track platform plate light",
}


@pytest.mark.parametrize(
    ("name", "word"), [(name, word) for name in HOMONYMS for word in HOMONYMS[name].split()]
)
def test_homonyms_have_a_sense_or_another_readable_name(name, word):
    named = [
        entry
        for entry in load_vocabulary(name)
        if word in [n.strip() for n in entry.name.split(",")]
    ]
    assert named
    for entry in named:
        assert entry.sense or entry.readable != word


@pytest.mark.parametrize("word", ["tie", "mouse", "kite", "orange", "bear", "remote", "sink"])
def test_ambiguous_words_have_a_sense(word):
    assert load_vocabulary("coco-stuff").find(word).sense


def test_readable_name_differs_from_the_benchmark_name():
    assert load_vocabulary("coco-stuff").find("wall-brick").readable == "brick wall"


SEEN_COUNTS = {
    "coco-stuff": 171,
    "camvid": 7,
    "ade20k-150": 71,
    "ade20k-847": 126,
    "pc-59": 53,
    "pc-459": 104,
    "voc-20": 20,
    "voc-21": 53,
    "cityscapes-19": 14,
    "mapillary-65": 25,
    "coco-object-81": 171,
    "coco-object-corrclip": 96,
    "coco-object-proxyclip": 96,
    "coco-object-sclip": 111,
    "pc-60": 104,
    "voc-21-proxyclip": 44,
    "voc-21-sclip": 53,
    "ade20k-150-fcclip": 70,
}


@pytest.mark.parametrize(("name", "seen"), SEEN_COUNTS.items())
def test_every_shipped_class_says_whether_coco_stuff_has_it(name, seen):
    vocabulary = load_vocabulary(name)
    for entry in vocabulary:
        assert entry.seen is bool(entry.coco_stuff)
        assert set(entry.coco_stuff) <= set(range(171))
        assert list(entry.coco_stuff) == sorted(set(entry.coco_stuff))
    assert sum(entry.seen is True for entry in vocabulary) == seen
    assert hash(vocabulary[0]) == hash(replace(vocabulary[0]))


def test_the_docs_count_what_coco_stuff_has(root):
    lines = (root / "docs" / "vocabularies.md").read_text("utf-8").splitlines()
    rows = [[c.strip(" `") for c in line.split("|")[1:-1]] for line in lines]
    told = {row[0]: row[1:] for row in rows if len(row) == 3 and row[2].isdigit()}
    assert told == {n: [str(s), str(COUNTS[n] - s)] for n, s in SEEN_COUNTS.items()}


def test_coco_stuff_has_its_own_classes():
    assert [entry.coco_stuff for entry in load_vocabulary("coco-stuff")] == [
        (index,) for index in range(171)
    ]


@pytest.mark.parametrize(
    ("name", "word", "same"),
    [
        # another word for it, another spelling, the plural
        ("voc-20", "sofa", "couch"), ("voc-20", "motorbike", "motorcycle"),
        ("voc-20", "aeroplane", "airplane"), ("voc-20", "tvmonitor", "tv"),
        ("voc-20", "diningtable", "dining table"), ("ade20k-150", "sidewalk", "pavement"),
        ("ade20k-150", "apparel", "clothes"), ("ade20k-150", "lamp", "light"),
        ("ade20k-150", "stairway", "stairs"), ("ade20k-150", "television receiver", "tv"),
        ("ade20k-847", "cages", "cage"), ("ade20k-847", "tracks", "railroad"),
        ("ade20k-847", "bat", "baseball bat"), ("ade20k-847", "leaf", "leaves"),
        ("pc-459", "signallight", "traffic light"), ("pc-459", "hay", "straw"),
        # COCO-Stuff has it in parts
        ("ade20k-150", "ceiling", "ceiling-other ceiling-tile"),
        ("ade20k-150", "rug", "carpet rug"), ("ade20k-150", "rock", "rock stone"),
        # a kind of it, something with it, another meaning of the word
        ("ade20k-150", "armchair", ""), ("ade20k-150", "swivel chair", ""),
        ("ade20k-150", "bookcase", ""), ("ade20k-150", "sculpture", ""),
        ("ade20k-150", "palm", ""), ("ade20k-150", "lake", ""), ("ade20k-150", "bag", ""),
        ("ade20k-150", "glass", ""), ("ade20k-150", "screen door", ""),
        ("ade20k-150", "monitor", ""), ("ade20k-847", "structure", ""),
        ("ade20k-847", "dish, dish aerial, dish antenna, saucer", ""),
        ("pc-459", "straw", ""), ("pc-459", "glove", ""), ("pc-459", "telephone", ""),
        ("pc-459", "unknown", ""), ("pc-459", "bedclothes", ""), ("camvid", "pedestrian", ""),
        ("camvid", "sign", ""),
    ],
)  # fmt: skip
def test_seen_is_what_coco_stuff_has_by_name_synonym_or_sense(name, word, same):
    coco, entry = load_vocabulary("coco-stuff"), load_vocabulary(name).find(word)
    means = [coco[index].name for index in entry.coco_stuff]
    assert means in ([same], same.split())
    assert entry.seen is bool(same)


def test_what_two_vocabularies_mean_alike_is_seen_in_both_or_neither():
    known: dict[tuple[str, str | None], tuple[str, bool | None]] = {}
    for name in available_vocabularies():
        for entry in load_vocabulary(name):
            key = entry.readable, entry.sense
            assert known.setdefault(key, (name, entry.seen))[1] is entry.seen, (key, known[key])


def test_a_users_classes_may_say_whether_they_are_seen(tmp_path):
    raw = ["owl", {"name": "cat", "seen": True, "coco_stuff": [15]}, {"name": "ox", "seen": False}]
    classes = load_vocabulary(write(tmp_path, "farm.json", json.dumps(raw))).classes
    assert [(e.seen, e.coco_stuff) for e in classes] == [(None, ()), (True, (15,)), (False, ())]


def test_what_a_doubtful_class_may_be_is_said(tmp_path):
    chips = load_vocabulary("ade20k-847").find("chips")
    assert chips.sense == "thin fried slices of potato" and "casino" in chips.doubtful
    doubtful = [e for name in available_vocabularies() for e in load_vocabulary(name) if e.doubtful]
    assert len({e.name for e in doubtful}) == 9
    assert all(e.sense and e.doubtful != e.sense for e in doubtful)
    raw = [{"name": "bat", "sense": "the animal", "doubtful": "the club"}]
    assert load_vocabulary(write(tmp_path, "mine.json", json.dumps(raw)))[0].doubtful == "the club"


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
    with pytest.raises(UsageError, match=r"did you mean coco-stuff.*coco-stuff, camvid, .*voc-21"):
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


def test_a_copy_of_a_built_in_list_is_known_although_its_spaces_are_tidied(tmp_path):
    names = [entry.name for entry in load_vocabulary("ade20k-150")]
    copy = load_vocabulary(write(tmp_path, "ade20k-150.json", json.dumps(names)))
    assert (copy.name, copy[7].name) == ("ade20k-150", "bed")


def test_our_own_files_are_of_the_format_users_may_write(tmp_path):
    own = load_vocabulary("camvid")
    raw = {"name": "camvid", "title": own.title, "classes": [asdict(entry) for entry in own]}
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
        (
            "a.json",
            '[{"name": "cat", "synonym": []}]',
            r"unknown field 'synonym' \(did you mean synonyms",
        ),
        ("a.json", '[{"name": "cat", "synonyms": "kitty"}]', "not a list"),
        ("a.json", '[{"name": "cat", "index": 3}]', "says index 3"),
        ("a.json", '["cat", {"name": ""}]', "not a word"),
        ("a.json", '[{"name": "cat", "seen": "yes"}]', "not true, false or null"),
        ("a.json", '[{"name": "cat", "coco_stuff": [171]}]', "indices from 0 to 170"),
        ("a.json", '[{"name": "cat", "coco_stuff": ["cat"]}]', "indices from 0 to 170"),
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


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("sky, grass, zebra\n", r'line 1, .* several names.*"synonyms": \["grass", "zebra"\]'),
        ("cow\nsky;grass\n", "line 2, 'sky;grass' is several names"),
        ("sky\tgrass\n", "several names: write each class on a line of its own"),
        ("sky\n\n# more\ngrass|zebra", r"line 4, 'grass\|zebra' is several names"),
        ("sky,\ngrass,\n", "a separator beside the name: write 'sky'"),
        ("1 sky\n2 grass\n", "begins with a number: .* name alone, 'sky'"),
        ("0: sky\n", "begins with a number: .* name alone, 'sky'"),
        ("1. sky\n", "begins with a number: .* name alone, 'sky'"),
        ("3,sky,12,13\n", "begins with a number: .* name alone, 'sky'"),
        ("64 128 64 Animal\n0 0 9 Sky\n", "begins with a number: .* name alone, 'Animal'"),
        ("cow\nsky: 0\n", "ends with a number: .* name alone, 'sky'"),
        ('"sky"\n', "quotation marks around it: write sky"),
        ("- sky\n", "a bullet: write 'sky'"),
        ("sky # blue\n", "remark behind the name: write 'sky'"),
        ("\ufeffClass\r\nsky\r\n", "line 1, 'Class' looks like a heading"),
        ("background\nsky\n", "labels after it one lower"),
        ("sky\nUnlabeled\n", "line 2, 'Unlabeled' is not a class"),
    ],
)
def test_a_line_that_may_mean_something_else_is_asked_about(tmp_path, content, says):
    """A .json file of the same names is taken as it is written."""
    with pytest.raises(UsageError, match=says) as caught:
        load_vocabulary(write(tmp_path, "a.txt", content))
    assert "A .json file is taken as it is written: [" in str(caught.value)
    lines = [line for line in content.removeprefix("\ufeff").splitlines() if line]
    as_json = load_vocabulary(write(tmp_path, "a.json", json.dumps(lines)))
    assert [entry.name for entry in as_json] == [" ".join(line.split()) for line in lines]


def test_ordinary_names_with_numbers_and_signs_are_names(tmp_path):
    names = ["747 airplane", "3d printer", "1.5 litre bottle", "teddy's bear", "sofa/couch", "name"]
    vocabulary = load_vocabulary(write(tmp_path, "a.txt", "\n".join(names)))
    assert [entry.name for entry in vocabulary] == names


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(ConfigurationError, match="There is no file"):
        load_vocabulary(tmp_path / "none.txt")
    folder = tmp_path / "folder.txt"
    folder.mkdir()
    with pytest.raises(ConfigurationError, match="is a folder"):
        load_vocabulary(folder)
    if os.geteuid() != 0:
        path = write(tmp_path, "a.txt", "cat")
        path.chmod(0)
        with pytest.raises(ConfigurationError, match="Cannot read"):
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
