"""Windows, segmentation, prediction and the evaluation summary, with a small random CLIP."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_clip import SMALL

from lsmseg_model.checkpoints import save_weights
from lsmseg_model.clip import Clip, View, build_clip
from lsmseg_model.errors import DataError, UsageError
from lsmseg_model.evaluate import (
    _offsets,
    count_prompt_sets,
    dense_features,
    picture_features,
    segment,
)
from lsmseg_model.metrics import confusion_counts
from lsmseg_model.predict import Predictor, predict


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(path, build_clip(SMALL).model.state_dict(), {"config": SMALL})
    return path


@pytest.mark.parametrize("side", [16, 17, 24, 40, 41])
def test_windows_cover_every_pixel_and_stay_inside(side: int) -> None:
    starts = _offsets(side, 16, 8)
    covered = {x for start in starts for x in range(start, start + 16)}
    assert covered == set(range(side))


def test_overlapping_windows_average_features() -> None:
    torch.manual_seed(0)
    clip = build_clip(SMALL).eval()
    picture = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    image = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        left, right = (clip.encode_dense(image[..., x : x + 16])[0] for x in (0, 8))
    found = picture_features(clip, picture)
    torch.testing.assert_close(found[:, :2], left[:, :2])
    torch.testing.assert_close(found[:, 2:4], (left[:, 2:] + right[:, :2]) / 2)
    torch.testing.assert_close(found[:, 4:], right[:, 2:])


def test_small_and_odd_pictures_are_resized() -> None:
    clip = build_clip(SMALL).eval()
    clip.view = View(16, 16, 8)
    assert picture_features(clip, np.zeros((5, 9, 3), np.uint8)).shape == (4, 7, 8)


def test_segment_splits_sets() -> None:
    features = torch.tensor([[[1.0, 0.0]]])
    text = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.6, 0.8]])
    masks, cosines = segment(features, text, (2, 2), sets=2)
    assert masks.tolist() == [[[0, 0], [0, 0]], [[1, 1], [1, 1]]]
    np.testing.assert_allclose(cosines[:, 0, 0], [1.0, 0.6], atol=1e-6)


class Two:
    """Two pictures of a vocabulary of ten, scored on classes 3 and 7."""

    name, split, vocabulary = "two", "val", "ten"
    class_indices: tuple[int, ...] = (3, 7)
    seen, owners = None, None

    def __len__(self) -> int:
        return 2

    def key(self, index: int) -> str:
        return str(index)

    def picture(self, index: int) -> np.ndarray:
        return np.random.default_rng(index).integers(0, 256, (16, 16, 3), dtype=np.uint8)

    def labels(self, index: int) -> np.ndarray:
        labels = np.full((16, 16), 3)
        labels[:4], labels[4:6], labels[6:8] = 7, -1, 5  # class 5 is not scored
        return labels


def test_many_prompt_sets_in_one_pass_equal_one_by_one() -> None:
    torch.manual_seed(0)
    clip: Clip = build_clip(SMALL).eval()
    features = dense_features(clip, Two())
    sets = [[["a zebra"], ["the sky"]], [["grass", "a lawn"], ["a zebra"]], [["x"], ["y"]]]
    together = count_prompt_sets(clip, features, sets)
    assert together.shape == (3, 2, 2, 3)
    for s, texts in enumerate(sets):
        assert (count_prompt_sets(clip, features, [texts])[0] == together[s]).all()
    assert (together[:, :, :, 2] == [128, 64]).all()  # unscored and ignored pixels count nowhere
    text = clip.encode_texts(sets[0])
    masks, _ = segment(features.maps[0], text, (16, 16))
    assert (confusion_counts(masks[0], features.labels[0], 2) == together[0, 0]).all()


def test_predict_writes_an_overlay(tmp_path: Path, weights: Path) -> None:
    Image.new("RGB", (40, 30), (90, 140, 220)).save(tmp_path / "in.png")
    out = tmp_path / "deep" / "out.png"
    found = predict(
        picture=tmp_path / "in.png", classes=["sky", "grass"], pretrained=weights, out=out
    )
    assert found.masks.shape == (30, 40)
    assert sum(found.shares.values()) == pytest.approx(1)
    with Image.open(out) as overlay:
        assert overlay.width > overlay.height
    assert [p.name for p in out.parent.iterdir()] == ["out.png"]


def test_predictor_takes_arrays_and_own_texts(weights: Path) -> None:
    predictor = Predictor(pretrained=weights)
    picture = np.zeros((16, 16, 3), np.uint8)
    found = predictor.predict(picture, ["a", "b"], [["one"], ["two", "three"]])
    assert set(found.shares) == {"a", "b"}
    with pytest.raises(UsageError, match="at least one class"):
        predictor.predict(picture, [])
    with pytest.raises(UsageError, match="2 classes but texts for 1"):
        predictor.predict(picture, ["a", "b"], [["one"]])


def test_predict_errors(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        predict(picture=tmp_path / "no.png", classes=["a"], pretrained=weights)
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="cannot be read as a picture"):
        predict(picture=tmp_path / "bad.png", classes=["a"], pretrained=weights)
