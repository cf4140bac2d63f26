"""One model, any pictures, any classes: CLIPs and whole networks, in bounded memory."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.small_clip import SMALL
from support.whole_network import catseg_file, small_network
from torch.nn import functional as F

from lsmseg_model import Prediction, Segmenter
from lsmseg_model.encoders.checkpoints import save_weights
from lsmseg_model.errors import DataError, UsageError
from lsmseg_model.inference.class_prompts import sentence
from lsmseg_model.inference.pictures import resized_picture
from lsmseg_model.inference.protocol import decode, encode, label, scores
from lsmseg_model.inference.reading import Reading
from lsmseg_model.inference.windows import picture_features
from lsmseg_model.kernels.argmax import best_class
from lsmseg_model.networks.backbones.base import View
from lsmseg_model.networks.backbones.clip import Clip
from lsmseg_model.networks.backbones.load import build_backbone
from lsmseg_model.networks.cost_map import cost_map, upsample

ROOT = Path(__file__).resolve().parents[2]


def clip() -> Clip:
    torch.manual_seed(0)
    return build_backbone(SMALL).eval()


@pytest.fixture(scope="module")
def of_clip() -> Segmenter:
    return Segmenter.of(clip())


@pytest.fixture(scope="module")
def of_network() -> Segmenter:
    return Segmenter.of(small_network())


@pytest.fixture(params=["clip", "network"])
def segmenter(request: pytest.FixtureRequest) -> Segmenter:
    return request.getfixturevalue(f"of_{request.param}")


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


# -- the best class of every pixel -------------------------------------------------------


@given(
    st.integers(1, 700),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.integers(0, 99),
)
def test_a_few_classes_and_rows_at_a_time_change_nothing(
    classes: int, grid: tuple[int, int], size: tuple[int, int], seed: int
) -> None:
    """Against all classes enlarged at once; rounding may differ in the last bits."""
    torch.manual_seed(seed)
    features = F.normalize(torch.randn(*grid, 5), dim=-1)
    text = F.normalize(torch.randn(classes, 5), dim=-1)
    plain = upsample(cost_map(features[None], text), size)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lsmseg_model.kernels.argmax.AT_ONCE", 4000)
        patch.setattr("lsmseg_model.kernels.argmax.BAND", 4000)
        found, best = best_class(features, text, size)
    expected = plain.amax(dim=0).numpy()
    np.testing.assert_allclose(best, expected, atol=1e-6)
    chosen = plain.numpy()[found.numpy(), *np.indices(size)]
    np.testing.assert_allclose(chosen, expected, atol=1e-6)
    assert found.dtype == torch.int64 and best.dtype == torch.float32


def test_of_equals_the_first_wins() -> None:
    """Texts of whole numbers, many of them equal: their cosines are exact."""
    rng = np.random.default_rng(0)
    text = torch.from_numpy(rng.integers(-1, 2, (600, 2))).float()
    features = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[-1.0, 0.0], [0.0, -1.0]]])
    found = best_class(features, text, (37, 41))[0].numpy()
    first = {tuple(row): i for i, row in reversed(list(enumerate(text.tolist())))}
    assert {first[tuple(text[i].tolist())] for i in np.unique(found)} == set(np.unique(found))


BOUNDED = """
import resource, sys
import numpy as np, torch
from lsmseg_model.kernels.argmax import best_class
from torch.nn import functional as F
torch.set_num_threads(1)
torch.manual_seed(0)
classes, side = int(sys.argv[1]), int(sys.argv[2])
text = F.normalize(torch.randn(classes, 64), dim=-1)
features = F.normalize(torch.randn(16, 16, 64), dim=-1)
best_class(features, text[:8], (8, 8))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found, best = best_class(features, text, (side, side))
assert len(np.unique(found)) > min(classes, 100) / 4
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("classes", "side", "megabytes"), [(20_000, 128, 150), (4, 3000, 400)], ids=["texts", "pixels"]
)
@pytest.mark.process
def test_memory_is_bounded(classes: int, side: int, megabytes: float) -> None:
    """All at once would be 1.3 GB: 20,000 classes of 128 x 128. A picture of nine million pixels
    has a result of 108 MB itself."""
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED, str(classes), str(side)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < megabytes


