"""How much memory a computation takes, from the sizes of its tensors; nothing need be computed.

Works on meta tensors. What a device adds (the workspaces of its kernels, what its allocator keeps
in reserve) is not seen, and attention is taken as each device's plain code does it, so this is an
estimate.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class PeakMemory(TorchDispatchMode):
    """Bytes of the tensors that are made inside and alive at the same time: `now` and `most`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._alive: dict[int, Any] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = _storages((args, kwargs))
        made = func(*args, **(kwargs or {}))
        for key, storage in _storages(made).items():
            if key not in given and key not in self._alive:
                size = storage.nbytes()
                self._alive[key] = weakref.ref(storage, partial(self._freed, key, size))
                self.now += size
                self.most = max(self.most, self.now)
        return made

    def _freed(self, key: int, size: int, _: Any) -> None:
        self._alive.pop(key, None)
        self.now -= size


def _storages(values: Any) -> dict[int, torch.UntypedStorage]:
    """The memory of all tensors in `values`, by what tells one from another."""
    tensors = (value for value in tree_leaves(values) if isinstance(value, Tensor))
    return {s._cdata: s for s in (tensor.untyped_storage() for tensor in tensors)}


def peak(run: Callable[[], Any]) -> int:
    """Bytes that `run` needs at once for what it makes, its result included, without gradients."""
    with torch.no_grad(), PeakMemory() as memory:
        run()
    return memory.most


def kept_for_backward(run: Callable[[], Any], module: nn.Module) -> int:
    """Bytes that `run` keeps for the gradients, beside the parameters and buffers of `module`."""
    own = _storages([*module.parameters(), *module.buffers()])
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept.update(_storages(tensor))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(storage.nbytes() for key, storage in kept.items() if key not in own)
