"""All families of backbones, each a small model of open_clip's with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from support.small_backbones import KINDS, TEXT, Kind, registered, small_backbone, small_model
from support.small_network import SIZES
from torch import Tensor
from torch.nn import functional as F

from lsmseg_model.encoders.checkpoints import save_weights
from lsmseg_model.errors import UsageError
from lsmseg_model.networks.backbones.clip import Clip
from lsmseg_model.networks.backbones.convolutional import Convolutional, ResNet
from lsmseg_model.networks.backbones.dense import ALL_NAMES, DENSE_NAMES, OpenClipBlock
from lsmseg_model.networks.backbones.load import FAMILIES, family_of, load_backbone
from lsmseg_model.networks.backbones.open_clip_models import create
from lsmseg_model.networks.backbones.siglip import Siglip
from lsmseg_model.networks.backbones.timm_vit import TimmBlock, TimmVit
from lsmseg_model.networks.config import NetworkConfig
from lsmseg_model.networks.fields import read_fields
from lsmseg_model.networks.lsmseg import LsmSeg
from lsmseg_model.pull import catalogue

every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)
timm_vits = pytest.mark.parametrize(
    "kind", [k for k in KINDS if issubclass(k.family, TimmVit)], ids=str
)
class_tokens = pytest.mark.parametrize(
    "kind", [k for k in KINDS if k.family.VARIANTS == DENSE_NAMES], ids=str
)


def pictures(kind: Kind, down: int, across: int, count: int = 2) -> Tensor:
    """Random pictures of so many positions."""
    patch = small_backbone(kind).patch_size
    shape = (count, 3, down * patch, across * patch)
    return torch.rand(shape, generator=torch.Generator().manual_seed(3))


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_every_family_is_here() -> None:
    assert {kind.family for kind in KINDS} == set(FAMILIES)


@every_kind
def test_a_models_family_and_sizes(kind: Kind) -> None:
    model, backbone = small_model(kind), small_backbone(kind)
    assert family_of(model, "it") is kind.family
    assert backbone.image_size == kind.config["vision_cfg"]["image_size"]
    assert backbone.embed_dim == kind.config["embed_dim"] or kind.name == "siglip"
    side = backbone.image_size // backbone.patch_size
    assert backbone.grid == (side, side) == (4, 4)
    view = backbone.default_view()
    if not issubclass(kind.family, Clip):
        assert (view.short_side, view.window) == (1.5 * backbone.image_size, backbone.image_size)
        assert view.stride == view.window / 2


@every_kind
@torch.no_grad()
def test_pooled_as_the_model_pools(kind: Kind) -> None:
    """The walk is the model's own: its end gives open_clip's `encode_image`."""
    model, backbone = small_model(kind), small_backbone(kind)
    images = pictures(kind, 4, 4)
    shown = (images - backbone.mean) / backbone.std
    close(backbone.pooled(images), model.encode_image(shown, normalize=True))


@timm_vits
@torch.no_grad()
def test_other_grids_are_timms(kind: Kind) -> None:
    """As the same tower built for any size of picture."""
    backbone = small_backbone(kind)
    visual: Any = backbone.model.visual
    trunk = visual.trunk
    flexible = kind.trunk(  # type: ignore[misc]
        num_classes=trunk.num_classes, global_pool=trunk.global_pool, dynamic_img_size=True
    ).eval()
    flexible.load_state_dict(trunk.state_dict())
    for down, across in ((4, 4), (3, 5), (6, 2)):
        images = pictures(kind, down, across)
        expected = visual.head(flexible((images - backbone.mean) / backbone.std))
        close(backbone.pooled(images), F.normalize(expected, dim=-1))


@every_kind
@torch.no_grad()
def test_dense_features(kind: Kind) -> None:
    """By every variant: of length 1, on any grid, of a picture whatever is beside it."""
    found = {}
    for dense in kind.family.VARIANTS:
        backbone = small_backbone(kind, dense)
        for down, across in ((4, 4), (2, 6), (1, 1)):
            images = pictures(kind, down, across)
            proxy = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(5))
            features = backbone.encode_dense(images, proxy)
            assert features.shape == (2, down, across, backbone.embed_dim)
            close(features.norm(dim=-1), torch.ones(2, down, across))
            close(backbone.encode_dense(images[1:], proxy[1:]), features[1:])
            found[dense, down] = features
    several = [features for (_, down), features in found.items() if down == 4]
    for i, first in enumerate(several):
        assert all((first - other).abs().max() > 1e-4 for other in several[:i])


@every_kind
@torch.no_grad()
def test_one_position_is_the_picture(kind: Kind) -> None:
    """Where no class token is pooled, what is seen at the only position is the embedding."""
    images = pictures(kind, 1, 1)
    backbone = small_backbone(kind)
    if not kind.alone:
        pytest.skip("the class token counts, too")
    close(backbone.encode_dense(images)[:, 0, 0], backbone.pooled(images))


@every_kind
@torch.no_grad()
def test_what_blocks_put_out(kind: Kind) -> None:
    backbone = small_backbone(kind)
    images, blocks = pictures(kind, 3, 5), (0, len(backbone.widths) - 2)
    dense, between = backbone.encode_layers(images, blocks)
    close(F.normalize(dense, dim=1).permute(0, 2, 3, 1), backbone.encode_dense(images))
    for block, layer in zip(blocks, between, strict=True):
        times = backbone.patch_size // backbone.strides[block]
        assert tuple(layer.shape) == (2, backbone.widths[block], 3 * times, 5 * times)
    one, other = (layer.mean(dim=(2, 3)) for layer in between)
    assert one.shape != other.shape or (one - other).abs().max() > 1e-3


@every_kind
def test_other_variants_are_refused(kind: Kind) -> None:
    for dense in set(ALL_NAMES) - set(kind.family.VARIANTS):
        able = ", ".join(kind.family.VARIANTS)
        with pytest.raises(UsageError, match=f"can do {able}; .* can do {dense}"):
            small_backbone(kind, dense)


@every_kind
def test_queries_and_values_learn(kind: Kind) -> None:
    """Of the picture tower: where queries, keys or values are asked for, their rows alone."""
    backbone = small_backbone(kind)
    if issubclass(kind.family, Convolutional):
        with pytest.raises(UsageError, match="no queries and values to train: choose --clip"):
            backbone.learning_rows("qv")
        return
    tower = {id(p): n for n, p in backbone.model.visual.named_parameters()}
    rows = [(tower[id(w)], w, on) for w, on in backbone.learning_rows("qv") if id(w) in tower]
    every = [on.sum() for w, on in backbone.learning_rows("qkv") if id(w) in tower]
    assert len(backbone.learning_rows("q")) >= len(backbone.widths)
    for name, weight, learn in rows:
        assert learn.shape == (len(weight), 1)
        thirds = learn.view(-1, 16).all(dim=1).tolist()
        if weight.shape[0] == 48:
            assert thirds == [True, False, True]
        elif weight.shape[0] == 32:
            assert thirds == [False, True] and "kv" in name
        else:
            assert thirds == [True] and ("q_proj" in name or "v_proj" in name)
    assert sum(every) * 2 == sum(on.sum() for _, _, on in rows) * 3 or "map" in str(kind.vision)


@class_tokens
@torch.no_grad()
def test_the_last_blocks_parts_make_the_block(kind: Kind) -> None:
    """Put together as the model does, they give what the block itself gives."""
    backbone: Any = small_backbone(kind)
    images = pictures(kind, 3, 5)
    if kind.trunk:
        x, rope, _ = backbone._begin(images)
        own = backbone.model.visual.trunk.blocks[-1]
        block: Any = TimmBlock(own, rope)
        expected = own(x) if rope is None else own(x, rope=rope)
    else:
        x, _ = backbone._begin(images)
        own = backbone.model.visual.transformer.resblocks[-1]
        block, expected = OpenClipBlock(own), own(x)
    q, k, v = block.qkv(block.norm(x))
    close(block.values(block.norm(x)), v)
    attention = (q @ k.mT * q.shape[-1] ** -0.5).softmax(dim=-1)
    close(block.mlp(x + block.out(attention @ v)), expected)


@pytest.mark.parametrize("kind", [k for k in KINDS if k.family is Siglip], ids=str)
@torch.no_grad()
def test_the_query_weighs_what_positions_give_alone(kind: Kind) -> None:
    """Values weighted as the pooling does, on the dense features' path: the embedding."""
    backbone: Any = small_backbone(kind)
    images = pictures(kind, 3, 5)
    trunk = backbone.model.visual.trunk
    x, rope, grid = backbone._begin(images)
    x = trunk.norm(backbone._through(trunk.blocks, x, rope, grid)[0])
    pool = trunk.attn_pool
    q = pool.q(pool.latent).unflatten(-1, (pool.num_heads, -1)).transpose(1, 2)
    k = pool.kv(x).chunk(2, -1)[0].unflatten(-1, (pool.num_heads, -1)).transpose(1, 2)
    weights = (q @ k.mT * pool.head_dim**-0.5).softmax(dim=-1)  # [B, heads, 1, L]
    values = backbone._values(x).unflatten(-1, (pool.num_heads, -1)).transpose(1, 2)
    mean = (weights @ values).transpose(1, 2).flatten(2)[:, 0]
    close(F.normalize(backbone._after_attention(mean), dim=-1), backbone.pooled(images))


