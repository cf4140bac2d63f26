"""Prompt sets: compositions, the budget, the controls, and that sentences read as English."""

import math
import re
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.descriptions.bundled import read_bundled
from lsmseg_prompts.descriptions.cleaning import clean
from lsmseg_prompts.descriptions.lint import check_text, is_one_sentence
from lsmseg_prompts.english import is_named
from lsmseg_prompts.errors import RefusedError, UsageError
from lsmseg_prompts.prompts.compose import Writing, compose, join
from lsmseg_prompts.prompts.controls import donors
from lsmseg_prompts.prompts.from_store import prompt_set
from lsmseg_prompts.prompts.prompt_set import TEMPERATURE, build_prompt_set, set_name
from lsmseg_prompts.prompts.shortening import shorten
from lsmseg_prompts.tokens import CONTEXT_LENGTH, count_tokens
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary, load_vocabulary
from lsmseg_prompts.vocabularies.renaming import rename

COCO, CAMVID = load_vocabulary("coco-stuff"), load_vocabulary("camvid")
ZEBRA, PERSON, GRASS = COCO.find("zebra"), COCO.find("person"), COCO.find("grass")
READ_TOGETHER = ("ensemble", "mean-score", "max", "adaptive")


@cache
def bundled():
    return read_bundled("coco-stuff")


# How sentences become one ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentences", "expected"),
    [
        (["A zebra is black, with a dark muzzle.", "Zebras have manes."],
         "A zebra is black, with a dark muzzle. Zebras have manes."),
        (["It is a zebra!", "STOP is on it", "I see"], "It is a zebra! STOP is on it. I see"),
        (["Seen in the U.S.", "A zebra: red. Big"], "Seen in the U.S. A zebra: red. Big"),
    ],
)  # fmt: skip
def test_descriptions_stand_one_after_another(sentences, expected):
    assert join(sentences) == expected


def shortest(sentence, entry):
    while (less := shorten(sentence, entry.names)) is not None:
        sentence = less
    return sentence


@given(st.sampled_from(COCO.classes), st.permutations(list(ATTRIBUTES)), st.integers(1, 5))
@example(COCO.find("towel"), ["color", "position", "context"], 3)
@example(COCO.find("chair"), ["texture", "shape", "pattern", "color"], 4)
@example(PERSON, ["color", "position", "size"], 3)
def test_composed_bundled_sentences(entry, attributes, count):
    sentences = [bundled()[entry.index, attribute] for attribute in attributes[:count]]
    text, kept, cuts = compose(sentences, entry)
    assert count_tokens(text) <= CONTEXT_LENGTH
    assert is_named(text, entry.names)
    assert 1 <= kept <= count
    if kept < count:  # a description is dropped only where shortening all of them does not do
        briefest = [shortest(sentence, entry) for sentence in sentences[: kept + 1]]
        assert count_tokens(join(briefest)) > CONTEXT_LENGTH
    if cuts:
        assert count_tokens(join(sentences[:kept])) > CONTEXT_LENGTH
    # Each stands there from its beginning, in order.
    for sentence in sentences[:kept]:
        brief = shortest(sentence, entry)
        here, text = text.partition(". ")[::2]
        assert sentence.startswith(here.rstrip(".")) and here.startswith(brief[:-1])
    assert text == ""


words = st.text(st.characters(categories=["Ll", "Lu", "Nd", "Po", "Pd"]), min_size=1, max_size=12)


@given(
    st.lists(st.lists(words, max_size=12), min_size=1, max_size=4), st.sampled_from(COCO.classes)
)
@example([[";", ";", "0"]], PERSON)
def test_composing_anything_gives_a_short_text_that_names_the_class(parts, entry):
    frames = ("{name} is {}.", "Near it {} a {name}.", "{} of the {name}", "The {name}'s {} is.")
    sentences = [
        frames[i % 4].format(" ".join(part), name=entry.readable) for i, part in enumerate(parts)
    ]
    assume(count_tokens(sentences[0]) <= CONTEXT_LENGTH - 2)
    text, kept, _ = compose(sentences, entry)
    assert count_tokens(text) <= CONTEXT_LENGTH
    assert is_named(text, entry.names)
    assert kept >= 1


PIECES = """A NAME, The NAME's, Most NAME, NAME:, is, has, are, black, boldly, legs, its, and, or,
with, while, though, which, looks, ;, : red, e.g., U.S., 1.5, ..., Dr., STOP, I, it, (tall),
in shade., Also, !, very, either"""
pieces = st.sampled_from([",", *re.split(r",\s+", PIECES)])


