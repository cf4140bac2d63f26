"""The files of tokenizers that are not CLIP's own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lsmseg_model.errors import CheckpointError
from lsmseg_model.pull.hub import HubFile
from lsmseg_model.pull.notes import is_offline
from lsmseg_model.pull.places import obtain

VOCABULARY = (
    "tokenizer.json", "spiece.model", "tokenizer.model", "sentencepiece.bpe.model", "vocab.txt",
)  # fmt: skip
BESIDE = ("tokenizer_config.json", "special_tokens_map.json", "config.json")


def tokenizer_folder(
    config: Mapping[str, Any], beside: Path | None = None, fetch: bool = True
) -> Path | None:
    """The folder with the files of a model's tokenizer, for transformers to read.

    config: the model's, as open_clip writes it. beside: where its weights lie, which may hold them
    too. None for a model that reads as CLIP does, and without `fetch` where they are not here.
    """
    repo = str(config.get("text_cfg", {}).get("hf_tokenizer_name") or "")
    if not repo:
        return None
    if beside and any((beside / name).is_file() for name in VOCABULARY):
        return beside
    vocabulary = HubFile(repo, VOCABULARY)
    path = vocabulary.local()
    if path is None and fetch:
        for name in () if is_offline() else BESIDE:  # before it: where it is, they are too
            _if_there(HubFile(repo, (name,)))
        path = obtain(f"The tokenizer {repo}", [vocabulary], "--pretrained local-dir:FOLDER")
    return path and path.parent


def _if_there(file: HubFile) -> None:
    """Fetch a small file that not every repository has."""
    with suppress(CheckpointError):
        file.take(file.look())
