"""Training: losses by hand, what a step compares, and resuming equals never stopping."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lsmseg_model.data.ministuff.captions import VALUES, Sentence
from lsmseg_model.data.ministuff.looks import LOOKS
from lsmseg_model.errors import CheckpointError, ConfigError, DataError
from lsmseg_model.networks.backbones.load import CONFIGS, load_backbone
from lsmseg_model.pretrain import choose_texts, pretrain
from lsmseg_model.training.dataset import TrainingItem, places
from lsmseg_model.training.losses import agreement, bce, pixel_weights, softmax, text_targets
from lsmseg_model.training.options import PretrainOptions, PretrainRequest
from lsmseg_model.training.words import WIDTH

TEXTS = [["a blue thing", "the sky"], ["a gray block"], *[[f"thing number {i}"] for i in range(9)]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three camvid-like pictures: blue above (0), gray below (1)."""
    root = tmp_path / "data"
    rng = np.random.default_rng(0)
    for folder in ("images", "annotations"):
        (root / folder / "train").mkdir(parents=True)
    for name in "abc":
        cut = rng.integers(10, 30)
        picture = np.full((40, 48, 3), 120, np.uint8)
        picture[:cut] = (60, 90, 230)
        label = np.ones((40, 48), np.uint8)
        label[:cut] = 0
        label[-1] = 255
        Image.fromarray(picture).save(root / f"images/train/{name}.png")
        Image.fromarray(label).save(root / f"annotations/train/{name}.png")
    return root


@pytest.fixture
def config(tmp_path: Path) -> str:
    """lsmseg-tiny made smaller still, so that a step takes milliseconds."""
    settings = json.loads((CONFIGS / "lsmseg-tiny.json").read_text())
    settings["name"] = "mini"
    settings["clip"] = {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 32,
            "layers": 2,
            "width": 32,
            "head_width": 8,
            "patch_size": 8,
        },
        "text_cfg": {"context_length": 77, "width": 16, "heads": 2, "layers": 1},
    }
    settings["view"] = {"short_side": 32, "window": 32, "stride": 16}
    settings["train"] |= {"iterations": 6, "batch_size": 2, "warmup": 2, "loss_size": 16}
    settings["train"]["token_table"] = "learned"
    path = tmp_path / "mini.json"
    path.write_text(json.dumps(settings))
    return str(path)


def run(config: str, data: Path | None, out: Path, **more: object) -> list[float]:
    options = {name: more.pop(name) for name in ("iterations", "lr", "token_table") if name in more}
    values = {
        "data": "camvid" if data else "ministuff",
        "data_root": data,
        "texts": TEXTS,
        "vocabulary_name": "camvid",
        "workers": 0,
        "progress": False,
        "precision": "fp32",
        **more,
    }
    request = PretrainRequest(
        config=config,
        out=out,
        options=PretrainOptions.of(config, **options),
        **values,  # type: ignore[arg-type]
    )
    result = pretrain(request)
    rows = result.log.read_text().splitlines()[1:]
    return [float(row.split(",")[1]) for row in rows]


def test_bce_by_hand() -> None:
    """One pixel, texts 0 (true) and 1 (false); text 2 is not compared; second pixel ignored."""
    logits = torch.tensor([[[[2.0, 9.0]], [[-1.0, 9.0]], [[50.0, 9.0]]]])
    target = torch.tensor([[[0, -1]]])
    compared = torch.tensor([[True, True, False]])
    weight = torch.tensor([[[1.0, 0.0]]])
    expected = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))) / 2
    assert float(bce(logits, target, compared, weight)) == pytest.approx(expected, rel=1e-6)
    expected = math.log1p(math.exp(-3))
    assert float(softmax(logits, target, compared, weight)) == pytest.approx(expected, rel=1e-6)


def test_agreement_by_hand() -> None:
    """Of two equal ones neither is nearer; back from both, the first is."""
    one, other = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    forth = math.log(2)
    back = (math.log1p(math.exp(-1)) + math.log1p(math.exp(1))) / 2
    assert agreement(one, other, 1.0).item() == pytest.approx((forth + back) / 2, rel=1e-6)
    assert agreement(one, one, 50.0).item() < 1e-6