# -- a model -----------------------------------------------------------------------------


def test_a_clip_is_seen_as_before(of_clip: Segmenter) -> None:
    image = noise(20, 30)
    text = of_clip.encode_texts([["a zebra"], ["the sky", "a sky"], ["grass"]])
    where, best = of_clip.label(image, text)
    masks, cosines = best_class(picture_features(of_clip.clip, image), text, (20, 30))
    assert (where == masks.numpy()).all() and (best == cosines.numpy()).all()
    assert of_clip.score == "cosine" and of_clip.loaded is None
    assert (of_clip.name, of_clip.weights_hash) == ("small", "random")


def test_a_network_is_seen_through_its_protocol(of_network: Segmenter) -> None:
    net = of_network.model
    image = noise(20, 30)
    text = of_network.encode_texts([[name] for name in ("sky", "zebra", "grass", "road", "sea")])
    seen = decode(net, encode(net, resized_picture(image, 24), net.protocol), text, net.protocol)
    where, best = label(seen, (20, 30))
    found, probability = of_network.label(image, text)
    assert (found == where.numpy()).all() and (probability == best.numpy()).all()
    assert of_network.score == "probability"
    some = of_network.scores(image, text, [4, 1])
    torch.testing.assert_close(torch.from_numpy(some), scores(seen, torch.tensor([4, 1]), (20, 30)))


def test_a_network_is_shown_pictures_as_cat_segs_loader_resizes_them() -> None:
    """Short side 640, long side 2560 at most (MIN_SIZE_TEST, MAX_SIZE_TEST), Pillow's bilinear."""
    assert resized_picture(noise(480, 640), 640).shape == (3, 640, 853)
    assert resized_picture(noise(1000, 3000), 640).shape == (3, 640, 1920)
    assert resized_picture(noise(10, 100), 640).shape == (3, 256, 2560)
    image = noise(100, 80)
    expected = np.asarray(Image.fromarray(image).resize((64, 80), Image.Resampling.BILINEAR))
    assert (
        resized_picture(image, 64).permute(1, 2, 0) * 255
    ).round().numpy().tolist() == expected.tolist()


def test_labels_are_the_best_scores(segmenter: Segmenter) -> None:
    image = noise(33, 21)
    text = segmenter.encode_texts([[name] for name in ("sky", "zebra", "grass", "road", "sea")])
    where, best = segmenter.label(image, text)
    every = segmenter.scores(image, text, range(5))
    assert where.shape == best.shape == (33, 21) and every.shape == (5, 33, 21)
    np.testing.assert_allclose(every.max(axis=0), best, atol=1e-6)
    np.testing.assert_allclose(every[where, *np.indices((33, 21))], best, atol=1e-6)
    np.testing.assert_allclose(segmenter.scores(image, text, [3, 0]), every[[3, 0]], atol=1e-6)
    low, high = segmenter.encode(image).decode(text).range
    assert low - 1e-6 <= every.min() and every.max() <= high + 1e-6
    owned, same = segmenter.label(image, text, owners=[1, 0, 1, 0, 1])
    assert (owned == np.array([1, 0, 1, 0, 1])[where]).all() and (same == best).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (300, 2), (17, 33), (4, 2000)], ids=str)
def test_any_size_of_picture(segmenter: Segmenter, size: tuple[int, int]) -> None:
    found = segmenter.predict(noise(*size), ["sky", "zebra"])
    assert found.masks.shape == found.scores.shape == size
    assert np.isfinite(found.scores).all()


def test_long_pictures_are_squashed_not_cut_into_thousands_of_windows() -> None:
    model = clip()
    model.view = View(16, 16, 8)
    assert picture_features(model, noise(4, 4000)).shape[:2] == (4, 64)