@given(
    st.lists(st.lists(pieces | words, min_size=1, max_size=40), min_size=1, max_size=5),
    st.sampled_from(COCO.classes),
    st.sampled_from(["sentence", "phrase", "descriptor"]),
)
@example([["A NAME"], ["Dr. Most NAME"]], PERSON, "phrase")
def test_what_may_be_stored_composes_to_what_may_be_read(parts, entry, form):
    cleaned = [clean(" ".join(part).replace("NAME", entry.readable)).text for part in parts]
    sentences = [text for text in cleaned if not check_text(text, entry)]
    assume(sentences)
    try:
        text = compose(sentences, entry, Writing(form)).text
    except RefusedError:  # a form may add words to a sentence that just fits
        assume(form == "sentence")
        raise
    broken = dict(check_text(text, entry))
    assert broken.keys() <= {"one-sentence"}
    if form != "sentence":
        assert text.startswith(entry.readable)
        assert compose([text], entry, Writing(form)).text == text


def test_a_single_description_stays_as_it_is_worded():
    for text in bundled().values():
        assert join([text]) == text


# What is left out over the budget ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("A zebra is black and white, with a dark muzzle.", "A zebra is black and white."),
        ("A zebra is black and white, though foals look brown.", "A zebra is black and white."),
        (
            "A zebra is black, white, or gray, sometimes brown, with dark ears, legs, and hoofs.",
            "A zebra is black, white, or gray, sometimes brown.",
        ),
        ("A zebra is black, white, or gray, sometimes brown.", "A zebra is black, white, or gray."),
        ("A zebra's coat is short, and its mane is stiff.", "A zebra's coat is short."),
        ("Zebras look sleek and tall, standing in a herd.", "Zebras look sleek and tall."),
        ("A zebra has a striped coat, which shines in the sun.", "A zebra has a striped coat."),
        # A list stays whole, wherever it is.
        ("A zebra is black, white, and sometimes brown.", None),
        ("A zebra has a long face, round ears, and legs that look thin.", None),
        ("A zebra walks, rests, looks around, and stays close.", None),
        ("A zebra has short, sleek hair, often dusty, and a dark nose.", None),
        ("A zebra lies on the grass, under trees, or in the dust.", None),
        ("Zebras have a long muzzle, drooping or upright ears, and thin legs.", None),
        # What remained would be no sentence, not name the class, or not say the main thing.
        ("Some animals of the plains, like zebras, are striped.", None),
        ("Most are striped in the wild, though a zebra may be plain.", None),
        ("A zebra is black, or, in the sun, brown.", None),
        ("A zebra is vivid, often a mix of red, blue, and green.", None),
        ("With thin legs and round ears, a zebra looks tall.", None),
        ("A zebra is black and white.", None),
    ],
)
def test_a_trailing_part_is_left_out_or_nothing(sentence, expected):
    assert shorten(sentence, ZEBRA.names) == expected


def test_the_longest_description_is_shortened_first_and_dropped_last():
    tail = ", with " + "very " * 60 + "dark stripes"
    first, second = "A zebra is quite tall, often plump.", f"A zebra has a short coat{tail}."
    assert compose([first, second], ZEBRA) == (
        "A zebra is quite tall, often plump. A zebra has a short coat.",
        2,
        1,
    )
    long = f"A zebra has {'very ' * 40}dark stripes."
    assert compose([first, long, long], ZEBRA).kept == 2
    assert compose([first, long.replace("very " * 40, "very " * 70)], ZEBRA) == (first, 1, 0)


def test_bundled_remainders_are_whole_sentences():
    for (index, _), text in bundled().items():
        entry, brief = COCO[index], shortest(text, COCO[index])
        assert is_one_sentence(brief) and is_named(brief, entry.names)
        assert text.startswith(brief[:-1])
        assert not re.search(r"\b(?:and|or|but|with|of|the|a|an|is|are)\.$", brief), brief


def test_most_classes_keep_four_attributes():
    four = build_prompt_set(bundled(), COCO, ["size", "shape", "texture", "color"])
    assert len(COCO) - len(four.dropped) > 120
    assert set(four.dropped) < set(four.shortened)


# Prompt sets ----------------------------------------------------------------------------------


def test_name_is_the_papers_template():
    prompt_set = build_prompt_set({}, COCO, ["name"])
    assert prompt_set.name == "name"
    assert prompt_set.texts[COCO.find("wall-brick").index] == ("a photo of a brick wall",)


def test_concat_has_one_text_a_class_and_says_what_it_shortened():
    one = build_prompt_set(bundled(), COCO, ["color"])
    assert one.shortened == () and one.name == "color"
    assert all(texts == (bundled()[i, "color"],) for i, texts in enumerate(one.texts))
    many = build_prompt_set(bundled(), COCO, list(ATTRIBUTES))
    assert len(many) == 171
    assert len(many.shortened) == len(many.dropped) == 171  # nine clauses never fit
    assert max(count_tokens(text) for (text,) in many.texts) <= CONTEXT_LENGTH
    two = build_prompt_set(bundled(), COCO, ["color", "shape"])
    assert two.name == "color+shape"
    assert two.attributes == ("color", "shape")
    assert two.class_names == tuple(entry.name for entry in COCO)


