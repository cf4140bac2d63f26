"""What lies in the folder of an exported model: `model.json` says it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from lsmseg_model.errors import ConfigError, DataError
from lsmseg_model.files import read_json
from lsmseg_model.networks.protocol import Protocol

MODEL = "model.json"
FORMAT = "lsmseg-prompts/exported-model"
CLIP_TOKENS = "CLIP"
"""The tokenizer that a text is read with here: CLIP's byte pairs."""


@dataclass(frozen=True)
class ExportedModel:
    """What whoever runs the files has to know.

    name, weights_hash: of the model. runtime: "onnx" or "torch". size: the side, in pixels, of the
    pictures that it takes: RGB in 0..1, as mean and std are inside the graphs. patch_size: pixels a
    position. embed_dim: channels of texts and dense features. dense: the variant of the last block.
    tokenizer: whose tokens texts are. context_length: tokens of a text, start and end included, at
    most; short_texts: rows of tokens may be as short as their longest text, else they have the
    whole length. short_side, stride: of a backbone, the picture's short side and how far its
    windows, of `size` pixels, are apart. protocol: of a whole network, how it is shown a picture.
    k: classes that it keeps. published_texts: it was trained with CAT-Seg's template. data: what it
    was trained on, where that is MiniStuff alone. difference: the largest one from torch's result
    that was measured for each file. files: their SHA-256. versions: of what wrote them.
    """

    name: str
    weights_hash: str
    runtime: str
    size: int
    patch_size: int
    embed_dim: int
    dense: str
    tokenizer: str
    context_length: int
    short_texts: bool
    short_side: int = 0
    stride: int = 0
    protocol: Protocol | None = None
    k: int = 0
    published_texts: bool = False
    data: str | None = None
    difference: dict[str, float] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """The file `model.json`."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"


def read_exported(folder: Path) -> ExportedModel:
    """The description of an exported model; its files are checked against their hashes.

    Raises DataError for a folder that holds none, or a file that is missing or another one.
    """
    path = folder / MODEL
    if not path.is_file():
        raise DataError(
            f"{folder} holds no exported model: name with --model a folder that `model export` "
            "wrote."
        )
    try:
        settings: Any = read_json(path)
        if not isinstance(settings, Mapping) or settings.get("format") != FORMAT:
            raise ValueError("it has another format")
        given = {name: value for name, value in settings.items() if name != "format"}
        exported = TypeAdapter(ExportedModel).validate_python(given)
    except (ValueError, ConfigError) as error:
        raise DataError(
            f"{path} is not the description of an exported model: export the model again."
        ) from error
    for name, digest in exported.files.items():
        if not (folder / name).is_file() or file_digest(folder / name) != digest:
            raise DataError(
                f"{folder / name} is missing or not the file that was exported: export the model "
                "again, or copy the whole folder."
            )
    return exported


def file_digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_exported(folder: Path) -> bool:
    """Whether a folder holds an exported model."""
    return (folder / MODEL).is_file()
