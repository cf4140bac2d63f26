"""Reading and writing weights: safetensors, or pickles with ``weights_only=True``."""

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lsmseg_model.errors import CheckpointError
from lsmseg_model.files import write_whole

# What OpenAI's files carry beside the weights.
OPENAI_EXTRAS = ("input_resolution", "context_length", "vocab_size")


def read_state_dict(path: Path) -> tuple[dict[str, Tensor], bool]:
    """Weights of a CLIP file, and whether it has OpenAI's layout (so QuickGELU).

    Understands safetensors, a state dict saved by torch (open_clip's
    ``open_clip_pytorch_model.bin``, also under the key ``state_dict`` with ``module.`` in front)
    and OpenAI's TorchScript archive (``ViT-B-16.pt``).
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(path)
        else:
            state = load_torch(path)
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"{path} cannot be read as weights; it may be truncated or of another format "
            f"({type(error).__name__}). Fetch or copy it again."
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(f"{path} does not hold a state dict of tensors.")
    state = {k.removeprefix("module."): v for k, v in state.items()}
    openai_layout = any(key in state for key in OPENAI_EXTRAS)
    return {k: v for k, v in state.items() if k not in OPENAI_EXTRAS}, openai_layout


def differences(state: dict[str, Tensor], expected: dict[str, Tensor]) -> list[str]:
    """The keys that one of the two lacks, or that have another shape there."""
    both = state.keys() & expected.keys()
    wrong = (key for key in both if state[key].shape != expected[key].shape)
    return sorted([*(state.keys() ^ expected.keys()), *wrong])


def file_hash(path: Path) -> str:
    """What tells a file of weights from another."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def load_torch(path: Path) -> Any:
    """A pickle of tensors, or a TorchScript archive as its weights; code is never run."""
    import zipfile

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                with warnings.catch_warnings():  # archives stay readable, whatever torch prefers
                    warnings.simplefilter("ignore")
                    return torch.jit.load(str(path), map_location="cpu").state_dict()
    with warnings.catch_warnings():  # of a pickle protocol; what matters is an error
        warnings.simplefilter("ignore", UserWarning)
        return torch.load(path, map_location="cpu", weights_only=True)


def save_weights(
    path: Path, state: dict[str, Tensor], metadata: dict[str, Any], half: bool = False
) -> None:
    """Write a state dict as safetensors, whole or not at all.

    Args:
        path: The file.
        state: The weights.
        metadata: What else it holds, values that JSON has.
        half: Store 16-bit floats.
    """
    from safetensors.torch import save_file

    tensors = {
        key: value.detach().half() if half and value.is_floating_point() else value.detach()
        for key, value in state.items()
    }
    tensors = {key: value.cpu().contiguous().clone() for key, value in tensors.items()}
    text = {key: json.dumps(value) for key, value in metadata.items()}
    write_whole(path, lambda temporary: save_file(tensors, temporary, metadata=text))


def read_metadata(path: Path) -> dict[str, Any]:
    """What ``save_weights`` wrote beside the weights; empty for files of others.

    Raises CheckpointError when a file of ours cannot be read.
    """
    if path.suffix != ".safetensors":
        return {}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            text = file.metadata() or {}
        return {key: json.loads(value) for key, value in text.items()} if "config" in text else {}
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"The configuration inside {path} cannot be read; the file may be damaged."
        ) from error