@pytest.mark.parametrize("kind", [k for k in KINDS if k.family is ResNet], ids=str)
@torch.no_grad()
def test_what_a_resnets_attention_sees(kind: Kind) -> None:
    """The values of the mean and of all positions, weighted as the pooling does: the embedding."""
    backbone: Any = small_backbone(kind)
    images, pool = pictures(kind, 3, 5), backbone.model.visual.attnpool
    x = backbone._placed(backbone._stages((images - backbone.mean) / backbone.std)[-1])
    q, k, v = (
        part(x).unflatten(-1, (pool.num_heads, -1)).transpose(1, 2)
        for part in (pool.q_proj, pool.k_proj, pool.v_proj)
    )
    weights = (q[:, :, :1] @ k.mT * q.shape[-1] ** -0.5).softmax(dim=-1)
    seen = pool.c_proj((weights @ v).transpose(1, 2).flatten(2))[:, 0]
    close(F.normalize(seen, dim=-1), backbone.pooled(images))
    alone = pool.c_proj(v.transpose(1, 2).flatten(2))[:, 1:].unflatten(1, (3, 5))
    close(backbone.encode_dense(images), F.normalize(alone, dim=-1))


@every_kind
def test_in_training_steady_towers_stay_as_they_are(kind: Kind) -> None:
    backbone = small_backbone(kind)
    backbone.train()
    assert backbone.model.visual.training is not kind.family.STEADY
    assert kind.family.STEADY is not issubclass(kind.family, Clip)
    assert backbone.training
    backbone.eval()