def test_texts_in_several_batches(of_clip: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [[f"a photo of a thing number {i}", "a thing"][: 1 + i % 2] for i in range(11)]
    expected = of_clip.clip.encode_texts(texts)
    monkeypatch.setattr("lsmseg_model.inference.pictures.TEXTS_AT_ONCE", 4)
    steps: list[tuple[int, int]] = []
    found = of_clip.encode_texts(texts, lambda done, total: steps.append((done, total)))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert steps == [(4, 11), (8, 11), (11, 11)]


# -- files -------------------------------------------------------------------------------


def test_loading(tmp_path: Path) -> None:
    weights = tmp_path / "small.safetensors"
    save_weights(weights, clip().model.state_dict(), {"config": SMALL})
    ours = Segmenter("lsmseg-tiny", pretrained=weights)
    assert isinstance(ours.predict(noise(9, 9), ["a"]), Prediction) and ours.name == "small"
    with pytest.raises(UsageError, match="not both"):
        Segmenter(pretrained=weights, checkpoint=weights)
    with pytest.raises(UsageError, match="--checkpoint FILE"):
        Segmenter(format="cat-seg")


def test_a_cat_seg_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = small_network(pad_len=8)
    path = catseg_file(tmp_path / "model_base.pth", net)
    monkeypatch.setattr(
        "lsmseg_model.networks.build.build_network", lambda _: small_network(pad_len=8)
    )
    loaded = Segmenter("cat-seg-b", checkpoint=path, format="cat-seg")
    assert loaded.loaded is not None and len(loaded.loaded.unexpected) == 2
    assert loaded.weights_hash not in ("", "random")
    assert loaded.default_texts(["car, auto", "sky "]) == [
        ["A photo of a car in the scene"], ["A photo of a sky  in the scene"],
    ]  # fmt: skip
    image = noise(30, 40)
    text = loaded.encode_texts(loaded.default_texts(["sky", "zebra", "grass", "sea"]))
    found, _ = loaded.label(image, text)
    assert (found == Segmenter.of(net).label(image, text)[0]).all()
    assert (loaded.predict(image, ["sky", "zebra", "grass", "sea"]).masks == found).all()


@pytest.mark.process
def test_the_package_is_light_until_a_model_is_asked_for() -> None:
    code = (
        "import lsmseg_model, sys; assert 'torch' not in sys.modules\n"
        "from lsmseg_model import Segmenter; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    with pytest.raises(ImportError):
        from lsmseg_model import Nothing  # type: ignore[attr-defined]  # noqa: F401


def test_every_name_of_the_library_is_there() -> None:
    import lsmseg_model

    train = importlib.import_module("lsmseg_model.train")
    for name in lsmseg_model.__all__:
        assert getattr(lsmseg_model, name) is not None and name in dir(lsmseg_model)
    # The module of the same name does not hide the function.
    assert lsmseg_model.train is train.train
    stub = Path(lsmseg_model.__file__).with_suffix(".pyi").read_text("utf-8")
    (listed,) = (n.value for n in ast.parse(stub).body if isinstance(n, ast.Assign))
    assert ast.literal_eval(listed) and set(ast.literal_eval(listed)) == set(lsmseg_model.__all__)


# -- predict -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("zebra", "a photo of a zebra"),
        ("a  zebra with stripes", "a photo of a zebra with stripes"),
        ("the sea", "a photo of the sea"),
        ("An owl", "a photo of An owl"),
        ("anthill", "a photo of a anthill"),
        ("A bus is red.", "A bus is red."),
    ],
)
def test_names_and_phrases(name: str, text: str) -> None:
    assert sentence(name) == text


