"""open_clip's models without weights: their sizes, as configurations and files have them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lsmseg_model.errors import CheckpointError

KEPT = 20  # Long-CLIP leaves the first positions of CLIP's table as they were


def text_settings(name: str) -> dict[str, Any]:
    """The fields `text_cfg` of an open_clip model; of none where it does not know the name."""
    import open_clip

    return (open_clip.get_model_config(name) or {}).get("text_cfg", {})


def create(sizes: Mapping[str, Any]) -> nn.Module:
    """A model of these sizes, the fields of an open_clip configuration, with random weights.

    Raises TypeError or KeyError for fields that do not fit.
    """
    from open_clip import CLIP, CoCa, CustomTextCLIP
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg

    text = CLIPTextCfg(**sizes["text_cfg"])
    towers = {"vision_cfg": CLIPVisionCfg(**sizes["vision_cfg"]), "text_cfg": text}
    kind: Any = CustomTextCLIP if sizes.get("custom_text") or text.hf_model_name else CLIP
    if "multimodal_cfg" in sizes:
        kind, towers["multimodal_cfg"] = CoCa, sizes["multimodal_cfg"]
    quick_gelu = sizes.get("quick_gelu", False)
    return kind(sizes["embed_dim"], quick_gelu=quick_gelu, init_logit_bias=0.0, **towers)


def local_text(name: str) -> dict[str, Any]:
    """What `open_clip.create_model` must be told so that it downloads nothing for the text tower.

    A tower of the transformers library has its sizes in a file of the hub. Raises CheckpointError
    where the hub's cache does not have it.
    """
    from huggingface_hub import try_to_load_from_cache

    text = text_settings(name)
    repository = text.get("hf_model_name")
    if not repository:
        return {}
    path = try_to_load_from_cache(repository, "config.json")
    if not isinstance(path, str):
        raise CheckpointError(
            f"The sizes of the text tower of {name} are not here: it needs config.json of the "
            f"repository {repository}; `lsmseg-prompts model pull {name}` fetches it."
        )
    folder = str(Path(path).parent)
    return {"text_cfg": {**text, "hf_model_name": folder, "hf_model_pretrained": False}}


def stretch(state: dict[str, Tensor]) -> tuple[int | None, bool]:
    """The context length of a CLIP's weights, and whether they are Long-CLIP's (so QuickGELU).

    Long-CLIP has two tables of 248 positions: the first `KEPT` of one, the others of the other.
    They become one here.
    """
    longer = state.pop("positional_embedding_res", None)
    table = state.get("positional_embedding")
    if longer is not None and table is not None:
        state["positional_embedding"] = torch.cat([table[:KEPT], longer[KEPT:]])
    return None if table is None else len(table), longer is not None