def test_losses_of_a_picture_without_labels_are_zero_not_nan() -> None:
    logits = torch.zeros(1, 2, 1, 1)
    target, compared = torch.tensor([[[-1]]]), torch.tensor([[True, True]])
    weight = torch.zeros(1, 1, 1)
    assert float(bce(logits, target, compared, weight)) == 0.0
    assert float(softmax(logits, target, compared, weight)) == 0.0


def test_pixel_weights_by_hand() -> None:
    target = torch.tensor([[[0, 0, 0], [0, 1, -1]]])
    half = pixel_weights(target, 0.5)
    assert half.tolist() == [[[0.5, 0.5, 0.5], [0.5, 1.0, 0.0]]]
    assert pixel_weights(target, 0.0).tolist() == [[[1, 1, 1], [1, 1, 0]]]


def test_targets_only_compare_own_captions() -> None:
    labels = torch.tensor([[[3, 1000]], [[-1, 3]]])
    rows, compared, target = text_targets(labels, [{3: 4, 1000: 5, -2: 6}, {3: 4}])
    assert rows.tolist() == [[4, 5, 6], [4, 0, 0]]
    assert compared.tolist() == [[True, True, True], [True, False, False]]
    assert target.tolist() == [[[0, 1]], [[-1, 0]]]


def test_choose_texts_compares_with_captions_of_others_that_are_false() -> None:
    blank, a, b = torch.zeros(1, 1), frozenset({"color red"}), frozenset({"shape ring"})
    items = [
        TrainingItem(blank, blank, {1000: Sentence("a dax", a)}, a),
        TrainingItem(blank, blank, {1000: Sentence("a wug", b)}, a | b),
        TrainingItem(blank, blank, {}, frozenset({"color blue"})),
    ]
    sentences, keys = choose_texts(items, [0, 1], TEXTS, 1, np.random.default_rng(0))
    assert sentences[0] in TEXTS[0] and sentences[1] in TEXTS[1]
    assert sentences[2:] == ["a dax", "a wug"]
    assert keys[0] == {0: 0, 1: 1, 1000: 2, -2: 3}  # shows no ring
    assert keys[1] == {0: 0, 1: 1, 1000: 3}  # shows something red
    assert keys[2] in ({0: 0, 1: 1, -2: 2}, {0: 0, 1: 1, -2: 3})


def test_places_visit_every_picture_once_an_epoch() -> None:
    drawn = [p for batch in places(0, 6, 2, seed=3, pictures=4) for p in batch]
    indices = [index for _, _, index in drawn]
    assert [sorted(indices[i : i + 4]) for i in (0, 4, 8)] == [[0, 1, 2, 3]] * 3
    later = [p for batch in places(3, 6, 2, seed=3, pictures=4) for p in batch]
    assert later == drawn[6:]


def test_resumed_run_equals_unbroken_run(tmp_path: Path, config: str, data: Path) -> None:
    unbroken = run(config, data, tmp_path / "one")
    run(config, data, tmp_path / "two", minutes=0.0)  # stops after its first step
    broken = run(config, data, tmp_path / "two", resume=True)
    assert len(unbroken) == 6
    np.testing.assert_allclose(broken, unbroken, rtol=1e-6)
    one = load_backbone(config, tmp_path / "one/mini.safetensors").model.state_dict()
    two = load_backbone(config, tmp_path / "two/mini.safetensors").model.state_dict()
    for key in one:
        torch.testing.assert_close(one[key], two[key], atol=1e-6, rtol=0)


