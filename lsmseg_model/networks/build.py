"""Networks by name: their configurations as data, building, loading and saving them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lsmseg_model.encoders.checkpoints import (
    differences,
    file_hash,
    read_metadata,
    read_state_dict,
    save_weights,
)
from lsmseg_model.encoders.sources import no_checkpoint, no_encoder
from lsmseg_model.errors import CheckpointError, ConfigError, UsageError, nearest
from lsmseg_model.files import is_path, named_file, read_json
from lsmseg_model.networks.backbones.base import Backbone, View
from lsmseg_model.networks.backbones.load import (
    CONFIGS,
    build_backbone,
    check_device,
    named_backbone,
    read_config,
    weights_of,
)
from lsmseg_model.networks.backbones.weights import fill, read_weights
from lsmseg_model.networks.base import Network
from lsmseg_model.networks.closed_set.hosts import BackboneHost, Host, build_host, is_host
from lsmseg_model.networks.closed_set.segmenter import ClosedSet
from lsmseg_model.networks.config import KINDS, NetworkFile, changed, overlay
from lsmseg_model.networks.fields import read_fields
from lsmseg_model.networks.llmformer.network import LlmFormer
from lsmseg_model.networks.lsmseg import LsmSeg
from lsmseg_model.networks.protocol import Protocol
from lsmseg_model.pull.find import Found

HERE = Path(__file__).parent
FORMAT = "lsmseg-prompts/network"
UNKNOWN = [f"class {number}" for number in range(150)]  # until training says which they are
OR_RANDOM = " Or give `random` instead of a file, for a trial of speed and memory."


def available() -> list[str]:
    """The names of the networks."""
    return sorted(path.stem for path in HERE.glob("*.json"))


def read_network(name: str, **changes: Any) -> dict[str, Any]:
    """A configuration by name, or of a JSON file, which may say only what differs from a "base".

    changes: fields of its network, clip or crop instead (`config.parse_changes`). Raises
    UsageError for an unknown name, ConfigError for a file that is missing or not a network's.
    """
    path = HERE / f"{name}.json"
    if is_path(name):
        path = named_file(Path(name), "network")
    elif not path.is_file():
        raise UsageError(f"There is no network {name!r}; {nearest(name, available())}")
    try:
        settings = read_json(path)
    except ValueError as error:
        raise ConfigError(f"{path} is not valid JSON: {error}.") from error
    if isinstance(settings, dict) and "base" in settings:
        if settings["base"] not in available():
            choices = ", ".join(available())
            raise ConfigError(f"{path}: base is {settings['base']!r}; choose {choices}.")
        own = {"name": path.stem, **settings}
        settings = overlay(read_network(settings["base"]), own, str(path))
    kind = read_fields(NetworkFile, settings, str(path), "the file").kind
    settings = changed(settings, changes)
    read_fields(KINDS[kind], settings["network"], settings["name"])
    return settings


def build_network(name: str, **changes: Any) -> Network:
    """A network by name with random weights; `changes` as in `read_network`."""
    return build(read_network(name, **changes))


def build(settings: dict[str, Any]) -> Network:
    """A network of these settings (see `read_network`) with random weights.

    Raises ConfigError for wrong settings.
    """
    name, kind = settings["name"], settings.get("kind", "lsmseg")
    options: Any = read_fields(KINDS[kind], settings["network"], name)
    network: Network
    if kind == "closed-set":
        host = _host(settings)
        classes = settings.get("classes", UNKNOWN)
        network = ClosedSet(host, options, classes, settings.get("frequencies"))
    elif kind == "llmformer":
        network = LlmFormer(_clip(settings), options)
    else:
        network = LsmSeg(_clip(settings), options)
    network.name, network.settings = name, settings
    network.protocol = read_fields(Protocol, settings.get("test", {}), name, "the test")
    return network


def _host(settings: dict[str, Any]) -> Host:
    """What sees pictures for a network with closed classes, without weights."""
    if not is_host(settings["clip"]):
        return BackboneHost(_clip(settings))
    return build_host(settings["clip"], View(*[settings["crop"]] * 3))


def _clip(settings: dict[str, Any]) -> Backbone:
    """The CLIP of a network, without weights."""
    crop = settings["crop"]
    view = View(crop, crop, crop)
    own = _own_clip(settings["clip"])
    if own is None:
        return named_backbone(settings["clip"], view)
    clip = build_backbone(own)
    clip.dense, clip.view = clip.TRAINED, view
    return clip


def _own_clip(clip: str | dict[str, Any]) -> dict[str, Any] | None:
    """The configuration of a CLIP of ours, by name or file; None for open_clip's and for a host."""
    if isinstance(clip, dict):
        return clip
    ours = not is_host(clip) and (is_path(clip) or (CONFIGS / f"{clip}.json").is_file())
    return read_config(clip) if ours else None


def save_network(path: Path, network: Network, about: dict[str, Any]) -> None:
    """Write the weights with their settings, whole or not at all; `about`: what else to keep.

    The file needs no other one beside it: CLIP and the second encoder are in it.
    """
    clip = network.settings["clip"]
    settings = {**network.settings, "clip": _own_clip(clip) or clip}
    save_weights(path, network.state_dict(), {"format": FORMAT, "config": settings, **about})