def test_ensemble_keeps_the_sentences():
    prompt_set = build_prompt_set(bundled(), COCO, ["shape", "color"], composition="ensemble")
    assert prompt_set.texts[22] == (bundled()[22, "shape"], bundled()[22, "color"])
    assert prompt_set.shortened == prompt_set.dropped == ()


@pytest.mark.parametrize("composition", ["concat", "ensemble"])
def test_random_has_the_tokens_of_what_it_stands_for(composition):
    matched = build_prompt_set(bundled(), COCO, ["texture", "size"], composition)
    control = build_prompt_set(bundled(), COCO, ["texture", "size"], composition, control="random")
    assert control.name == f"random({matched.name})"
    for entry, real, texts in zip(COCO, matched.texts, control.texts, strict=True):
        assert len(real) == len(texts)
        for a, b in zip(real, texts, strict=True):
            assert count_tokens(a) == count_tokens(b)
            assert b.startswith(f"a photo of a {entry.readable}, ")
            rest = b.removeprefix(f"a photo of a {entry.readable}, ")
            assert not any(is_named(rest, other.names) for other in COCO)


def test_readings_have_the_texts_of_an_ensemble():
    cells = read_bundled("camvid")
    one, several = (
        {how: build_prompt_set(cells, CAMVID, names, how) for how in READ_TOGETHER}
        for names in (["color"], ["color", "size"])
    )
    for how in READ_TOGETHER:
        assert several[how].texts == several["ensemble"].texts
        assert several[how].composition == how
        assert one[how].plain and several[how].plain == (how == "ensemble")
    assert several["adaptive"].temperature == TEMPERATURE
    assert several["max"].temperature is None
    refined = replace(several["max"], composition="refined")
    assert refined.plain and not replace(refined, weights=((1.0, -1.0),) * 11).plain
    name = build_prompt_set({}, CAMVID, ["name"], "max")
    assert name.texts[0] == ("a photo of a sky",) and name.plain


@pytest.mark.parametrize(
    ("composition", "changes", "says"),
    [
        ("max", {"weights": ((1.0, 1.0),) * 11}, "max have no weights: leave them out"),
        ("ensemble", {"weights": ((1.0,),) * 11}, "not one weight for each text"),
        ("ensemble", {"weights": ((1.0, 1.0),) * 10}, "not one weight for each text"),
        ("mean-score", {"weights": ((0.0, 0.0),) * 11}, "not all 0"),
        ("ensemble", {"weights": ((1.0, math.inf),) * 11}, "'sky' .* are 1.0, inf"),
        ("max", {"temperature": 0.1}, "max has no temperature"),
        ("adaptive", {"temperature": 0.0}, "temperature 0 .* above 0"),
        ("adaptive", {"temperature": math.nan}, "temperature nan .* above 0"),
    ],
)
def test_weights_and_temperatures_that_do_not_fit(composition, changes, says):
    made = build_prompt_set(read_bundled("camvid"), CAMVID, ["color", "size"], composition)
    with pytest.raises(UsageError, match=says):
        replace(made, **changes)


def test_controls_depend_on_the_seed_alone():
    for control in ("random", "shuffled"):
        made = [
            build_prompt_set(bundled(), COCO, ["color"], control=control, seed=seed)
            for seed in (0, 0, 1)
        ]
        assert made[0] == made[1] != made[2]
        assert prompt_set("coco-stuff", ["color"], control=control) == made[0]


@given(st.integers(0, 10_000), st.integers(2, 12))
def test_donors_are_a_derangement(seed, count):
    small = Vocabulary("small", "", COCO.classes[:count])
    for vocabulary in (small, COCO):
        drawn = donors(vocabulary, seed)
        assert sorted(drawn) == list(range(len(vocabulary)))
        assert all(donor != i for i, donor in enumerate(drawn))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("composition", ["concat", "ensemble"])
def test_shuffled_names_the_class_and_no_longer_the_donor(seed, composition):
    attributes = ["color", "shape", "material"]
    control = build_prompt_set(
        bundled(), COCO, attributes, composition, control="shuffled", seed=seed
    )
    assert control.name == set_name(attributes, composition, "shuffled")
    for entry, donor, texts in zip(COCO, donors(COCO, seed), control.texts, strict=True):
        for text in texts:
            assert is_named(text, entry.names)
            assert not is_named(text, COCO[donor].names), (text, COCO[donor].names)
            assert count_tokens(text) <= CONTEXT_LENGTH


