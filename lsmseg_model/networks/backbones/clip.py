"""CLIP through open_clip, with dense features from a changed last block.

Checked against open_clip's own pooled features and zero-shot classifier (tests/test_clip.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.encoders.base import FrozenEncoder, resized, resized_positions
from lsmseg_model.encoders.checkpoints import differences, file_hash, read_metadata, read_state_dict
from lsmseg_model.encoders.sources import no_clip
from lsmseg_model.errors import CheckpointError, ConfigError, UsageError, nearest
from lsmseg_model.files import is_path, named_file, read_json
from lsmseg_model.kernels.onednn import use_onednn
from lsmseg_model.kernels.threads import in_threads
from lsmseg_model.networks.backbones.dense import (
    DENSE,
    NEEDS_PROXY,
    SAM_PROXY,
    check_dense,
    sam_proxy,
)
from lsmseg_model.networks.fields import Fields, OneOf, Text, Whole, read_fields

CONFIGS = Path(__file__).parent
WEIGHTS = Path(__file__).parents[2] / "weights"
MEAN = (0.48145466, 0.4578275, 0.40821073)  # OpenAI CLIP, RGB in 0..1
STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class View:
    """How a picture is shown to a CLIP, in pixels: resized, then cut into windows."""

    short_side: Whole
    window: Whole
    stride: Whole


@dataclass(frozen=True)
class ClipFile:
    """The file of a CLIP of our own.

    clip: open_clip's fields. view: see `View`. train: see `PretrainOptions`. dense: the last
    block's variant.
    """

    name: Text
    clip: Fields
    view: Fields
    train: Fields
    dense: Annotated[str, OneOf(*DENSE)] = "catseg"


# Training-free protocol of NACLIP and its neighbours for CLIPs that no configuration names.
DEFAULT_VIEW = View(short_side=336, window=224, stride=112)


class Clip(nn.Module):
    """An open_clip ViT seen as a segmentation network: dense features and text embeddings.

    ``name``, ``view`` and ``weights_hash`` identify what computed a score. ``dense`` names the
    last block's variant; ``proxy`` is the encoder that "sam-proxy" takes.
    """

    def __init__(self, model: Any, name: str, dense: str, view: View, weights_hash: str) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        check_dense(dense)
        self.model = model
        self.proxy: FrozenEncoder | None = None
        self.name, self.dense, self.view, self.weights_hash = name, dense, view, weights_hash
        self.patch_size: int = model.visual.patch_size[0]
        self.image_size: int = model.visual.image_size[0]
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)
        use_onednn(model)

    @property
    def device(self) -> torch.device:
        return self.model.visual.proj.device

    @property
    def embed_dim(self) -> int:
        return self.model.visual.proj.shape[1]

    def _position(self, grid: tuple[int, int]) -> Tensor:
        """Positional embedding [1 + h*w, D], bicubically resized if the grid differs (CAT-Seg)."""
        position: Tensor = self.model.visual.positional_embedding
        table = position[1:].unflatten(0, self.model.visual.grid_size)[None]
        return torch.cat([position[:1], resized_positions(table, grid)[0].flatten(0, 1)])

    def encode_dense(self, images: Tensor, proxy: Tensor | None = None) -> Tensor:
        """images: [B, 3, H, W] RGB in 0..1, H and W multiples of the patch size.

        proxy: [B, C, h, w], what another encoder sees there, for the variant "sam-proxy" (by
        default from `proxy_features`); resized to this grid.
        Returns [B, H / patch, W / patch, D] features of length 1 (F_c of Eq. 1).
        """
        return F.normalize(self._walk(images, (), proxy)[0], dim=-1)

    @torch.no_grad()
    def proxy_features(self, images: Tensor) -> Tensor:
        """images: [B, 3, H, W] RGB in 0..1 -> [B, C, h, w], the last features of ``proxy``.

        It sees them squashed to the size that it was trained with. Raises UsageError without one.
        """
        if self.proxy is None:
            raise UsageError(NEEDS_PROXY)
        side = self.proxy.size
        large = F.interpolate(
            images, (side, side), mode="bilinear", align_corners=False, antialias=True
        )
        return self.proxy(large)[-1]

    def encode_layers(self, images: Tensor, blocks: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """Dense features and what some blocks (from 0) put out, without the class token.

        images: as `encode_dense`. Returns [B, D, h, w], not normalised, and [B, width, h, w] each.
        """
        dense, between = self._walk(images, tuple(blocks))
        return dense.permute(0, 3, 1, 2), [x.permute(0, 3, 1, 2) for x in between]

    def _walk(
        self, images: Tensor, wanted: tuple[int, ...], proxy: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Dense features [B, h, w, D] and the wanted blocks' outputs, [B, h, w, width] each."""
        visual = self.model.visual
        x = visual.conv1((images - self.mean) / self.std)  # [B, width, h, w]
        grid = (x.shape[2], x.shape[3])
        x = x.flatten(2).transpose(1, 2)
        cls = visual.class_embedding.expand(x.shape[0], 1, -1)
        x = visual.ln_pre(torch.cat([cls, x], dim=1) + self._position(grid))
        blocks = visual.transformer.resblocks
        between = []
        for index, block in enumerate(blocks[:-1]):
            x = block(x)
            if index in wanted:
                between.append(x[:, 1:].unflatten(1, grid))
        if self.dense == SAM_PROXY:
            other = resized(self.proxy_features(images) if proxy is None else proxy, grid)
            x = sam_proxy(blocks[-1], x[:, 1:], other.flatten(2).mT)
        else:
            x = DENSE[self.dense](blocks[-1], x, grid)[:, 1:]
        return (visual.ln_post(x) @ visual.proj).unflatten(1, grid), between

    def encode_tokens(self, tokens: Tensor, embeddings: Tensor | None = None) -> Tensor:
        """tokens: [T, L] with L <= context length -> [T, D] text features of length 1.

        The tower is causal and pooled at the end token, so cutting L to the longest sentence of
        the batch is exact. ``embeddings`` [T, L, width] replace the token table (for dropout).
        """
        model = self.model
        length = tokens.shape[1]
        x = model.token_embedding(tokens) if embeddings is None else embeddings
        x = x + model.positional_embedding[:length]
        x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
        x = model.ln_final(x[torch.arange(x.shape[0]), tokens.argmax(dim=-1)])
        return F.normalize(x @ model.text_projection, dim=-1)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[Sequence[str]], batch_size: int = 256) -> Tensor:
        """texts: N classes of one or more sentences -> [N, D] class embeddings of length 1.

        Each sentence is embedded and normalised, a class's sentences are averaged and the mean
        normalised again (open_clip's zero-shot classifier). Equal sentences are embedded once.
        Raises UsageError for a class without text or a sentence over the context length,
        CheckpointError for embeddings that are NaN or infinite.
        """
        from lsmseg_model.networks.backbones.text import tokenize

        sentences = list(dict.fromkeys(s for group in texts for s in group))
        if any(not group for group in texts) or not sentences:
            raise UsageError("Every class needs at least one text.")
        tokens = tokenize(sentences, self.model.context_length)
        order = sorted(range(len(sentences)), key=lambda i: int(tokens[i].argmax()))
        features = torch.empty(len(sentences), self.embed_dim, device=self.device)

        def embed(rows: list[int]) -> Tensor:
            with torch.inference_mode():  # each thread's own
                batch = tokens[rows]
                batch = batch[:, : int(batch.argmax(dim=-1).max()) + 1]
                return self.encode_tokens(batch.to(self.device))

        batches = [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
        for rows, embedded in zip(batches, in_threads(embed, batches, self.device), strict=True):
            features[rows] = embedded
        where = {s: i for i, s in enumerate(sentences)}
        means = [features[[where[s] for s in group]].mean(dim=0) for group in texts]
        embeddings = F.normalize(torch.stack(means), dim=-1)
        if not bool(embeddings.isfinite().all()):
            wrong = int((~embeddings.isfinite().all(dim=-1)).nonzero()[0])
            raise CheckpointError(
                f"{self.name} (weights {self.weights_hash}) gives NaN or infinite values for the "
                f"text {texts[wrong][0]!r}: nothing can be scored with these weights."
            )
        return embeddings


def check_device(device: str) -> None:
    """Raise UsageError for a device that torch does not know or cannot reach here."""
    try:
        torch.zeros(1, device=device).item()  # "meta" has no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"The device {device!r} cannot be used here; choose --device cpu, or cuda on a machine "
            "with an NVIDIA GPU and its driver."
        ) from error


