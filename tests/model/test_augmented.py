"""Mirrored and scaled views: the mean of what each view gives by itself, compared afterwards."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.small_clip import SMALL
from support.whole_network import small_network

from lsmseg_model import Segmenter
from lsmseg_model.errors import UsageError
from lsmseg_model.inference.augmented import encode_views, scaled
from lsmseg_model.inference.options import NONE, Augmentation
from lsmseg_model.inference.pictures import EncodedPicture
from lsmseg_model.networks.backbones.load import build_backbone
from lsmseg_model.networks.protocol import PUBLISHED_PROTOCOL, Protocol

NAMES = [f"class {i}" for i in range(11)]
BOTH = Augmentation(flip=True, scales=(0.5, 1.0, 2.0))


@pytest.fixture(params=["clip", "network"], scope="module")
def segmenter(request: pytest.FixtureRequest) -> Segmenter:
    torch.manual_seed(0)
    clip = request.param == "clip"
    return Segmenter.of(build_backbone(SMALL).eval() if clip else small_network())


def noise(height: int = 40, width: int = 70) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_mean_of_each_view_by_itself(segmenter: Segmenter) -> None:
    image, everything = noise(), range(len(NAMES))
    text = segmenter.encode_texts([[name] for name in NAMES])
    views = []
    for scale in BOTH.scales:
        one = Segmenter.of(scaled(segmenter.model, scale))
        views.append(one.scores(image, text, everything))
        views.append(one.scores(image[:, ::-1], text, everything)[..., ::-1])
    expected = np.mean(views, axis=0)
    decoded = encode_views(segmenter.model, image, BOTH).decode(text)
    np.testing.assert_allclose(decoded.scores(everything), expected, atol=1e-6)
    where, best = decoded.label()
    np.testing.assert_allclose(best, expected.max(axis=0), atol=1e-6)
    assert (where == decoded.scores(everything).argmax(axis=0)).all()  # in parts or all at once
    owners = [0, 0, *range(1, 10)]
    assert (decoded.label(owners)[0] == np.array(owners)[where]).all()
    low, high = decoded.range
    assert low <= expected.min() and expected.max() <= high


def test_a_mirrored_picture_gives_the_mirrored_map(segmenter: Segmenter) -> None:
    image, flip = noise(), Augmentation(flip=True)
    text = segmenter.encode_texts([[name] for name in NAMES])
    there, mirrored = (
        encode_views(segmenter.model, one, flip).decode(text).label()
        for one in (image, image[:, ::-1])
    )
    for ours, theirs in zip(there, mirrored, strict=True):
        assert (ours == theirs[:, ::-1]).all()
    plain = segmenter.label(image, text)[1]
    assert not np.allclose(plain, there[1])


def test_without_views_nothing_changes(segmenter: Segmenter) -> None:
    assert isinstance(encode_views(segmenter.model, noise(), NONE), EncodedPicture)
    assert scaled(segmenter.model, 1.0) is segmenter.model
    before = segmenter.clip.view
    scaled(segmenter.model, 2.0)
    assert segmenter.clip.view == before


def test_a_clip_at_twice_the_size() -> None:
    torch.manual_seed(0)
    clip = build_backbone(SMALL).eval()
    view = clip.view
    assert scaled(clip, 2).view == replace(view, short_side=2 * view.short_side)  # type: ignore[union-attr]
    assert scaled(clip, 0.01).view.short_side == view.window  # type: ignore[union-attr]


def test_a_networks_sides_by_hand() -> None:
    """Crops of 384 every 256 cover 384, 640, 896 ...: the nearest to 640 times the scale."""
    sides = {scale: PUBLISHED_PROTOCOL.scaled(scale).side for scale in (0.1, 0.5, 0.75, 1, 1.25, 2)}
    assert sides == {0.1: 384, 0.5: 384, 0.75: 384, 1: 640, 1.25: 896, 2: 1408}
    assert Protocol(side=10, crop=10, stride=5).scaled(1.5).side == 15


@pytest.mark.parametrize("scales", [(), (0,), (-1.0,), (1.0, 1.0), (float("nan"),), (17.0,)])
def test_scales_that_are_none(scales: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="give different numbers above 0"):
        Augmentation(scales=scales)