@pytest.mark.parametrize(
    ("text", "donor", "receiver", "expected"),
    [
        ("A zebra is black.", "zebra", "apple", "An apple is black."),
        ("A zebra is black.", "zebra", "grass", "Grass is black."),
        ("A zebra has legs.", "zebra", "scissors", "Scissors have legs."),
        ("Zebras have legs, ZEBRAS run.", "zebra", "knife", "Knives have legs, knives run."),
        ("Zebras have legs.", "zebra", "grass", "Grass has legs."),
        ("Bands wrap a zebra's legs.", "zebra", "umbrella", "Bands wrap an umbrella's legs."),
        ("People walk past a man.", "person", "cow", "Cows walk past a cow."),
        ("Grass is green.", "grass", "zebra", "A zebra is green."),
        ("People are tall.", "person", "zebra", "Zebras are tall."),
        ("The sofa is soft.", "couch", "sky", "The sky is soft."),
        ("Sheep have legs.", "sheep", "zebra", "Zebras have legs."),
        ("A woolly sheep is a small sheep.", "sheep", "zebra", "A woolly zebra is a small zebra."),
    ],
)
def test_renaming(text, donor, receiver, expected):
    assert rename(text, COCO.find(donor), COCO.find(receiver)) == expected


def test_a_phrase_with_an_article_gets_no_second_one() -> None:
    sign = ClassEntry(0, "a red stop sign", "a red stop sign")
    for text, renamed in (
        ("A stop sign is red.", "A red stop sign is red."),
        ("The stop sign has eight sides.", "The red stop sign has eight sides."),
        ("On a post stands a stop sign.", "On a post stands a red stop sign."),
    ):
        assert rename(text, COCO.find("stop sign"), sign) == renamed


# What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attributes": []}, "at least one attribute"),
        ({"attributes": ["colr"]}, "did you mean color"),
        ({"attributes": ["color", "color"]}, "named twice"),
        ({"attributes": ["name", "color"]}, "stands alone"),
        ({"attributes": ["name"], "control": "random"}, "stands alone"),
        ({"attributes": ["imagenet", "color"]}, "imagenet is a baseline .* stands alone"),
        ({"attributes": ["color", "cat-seg"]}, "cat-seg is a baseline .* stands alone"),
        ({"attributes": ["shuffled"]}, "is a control"),
        ({"attributes": ["color"], "control": "upside-down"}, "no control"),
        ({"attributes": ["color"], "composition": "poem"}, "no composition"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(UsageError, match=message):
        build_prompt_set(bundled(), COCO, **arguments)


def test_missing_descriptions_are_named():
    some = {
        cell: text for cell, text in bundled().items() if cell not in [(3, "color"), (5, "color")]
    }
    with pytest.raises(UsageError, match="color of 'motorcycle' and 1 more class in"):
        build_prompt_set(some, COCO, ["color"])


def test_what_cannot_be_shortened_or_says_nothing_is_refused():
    one = Vocabulary("one", "", (ClassEntry(0, "cat", "cat"),))
    long = {(0, "color"): "A cat is " + "very " * 80 + "black."}
    for composition in ("concat", "ensemble"):
        with pytest.raises(RefusedError, match=r"'cat' takes \d+ tokens where 77 fit"):
            build_prompt_set(long, one, ["color"], composition)
    for composition in ("concat", "ensemble"):
        with pytest.raises(RefusedError, match=r"A description of 'cat' has no word: ' ;\.'"):
            build_prompt_set({(0, "color"): " ;."}, one, ["color"], composition)
        with pytest.raises(RefusedError, match="control characters or invisible signs"):
            build_prompt_set({(0, "color"): "A cat is \x1b[31mred."}, one, ["color"], composition)
    with pytest.raises(UsageError, match="at least two classes"):
        build_prompt_set({(0, "color"): "A cat."}, one, ["color"], control="shuffled")


def test_templates_for_the_plain_name():
    """CLIP's seven are those of open_clip; CAT-Seg's is one; neither needs descriptions."""
    import open_clip

    imagenet = build_prompt_set({}, COCO, ["imagenet"])
    own = [template("zebra") for template in open_clip.SIMPLE_IMAGENET_TEMPLATES]
    (zebra,) = (entry.index for entry in COCO if entry.name == "zebra")
    assert list(imagenet.texts[zebra]) == own and len(own) == 7
    assert (imagenet.name, imagenet.composition, imagenet.llm) == ("imagenet", "ensemble", "none")
    cat_seg = build_prompt_set({}, COCO, ["cat-seg"])
    assert cat_seg.texts[zebra] == ("A photo of a zebra in the scene",)
