"""Weights whose numbers overflow: an error that names them and the picture, never a score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.command_line import arguments_for, refused
from support.small_clip import SMALL
from support.whole_network import small_network

from lsmseg_model.encoders.checkpoints import save_weights
from lsmseg_model.errors import CheckpointError, DataError
from lsmseg_model.networks.backbones.load import build_backbone
from lsmseg_model.segmenter import Segmenter

LARGE = 3e38  # finite in 32 bits; a product with anything above 1.2 is not


def arguments(command: str, weights: Path) -> list[str]:
    """`evaluate` or `ablate` on the folder `data`, whose pictures are of no videos."""
    given = arguments_for(command, weights)
    at = given.index("camvid")
    return [*given[: at - 1], "--data", "data", "--vocab", "camvid", *given[at + 3 :]]


def overflowing(path: Path, part: str) -> Path:
    """Weights of the small CLIP, of which one matrix is so large that features overflow."""
    import torch

    torch.manual_seed(0)
    state = build_backbone(SMALL).model.state_dict()
    state[part] = torch.full_like(state[part], LARGE)
    save_weights(path, state, {"config": SMALL})
    return path


@pytest.mark.parametrize("command", ["evaluate", "ablate"])
def test_features_of_pictures_that_overflow(call, data: Path, tmp_path: Path, command: str) -> None:  # type: ignore[no-untyped-def]
    weights = overflowing(tmp_path / "large.safetensors", "visual.proj")
    done = call(*arguments(command, weights))
    refused(done, 4, "NaN or infinite values for picture", "nothing can be scored", "weights ")
    assert not Path("o").exists()


@pytest.mark.parametrize("command", ["evaluate", "ablate"])
def test_embeddings_of_texts_that_overflow(call, data: Path, tmp_path: Path, command: str) -> None:  # type: ignore[no-untyped-def]
    weights = overflowing(tmp_path / "large.safetensors", "text_projection")
    refused(call(*arguments(command, weights)), 4, "NaN or infinite values for the text 'a ")


@pytest.mark.parametrize(
    ("part", "says"),
    [("visual.proj", "picture data/images/val/a.png"), ("text_projection", "text")],
)
def test_predict_and_embeddings(call, data: Path, tmp_path: Path, part: str, says: str) -> None:  # type: ignore[no-untyped-def]
    weights = ["--pretrained", str(overflowing(tmp_path / "large.safetensors", part))]
    picture = str(data / "images" / "val" / "a.png")
    done = call("predict", picture, "--classes", "sky,sea", *weights, "-o", "o.png")
    assert done.code == 4 and "NaN or infinite values for " in done.err and says in done.err
    assert done.out == "" and not Path("o.png").exists()
    if part == "text_projection":
        done = call("export", "--vocab", "camvid", "--attributes", "name", "--format", "embeddings",
                    "-o", "e.npz", *weights)  # fmt: skip
        refused(done, 4, "NaN or infinite values for the text")
        assert not Path("e.npz").exists()


def test_from_python(tmp_path: Path) -> None:
    picture = np.zeros((24, 32, 3), np.uint8)
    for part, error in (("visual.proj", DataError), ("text_projection", CheckpointError)):
        weights = overflowing(tmp_path / "large.safetensors", part)
        with pytest.raises(error, match="NaN or infinite"):
            Segmenter(pretrained=weights).predict(picture, ["sky", "sea"])


def test_logits_of_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    network = small_network()
    decode = network.decode

    def broken(*given: object) -> object:
        logits, kept = decode(*given)  # type: ignore[arg-type]
        logits[0, 0, 0, 0] = torch.inf
        return logits, kept

    monkeypatch.setattr(network, "decode", broken)
    picture = np.zeros((24, 32, 3), np.uint8)
    with pytest.raises(DataError, match=f"{network.name} .* NaN or infinite values for picture p"):
        segmenter = Segmenter.of(network)
        segmenter.encode(picture, "picture p").decode(segmenter.encode_texts([["sky"], ["sea"]]))


def test_an_undefined_mean_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    from ablations.commands.output import show

    show({"miou": 0.5, "miou_unseen": float("nan")}, False)
    assert capsys.readouterr().out == "miou: 0.5000\nmiou unseen: -\n"
