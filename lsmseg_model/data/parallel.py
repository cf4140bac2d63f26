"""The same work on many files, several at a time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
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
        for done, result in enumerate(in_order(work, items, pool, 2 * workers), 1):
            if on_progress:
                on_progress(done, len(items))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], pool: Executor, ahead: int
) -> Iterator[Result]:
    """The results in the order of the items; at most ``ahead`` of them wait to be taken.

    Args:
        work: What the pool does with an item.
        items: Taken one by one.
        pool: Its own workers say how many are done at a time.
        ahead: How many may be done, or under way, before the first is taken.
    """
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for one in waiting:
            one.cancel()
