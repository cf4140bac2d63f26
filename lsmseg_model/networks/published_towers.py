"""SED's and FC-CLIP's published checkpoints: their picture and text towers, as a backbone.

    sem_seg_head.predictor.clip_model.*    SED: CLIP's ConvNeXt-B or -L, fine-tuned
    backbone.clip_model.*                  FC-CLIP: CLIP's ConvNeXt-L, or another one, frozen

Prompts are scored on the towers alone, by the cost map. The heads are not read: SED's decoder has
skips of three stages and rejects classes early, FC-CLIP's makes masks with deformable attention.
Written from the published code's names; no published file was at hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from lsmseg_model.encoders.checkpoints import read_state_dict
from lsmseg_model.encoders.sources import no_checkpoint
from lsmseg_model.errors import CheckpointError
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.networks.backbones.load import load_backbone
from lsmseg_model.networks.backbones.weights import TOWERS
from lsmseg_model.networks.catseg import Loaded

TITLES = {"sed": "SED", "fc-clip": "FC-CLIP"}
# Channels of the first convolution and blocks of the third stage.
SIZES = {
    (128, 27): "convnext_base_w_320",
    (192, 27): "convnext_large_d_320",
    (32, 6): "RN50-quickgelu",
    (32, 23): "RN101-quickgelu",
    (40, 10): "RN50x4-quickgelu",
    (48, 18): "RN50x16-quickgelu",
    (64, 36): "RN50x64-quickgelu",
}


@dataclass(frozen=True)
class Towers(Loaded):
    """What became of a checkpoint's keys; unexpected: those of its head."""

    title: str = ""

    def __str__(self) -> str:
        return (
            f"{self.used} keys used, of {self.title}'s picture and text towers; "
            f"{len(self.unexpected)} left, of its head, which is not rebuilt here: the texts are "
            "scored by the towers' cost map alone"
        )


def load_towers(
    path: str | Path, format: str, name: str | None = None, device: str = "cpu"
) -> Backbone:
    """The towers of a checkpoint in evaluation mode; `loaded` says which keys were used.

    Args:
        path: The file.
        format: "sed" or "fc-clip".
        name: Which of open_clip's models they are (default: by their sizes).
        device: Where it computes.

    Raises:
        CheckpointError: For a file that is missing, damaged or of something else.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(no_checkpoint(path, format))
    state, _ = read_state_dict(path)
    prefix, title = TOWERS[format], TITLES[format]
    towers = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    if not towers:
        raise CheckpointError(
            f"{path} is not a checkpoint of {title}: it has no key below {prefix}."
        )
    backbone = load_backbone(name or _size_of(towers, path), path, device)
    left = tuple(sorted(k for k in state if not k.startswith(prefix)))
    backbone.loaded = Towers(len(towers), left, (), title)
    return backbone


def _size_of(towers: dict[str, Tensor], path: Path) -> str:
    """Which of open_clip's models the towers are."""
    first = towers.get("visual.trunk.stem.0.weight", towers.get("visual.conv1.weight"))
    stages = ("visual.trunk.stages.2.blocks.", "visual.layer3.")
    blocks = {
        k.removeprefix(stage).partition(".")[0]
        for k in towers
        for stage in stages
        if k.startswith(stage)
    }
    name = None if first is None else SIZES.get((len(first), len(blocks)))
    if name is None:
        raise CheckpointError(
            f"{path} is of none of the published sizes ({', '.join(sorted(SIZES.values()))}): name "
            "the model of its towers with --model."
        )
    return name