def load_network(
    path: str | Path, *, name: str | None = None, format: str = "lsmseg", device: str = "cpu"
) -> Network:
    """A trained network in evaluation mode.

    Args:
        path: The file.
        name: The network that it must be; of a published checkpoint by default cat-seg-b or
            cat-seg-l, by the weights' width.
        format: "lsmseg", a file that `train` left, or "cat-seg", a published checkpoint; then
            `network.loaded` says which keys were used.
        device: Where it computes.

    Raises:
        CheckpointError: For a file that is missing, damaged or of something else.
        UsageError: For an unknown name, format or device.
    """
    check_device(device)
    path = Path(path)
    if format not in ("lsmseg", "cat-seg"):
        raise UsageError(f"There is no format {format!r}; choose lsmseg or cat-seg.")
    if not path.is_file():
        raise CheckpointError(no_checkpoint(path, format))
    if format == "cat-seg":
        from lsmseg_model.networks.catseg import load_catseg, size_of

        network = build_network(name or size_of(path))
        if not isinstance(network, LsmSeg):
            raise UsageError(f"{name} is no network of CAT-Seg's: leave out --format.")
        network.loaded = load_catseg(network, path)
    else:
        network = _load(path)
        if name not in (None, network.name):
            raise CheckpointError(f"{path} holds {network.name}, not {name}.")
    network.weights_hash = file_hash(path)
    return network.to(device).eval()


def _load(path: Path) -> Network:
    if path.name == "last.pt":
        raise CheckpointError(
            f"{path} is what `train --resume` goes on from; the weights are the .safetensors "
            "beside it."
        )
    metadata = read_metadata(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not a network that `train` left; weights of a CLIP alone are given with "
            "--pretrained, CAT-Seg's checkpoints with --format cat-seg."
        )
    state, _ = read_state_dict(path)
    network = build(metadata["config"])
    expected = network.state_dict()
    if odd := differences(state, expected):
        raise CheckpointError(
            f"{path} does not hold the weights that its configuration asks for: {len(odd)} keys "
            f"differ, for example {odd[0]}."
        )
    network.load_state_dict({k: v.to(expected[k].dtype) for k, v in state.items()})
    return network


def start_network(
    settings: dict[str, Any],
    pretrained: str | Path | None,
    encoder: str | Path | None,
    half: bool = False,
) -> Network:
    """A network to train: CLIP and the second encoder filled, the head random.

    Args:
        settings: See `read_network`.
        pretrained: CLIP's weights, as `load_backbone` takes them, or "random" (None: those that
            ship with one of our own configurations).
        encoder: The second encoder's weights, or "random".
        half: Compute the second encoder in bf16.

    Raises:
        CheckpointError: Where weights are missing or do not fit.
        UsageError: For weights of a second encoder that the network does not have.
    """
    if encoder is not None and settings["network"].get("encoder", "none") == "none":
        raise UsageError(f"{settings['name']} has no second encoder: leave out --encoder.")
    found = clip_weights(settings, pretrained)
    network = build(settings)
    if found is not None and isinstance(network.clip, Host):
        network.clip.fill(found.weights)
    elif found is not None:
        _check_reading(network, found)
        state, _ = read_weights(found.weights)
        fill(network.clip.model, state, found.weights, network.clip.name)
        network.clip.weights_hash = file_hash(found.weights)
    fill_encoder(network, encoder, half)
    return network


def clip_weights(settings: dict[str, Any], pretrained: str | Path | None) -> Found | None:
    """CLIP's weights that `start_network` starts from, fetched if need be; None: random ones.

    Raises CheckpointError where there are none.
    """
    if str(pretrained) == "random":
        return None
    if is_host(settings["clip"]):
        if pretrained is None:
            raise CheckpointError(
                f"{settings['clip']} ships without weights: give --pretrained FILE, a state dict "
                f"of that model.{OR_RANDOM}"
            )
        return Found(named_file(Path(pretrained), "weights of --pretrained"), settings["clip"])
    clip = _own_clip(settings["clip"]) or {"name": settings["clip"]}
    return weights_of(clip["name"], pretrained, OR_RANDOM)


def _check_reading(network: Network, found: Found) -> None:
    """Raise UsageError for weights that are known to see pictures otherwise than the network."""
    clip = network.clip
    mean = [round(value, 4) for value in clip.mean.flatten().tolist()]
    if mean != [round(value, 4) for value in found.preprocess.get("mean", mean)]:
        raise UsageError(
            f"{found.weights} was trained on pictures of another mean than {clip.name} shows them "
            "with: take other weights."
        )
    if found.quick_gelu and not clip.name.endswith("-quickgelu"):
        raise UsageError(
            f"{found.weights} was trained with QuickGELU: the network must name "
            f"{clip.name}-quickgelu as its clip."
        )


def fill_encoder(network: Network, weights: str | Path | None, half: bool) -> None:
    """Load the second encoder's weights, if there is one."""
    from lsmseg_model.encoders.registry import load_second_encoder

    if not isinstance(network, LsmSeg):
        return
    kind = network.config.encoder
    if kind == "none" or str(weights) == "random" or (weights is None and kind.endswith("-tiny")):
        return
    if weights is None:
        raise CheckpointError(f"{no_encoder(kind)}{OR_RANDOM}")
    network.sam = load_second_encoder(kind, weights, half=half)
