"""CLIP: dense features, text features and weight files, against open_clip and reference numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support.small_clip import SMALL
from torch.nn import functional as F

from lsmseg_model.encoders.checkpoints import save_weights
from lsmseg_model.encoders.registry import second_encoder
from lsmseg_model.errors import CheckpointError, ConfigError, UsageError
from lsmseg_model.networks.backbones.base import View
from lsmseg_model.networks.backbones.clip import Clip
from lsmseg_model.networks.backbones.dense import (
    DENSE,
    DENSE_NAMES,
    SAM_PROXY,
    OpenClipBlock,
    sam_proxy,
)
from lsmseg_model.networks.backbones.load import build_backbone, load_backbone, read_config
from lsmseg_model.networks.backbones.text import Tokenizer, tokenize
from lsmseg_model.networks.cost_map import cost_map, upsample

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "catseg_clip_small.safetensors"


@pytest.fixture(scope="module")
def small() -> Clip:
    torch.manual_seed(0)
    return build_backbone(SMALL).eval()


def test_text_features_equal_open_clip_zero_shot_classifier(small: Clip) -> None:
    from open_clip import SimpleTokenizer, build_zero_shot_classifier

    names = ["zebra", "fire hydrant", "wood floor"]
    templates = ["a photo of a {}.", "there is a {} in the scene"]
    expected = build_zero_shot_classifier(
        small.model, SimpleTokenizer(), names, [lambda c, t=t: t.format(c) for t in templates]
    )
    ours = small.encode_texts([[t.format(c) for t in templates] for c in names])
    torch.testing.assert_close(ours, expected.T, atol=1e-6, rtol=0)


def test_cutting_tokens_to_the_longest_sentence_is_exact(small: Clip) -> None:
    tokens = tokenize(["a zebra", "a tall giraffe with brown patches"])
    full = F.normalize(small.model.encode_text(tokens), dim=-1)
    torch.testing.assert_close(small.encode_tokens(tokens[:, :12]), full, atol=1e-6, rtol=0)


def test_catseg_block_by_hand(small: Clip) -> None:
    """Values only, the class token added to every position, then the MLP."""
    block = small.model.visual.transformer.resblocks[-1]
    x = torch.randn(1, 17, 16)
    y = block.ln_1(x)
    weight, bias = block.attn.in_proj_weight[32:], block.attn.in_proj_bias[32:]
    v = F.linear(F.linear(y, weight, bias), block.attn.out_proj.weight, block.attn.out_proj.bias)
    z = v + x[:, :1]
    expected = z + block.mlp(block.ln_2(z))
    torch.testing.assert_close(
        DENSE["catseg"](OpenClipBlock(block), x, (4, 4)), expected, atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("dense", DENSE_NAMES)
def test_dense_variants_have_unit_length_and_any_grid(small: Clip, dense: str) -> None:
    clip = Clip(small.model, "small", dense, View(16, 16, 8), "none")
    clip.proxy = second_encoder("dinov2-tiny")
    features = clip.encode_dense(torch.rand(2, 3, 24, 16))
    assert features.shape == (2, 6, 4, 8)
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(2, 6, 4))


def test_dense_variants_differ(small: Clip) -> None:
    image, other = torch.rand(1, 3, 16, 16), torch.randn(1, 5, 4, 4)
    outputs = [
        Clip(small.model, "small", d, View(16, 16, 8), "none").encode_dense(image, proxy=other)
        for d in DENSE_NAMES
    ]
    for i, first in enumerate(outputs):
        for second in outputs[:i]:
            assert (first - second).abs().max() > 1e-4


def test_naclip_attention_by_hand() -> None:
    """Two positions one apart: the Gaussian adds 1 at home and exp(-1/50) next door."""
    torch.manual_seed(1)
    block = build_backbone(SMALL).model.visual.transformer.resblocks[-1]
    x = torch.randn(1, 3, 16)
    qkv = F.linear(block.ln_1(x), block.attn.in_proj_weight, block.attn.in_proj_bias)
    k, v = qkv[0, :, 16:32], qkv[0, :, 32:]
    near = torch.zeros(3, 3)
    near[1:, 1:] = torch.tensor([[1.0, np.exp(-1 / 50)], [np.exp(-1 / 50), 1.0]])
    heads = []
    for h in (slice(0, 8), slice(8, 16)):
        heads.append(((k[:, h] @ k[:, h].T / 8**0.5) + near).softmax(-1) @ v[:, h])
    expected = block.attn.out_proj(torch.cat(heads, dim=-1))[None]
    torch.testing.assert_close(
        DENSE["naclip"](OpenClipBlock(block), x, (1, 2)), expected, atol=1e-5, rtol=0
    )


def test_sam_proxy_attention_by_hand(small: Clip) -> None:
    """Cosines 0.8, 0 and 0.6 between three positions: their mean with the three ones is 5.8 / 9.

    1.2 of it is 0.773, so the first two see each other with 3 (0.8 - 0.773), the third itself.
    """
    block = small.model.visual.transformer.resblocks[-1]
    other = torch.tensor([[[2.0, 0.0], [0.8, 0.6], [0.0, 0.5]]])  # their lengths do not matter
    threshold = 1.2 * 5.8 / 9
    own, pair = np.exp(3 * (1 - threshold)), np.exp(3 * (0.8 - threshold))
    a = own / (own + pair)
    attention = torch.tensor([[a, 1 - a, 0], [1 - a, a, 0], [0, 0, 1]], dtype=torch.float32)
    x = torch.randn(1, 3, 16)
    weight, bias = block.attn.in_proj_weight[32:], block.attn.in_proj_bias[32:]
    expected = block.attn.out_proj(attention @ F.linear(block.ln_1(x), weight, bias))
    torch.testing.assert_close(
        sam_proxy(OpenClipBlock(block), x, other), expected, atol=1e-6, rtol=0
    )


def test_sam_proxy_sees_alike_and_unlike_positions(small: Clip) -> None:
    """Positions of one kind get one feature; of no likeness at all, MaskCLIP's."""
    image = torch.rand(1, 3, 16, 16)
    clip = Clip(small.model, "small", SAM_PROXY, View(16, 16, 8), "none")
    alone = torch.eye(16).view(1, 16, 4, 4)
    plain = Clip(small.model, "small", "maskclip", View(16, 16, 8), "none")
    torch.testing.assert_close(
        clip.encode_dense(image, proxy=alone), plain.encode_dense(image), atol=1e-6, rtol=0
    )
    halves = torch.zeros(1, 2, 8, 8)  # resized to the grid of 4 x 4
    halves[:, 0, :, :4] = halves[:, 1, :, 4:] = 1.0
    found = clip.encode_dense(image, proxy=halves.repeat_interleave(2, 2).repeat_interleave(2, 3))
    torch.testing.assert_close(found[0, 0, 0], found[0, 3, 0])
    assert (found[0, 0, 0] - found[0, 0, 3]).abs().max() > 1e-4
    same = clip.encode_dense(image, proxy=torch.ones(1, 3, 4, 4))  # all below 1.2 of the mean
    torch.testing.assert_close(same, plain.encode_dense(image), atol=1e-6, rtol=0)


