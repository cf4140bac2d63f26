"""Prompt sets as text embeddings: the safe way into other code, which splits and cuts nothing.

A file holds an [N, D] matrix, a row a class in the vocabulary's order, each of length 1 (several
texts of a class are embedded, averaged with their weights and normalised, as open_clip does it), or
of `mean-score` as long as the mean is. It says of what: safetensors keeps that in its metadata, npz
beside the matrix.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lsmseg_model.files import write_whole
from lsmseg_model.inference.embeddings import embed
from lsmseg_model.inference.reading import some_texts
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_prompts.errors import ConfigurationError, RefusedError, UsageError
from lsmseg_prompts.export.native import check_class_names
from lsmseg_prompts.files import check_free, read_named
from lsmseg_prompts.prompts.prompt_set import NOT_ONE_ROW, PromptSet

FORMAT = "lsmseg-prompts/embeddings"
VERSION = 1
SUFFIXES = (".safetensors", ".npz")


@dataclass(frozen=True)
class Embeddings:
    """Embedded prompts: float32 [N, D], and what of.

    about: format, version, vocabulary, prompt_set, composition, normalised (rows of length 1), llm,
    model, weights (the CLIP's hash), classes (names), text_hashes (SHA-256 of each class's texts).
    """

    matrix: np.ndarray
    about: Mapping[str, Any]


def export_embeddings(
    prompts: PromptSet, clip: Backbone, path: str | Path, force: bool = False
) -> Path:
    """Embed `prompts` and write them, whole or not at all, as safetensors or npz by the suffix.

    Texts read by `mean-score` are rows that are not normalised.

    Args:
        prompts: The prompt set.
        clip: What embeds its texts.
        path: The file to write.
        force: Replace a file that is there.

    Raises:
        UsageError: For another suffix, or a text over CLIP's 77 tokens.
        RefusedError: For texts by max and adaptive, which are not one row a class.
        ConfigurationError: If the file exists.
        DataError: If it cannot be written.
    """
    path = Path(path)
    check_free(path, force)
    if path.suffix not in SUFFIXES:
        raise UsageError(f"Embeddings are written as {' or '.join(SUFFIXES)}: name such a file.")
    if not prompts.plain and prompts.composition in NOT_ONE_ROW:
        raise RefusedError(
            f"Embeddings have one row a class and cannot hold texts read by {prompts.composition} "
            f"of {prompts.name}: use --format native."
        )
    rows = embed(clip, [some_texts(prompts, range(len(prompts)))])[0].rows
    matrix = rows.cpu().numpy().astype(np.float32)
    about = {
        "format": FORMAT,
        "version": VERSION,
        "vocabulary": prompts.vocabulary,
        "prompt_set": prompts.name,
        "composition": prompts.composition,
        "normalised": _normalised(prompts),
        "llm": prompts.llm,
        "model": clip.name,
        "weights": clip.weights_hash,
        "classes": list(prompts.class_names),
        "text_hashes": text_hashes(prompts),
    }

    def write(temporary: Path) -> None:
        if path.suffix == ".npz":
            with temporary.open("wb") as file:
                np.savez(file, embeddings=matrix, about=np.array(json.dumps(about)))
        else:
            from safetensors.numpy import save_file

            save_file({"embeddings": matrix}, temporary, metadata={"about": json.dumps(about)})

    write_whole(path, write)
    return path


def load_embeddings(path: str | Path, prompts: PromptSet | None = None) -> Embeddings:
    """Read such a file; with `prompts`, only if it was made of those very texts.

    Raises UsageError for another file, other classes than its vocabulary has, and other texts;
    ConfigurationError for a missing one, and for NaN or infinite values.
    """
    path = Path(path)
    if not path.is_file():
        read_named(path, "embeddings")  # says what it is instead
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                matrix, about = file["embeddings"], json.loads(str(file["about"]))
        else:
            from safetensors import safe_open

            with safe_open(path, framework="np") as tensors:
                matrix = tensors.get_tensor("embeddings")
                about = json.loads((tensors.metadata() or {})["about"])
    except Exception as error:  # what the readers raise is not one family
        raise UsageError(f"{path} is not a file of embeddings: export one ({error}).") from error
    if not np.isfinite(matrix).all():
        raise ConfigurationError(f"{path} holds NaN or infinite values: export it again.")
    if (
        not isinstance(about, dict)
        or about.get("format") != FORMAT
        or about.get("version") != VERSION
    ):
        raise UsageError(f"{path} is not a file of embeddings of this version: export it again.")
    if not len(matrix) == len(about["classes"]) == len(about["text_hashes"]):
        raise UsageError(f"{path} is damaged: it has not one row a class; export it again.")
    normalised = about.get("normalised", True)
    if normalised and (abs(np.linalg.norm(matrix, axis=1) - 1) > 1e-2).any():
        raise UsageError(f"{path} is damaged: a row is not of length 1; export it again.")
    check_class_names(path, about["vocabulary"], about["classes"])
    if prompts is None:
        return Embeddings(matrix, about)
    if (about["vocabulary"], about["classes"]) != (prompts.vocabulary, list(prompts.class_names)):
        raise UsageError(f"{path} was made for other classes than {prompts.name}: export it again.")
    if (normalised, about["text_hashes"]) != (_normalised(prompts), text_hashes(prompts)):
        raise UsageError(
            f"{path} was made of other texts than {prompts.name}, or with other weights or another "
            "composition: export it again."
        )
    return Embeddings(matrix, about)


def _normalised(prompts: PromptSet) -> bool:
    """Whether the rows are of length 1."""
    return prompts.plain or prompts.composition != "mean-score"


def text_hashes(prompts: PromptSet) -> list[str]:
    """SHA-256 of each class's texts, in their order, and of their weights if they have any."""
    weights = prompts.weights or [()] * len(prompts)
    wholes = [[*texts, *own] for texts, own in zip(prompts.texts, weights, strict=True)]
    lines = [json.dumps(whole, ensure_ascii=False) for whole in wholes]
    return [hashlib.sha256(line.encode()).hexdigest() for line in lines]