def test_predict_of_every_kind_of_picture(segmenter: Segmenter, tmp_path: Path) -> None:
    image = noise(18, 26)
    Image.fromarray(image).save(tmp_path / "p.png")
    first = segmenter.predict(image, ["sky", "a zebra with stripes"])
    assert first.classes == ("sky", "a zebra with stripes")
    assert sum(first.shares.values()) == pytest.approx(1)
    for same in (tmp_path / "p.png", str(tmp_path / "p.png"), Image.fromarray(image)):
        other = segmenter.predict(same, ["sky", "a zebra with stripes"])
        assert (other.masks == first.masks).all() and (other.image == image).all()
    expected = segmenter.encode_texts([["a photo of a sky"], ["a photo of a zebra with stripes"]])
    assert (segmenter.label(image, expected)[0] == first.masks).all()
    own = segmenter.predict(image, ["a", "b"], [["one"], ["two", "three"]])
    text = segmenter.encode_texts([["one"], ["two", "three"]])
    assert (own.masks == segmenter.label(image, text)[0]).all()


@pytest.mark.parametrize("how", ["max", "mean-score", "adaptive", "refined"])
def test_predict_reads_a_prompt_set(of_clip: Segmenter, how: str) -> None:
    """Beside a background of two more names, which have one text each."""
    weights = ((2.0, -1.0), (1.0,)) if how == "refined" else None
    groups = (("a dog", "a hound with long ears"), ("the sky",))
    prompts = SimpleNamespace(
        class_names=("dog", "sky"), texts=groups, composition=how, weights=weights, temperature=0.3
    )
    image = noise(20, 30)
    found = of_clip.predict(image, texts=prompts, background=["sea", "a lawn"])
    texts = [*groups, ("a photo of a sea",), ("a photo of a lawn",)]
    kind = "mean" if how == "refined" else how
    every = None if weights is None else (*weights, (1.0,), (1.0,))
    maps = of_clip.scores(image, of_clip.embed(texts, Reading(kind, every, 0.3)), range(4))
    assert found.classes == ("dog", "sky", "background")
    np.testing.assert_array_equal(found.masks, np.array([0, 1, 2, 2])[maps.argmax(axis=0)])
    np.testing.assert_allclose(found.scores, maps.max(axis=0), atol=1e-6)
    if how == "max":
        apart = of_clip.encode_texts([[text] for group in texts for text in group])
        one = of_clip.scores(image, apart, [0, 1]).max(axis=0)
        np.testing.assert_allclose(maps[0], one, atol=1e-6)
    alone = of_clip.predict(image, ["sky"], prompts)
    assert (alone.masks == 0).all() and alone.texts == (("the sky",),)


def test_a_network_reads_weights_and_no_other_reading(of_network: Segmenter) -> None:
    groups, image = (("a dog", "a hound"), ("the sky",)), noise(20, 30)
    names = ("dog", "sky")
    weighted = SimpleNamespace(class_names=names, texts=groups, weights=((2.0, -1.0), (1.0,)))
    text = of_network.embed(groups, Reading(weights=weighted.weights)).rows
    expected, _ = of_network.label(image, text)
    np.testing.assert_array_equal(of_network.predict(image, texts=weighted).masks, expected)
    best = SimpleNamespace(class_names=names, texts=groups, composition="max")
    with pytest.raises(UsageError, match="cannot read texts by max"):
        of_network.predict(image, texts=best)


def test_what_is_below_the_threshold_is_background(segmenter: Segmenter) -> None:
    image = noise(40, 40)
    plain = segmenter.predict(image, ["sky", "zebra"])
    middle = float(np.median(plain.scores))
    found = segmenter.predict(image, ["sky", "zebra"], threshold=middle)
    assert found.classes == ("sky", "zebra", "background")
    low = plain.scores < middle
    assert 0 < low.mean() < 1
    assert (found.masks == np.where(low, 2, plain.masks)).all()
    assert found.shares["background"] == pytest.approx(low.mean())
    named = segmenter.predict(image, ["sky", "zebra"], background="background", threshold=middle)
    assert (named.masks == found.masks).all() and named.classes == found.classes