def read_config(name: str) -> dict[str, Any]:
    """The configuration of that name beside this file, or a JSON file of the same form."""
    path = CONFIGS / f"{name}.json"
    if is_path(name):
        path = named_file(Path(name), "configuration")
    elif not path.is_file():
        names = sorted(p.stem for p in CONFIGS.glob("*.json"))
        among = f"there are {', '.join(names)}, or a path to a .json file."
        raise UsageError(f"There is no configuration {name!r}; {nearest(name, names, 1, among)}")
    try:
        config = read_json(path)
    except ValueError as error:
        raise ConfigError(f"{path} is not valid JSON ({error}).") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{path} is not a configuration; see {CONFIGS}/lsmseg-tiny.json for one.")
    own = {f.name: config[f.name] for f in fields(ClipFile) if f.name in config}
    read_fields(ClipFile, own, str(path), "the file")
    return config


def build_clip(config: dict[str, Any], weights_hash: str = "random") -> Clip:
    """A Clip of the configuration's size with freshly drawn weights."""
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

    sizes = config["clip"]
    try:
        model = CLIP(
            embed_dim=sizes["embed_dim"],
            vision_cfg=CLIPVisionCfg(**sizes["vision_cfg"]),
            text_cfg=CLIPTextCfg(**sizes["text_cfg"]),
            quick_gelu=sizes.get("quick_gelu", False),
            init_logit_bias=0.0,
        )
    except (TypeError, KeyError) as error:
        raise ConfigError(f"{config['name']}: the field clip does not fit: {error}.") from error
    view = read_fields(View, config["view"], config["name"], "the view")
    return Clip(model, config["name"], config.get("dense", "catseg"), view, weights_hash)