def test_sam_proxy_looks_with_the_other_encoder(small: Clip, tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    save_weights(path, small.model.state_dict(), {"config": SMALL})
    torch.manual_seed(0)
    encoder = second_encoder("sam-tiny")
    clip = load_backbone("lsmseg-tiny", path, dense=SAM_PROXY, proxy=encoder)
    image = torch.rand(2, 3, 16, 16)
    large = F.interpolate(image, (128, 128), mode="bilinear")
    expected = clip.encode_dense(image, proxy=encoder(large)[-1])
    torch.testing.assert_close(clip.encode_dense(image), expected)
    for dense, proxy in ((SAM_PROXY, None), ("naclip", encoder), (None, encoder)):
        with pytest.raises(UsageError, match="--dense sam-proxy --sam FILE"):
            load_backbone("lsmseg-tiny", path, dense=dense, proxy=proxy)
    with pytest.raises(UsageError, match=r"no dense variant 'sclop'; .* sam-proxy"):
        load_backbone("lsmseg-tiny", path, dense="sclop")
    clip.proxy = None
    with pytest.raises(UsageError, match="go together"):
        clip.encode_dense(image)


def test_cost_map_by_hand() -> None:
    features = torch.tensor([[[[1.0, 0.0], [0.6, 0.8]]]])  # [1, 1, 2, 2]
    text = torch.tensor([[0.0, 1.0], [0.8, 0.6]])
    cost = cost_map(features, text)
    torch.testing.assert_close(cost, torch.tensor([[[[0.0, 0.8]], [[0.8, 0.96]]]]))
    assert upsample(cost, (4, 8)).shape == (1, 2, 4, 8)


@pytest.fixture(scope="module")
def reference() -> tuple[Clip, dict[str, torch.Tensor]]:
    """A small CLIP of the CAT-Seg kind with reference inputs and outputs."""
    if not GOLDEN.is_file():
        pytest.skip("../shared/golden is not on this machine")
    from safetensors.torch import load_file

    tensors = load_file(GOLDEN)
    weights = {k.removeprefix("weights."): v for k, v in tensors.items() if "weights." in k}
    for key in [k for k in weights if k.endswith("q_proj_weight")]:
        stem = key.removesuffix("q_proj_weight")
        parts = [weights.pop(f"{stem}{x}_proj_weight") for x in "qkv"]
        weights[f"{stem}in_proj_weight"] = torch.cat(parts)
    config = {
        "name": "reference",
        "clip": {
            "embed_dim": 32,
            "quick_gelu": True,
            "vision_cfg": {"image_size": 64, "layers": 4, "width": 128, "patch_size": 16},
            "text_cfg": {"vocab_size": 512, "width": 64, "heads": 2, "layers": 3},
        },
        "view": {"short_side": 64, "window": 64, "stride": 32},
        "train": {},
    }
    clip = build_backbone(config).eval()
    weights["logit_bias"] = torch.zeros(())
    clip.model.load_state_dict(weights)
    return clip, tensors


@pytest.mark.parametrize("size", [64, 96])
def test_dense_features_equal_reference(
    reference: tuple[Clip, dict[str, torch.Tensor]], size: int
) -> None:
    clip, tensors = reference
    image = tensors[f"input.image_{size}"] * clip.std + clip.mean  # given normalised
    dense = clip.encode_layers(image, ())[0].flatten(2).mT
    expected = tensors[f"output.dense_{size}"][:, 1:]
    torch.testing.assert_close(dense, expected, atol=1e-4, rtol=0)


def test_text_features_equal_reference(reference: tuple[Clip, dict[str, torch.Tensor]]) -> None:
    clip, tensors = reference
    expected = F.normalize(tensors["output.text"], dim=-1)
    found = clip.encode_tokens(tensors["input.tokens"])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_over_long_text_is_an_error_not_a_cut() -> None:
    with pytest.raises(UsageError, match="too many"):
        tokenize(["zebra " * 80])


def test_empty_class_is_an_error(small: Clip) -> None:
    with pytest.raises(UsageError, match="at least one text"):
        small.encode_texts([["a"], []])


def test_our_weights_round_trip_with_their_configuration(tmp_path: Path, small: Clip) -> None:
    path = tmp_path / "small.safetensors"
    config = {**SMALL, "view": {"short_side": 32, "window": 16, "stride": 8}}
    save_weights(path, small.model.state_dict(), {"config": config}, half=True)
    loaded = load_backbone("lsmseg-tiny", path)
    assert loaded.view == View(32, 16, 8)
    image = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(
        loaded.encode_dense(image), small.encode_dense(image), atol=2e-2, rtol=0
    )


def test_truncated_weights_are_one_sentence(tmp_path: Path, small: Clip) -> None:
    path = tmp_path / "small.safetensors"
    save_weights(path, small.model.state_dict(), {})
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="truncated"):
        load_backbone("lsmseg-tiny", path)