def test_resumed_run_equals_unbroken_run_with_word_vectors(
    tmp_path: Path, config: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vectors are in the checkpoint; the weights hold the table that was read from them."""
    drawn = torch.randn(49408, WIDTH, generator=torch.Generator().manual_seed(0))
    drawn[7] = drawn[5]
    module = sys.modules["lsmseg_model.pretrain"]  # the package has a function of that name
    monkeypatch.setattr(module, "word_vectors", lambda: drawn)
    unbroken = run(config, data, tmp_path / "one", token_table="minilm")
    run(config, data, tmp_path / "two", token_table="minilm", minutes=0.0)
    monkeypatch.setattr(module, "word_vectors", None)
    broken = run(config, data, tmp_path / "two", token_table="minilm", resume=True)
    np.testing.assert_allclose(broken, unbroken, rtol=1e-6)
    one = load_backbone(config, tmp_path / "one/mini.safetensors").model.state_dict()
    two = load_backbone(config, tmp_path / "two/mini.safetensors").model.state_dict()
    for key in one:
        torch.testing.assert_close(one[key], two[key], atol=1e-6, rtol=0)
    table = one["token_embedding.weight"]
    assert torch.equal(table[5], table[7]) and not torch.allclose(table[5], table[6], atol=1e-2)


def test_resumed_run_on_drawn_scenes_with_prototypes(tmp_path: Path, config: str) -> None:
    """Captions, sentences to read and attributes: all that goes on from last.pt is the same."""
    told = {look.key: [("A dax is odd.", frozenset({"color"}))] for look in LOOKS[:40]}
    settings = json.loads(Path(config).read_text())
    settings["train"] |= {"iterations": 2, "attributes": 0.5, "sentences": 4, "paraphrases": 0.5}
    Path(config).write_text(json.dumps(settings))
    more: dict[str, Any] = {"vocabulary_name": "coco-stuff", "told": lambda: told}
    more["texts"] = [[f"thing {i}"] for i in range(171)]
    losses = run(config, None, tmp_path / "one", **more)
    run(config, None, tmp_path / "two", minutes=0.0, **more)
    assert run(config, None, tmp_path / "two", resume=True, **more) == losses
    one, two = (torch.load(tmp_path / f"{n}/last.pt", weights_only=True) for n in ("one", "two"))
    vectors = one["helpers"]["0.vectors"]
    assert vectors.shape == (len(VALUES), 16)
    for part in ("model", "helpers"):
        assert all(torch.equal(one[part][key], two[part][key]) for key in one[part])


def test_training_learns_and_leaves_its_files(tmp_path: Path, config: str, data: Path) -> None:
    losses = run(config, data, tmp_path / "out", iterations=40, lr=0.01)
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["last.pt", "loss.csv", "loss.png", "mini.safetensors"]


def test_words_never_met_keep_a_zero_embedding(tmp_path: Path, config: str, data: Path) -> None:
    run(config, data, tmp_path / "out")
    table = load_backbone(config, tmp_path / "out/mini.safetensors").model.token_embedding.weight
    used = table.abs().sum(dim=1) > 0
    assert 5 < int(used.sum()) < 60


def test_starting_from_weights(tmp_path: Path, config: str, data: Path) -> None:
    first = run(config, data, tmp_path / "one", iterations=30, lr=0.01)
    weights = str(tmp_path / "one/mini.safetensors")
    second = run(config, data, tmp_path / "two", iterations=2, init=weights, lr=1e-6)
    assert second[0] < np.mean(first[:3])


def test_errors(tmp_path: Path, config: str, data: Path) -> None:
    run(config, data, tmp_path / "out", iterations=1)
    with pytest.raises(DataError, match="--resume"):
        run(config, data, tmp_path / "out")
    with pytest.raises(CheckpointError, match="other options, texts, data or seed"):
        run(config, data, tmp_path / "out", resume=True, seed=7)
    with pytest.raises(CheckpointError, match="other options, texts, data or seed"):
        run(config, data, tmp_path / "out", resume=True, short_side=48)
    (tmp_path / "out/last.pt").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="cannot be resumed from"):
        run(config, data, tmp_path / "out", resume=True)
    with pytest.raises(ConfigError, match="precision"):
        run(config, data, tmp_path / "p", precision="fp8")
    with pytest.raises(ConfigError, match="lr must be a number above 0"):
        run(config, data, tmp_path / "q", lr=-1.0)
    settings = json.loads(Path(config).read_text())
    settings["clip"]["custom_text"] = True
    Path(config).write_text(json.dumps(settings))
    with pytest.raises(ConfigError, match="pretrain trains plain CLIPs"):
        run(config, data, tmp_path / "s")
    settings["train"]["learning_rate"] = 1
    Path(config).write_text(json.dumps(settings))
    with pytest.raises(ConfigError, match="learning_rate"):
        run(config, data, tmp_path / "r")
