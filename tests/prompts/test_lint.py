"""Each rule of lint is broken by what it forbids and by nothing else."""

import json
import time
from importlib.resources import files

import pytest

from lsmseg_prompts.descriptions.bundled import read_bundled
from lsmseg_prompts.descriptions.lint import RULES, check_text, is_one_sentence, lint
from lsmseg_prompts.llm.bundled import DESCRIBED_VOCABULARIES
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary, load_vocabulary

COCO = load_vocabulary("coco-stuff")
ZEBRA, HORSE, TABLE = (COCO.find(n).index for n in ("zebra", "horse", "wall-wood"))
GOOD = "A zebra is boldly black and white, with a dark muzzle."


def rules(cells):
    return [finding.rule for finding in lint(cells, COCO)]


def test_a_good_sentence_has_no_finding():
    assert rules({(ZEBRA, "color"): GOOD}) == []


@pytest.mark.parametrize(
    ("attribute", "text", "rule"),
    [
        ("color", "A zebra is " + "very " * 80 + "black.", "tokens"),
        ("color", "A horse is black and white.", "class-named"),
        ("color", "A zebra is black. It is white.", "one-sentence"),
        ("color", "A zebra is black and white", "one-sentence"),
        ("color", "A zebra is black; it is white.", "one-sentence"),
        ("color", "A zebra is  black.", "one-sentence"),
        ("color", "A zebra is \x1b[31mred.", "hidden"),
        ("color", "A zebra is \u202eblack.", "hidden"),
        ("shape", "A zebra has a black muzzle.", "leak"),
        ("color", "A zebra is black with a rough mane.", "leak"),
    ],
)
def test_each_rule(attribute, text, rule):
    assert rules({(ZEBRA, attribute): text}) == [rule]


@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        ("typical", "A zebra is black and white, smooth, and large."),
        ("pattern", "A zebra wears triangular stripes."),
        ("lighting", "A zebra in white light."),  # the user's own attribute has no lists
    ],
)
def test_words_are_allowed_where_they_belong(attribute, text):
    assert rules({(ZEBRA, attribute): text}) == []


def test_words_of_the_class_name_do_not_leak():
    assert rules({(TABLE, "shape"): "A wood wall is flat and tall."}) == []
    assert rules({(TABLE, "shape"): "A wood wall is flat, of metal."}) == ["leak"]


def test_duplicates_and_near_duplicates():
    same = {
        (ZEBRA, "color"): "A zebra and a horse run.",
        (HORSE, "color"): "A zebra and a horse run.",
    }
    assert rules(same) == ["duplicate"]
    near = {
        (HORSE, "shape"): "A horse has a long neck, slender legs, and a swishing tail.",
        (ZEBRA, "shape"): "A zebra has a long neck, slender legs, and a swishing tail.",
    }
    (finding,) = lint(near, COCO)
    assert (finding.index, finding.rule) == (ZEBRA, "near-duplicate")
    other_attribute = {
        (HORSE, "shape"): near[HORSE, "shape"],
        (ZEBRA, "size"): near[ZEBRA, "shape"],
    }
    assert rules(other_attribute) == []


@pytest.mark.parametrize(
    ("text", "one"),
    [
        ("It is 1.5 meters long.", True),
        ("Dogs, e.g. a tabby, bark.", True),
        ("It ends...", False),
        ("One. Two.", False),
        ('He said "stop." Then left.', False),
        ("Line\nbreak.", False),
        (".", False),
    ],
)
def test_one_sentence(text, one):
    assert is_one_sentence(text) is one


STRIPES = "A zebra is covered in black and white stripes, with an upright mane."


@pytest.mark.parametrize(
    ("attribute", "text", "rule"),
    [
        ("contrast:cow", "A cow has large brown patches.", "class-named"),
        ("contrast:cow", "A zebra is striped where a cow is patched.", "other-named"),
        ("contrast:cow", "A zebra is striped, as Cows seldom are.", "other-named"),
        ("contrast:car", "A zebra has no wheels.", "negation"),
        ("contrast:car", "A zebra isn't painted.", "negation"),
        ("contrast:wall-brick", "A zebra stands before a brick  wall.", "one-sentence"),
        ("contrast:wall-brick", "A zebra stands before brick walls.", "other-named"),
        ("contrast:boat", "A zebra is brought in ships.", "other-named"),  # a synonym
        ("contrast:zebra", STRIPES, "other-class"),
        ("contrast:unicorn", STRIPES, "other-class"),
        ("contrast:cow", "A zebra is " + "very " * 80 + "black.", "tokens"),
    ],
)
def test_each_rule_of_pairs(attribute, text, rule):
    assert rule in rules({(ZEBRA, attribute): text})
    assert rules({(ZEBRA, "contrast:horse"): STRIPES}) == []


@pytest.mark.parametrize(
    "said",
    [
        "without horns", "unlike others", "smaller than most", "never spotted", "neither tame",
        "lacking horns", "free of spots", "different from all", "in contrast lean", "not spotted",
    ],
)  # fmt: skip
def test_negation_and_comparison_are_found(said):
    assert rules({(ZEBRA, "contrast:cow"): f"A zebra is striped, {said}."}) == ["negation"]
    assert rules({(ZEBRA, "typical"): f"A zebra is striped, {said}."}) == []


def test_a_name_inside_the_class_s_own_is_not_the_other_s():
    entries = ClassEntry(0, "ball", "ball"), ClassEntry(1, "tennis ball", "tennis ball")
    balls = Vocabulary("balls", "Balls", entries)
    told = {(1, "contrast:ball"): "A tennis ball is covered in yellow felt."}
    assert lint(told, balls) == []
    told = {(1, "contrast:ball"): "A tennis ball is a ball in yellow felt."}
    assert [finding.rule for finding in lint(told, balls)] == ["other-named"]


def test_one_text_for_two_pairs_is_a_duplicate():
    both = {(ZEBRA, "contrast:cow"): STRIPES, (ZEBRA, "contrast:horse"): STRIPES}
    assert rules(both) == ["duplicate"]


def test_check_text_is_about_one_sentence_alone():
    assert check_text(GOOD, COCO[ZEBRA]) == []
    assert [rule for rule, _ in check_text("A horse", COCO[ZEBRA])] == [
        "one-sentence",
        "class-named",
    ]


@pytest.mark.parametrize("name", DESCRIBED_VOCABULARIES)
def test_the_bundled_descriptions_are_clean(name):
    vocabulary = load_vocabulary(name)
    findings = lint(read_bundled(name), vocabulary)
    assert findings == []


def test_lint_of_a_vocabulary_is_quick():
    cells = read_bundled("coco-stuff")
    lint({}, COCO)
    started = time.process_time()
    lint(cells, COCO)
    assert time.process_time() - started < 20  # seconds of this process


def test_the_word_lists_are_sound():
    raw = json.loads((files("lsmseg_prompts.descriptions") / "lint_words.json").read_text("utf-8"))
    for owner, item in raw.items():
        assert owner in item["allowed_in"]
        assert len(set(item["words"])) == len(item["words"])
    assert len(set(RULES)) == 10
