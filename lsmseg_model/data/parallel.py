"""The same work on many files, several at a time."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

OnProgress = Callable[[int, int], None]  # done, total
Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    on_progress: OnProgress | None = None,
) -> Iterator[Result]:
    """The results in the order of the items, in threads: pictures are decoded without the GIL.

    Args:
        work: What is done with an item.
        items: Such as files.
        workers: How many at a time.
        on_progress: Called after each item.
    """
    pool = ThreadPoolExecutor(workers)
    try:
        for done, result in enumerate(pool.map(work, items), 1):
            if on_progress:
                on_progress(done, len(items))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)
