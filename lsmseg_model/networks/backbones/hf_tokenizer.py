"""Tokenizers of the Hugging Face hub, as open_clip sets them up: SigLIP's, MetaCLIP 2's, CLIPA's.

They are read by the transformers library from the hub's cache or from a folder, when the first
text needs them; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lsmseg_model.errors import CheckpointError, ConfigError, UsageError
from lsmseg_model.networks.backbones.text import Tokenizer
from lsmseg_model.networks.backbones.text_tower import text_tower
from lsmseg_model.pull.tokenizers import tokenizer_folder

SETTINGS = ("clean", "strip_sep_token", "language")  # `tokenizer_kwargs` of a configuration
PADDED = {"bert-base-uncased": 30_522}  # CLIPA's table of 32,000 has rows that BERT never uses
SLACK = 0.005  # sentinels that one of the two counts and the other does not


class HfTokenizer(Tokenizer):
    """The tokenizer that an open_clip text configuration names.

    text: the fields `text_cfg`. model: whose it is, for messages. vocab_size: rows of the text
    tower's table. folder: where the files are (default: the hub's cache). Raises ConfigError for
    settings that are not open_clip's.
    """

    def __init__(
        self,
        text: Mapping[str, Any],
        model: str,
        vocab_size: int,
        context_length: int = 77,
        folder: Path | None = None,
    ) -> None:
        super().__init__(context_length)
        self.name, self.vocab_size = str(text["hf_tokenizer_name"]), vocab_size
        self.text, self.model, self.folder = text, model, folder
        settings = text.get("tokenizer_kwargs") or {}
        if odd := sorted(settings.keys() - set(SETTINGS)):
            raise ConfigError(
                f"{model}: tokenizer_kwargs has a field {odd[0]!r}; there are "
                f"{', '.join(SETTINGS)}."
            )
        self.clips = text.get("tokenizer_mode") == "clips"
        self.ends = 2 if self.clips else 1
        self.strip_separator = bool(settings.get("strip_sep_token"))
        self.language = settings.get("language")
        self.cleaning = str(settings.get("clean", "whitespace"))

    @cached_property
    def hf(self) -> Any:
        """The tokenizer of the transformers library.

        Raises UsageError where the library is missing, CheckpointError where the tokenizer's files
        are, cannot be read, or are of another vocabulary size.
        """
        try:
            from transformers import AutoTokenizer
        except ImportError as error:
            raise UsageError(
                f"The tokenizer of {self.model} is read by the transformers library, which is not "
                'installed: python -m pip install "lsmseg-prompts[hf]".'
            ) from error
        folder = self._place()
        try:
            hf = AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # the library and its parsers raise anything
            raise CheckpointError(
                f"The tokenizer of {self.model} in {folder} cannot be read "
                f"({type(error).__name__}); its files may be damaged, or need "
                'python -m pip install "lsmseg-prompts[hf]".'
            ) from error
        self._check_size(len(hf), folder)
        if self.language is not None and hasattr(hf, "set_src_lang_special_tokens"):
            hf.set_src_lang_special_tokens(self.language)
        return hf

    def _place(self) -> Path:
        """The folder with the tokenizer's files."""
        folder = self.folder or tokenizer_folder({"text_cfg": self.text}, fetch=False)
        if folder is not None:
            return folder
        raise CheckpointError(
            f"The tokenizer of {self.model} is not here: it needs tokenizer.json (or spiece.model) "
            f"and tokenizer_config.json of the repository {self.name}; `lsmseg-prompts model pull "
            f"{self.model}` fetches them."
        )

    def _check_size(self, size: int, folder: Path) -> None:
        expected = PADDED.get(self.name, self.vocab_size)
        if abs(size - expected) > SLACK * expected:
            raise CheckpointError(
                f"The tokenizer in {folder} has {size} tokens, but {self.model} was trained with "
                f"{expected}: it is the tokenizer of another model; {self.model} has that of the "
                f"repository {self.name}."
            )

    def ids(self, sentence: str) -> list[int]:
        from open_clip.tokenizer import get_clean_fn

        text = get_clean_fn(self.cleaning)(sentence)
        ids: list[int] = self.hf(text, add_special_tokens=not self.clips, verbose=False).input_ids
        if self.clips:
            ids = [self.hf.bos_token_id, *ids, self.hf.eos_token_id, self.hf.cls_token_id]
        if self.strip_separator:
            ids = [0 if token == self.hf.sep_token_id else token for token in ids]
        if max(ids) >= self.vocab_size:
            raise CheckpointError(
                f"The tokenizer of {self.model} makes the token {max(ids)} of {sentence!r}, but "
                f"the text tower knows only {self.vocab_size}: it is of another model."
            )
        return ids

    def _padded(self, rows: Sequence[list[int]]) -> Tensor:
        length, pad = self.context_length, self.hf.pad_token_id
        tokens = torch.full((len(rows), length), pad, dtype=torch.int64)
        for row, ids in zip(tokens, rows, strict=True):
            if self.clips:  # the class token stands last
                row[: len(ids) - 1], row[-1] = torch.tensor(ids[:-1]), ids[-1]
            elif self.hf.padding_side == "left":
                row[length - len(ids) :] = torch.tensor(ids)
            else:
                row[: len(ids)] = torch.tensor(ids)
        return tokens


def tokenizer_of(
    model: Any, name: str, text: Mapping[str, Any], folder: Path | None = None
) -> Tokenizer:
    """The tokenizer of an open_clip model, as its text configuration says.

    Args:
        model: The model.
        name: Its name, for messages.
        text: The fields `text_cfg`.
        folder: Where the tokenizer's files are, of a model that is a folder.

    Raises:
        ConfigError: For settings that are not open_clip's.
    """
    tower = text_tower(model)
    known, length = tower.vocab_size, tower.context_length
    if hasattr(tower, "pooler"):  # of the transformers library: 514 or none at all
        length = text.get("context_length", 77)
    if text.get("hf_tokenizer_name"):
        return HfTokenizer(text, name, known, length, folder)
    if text.get("tokenizer_kwargs"):
        raise ConfigError(f"{name}: tokenizer_kwargs stands without an hf_tokenizer_name.")
    return Tokenizer(length)
