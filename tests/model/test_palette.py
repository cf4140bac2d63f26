"""Colours of classes, and their names inside label maps."""

import json
from pathlib import Path

import numpy as np
import pytest

from lsmseg_model.data.ministuff.scenes import CLASSES
from lsmseg_model.data.palette import MOST, cielab, natural_colour, palette
from lsmseg_model.data.region_names import broken_lines, connected, region_names
from lsmseg_prompts.vocabularies import available_vocabularies, load_vocabulary

MINISTUFF = [name for _, name, _ in CLASSES]


def apart(colours: np.ndarray) -> float:
    """The least distance of two colours in CIELAB."""
    lab = cielab(colours)
    return float((np.linalg.norm(lab[:, None] - lab, axis=-1) + 999 * np.eye(len(lab))).min())


def test_cielab_of_known_colours() -> None:
    known = {(255, 255, 255): (100, 0, 0), (0, 0, 0): (0, 0, 0), (255, 0, 0): (53.24, 80.09, 67.20)}
    np.testing.assert_allclose(cielab(np.array(list(known))), list(known.values()), atol=0.02)


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("sky-other", "sky"),
        ("palm trees", "tree"),
        ("wall-brick", "brick"),
        ("wood floor", "wood"),
        ("a banana with brown spots", "banana"),
        ("a red car", "red"),
        ("dining table", "wood"),
        ("kitchen sink", "refrigerator"),
        ("street railing", "metal"),
        ("car window", "mirror"),
        ("two people", "person"),
    ],
)
def test_a_name_has_the_colour_of_what_it_means(name: str, like: str) -> None:
    assert natural_colour(name) == natural_colour(like) != ()


@pytest.mark.parametrize(
    "name",
    ["car", "a zebra with black and white stripes", "water tower", "clothes tree", "", "stuff"],
)
def test_others_have_none(name: str) -> None:
    assert natural_colour(name) == ()


def test_natural_colours_stay_near_and_all_are_apart() -> None:
    colours = palette(MINISTUFF)
    assert apart(colours) > 14
    for name, colour in zip(MINISTUFF, cielab(colours), strict=True):
        if natural := natural_colour(name):
            assert np.linalg.norm(colour - cielab(np.array(natural))) < 16, name
        else:
            assert np.hypot(*colour[1:]) > 55, name
    dirt, sea = (cielab(colours[MINISTUFF.index(name)]) for name in ("dirt", "sea"))
    assert dirt[2] > 15 and sea[2] < -30  # yellowish, blue


def test_every_shipped_vocabulary_has_colours_apart() -> None:
    for listed in available_vocabularies():
        names = [entry.readable for entry in load_vocabulary(listed)]
        colours = palette(names)
        assert len(np.unique(colours, axis=0)) == min(len(names), MOST)
        assert apart(colours[:MOST]) > 5


def test_colours_come_again_when_there_are_no_more() -> None:
    many = palette([f"thing {i}" for i in range(MOST + 5)])
    assert (many[MOST:] == many[:5]).all() and len(np.unique(many, axis=0)) == MOST


def test_connected_regions() -> None:
    labels = np.array([[1, 2, 1, 1], [1, 2, 2, 1], [1, 1, 1, 1], [3, 1, 3, 3]])
    expected = [[0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [12, 0, 14, 14]]
    assert connected(labels).tolist() == expected


def test_names_are_broken_into_equal_lines() -> None:
    lines = list(broken_lines("a zebra with stripes", len))
    assert lines[:2] == [("a zebra with stripes",), ("a zebra", "with stripes")]
    assert lines[3] == ("a", "zebra", "with", "stripes")


def placed(labels: np.ndarray, names: dict[int, str], **more: np.ndarray) -> dict[str, tuple]:
    found = region_names(labels, names, lambda text: len(text) / 2, (4, 20), **more)
    return {one.text: one[2:] for one in found}


def test_a_name_stands_inside_its_region_as_large_as_it_fits() -> None:
    labels = np.zeros((100, 200), int)
    labels[20:60, 100:180] = 1  # "cow" is 2 ems wide with its margins and 1.4 high: 28, at most 20
    found = placed(labels, {1: "cow"})
    assert found["cow"] == (pytest.approx(140, abs=1), pytest.approx(40, abs=1), 20, False)
    labels[20:60, 107:] = 0  # 7 wide: 3.5 level, too small; upright 7 / 1.4
    x, y, size, upright = placed(labels, {1: "cow"})["cow"]
    assert (x, y, upright) == (pytest.approx(103.5, abs=1), pytest.approx(40, abs=10), True)
    assert size == pytest.approx(5, rel=0.15)
    labels[25:] = 0  # 5 high
    assert placed(labels, {1: "cow"}) == {}


def test_a_wrong_name_is_marked_and_a_name_not_repeated_nearby() -> None:
    labels = np.zeros((100, 300), int)
    labels[20:80, 10:60] = labels[20:80, 62:120] = labels[20:80, 220:280] = 1
    truth = np.where(labels == 1, 1, -1)
    truth[:, 200:] = 2
    names = region_names(labels, {1: "cow"}, len, (4, 20), truth)
    assert sorted(one.text for one in names) == ["cow", "\u2717\u00a0cow"]


def test_the_table_has_every_name_once() -> None:
    path = Path(natural_colour.__code__.co_filename).with_name("natural_colours.json")
    names = [name for some in json.loads(path.read_text("utf-8")).values() for name in some]
    assert len(names) == len(set(names))


def test_every_name_of_the_table_is_found() -> None:
    path = Path(natural_colour.__code__.co_filename).with_name("natural_colours.json")
    for code, names in json.loads(path.read_text("utf-8")).items():
        for name in names:
            assert natural_colour(name) == tuple(bytes.fromhex(code[1:])), name


def test_most_classes_of_coco_stuff_have_a_colour_of_their_own() -> None:
    names = [entry.readable for entry in load_vocabulary("coco-stuff")]
    assert sum(natural_colour(name) != () for name in names) > len(names) / 2
    again = [entry.readable for entry in load_vocabulary("coco-stuff")]
    assert (palette(names) == palette(again)).all()
