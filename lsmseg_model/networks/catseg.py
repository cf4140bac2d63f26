"""Published CAT-Seg checkpoints (model_base.pth, model_large.pth) into our network.

    sem_seg_head.predictor.clip_model.*    CLIP, its joint projections split into q, k and v
    sem_seg_head.predictor.transformer.*   the head, under the names of `Aggregator`
    upsample1.*, upsample2.*               the decoder's guidance

Written from the published code's names; no published file was at hand. Whatever else a file holds
is reported, not loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lsmseg_model.encoders.checkpoints import read_state_dict
from lsmseg_model.encoders.sources import no_checkpoint
from lsmseg_model.errors import CheckpointError
from lsmseg_model.networks.lsmseg import LsmSeg

CLIP = "sem_seg_head.predictor.clip_model."
HEAD = "sem_seg_head.predictor.transformer."
OURS = {CLIP: "clip.model.", HEAD: "transformer."}


@dataclass(frozen=True)
class Loaded:
    """What became of a checkpoint's keys.

    used: how many were. unexpected: of no use here. missing: the network's that are not there.
    """

    used: int
    unexpected: tuple[str, ...]
    missing: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"{self.used} keys used"]
        for word, keys in (("missing", self.missing), ("unexpected", self.unexpected)):
            shown = ", ".join(keys[:4]) + (", ..." if len(keys) > 4 else "")
            parts.append(f"{len(keys)} {word}" + (f" ({shown})" if keys else ""))
        return "; ".join(parts)


def load_catseg(network: LsmSeg, path: str | Path) -> Loaded:
    """Fill `network` (cat-seg-b, cat-seg-l or a small one like them) from a CAT-Seg file.

    Keys that the file has beside are listed in the result. Raises CheckpointError for a file that
    cannot be read, holds something else, lacks a key of the network, or has one of another shape.
    """
    path = Path(path)
    state = translate(_read(path))
    expected = network.state_dict()
    optional = {k for k in expected if k.endswith(("logit_scale", "logit_bias", "attn_mask"))}
    missing = tuple(sorted(expected.keys() - state.keys() - optional))
    wrong = [k for k in expected.keys() & state.keys() if expected[k].shape != state[k].shape]
    if missing or wrong:
        example = sorted([*missing, *wrong])[0]
        raise CheckpointError(
            f"{path} does not fit the network: {len(missing)} keys missing, {len(wrong)} of "
            f"another shape (for example {example}); is it of the other size (cat-seg-b or -l)?"
        )
    used = {k: v for k, v in state.items() if k in expected}
    network.load_state_dict(used, strict=False)
    unexpected = tuple(sorted(state.keys() - expected.keys()))
    return Loaded(len(used), unexpected, tuple(sorted(optional - state.keys())))


def size_of(path: str | Path) -> str:
    """Which network a CAT-Seg file belongs to: cat-seg-b or cat-seg-l, by CLIP's width.

    Raises CheckpointError for a file that is none.
    """
    path = Path(path)
    weight = _read(path).get(f"{CLIP}visual.conv1.weight")
    widths = {768: "cat-seg-b", 1024: "cat-seg-l"}
    if weight is None or weight.shape[0] not in widths:
        raise CheckpointError(
            f"{path} is neither of CAT-Seg's published sizes (ViT-B/16, ViT-L/14); name the "
            "network that it belongs to with --model."
        )
    return widths[weight.shape[0]]


def translate(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """CAT-Seg's keys to ours; split projections are joined again."""
    ours: dict[str, Tensor] = {}
    for key, value in state.items():
        for theirs, own in OURS.items():
            if key.startswith(theirs):
                key = own + key.removeprefix(theirs)
                break
        ours[key] = value
    for key in [k for k in ours if k.endswith("attn.q_proj_weight")]:
        stem = key.removesuffix("q_proj_weight")
        parts = [ours.pop(f"{stem}{part}_proj_weight", None) for part in "qkv"]
        if any(part is None for part in parts):
            raise CheckpointError(f"{stem} lacks one of its query, key and value projections.")
        ours[f"{stem}in_proj_weight"] = torch.cat([p for p in parts if p is not None])
    return ours


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(no_checkpoint(path, "cat-seg"))
    state, _ = read_state_dict(path)
    if not any(key.startswith(HEAD) for key in state):
        raise CheckpointError(f"{path} is not a CAT-Seg checkpoint: it has no key below {HEAD}.")
    return state
