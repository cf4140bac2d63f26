"""The processes of one run, as torchrun starts them; without it there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from lsmseg_model.errors import TrainingError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
ENDED = "Another process of this run has ended; its message says why."


@dataclass(frozen=True)
class Processes:
    """`rank` of `count`; the first one reports and writes."""

    rank: int
    count: int
    device: str

    @property
    def first(self) -> bool:
        return self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes, on each of them."""
        if self.count > 1:
            import torch.distributed as dist

            with self.together():
                dist.all_reduce(value)
        return value

    def highest(self, number: int) -> int:
        """The highest of all processes' numbers."""
        if self.count == 1:
            return number
        import torch
        import torch.distributed as dist

        value = torch.tensor(number, device=self.device)
        with self.together():
            dist.all_reduce(value, dist.ReduceOp.MAX)
        return int(value)

    def gather(self, value: T) -> list[T]:
        """What each process has, on each of them, in the order of their ranks."""
        if self.count == 1:
            return [value]
        import torch.distributed as dist

        found: list[Any] = [None] * self.count
        with self.together():
            dist.all_gather_object(found, value)
        return found

    def wait(self) -> None:
        if self.count > 1:
            import torch.distributed as dist

            with self.together():
                dist.barrier()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Around what waits for other processes. Raises TrainingError where one has ended."""
        try:
            yield
        except RuntimeError as error:
            # Processors speak through gloo, which has no error class of its own: it may be another
            # error, so what it says is passed on.
            if self.count > 1 and self.device.startswith("cpu") and type(error) is RuntimeError:
                first = str(error).strip().partition("\n")[0]
                raise TrainingError(f"{ENDED} Here PyTorch said: {first}") from error
            raise


@contextmanager
def processes(
    device: str, backend: str | None = None, timeout: timedelta | None = None
) -> Iterator[Processes]:
    """This process among those of `torchrun` (RANK, WORLD_SIZE, LOCAL_RANK).

    Each has a GPU of its own where `device` is cuda. timeout: how long one may wait for another.
    Raises UsageError for more processes than GPUs.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(0, 1, device)
        return
    import torch
    import torch.distributed as dist

    on_gpu = device.startswith("cuda")
    if on_gpu:
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise UsageError(
                f"`torchrun` started a process for GPU {local}, but there are "
                f"{torch.cuda.device_count()}: lower --nproc-per-node."
            )
        device = f"cuda:{local}"
        torch.cuda.set_device(local)
    patience: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
    dist.init_process_group(backend or ("nccl" if on_gpu else "gloo"), **patience)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), device)
    except dist.DistError as error:
        raise TrainingError(ENDED) from error
    finally:
        dist.destroy_process_group()
