"""Many small computations side by side.

On a CPU, a thread for each core does them faster than one after the other with all cores each, and
with the same numbers whatever the number of cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], device: torch.device | str = "cpu"
) -> Iterator[Result]:
    """Results of a function for each item, in order.

    One after the other on another device than a CPU.
    """
    items = list(items)
    if torch.device(device).type != "cpu":
        yield from map(function, items)
        return
    threads = max(1, min(torch.get_num_threads(), len(items)))
    # Of PyTorch's threads the number is each thread's own: the caller's stays as it is.
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(function, items)


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch computes in this thread alone: for steps of milliseconds.

    Beside other programs several threads wait for each other many times as long.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
