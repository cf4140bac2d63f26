"""Reading and writing weights: safetensors, or pickles with ``weights_only=True``."""

import hashlib
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lsmseg_model.errors import CheckpointError
from lsmseg_model.files import write_whole

# What OpenAI's files carry beside the weights.
OPENAI_EXTRAS = ("input_resolution", "context_length", "vocab_size")
WRAPPED = ("state_dict", "model")  # where files of trainings keep the weights
WRAPPER = r"^(module\.|_orig_mod\.)+"  # before the keys of a network that was saved in its wrapper


def read_state_dict(path: Path) -> tuple[dict[str, Tensor], bool]:
    """Weights of a file, and whether it has OpenAI's layout (so QuickGELU).

    Understands safetensors, a state dict saved by torch (open_clip's
    ``open_clip_pytorch_model.bin``, detectron2's), also under one of the keys ``WRAPPED``, and
    OpenAI's TorchScript archive (``ViT-B-16.pt``). What DistributedDataParallel and torch.compile
    put before the keys is taken off.

    Raises CheckpointError for a file that cannot be read, or holds NaN or infinite values.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(path)
        else:
            state = load_torch(path)
    except Exception as error:
        raise CheckpointError(
            f"{path} cannot be read as weights; it may be truncated, of another format, or hold "
            f"code, which is never run ({type(error).__name__}). Fetch or copy it again."
        ) from error
    if isinstance(state, dict):
        state = next((state[k] for k in WRAPPED if isinstance(state.get(k), dict)), state)
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(f"{path} does not hold a state dict of tensors.")
    check_finite(path, state)
    state = {re.sub(WRAPPER, "", k): v for k, v in state.items()}
    openai_layout = any(key in state for key in OPENAI_EXTRAS)
    return {k: v for k, v in state.items() if k not in OPENAI_EXTRAS}, openai_layout


def check_finite(path: Path, values: Any) -> None:
    """Refuse tensors, in dicts and lists of any depth, that hold NaN or infinite values.

    A finite sum proves all its terms finite, in a tenth of the time of looking at each; only
    where the sum is not, each is looked at. Attention masks may be infinite.

    Raises CheckpointError that names the file, the first such tensor, and how many there are.
    """
    bad = []
    for name, tensor in _tensors(values):
        if tensor.is_floating_point() and not name.endswith("attn_mask"):
            exact = tensor.float() if tensor.element_size() < 2 else tensor
            if not exact.sum().isfinite():
                bad.append((name, int((~exact.isfinite()).sum())))
    bad = [(name, count) for name, count in bad if count]  # a sum may overflow
    if bad:
        raise CheckpointError(
            f"{path} holds {sum(count for _, count in bad)} values that are NaN or infinite, in "
            f"{len(bad)} tensor(s), the first of them {bad[0][0]}; fetch or copy the file again, "
            "or use an earlier one."
        )


def _tensors(values: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """All tensors with their names, such as optimizer.state.0.exp_avg."""
    if isinstance(values, Tensor):
        yield name, values
    elif isinstance(values, dict | list | tuple):
        pairs = values.items() if isinstance(values, dict) else enumerate(values)
        for key, value in pairs:
            yield from _tensors(value, f"{name}.{key}" if name else str(key))


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
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"The configuration inside {path} cannot be read; the file may be damaged."
        ) from error