@every_kind
@torch.no_grad()
def test_weights_from_a_folder(kind: Kind, tmp_path: Path) -> None:
    registered(kind)
    shown = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    described = {"model_cfg": kind.config, "preprocess_cfg": shown}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(described))
    save_weights(tmp_path / "open_clip_model.safetensors", small_model(kind).state_dict(), {})
    loaded = load_backbone(f"local-dir:{tmp_path}")
    assert (type(loaded), loaded.dense) == (kind.family, kind.family.TRAINING_FREE)
    assert loaded.view == loaded.default_view()
    assert loaded.mean.unique().tolist() == loaded.std.unique().tolist() == [0.5]
    images, own = pictures(kind, 4, 4), small_backbone(kind, loaded.dense)
    expected = own.encode_dense((images - 0.5) / 0.5 * own.std + own.mean)
    close(loaded.encode_dense(images), expected)


@pytest.mark.parametrize(
    "kind", [k for k in KINDS if not issubclass(k.family, Convolutional)], ids=str
)
def test_a_head_learns_on_it(kind: Kind) -> None:
    """Gradients reach the queries and values of the picture tower, keys of joint weights none."""
    sizes = read_fields(NetworkConfig, SIZES, "small")
    network = LsmSeg(small_backbone(kind, kind.family.TRAINED), sizes).train()
    network.trainable("qv")
    assert not kind.trunk or not network.clip.model.visual.training
    texts = F.normalize(torch.randn(4, network.clip.embed_dim), dim=-1)
    logits, kept = network(pictures(kind, 4, 4), texts)
    assert logits.shape == (2, 3, 16, 16) and kept is not None
    logits.square().mean().backward()
    seen = [(w.grad, rows) for w, rows in network.clip.learning_rows("qv") if w.grad is not None]
    assert len(seen) >= len(network.clip.widths)
    assert all(grad[rows[:, 0]].any() and not grad[~rows[:, 0]].any() for grad, rows in seen)
    network.eval().trainable("freeze")
    network.zero_grad(set_to_none=True)


@pytest.mark.slow
@torch.no_grad()
def test_every_model_of_open_clip() -> None:
    """Each is of a family, which gives features of its sizes, or is refused by name."""
    refused = []
    for name in catalogue.models():
        config = catalogue.configuration(name)
        with torch.device("meta"):
            model = create({**config, "text_cfg": TEXT})  # its pictures alone
            try:
                family = family_of(model, name)
            except UsageError:
                refused.append(name)
                continue
            backbone = family(model, name, family.TRAINED, None, "").eval()
            view, patch = backbone.default_view(), backbone.patch_size
            window = view.window
            images, cells = torch.empty(1, 3, window, window), window // patch
            features = backbone.encode_dense(images)
            pooled = backbone.pooled(torch.empty(1, 3, *[backbone.image_size] * 2))
        assert features.shape == (1, cells, cells, config["embed_dim"]), name
        assert pooled.shape == (1, config["embed_dim"]), name
        assert window % patch == view.stride % patch == 0 < view.stride, name
    assert refused == ["swin_base_patch4_window7_224", "vit_relpos_medium_patch16_cls_224"]