def load_clip(
    name: str = "lsmseg-tiny",
    pretrained: str | Path | None = None,
    device: str = "cpu",
    dense: str | None = None,
    proxy: FrozenEncoder | None = None,
) -> Clip:
    """Load a CLIP by name; nothing is downloaded.

    Args:
        name: A configuration of ours, or any ViT that open_clip has.
        pretrained: A local file: safetensors, an open_clip or OpenAI state dict, or OpenAI's
            TorchScript archive. Our own configurations find their shipped weights by themselves.
        device: Where it computes.
        dense: The last block's variant (default: that of the configuration, else "naclip").
        proxy: The encoder of the variant "sam-proxy", see `load_second_encoder`.

    Raises:
        UsageError: For an unknown name, variant or device.
        ConfigError: For a configuration that is not there.
        CheckpointError: For weights that are missing, damaged or of another model.
    """
    ours = is_path(name) or (CONFIGS / f"{name}.json").is_file()
    if not ours:
        _check_name(name)
    elif is_path(name):
        named_file(Path(name), "configuration")
    if dense is not None:
        check_dense(dense)
    if (dense == SAM_PROXY) != (proxy is not None):
        raise UsageError(NEEDS_PROXY)
    check_device(device)
    path = Path(pretrained) if pretrained else WEIGHTS / f"{name}.safetensors"
    if not path.is_file():
        raise CheckpointError(no_clip(name, path))
    state, openai_layout = read_state_dict(path)
    weights_hash = file_hash(path)
    if ours:
        # Weights of ours carry the configuration that they were trained with.
        config = read_metadata(path).get("config") or read_config(name)
        clip = build_clip(config, weights_hash)
        clip.dense = dense or clip.dense
    else:
        model = open_clip_model(name, openai_layout)
        clip = Clip(model, name, dense or "naclip", DEFAULT_VIEW, weights_hash)
    fill(clip.model, state, path, name)
    if proxy is not None:
        clip.proxy = proxy
        clip.weights_hash += f"-{proxy.fingerprint()}"
    return clip.to(device).eval()


def _check_name(name: str) -> None:
    """Raise UsageError, with the nearest names, for a model that open_clip does not know."""
    import open_clip

    models = open_clip.list_models()
    if name not in models:
        names = [*(path.stem for path in CONFIGS.glob("*.json")), *models]
        hint = nearest(name, names, 3, "try lsmseg-tiny or ViT-B-16.")
        raise UsageError(f"There is no model {name!r}; {hint}")


def open_clip_model(name: str, openai_layout: bool) -> Any:
    """An empty open_clip model. OpenAI's own files were trained with QuickGELU."""
    import logging

    import open_clip

    _check_name(name)
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it warns of random weights, which ours soon replace
    try:
        model = open_clip.create_model(
            name,
            load_weights=False,
            force_quick_gelu=openai_layout,
            device=torch.get_default_device(),  # "meta" where only shapes are wanted
        )
    finally:
        logging.disable(before)
    if not hasattr(getattr(model, "visual", None), "class_embedding") or not hasattr(
        model, "token_embedding"
    ):
        raise UsageError(f"{name} is not a ViT CLIP with dense features; try ViT-B-16 or ViT-L-14.")
    return model


def fill(model: nn.Module, state: dict[str, Tensor], path: Path, name: str) -> None:
    """Load weights into a model; every key and shape must fit.

    Args:
        model: Takes them.
        state: The weights.
        path: Their file, for messages.
        name: The model's, for messages.

    Raises:
        CheckpointError: Where they do not fit.
    """
    expected = model.state_dict()
    if "logit_bias" in expected and "logit_bias" not in state:
        state["logit_bias"] = torch.zeros(())
    if odd := differences(state, expected):
        raise CheckpointError(
            f"{path} does not hold the weights of {name}: {len(odd)} keys are missing, unexpected "
            f"or of another shape (for example {odd[0]}); name the model that they belong to with "
            "--model."
        )
    model.load_state_dict({k: v.to(expected[k].dtype) for k, v in state.items()})