def test_a_threshold_that_no_score_or_every_score_reaches(segmenter: Segmenter) -> None:
    low, kind = (-1, "cosines") if segmenter.score == "cosine" else (0, "probabilities")
    for wrong in (float("nan"), float("inf"), 30.0, low - 0.01):
        with pytest.raises(UsageError, match=f"out of range: .* {kind}, between {low} and 1"):
            segmenter.predict(noise(20, 20), ["sky"], threshold=wrong)


def test_a_sentence_is_no_list_of_sentences(segmenter: Segmenter) -> None:
    """Each of its letters would be one."""
    with pytest.raises(UsageError, match="list of sentences for each class"):
        segmenter.predict(noise(20, 20), ["sky"], ["the sky"])  # type: ignore[arg-type]


def test_classes_that_are_background(segmenter: Segmenter) -> None:
    image = noise(40, 40)
    names = ["sky", "wall", "zebra", "floor"]
    plain = segmenter.predict(image, names)
    found = segmenter.predict(image, names, background=["wall", "floor"])
    assert found.classes == ("sky", "zebra", "background")
    assert (found.masks == np.array([0, 2, 1, 2])[plain.masks]).all()
    # The same where they are not among the classes: they compete all the same.
    added = segmenter.predict(image, ["sky", "zebra"], background=["wall", "floor"])
    assert added.classes == found.classes and (added.masks == found.masks).all()
    both = segmenter.predict(image, names, background="wall", threshold=1.0)
    assert both.classes == ("sky", "zebra", "floor", "background") and (both.masks == 3).all()
    own = segmenter.predict(image, ["sky", "background"], threshold=1.0)
    assert own.classes == ("sky", "background") and (own.masks == 1).all()


def test_predict_errors(of_clip: Segmenter) -> None:
    picture = noise(16, 16)
    with pytest.raises(UsageError, match="at least one class"):
        of_clip.predict(picture, [])
    with pytest.raises(UsageError, match="2 classes but texts for 1"):
        of_clip.predict(picture, ["a", "b"], [["one"]])
    with pytest.raises(UsageError, match="Every class is background"):
        of_clip.predict(picture, ["a"], background="a")
    with pytest.raises(UsageError, match="too many"):
        of_clip.predict(picture, ["very " * 90 + "long zebra"])
    with pytest.raises(DataError, match="does not exist"):
        of_clip.predict("none.png", ["a"])


def test_a_prompt_set_as_lsmseg_prompts_makes_it(of_clip: Segmenter) -> None:
    from lsmseg_prompts.prompts.from_store import prompt_set

    described, image = prompt_set("camvid", ["color", "shape"]), noise(40, 40)
    names = list(described.class_names)
    every = of_clip.predict(image, texts=described)
    same = of_clip.predict(image, names, [list(group) for group in described.texts])
    assert every.classes == tuple(names) and (every.masks == same.masks).all()
    some = of_clip.predict(image, [names[3], names[0]], described)
    own = of_clip.predict(image, [names[3], names[0]], [described.texts[3], described.texts[0]])
    assert some.classes == (names[3], names[0]) and (some.masks == own.masks).all()
    with pytest.raises(UsageError, match="has no texts for 'zebra'; it has sky, "):
        of_clip.predict(image, ["zebra"], described)
    picture = np.zeros((8, 8, 3), np.uint8)
    for wrong, says in (
        ("sky", "not one string"),
        (["sky", "sky"], "twice"),
        (["sky", " "], "word"),
    ):
        with pytest.raises(UsageError, match=says):
            of_clip.predict(picture, wrong)
    with pytest.raises(UsageError, match="Name at least one class"):
        of_clip.predict(image)


def test_a_full_gpu_is_one_sentence(of_clip: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("lsmseg_model.inference.pictures.picture_features", full)
    with pytest.raises(DataError, match="name fewer classes"):
        of_clip.predict(noise(8, 8), ["sky"])
