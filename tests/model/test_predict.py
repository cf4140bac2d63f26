"""Windows, prompt sets and predicting files and folders, with a small random CLIP."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.small_clip import SMALL

from lsmseg_model.data.palette import palette
from lsmseg_model.encoders.checkpoints import save_weights
from lsmseg_model.errors import DataError, UsageError
from lsmseg_model.inference.counting import count_prompt_sets, dense_features
from lsmseg_model.inference.geometry import offsets
from lsmseg_model.inference.prediction import Prediction, _figure
from lsmseg_model.inference.windows import picture_features
from lsmseg_model.kernels.argmax import best_class
from lsmseg_model.metrics import confusion_counts
from lsmseg_model.networks.backbones.base import View
from lsmseg_model.networks.backbones.clip import Clip
from lsmseg_model.networks.backbones.load import build_backbone
from lsmseg_model.predict import PredictRequest, file_names, find_pictures, predict
from lsmseg_model.segmenter import Segmenter, drawings_only


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(path, build_backbone(SMALL).model.state_dict(), {"config": SMALL})
    return path


@pytest.mark.parametrize("side", [16, 17, 24, 40, 41])
def test_windows_cover_every_pixel_and_stay_inside(side: int) -> None:
    starts = offsets(side, 16, 8)
    covered = {x for start in starts for x in range(start, start + 16)}
    assert covered == set(range(side))


def test_overlapping_windows_average_features() -> None:
    torch.manual_seed(0)
    clip = build_backbone(SMALL).eval()
    picture = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    image = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        left, right = (clip.encode_dense(image[..., x : x + 16])[0] for x in (0, 8))
    found = picture_features(clip, picture)
    torch.testing.assert_close(found[:, :2], left[:, :2])
    torch.testing.assert_close(found[:, 2:4], (left[:, 2:] + right[:, :2]) / 2)
    torch.testing.assert_close(found[:, 4:], right[:, 2:])


def test_small_and_odd_pictures_are_resized() -> None:
    clip = build_backbone(SMALL).eval()
    clip.view = View(16, 16, 8)
    assert picture_features(clip, np.zeros((5, 9, 3), np.uint8)).shape == (4, 7, 8)


class Two:
    """Two pictures of a vocabulary of ten, scored on classes 3 and 7."""

    name, split, vocabulary = "two", "val", "ten"
    class_indices: tuple[int, ...] = (3, 7)
    seen, owners, groups = None, None, None

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
    clip: Clip = build_backbone(SMALL).eval()
    features = dense_features(clip, Two())
    sets = [[["a zebra"], ["the sky"]], [["grass", "a lawn"], ["a zebra"]], [["x"], ["y"]]]
    together = count_prompt_sets(clip, features, sets)
    assert together.shape == (3, 2, 2, 3)
    for s, texts in enumerate(sets):
        assert (count_prompt_sets(clip, features, [texts])[0] == together[s]).all()
    assert (together[:, :, :, 2] == [128, 64]).all()  # unscored and ignored pixels count nowhere
    text = clip.encode_texts(sets[0])
    masks, _ = best_class(features.maps[0], text, (16, 16))
    assert (confusion_counts(masks.numpy(), features.labels[0], 2) == together[0, 0]).all()


# -- files and folders -------------------------------------------------------------------


def noise(path: Path | str, height: int = 12, width: int = 20, seed: int = 0) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def written(folder: Path | str = ".") -> set[str]:
    return {str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file()}


def test_one_picture_and_its_overlay(weights: Path) -> None:
    noise("in.png", 30, 40)
    out = Path("deep/out.png")
    result = predict(
        PredictRequest(pictures=["in.png"], classes=["sky", "grass"], pretrained=weights, out=out)
    )
    (one,) = result.pictures
    assert sum(one.shares.values()) == pytest.approx(1)
    assert (one.overlay, one.labels, result.failed) == (out, None, [])
    with Image.open(out) as overlay:
        assert overlay.width > overlay.height
    assert written() == {"in.png", "deep/out.png"}


def test_a_folder_and_files(weights: Path) -> None:
    images = {name: noise(name, seed=i) for i, name in enumerate(("p/a.png", "p/b.JPG", "c.png"))}
    Path("p/notes.txt").write_text("no picture")
    steps: list[tuple[int, int]] = []
    request = PredictRequest(
        pictures=["p", "c.png"], classes=["sky", "a zebra"], pretrained=weights, out="o",
        cost_maps=True, npz=True,
    )  # fmt: skip
    result = predict(request, on_progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 3), (2, 3), (3, 3)] and result.classes == ("sky", "a zebra")
    names = {"a", "b", "c"}
    assert written("o") == {
        "classes.json", *(f"overlays/{n}.png" for n in names), *(f"labels/{n}.png" for n in names),
        *(f"npz/{n}.npz" for n in names),
        *(f"cost_maps/{n}/{c}.png" for n in names for c in ("0-sky", "1-a-zebra")),
    }  # fmt: skip
    classes = json.loads(Path("o/classes.json").read_text())["classes"]
    assert [c["name"] for c in classes] == ["sky", "a zebra"]
    assert classes[1]["color"] == palette(["sky", "a zebra"])[1].tolist()
    segmenter = Segmenter(pretrained=weights)
    text = segmenter.encode_texts([["a photo of a sky"], ["a photo of a zebra"]])
    for picture, name in (("p/a.png", "a"), ("c.png", "c")):
        masks, scores = segmenter.label(images[picture], text)
        with Image.open(f"o/labels/{name}.png") as labels:
            assert labels.mode == "P" and (np.asarray(labels) == masks).all()
            assert labels.getpalette()[3:6] == palette(["sky", "a zebra"])[1].tolist()  # type: ignore[index]
        with np.load(f"o/npz/{name}.npz") as arrays:
            assert (arrays["labels"] == masks).all() and (arrays["scores"] == scores).all()
            assert arrays["classes"].tolist() == ["sky", "a zebra"]
            maps = segmenter.scores(images[picture], text, [0, 1])
            np.testing.assert_allclose(arrays["cost_maps"], maps, atol=1e-6)
        with Image.open(f"o/cost_maps/{name}/1-a-zebra.png") as heat:
            low, high = (float(x) for x in heat.text["scale"].split(" to "))  # type: ignore[attr-defined]
            level = (maps[1] - low) / (high - low) * 255
            assert np.abs(np.asarray(heat) - level).max() < 1.01
            assert heat.getpalette()[-3:] == [253, 231, 37]  # type: ignore[index]  # viridis' end


def test_more_than_256_classes_take_16_bits(weights: Path) -> None:
    noise("p/a.png", 40, 40)
    names = [f"thing number {i}" for i in range(300)]
    request = PredictRequest(pictures=["p"], classes=names, pretrained=weights, out="o")
    predict(replace(request, threshold=-1.0))
    with Image.open("o/labels/a.png") as labels:
        assert labels.mode == "I;16" and 255 < np.asarray(labels).max() < 300
    classes = json.loads(Path("o/classes.json").read_text())["classes"]
    assert [c["name"] for c in classes] == [*names, "background"] and "color" not in classes[0]
    too_many = [str(i) for i in range(1 << 16)]
    with pytest.raises(UsageError, match="at most 65536 classes"):
        predict(replace(request, classes=too_many, out="q"))
    assert not Path("q").exists()


def test_a_picture_that_cannot_be_read_among_others(weights: Path) -> None:
    noise("p/a.png"), noise("p/c.png")
    Path("p/b.png").write_bytes(b"no picture")
    result = predict(
        PredictRequest(
            pictures=["p", "none.png"], classes=["sky", "sea"], pretrained=weights, out="o"
        )
    )
    assert [one.error is None for one in result.pictures] == [True, False, True, False]
    assert [one.picture.name for one in result.failed] == ["b.png", "none.png"]
    assert "b.png cannot be read" in str(result.failed[0].error)
    assert written("o") == {
        "classes.json", "overlays/a.png", "overlays/c.png", "labels/a.png", "labels/c.png",
    }  # fmt: skip


def test_names_of_results() -> None:
    for name in ("p/a.png", "p/a.jpg", "p/b.tif", "q/b.tif"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(b"")
    assert find_pictures(["p", "p/a.jpg"])[0] == [Path("p/a.jpg"), Path("p/a.png"), Path("p/b.tif")]
    assert file_names(find_pictures(["p"])[0]) == ["a.jpg", "a.png", "b"]
    with pytest.raises(UsageError, match=r"2 pictures are called b\.tif"):
        file_names(find_pictures(["p", "q"])[0])
    for name in ("empty/a.HEIC", "empty/b.heic", "empty/notes.txt", "p/._a.jpg", "p/c.heic"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(b"")
    Path("p/more").mkdir()
    with pytest.raises(DataError, match=r"empty holds no .* not read there: 2 \.heic, 1 \.txt\."):
        find_pictures(["empty"])
    assert find_pictures(["p"])[1] == [Path("p/c.heic"), Path("p/more")]
    with pytest.raises(UsageError, match="at least one picture"):
        find_pictures([])


def test_predict_errors(weights: Path) -> None:
    noise("p/a.png")
    one = PredictRequest(pictures=["p"], classes=["a"], pretrained=weights)
    with pytest.raises(DataError, match="does not exist"):
        predict(replace(one, pictures=["no.png"]))
    Path("bad.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="cannot be read as a picture"):
        predict(replace(one, pictures=["bad.png"]))
    with pytest.raises(UsageError, match="-o DIR/"):
        predict(replace(one, pictures=["p/a.png"], out="o.png", cost_maps=True))
    with pytest.raises(UsageError, match="-o DIR/"):
        predict(replace(one, pictures=["p"], npz=True))
    with pytest.raises(UsageError, match="holds the pictures themselves"):
        predict(replace(one, pictures=["p"], out="p"))
    assert written() == {"p/a.png", "bad.png"}


def overlay_size(masks: np.ndarray, names: tuple[str, ...]) -> tuple[int, int]:
    shares = {n: float((masks == i).mean()) for i, n in enumerate(names)}
    image = np.zeros((*masks.shape, 3), np.uint8)
    scores = np.zeros(masks.shape, np.float32)
    Prediction(names, masks, scores, shares, image).save("o.png")
    with Image.open("o.png") as overlay:
        return overlay.size


@pytest.mark.parametrize("size", [(1, 1), (4, 3000), (3000, 4), (2500, 2500)], ids=str)
def test_overlays_of_any_size(size: tuple[int, int]) -> None:
    width, height = overlay_size(np.zeros(size, np.int64), ("sky", "sea"))
    assert height == 600 and 300 < width < 6000


def test_a_legend_of_many_classes_fits() -> None:
    masks = np.arange(3000).reshape(50, 60) % 300
    width, height = overlay_size(masks, tuple(f"thing {i}" for i in range(300)))
    assert height == 600 and width < 1200


def test_background_is_grey_in_an_overlay() -> None:
    masks = np.zeros((50, 50), np.int64)
    masks[:, 25:] = 1
    shares = {"sky": 0.5, "background": 0.5}
    image = np.full((50, 50, 3), (200, 50, 50), np.uint8)
    scores = np.zeros(masks.shape, np.float32)
    Prediction(("sky", "background"), masks, scores, shares, image).save("o.png")
    with Image.open("o.png") as overlay:
        pixels = np.asarray(overlay.convert("RGB")).astype(int)
    assert np.ptp(pixels[300, 450]) == 0 and np.ptp(pixels[100, 150]) > 20


def drawn_names(masks: np.ndarray, names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """The names inside an overlay, and in its legend."""
    shares = {n: float((masks == i).mean()) for i, n in enumerate(names)}
    image = np.zeros((*masks.shape, 3), np.uint8)
    (axes,) = _figure(Prediction(names, masks, masks, shares, image)).axes
    legend = axes.get_legend()
    listed = [] if legend is None else [text.get_text() for text in legend.get_texts()]
    return [text.get_text() for text in axes.texts], listed


def test_names_stand_inside_and_a_legend_has_the_others() -> None:
    masks = np.zeros((40, 60), np.int64)
    masks[:, 30:] = 1
    assert drawn_names(masks, ("sky", "sea")) == (["sky", "sea"], [])
    masks[10:12, 10:12] = 2
    inside, listed = drawn_names(masks, ("a $ky", "sea", "a lighthouse"))
    assert sorted(inside) == ["a $ky", "sea"] and listed == ["a lighthouse  0.2%"]


def small_prediction() -> Prediction:
    masks = np.zeros((20, 30), np.int64)
    masks[:, 15:] = 1
    image = np.full((20, 30, 3), (200, 50, 50), np.uint8)
    scores = np.full(masks.shape, 0.5, np.float32)
    return Prediction(("sky", "sea"), masks, scores, {"sky": 0.5, "sea": 0.5}, image)


def test_a_prediction_is_saved_by_the_ending() -> None:
    prediction = small_prediction()
    overlay = prediction.overlay()
    assert overlay.mode == "RGB" and overlay.width > overlay.height == 600
    prediction.save("o.png")
    with Image.open("o.png") as written_overlay:
        assert (np.asarray(written_overlay.convert("RGB")) == np.asarray(overlay)).all()
    prediction.save(Path("o.pdf"))
    assert Path("o.pdf").read_bytes().startswith(b"%PDF")
    prediction.save("o.npz")
    with np.load("o.npz") as arrays:
        assert sorted(arrays) == ["classes", "labels", "scores"]
        assert (arrays["labels"] == prediction.masks).all() and arrays["scores"].max() == 0.5
        assert arrays["classes"].tolist() == ["sky", "sea"]
    prediction.save("folder")
    assert written("folder") == {"overlay.png", "labels.png", "classes.json"}
    with Image.open("folder/labels.png") as labels:
        assert (np.asarray(labels) == prediction.masks).all()
    with pytest.raises(UsageError, match=r"\.xyz is not a picture format"):
        prediction.save("o.xyz")


def test_a_prediction_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setitem(sys.modules, "IPython", None)
    monkeypatch.setattr(Image.Image, "show", lambda image: shown.append(("viewer", image.size)))
    small_prediction().show()
    display = SimpleNamespace(display=lambda image: shown.append(("notebook", image.size)))
    notebook = SimpleNamespace(get_ipython=lambda: "a shell", display=display)
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    small_prediction().show()
    assert [place for place, _ in shown] == ["viewer", "notebook"] and shown[0][1] == shown[1][1]


# -- the command -------------------------------------------------------------------------


def test_the_command_on_a_folder(call, weights: Path) -> None:
    noise("p/a.png"), noise("p/b.png", seed=1)
    arguments = ("-q", "predict", "p", "--classes", "sky, sofa", "--pretrained", str(weights))
    result = call(*arguments, "-o", "o")
    assert result.code == 0 and result.err == ""
    assert "p/a.png" in result.out and "o/overlays/b.png" in result.out
    Path("p/c.png").write_bytes(b"no picture")
    Path("names.txt").write_text("sky\n# a remark\na zebra with stripes\nwall\n")
    listed = ("-q", "predict", "p", "--classes-file", "names.txt", "--pretrained", str(weights))
    more = ("--background", "wall", "--threshold", "-1", "--cost-maps", "--npz", "--json")
    result = call(*listed, "-o", "o", *more)
    assert result.code == 3
    assert "p/c.png cannot be read" in result.err
    assert "Error: 1 of 3 pictures could not be segmented" in result.err
    rows = json.loads(result.out)
    assert [row["picture"] for row in rows] == ["p/a.png", "p/b.png", "p/c.png"]
    assert set(rows[0]["shares"]) == {"sky", "a zebra with stripes", "background"}
    assert rows[0]["labels"] == "o/labels/a.png" and rows[2]["labels"] is None
    with np.load("o/npz/a.npz") as arrays:
        assert arrays["prompts"].tolist() == ["sky", "a zebra with stripes", "wall"]
        assert arrays["owners"].tolist() == [0, 1, 2] and arrays["texts"].shape == (3, 1)
        assert arrays["texts"][1, 0] == "a photo of a zebra with stripes"
        assert "roller marks" in arrays["texts"][2, 0]  # the store's
    assert Path("o/cost_maps/b/2-wall.png").is_file()


def test_what_is_skipped_in_a_folder_is_told(call, weights: Path) -> None:
    noise("p/a.png")
    for name in ("p/b.heic", "p/c.HEIC", "p/notes.txt"):
        Path(name).write_bytes(b"")
    done = call("predict", "p", "--classes", "sky", "--pretrained", str(weights))
    assert done.code == 0
    assert "Skipped, not read as pictures: 2 .heic, 1 .txt." in done.err


def test_a_model_that_knows_drawings_only_is_told_once(call, weights: Path, drawings: Path) -> None:
    noise("p/a.png"), noise("p/b.png", seed=1)
    arguments = ("predict", "p", "--classes", "sky", "--pretrained")
    done = call(*arguments, str(drawings))
    assert done.code == 0 and done.err.count("WARNING") == 1
    assert f"WARNING: {drawings} knows drawings only" in done.err
    assert "--model ViT-B-16 --pretrained openai" in done.err
    quiet = call("-q", *arguments, str(drawings), "--json")
    assert quiet.err == ""
    assert all(row["note"].startswith("WARNING") for row in json.loads(quiet.out))
    assert "WARNING" not in call(*arguments, str(weights)).err
    shipped = drawings_only()
    assert shipped is not None and shipped.startswith("WARNING: lsmseg-tiny knows")


def test_the_texts_of_several_templates_are_in_the_npz(weights: Path) -> None:
    noise("a.png")
    texts = [["the sky", "a sky"], ["wool"]]
    found = Segmenter(pretrained=weights).predict("a.png", ["sky", "wool"], texts, "rug")
    found.save("o.npz")
    with np.load("o.npz", allow_pickle=False) as arrays:
        assert arrays["texts"].tolist() == [
            ["the sky", "a sky"], ["wool", ""], ["a photo of a rug", ""],
        ]  # fmt: skip
        assert arrays["prompts"].tolist() == ["sky", "wool", "rug"]
        named = arrays["classes"][arrays["owners"]]
        assert named.tolist() == ["sky", "wool", "background"]


def test_one_picture_into_a_folder(call, weights: Path) -> None:
    noise("a.png")
    result = call(
        "predict", "a.png", "--classes", "sky, a zebra with stripes", "-o", "o/", "--cost-maps",
        "--pretrained", str(weights),
    )  # fmt: skip
    assert result.code == 0, result.err
    assert result.out.splitlines()[-2:] == ["o/overlays/a.png", "o/labels/a.png"]
    assert "a photo of a zebra with stripes" in result.err
    assert "o/cost_maps/a/0-sky.png" in written()


def test_the_library_gives_the_commands_texts(call, weights: Path) -> None:
    from ablations.runs.predict import predict as predict_described

    noise("a.png", 40, 40)
    arguments = ("predict", "a.png", "--classes", "sky, sofa", "--pretrained", str(weights))
    result = call(*arguments, "--json")
    told: list[str] = []
    request = PredictRequest(pictures=["a.png"], classes=["sky", " sofa"], pretrained=weights)
    same = predict_described(request, on_message=told.append)
    assert json.loads(result.out)["shares"] == same.pictures[0].shares
    assert told == result.err.splitlines() and told[0].startswith("sky: described")


def test_the_command_with_a_checkpoint(call, monkeypatch: pytest.MonkeyPatch) -> None:
    from support.whole_network import catseg_file, small_network

    noise("a.png")
    monkeypatch.setattr(
        "lsmseg_model.networks.build.build_network", lambda _: small_network(pad_len=8)
    )
    catseg_file(Path("model_base.pth"), small_network(pad_len=8))
    arguments = (
        "predict", "a.png", "--classes", "sky, zebra", "--model", "cat-seg-b",
        "--checkpoint", "model_base.pth",
    )  # fmt: skip
    result = call(*arguments, "--format", "cat-seg", "-o", "o.png")
    assert result.code == 0, result.err
    assert "0 missing; 2 unexpected (pixel_mean, sem_seg_head.predictor.text)" in result.err
    assert "described" not in result.err
    described = call(*arguments, "--format", "cat-seg", "--attributes", "color")
    assert described.code == 0 and "sky: described" in described.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("a.png", 2, "give --classes or --classes-file"),
        ("a.png --classes sky --classes-file c.txt", 2, "one of the two"),
        ("a.png --classes-file none.txt", 4, "none.txt"),
        ("a.png --classes sky --background sky", 2, "Every class is background"),
        ("a.png --classes sky --cost-maps -o o.png", 2, "-o DIR/"),
        ("a.png --classes sky --checkpoint none.safetensors", 4, "none.safetensors"),
        ("a.png --classes sky --format cat-seg", 2, "no effect without --checkpoint"),
        ("p --classes sky -o p", 2, "holds the pictures themselves"),
    ],
)
def test_wrong_options(call, arguments: str, code: int, says: str) -> None:
    noise("a.png"), noise("p/a.png")
    before = written()
    result = call("-q", "predict", *arguments.split())
    assert result.code == code and says in " ".join(result.err.replace("│", " ").split())
    assert result.out == "" and written() == before


@pytest.mark.slow
def test_twenty_thousand_classes_are_taken_from_a_file_quickly(call, weights: Path) -> None:
    """Names are compared once each, and a terminal is not flooded."""
    noise("a.png")
    Path("many.txt").write_text("\n".join(f"thing {i}" for i in range(20_000)))
    result = call(
        "predict", "a.png", "--classes-file", "many.txt", "--pretrained", str(weights),
        "--attributes", "name",
    )  # fmt: skip
    assert result.code == 0 and "0 of 20000 classes described" in result.err
    assert len(result.out.splitlines()) < 300
