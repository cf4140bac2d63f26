"""MiniStuff: scenes, invented things, and what is said of them."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsmseg_model.data.ministuff import invented
from lsmseg_model.data.ministuff import scenes as mini
from lsmseg_model.data.ministuff.captions import (
    ATTRIBUTES,
    Thing,
    caption,
    caption_of,
    values_of,
)
from lsmseg_model.data.ministuff.class_looks import looks_like_a_class
from lsmseg_model.data.ministuff.drawing import COLOURS
from lsmseg_model.data.ministuff.lexicon import (
    COLOUR_WORDS,
    PART_WORDS,
    PATTERN_WORDS,
    SHAPE_WORDS,
)
from lsmseg_model.data.ministuff.looks import LOOKS, Gallery, Looks, appearance
from lsmseg_model.data.ministuff.objects import OBJECTS
from lsmseg_model.data.ministuff.regions import SURFACES
from lsmseg_model.data.ministuff.shown import CLASS_TRAITS, is_false, shown

VOCABULARY = Path(__file__).parents[2] / "lsmseg_prompts/vocabularies/coco-stuff.json"
TOLD = ("A dax is much like itself.", frozenset({"shape"}))
GALLERY = Gallery({look.key: [TOLD] for look in LOOKS})


@cache
def scenes() -> list[mini.Scene]:
    return [mini.draw("report", i) for i in range(200)]


@cache
def training() -> list[mini.TrainingScene]:
    return [mini.draw_training(i, 0, GALLERY) for i in range(60)]


def coco_classes() -> list[dict]:
    return json.loads(VOCABULARY.read_text())["classes"]


# -- classes ---------------------------------------------------------------------------------


def test_classes_are_coco_stuffs_under_its_indices() -> None:
    named = {c["index"]: c["name"] for c in coco_classes()}
    assert {index: name for index, name, _ in mini.CLASSES} == {
        index: named[index] for index in mini.CLASS_INDICES
    }
    assert len(set(mini.CLASS_INDICES)) == 40
    assert (len(mini.SEEN), len(mini.UNSEEN)) == (28, 12)


def test_every_class_can_be_drawn() -> None:
    assert set(OBJECTS) | set(SURFACES) == set(mini.CLASS_INDICES) == set(CLASS_TRAITS)


# -- scenes ----------------------------------------------------------------------------------


@given(st.sampled_from(sorted(mini.SPLITS)), st.integers(0, 10**6))
def test_scenes_are_a_function_of_split_and_index(split: str, index: int) -> None:
    first, again = mini.draw(split, index), mini.draw(split, index)
    assert first.image.shape == (128, 128, 3) and first.image.dtype == np.uint8
    assert first.labels.shape == (128, 128) and first.labels.dtype == np.int64
    assert np.array_equal(first.image, again.image) and np.array_equal(first.labels, again.labels)
    assert first.drawn == again.drawn
    allowed = {mini.IGNORE, *mini.SEEN} if split == "train" else set(mini.CLASS_INDICES)
    assert set(np.unique(first.labels).tolist()) <= allowed


def test_splits_and_indices_differ() -> None:
    pictures = [mini.draw(split, i).image for split in mini.SPLITS for i in range(3)]
    pictures += [scene.image for scene in training()[:3]]
    assert len({p.tobytes() for p in pictures}) == len(pictures)


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(KeyError):
        mini.draw("holiday", 0)


def test_every_class_occurs_often_enough_and_large_enough() -> None:
    for index, name, _ in mini.CLASSES:
        areas = [int((s.labels == index).sum()) for s in scenes() if (s.labels == index).any()]
        assert len(areas) >= 0.07 * len(scenes()), name
        assert np.median(areas) >= 64, name  # one patch of 8 x 8 pixels
        assert np.median(areas) <= 0.7 * 128 * 128, name


def test_train_voids_exactly_what_is_unseen() -> None:
    voids = 0
    for index in range(30):
        scene = mini.draw("train", index)
        drawn = set(scene.drawn)
        void = (scene.labels == mini.IGNORE).any()
        assert not void or drawn & mini.UNSEEN
        voids += bool(void)
    assert voids > 10


def test_scenes_are_fully_labelled_and_neither_flat_nor_burnt_out() -> None:
    for scene in scenes()[:50]:
        assert mini.IGNORE not in scene.labels
        assert len(set(scene.drawn)) >= 2
        assert scene.image.std() > 8
        assert (scene.image == 255).all(-1).mean() < 0.5


def test_relative_sizes_are_like_the_real_ones() -> None:
    def typical(index: int) -> float:
        return float(np.median([(s.labels == index).sum() for s in scenes() if index in s.labels]))

    assert typical(20) > 2 * typical(18) > 2 * typical(14)  # elephant, sheep, bird
    assert typical(5) > typical(2)  # bus, car


def test_colours_carry_information() -> None:
    def mean_rgb(index: int) -> np.ndarray:
        among = [s for s in scenes() if index in s.labels]
        return np.mean([s.image[s.labels == index].mean(0) for s in among], 0)

    banana, orange, grass, snow, sand = (mean_rgb(i) for i in (46, 49, 112, 147, 142))
    assert banana[0] > banana[2] + 60 and banana[1] > banana[2] + 60
    assert orange[0] > orange[1] + 40 > orange[2]
    assert grass[1] > grass[0] and grass[1] > grass[2]
    assert snow.min() > 170 and sand[0] > sand[2] + 30


# -- training scenes -------------------------------------------------------------------------


def test_training_scenes_are_deterministic_and_follow_the_seed() -> None:
    first, again, other = (mini.draw_training(5, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.image, again.image) and np.array_equal(first.labels, again.labels)
    assert first.captions == again.captions and first.shown == again.shown
    assert not np.array_equal(first.image, other.image)


def test_training_scenes_never_show_unseen_classes() -> None:
    for scene in training():
        values = set(np.unique(scene.labels).tolist())
        invented_labels = {v for v in values if v >= mini.FIRST_INVENTED}
        assert values - invented_labels <= mini.SEEN | {mini.IGNORE}
        assert invented_labels == set(scene.captions)
        assert not any(is_false(c.values, scene.shown) for c in scene.captions.values())


def test_all_flavours_of_training_scene_occur() -> None:
    kinds = set()
    for scene in training():
        values = np.unique(scene.labels)
        known, new = (values < mini.FIRST_INVENTED).any(), (values >= mini.FIRST_INVENTED).any()
        kinds.add((bool(known), bool(new)))
    assert kinds == {(True, False), (True, True), (False, True)}


# -- captions --------------------------------------------------------------------------------


def class_names() -> re.Pattern[str]:
    """All names of the classes; "orange" is free because it is a colour too."""
    words = {"ball", "brick", "wood", "concrete", "sandy", "snowy", "grassy", "wooden", "hydrant"}
    for entry in coco_classes():
        if entry["index"] in mini.CLASS_INDICES:
            words |= {entry["name"], entry["readable"], *entry["synonyms"]}
    words = {w.lower() for w in words} - {"orange"}
    return re.compile(rf"\b({'|'.join(map(re.escape, sorted(words)))})(s|es)?\b", re.I)


def test_captions_never_name_a_class_and_are_short() -> None:
    forbidden = class_names()
    told = [caption.text for scene in training() for caption in scene.captions.values()]
    rng = np.random.default_rng(3)
    told += [caption_of(rng, invented.thing(rng, Gallery())[0]).text for _ in range(400)]
    for text in told:
        assert not forbidden.search(text), text
        assert 1 <= len(text.split()) <= 60
        assert "{" not in text and "  " not in text


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(sorted(SHAPE_WORDS)),
    st.sampled_from(sorted(COLOURS)),
    st.sampled_from(sorted(PATTERN_WORDS)),
    st.lists(st.sampled_from(sorted(PART_WORDS)), max_size=4, unique=True),
)
def test_any_thing_can_be_told(
    seed: int, shape: str, colour: str, pattern: str, parts: list[str]
) -> None:
    rng = np.random.default_rng(seed)
    kind = "region" if shape == "region" else "object"
    thing = Thing(kind, shape, (colour, "blue"), pattern, "rough", 40.0, tuple(parts))
    assert caption_of(rng, thing).text
    for attribute in ATTRIBUTES:
        assert caption(rng, thing, [attribute])


def test_a_color_caption_names_the_color() -> None:
    rng = np.random.default_rng(0)
    thing = Thing("object", "round", ("purple",), "plain", "", 40.0, ())
    for _ in range(100):
        text = caption(rng, thing, ["color"]).lower()
        assert any(word in text for word in COLOUR_WORDS["purple"]), text


def test_a_sentence_is_false_where_nothing_has_any_value_of_an_attribute() -> None:
    disc = Thing("object", "round", ("red",), "plain", "", 40.0, ())
    seen = shown([disc], [142])  # and sand
    assert {"color red", "color maroon", "shape round", "color tan", "pattern rippled"} <= seen
    assert not seen & {"color blue", "shape star", "pattern checks"}
    assert is_false({"color blue"}, seen) and is_false({"color red", "shape star"}, seen)
    assert not is_false({"color blue", "color red"}, seen)  # one of them is there
    assert not is_false({"shape blob", "pattern fading", "texture fuzzy"}, seen)  # who can say
    assert not is_false((), seen)


def test_what_a_caption_tells_of() -> None:
    rng = np.random.default_rng(0)
    ring = Thing("object", "ring", ("red",), "spots", "smooth", 40.0, ())
    has = {"color red", "shape ring", "pattern spots", "texture smooth"}
    assert values_of(ring) == has
    for told in (caption_of(rng, ring) for _ in range(200)):
        assert told.values <= has
        assert " or " not in told.text or "color red" not in told.values


# -- looks -----------------------------------------------------------------------------------


def test_looks_are_of_things_that_the_engine_draws_and_of_no_class() -> None:
    shapes, patterns = set(SHAPE_WORDS) - {"region"}, {"plain", *invented.CHOICES["patterns"]}
    surfaces = {*invented.CHOICES["surfaces"], "fading", "checks"}
    rng = np.random.default_rng(0)
    assert len({look.key for look in LOOKS}) == len(LOOKS) > 900
    for look in LOOKS:
        assert not class_names().search(look.name), look
        assert set(look.shapes) <= shapes and set(look.textures) <= set(invented.ROUGHNESS)
        assert set(look.patterns) <= (patterns if look.shapes else surfaces), look
        assert all(1 <= len(pair) <= 2 and set(pair) <= set(COLOURS) for pair in look.colours)
        assert look.says and look.sizes
        others = [other for other in (look, LOOKS[5], LOOKS[9]) if other.shapes]
        for other in others if look.shapes else [look]:
            if seen := appearance(rng, look, other):
                kind = seen.shape if look.shapes else seen.pattern
                assert not looks_like_a_class(kind, seen.first, seen.second, seen.pattern)
                assert seen.first != seen.second


def test_most_looks_can_be_drawn_and_are_told_of_in_their_own_words() -> None:
    rng = np.random.default_rng(0)
    drawn = sum(any(appearance(rng, look, look) for _ in range(8)) for look in LOOKS)
    assert drawn > 0.95 * len(LOOKS)
    gallery = Gallery({look.key: [TOLD] for look in LOOKS})
    assert len(gallery.objects.looks) > len(gallery.regions.looks) > 30
    written = [invented.thing(rng, gallery)[0].written for _ in range(40)]
    written += [invented.region(rng, 16, 16, gallery)[0].written for _ in range(40)]
    assert 20 < sum(bool(some) for some in written) < 70
    some = next(some for some in written if some)
    ring = Thing("object", "ring", ("red",), "plain", "", 40.0, (), some)
    captions = [caption_of(rng, ring).text for _ in range(60)]
    assert 25 < sum(text.startswith("A dax is much like itself") for text in captions) < 55


def test_sentences_to_read_come_with_a_caption_of_the_same_attributes() -> None:
    rng = np.random.default_rng(0)
    told = {look.key: [TOLD, ("Wugs cost much.", frozenset({"action"}))] for look in LOOKS[:50]}
    pairs = Gallery(told | {"coco-stuff/17": [TOLD]}).read(rng, 200)
    assert len(pairs) == 200 and Gallery().read(rng, 3) == []
    for sentence, caption_alike in pairs:
        if sentence.text != TOLD[0]:  # nothing can be drawn of it
            assert not sentence.values and caption_alike is None
        elif caption_alike:
            assert {value.partition(" ")[0] for value in sentence.values} == {"shape"}
            assert not class_names().search(caption_alike)
    assert sum(alike is not None for _, alike in pairs) > 60


def test_a_thing_of_two_looks_is_told_of_by_both() -> None:
    rng = np.random.default_rng(0)
    ring, sack = (next(k for k in LOOKS if k.shapes[:1] == (s,)) for s in ("ring", "blob"))
    about = {"shape": "A dax has a hole.", "color": "Wugs are odd.", "shape+color": "Both."}
    told = [(text, frozenset(on.split("+"))) for on, text in about.items()]
    gallery = Gallery({ring.key: told, sack.key: told})
    texts = set()
    for _ in range(60):
        picked = gallery.objects.pick(rng, 1.0)
        assert picked is not None
        texts |= {s.text for s in picked[1] if picked[0].shape == "ring"}
    assert "A dax has a hole, and wugs are odd." in texts
    assert "Wugs are odd, and a dax has a hole." in texts
    assert Looks([]).pick(rng, 0.5) is None


def test_invented_things_never_make_up_a_class() -> None:
    assert looks_like_a_class("round", "orange", "blue", "plain")
    assert looks_like_a_class("animal", "white", "black", "upright stripes")
    assert not looks_like_a_class("round", "blue", "red", "plain")
    rng = np.random.default_rng(0)
    for _ in range(150):
        thing, sprite = invented.thing(rng, Gallery())
        second = thing.colours[-1]
        assert not looks_like_a_class(thing.shape, thing.colours[0], second, thing.pattern) or (
            len(thing.colours) == 1  # then the unused second colour decided
        )
        assert 0.03 < float(sprite.alpha.mean()) <= 1
        assert max(sprite.alpha.shape) <= 1.2 * thing.size + 4


def test_every_shape_and_surface_that_has_words_can_be_drawn_as_told() -> None:
    rng = np.random.default_rng(2)
    shapes = {*invented.CHOICES["figures"], *invented.CHOICES["outlines"]}
    assert shapes | {"region"} == set(SHAPE_WORDS)
    for shape in sorted(shapes):
        thing, sprite = invented.draw(rng, shape, "red", "blue", "plain", "", 44.0)
        assert (thing.shape, thing.colours, thing.size) == (shape, ("red",), 44.0)
        assert sprite.rgb[sprite.alpha > 0.9].mean(0).argmax() == 0
    for kind in (*invented.CHOICES["surfaces"], "fading", "checks"):
        thing, field = invented.surface(rng, 16, 16, kind, "red")
        assert (thing.pattern, thing.colours) == (kind, ("red",))
        assert field.mean((0, 1)).argmax() == 0


def test_invented_regions_fill_their_area() -> None:
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(60):
        thing, field = invented.region(rng, 32, 48, Gallery())
        assert field.shape == (32, 48, 3) and np.isfinite(field).all()
        seen.add(thing.pattern)
    assert len(seen) >= 10