@pytest.mark.parametrize(
    ("name", "pretrained", "error", "words"),
    [
        ("ViT-B-16", None, CheckpointError, "--pretrained"),
        ("ViT-B-61", "here", UsageError, "did you mean ViT-B-16"),
        ("RN50", "here", CheckpointError, "does not hold the weights of RN50"),
        ("lsmseg-tiny", "missing.pt", CheckpointError, "no weights of lsmseg-tiny at missing.pt"),
    ],
)
def test_wrong_names(
    tmp_path: Path, small: Clip, name: str, pretrained: str | None, error: type, words: str
) -> None:
    if pretrained == "here":
        pretrained = str(tmp_path / "some.safetensors")
        save_weights(Path(pretrained), small.model.state_dict(), {})
    with pytest.raises(error, match=words):
        load_backbone(name, pretrained)


def test_weights_of_another_architecture(tmp_path: Path, small: Clip) -> None:
    path = tmp_path / "other.pt"
    torch.save(small.model.state_dict(), path)
    with pytest.raises(CheckpointError, match="does not hold the weights of ViT-B-16"):
        load_backbone("ViT-B-16", path)


def test_pickled_code_is_refused(tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("ran",)

    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps({"x": Evil()}))
    with pytest.raises(CheckpointError):
        load_backbone("lsmseg-tiny", path)


def test_unknown_configuration_and_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lsmseg-tiny"):
        read_config("lsmseg-huge")
    path = tmp_path / "mine.json"
    path.write_text('{"name": "mine"')
    with pytest.raises(ConfigError, match="not valid JSON"):
        read_config(str(path))
    path.write_text('{"name": "mine"}')
    with pytest.raises(ConfigError, match="lacks the field"):
        read_config(str(path))


def test_training_reads_a_long_sentence_to_its_last_token() -> None:
    long, short = "zebra " * 80, "a zebra"
    tokens = Tokenizer(12).cut([long, short])
    assert tokens[0].tolist() == [49406, *[22548] * 10, 49407]
    assert tokens[1].tolist() == Tokenizer(12)([short])[0].tolist()
