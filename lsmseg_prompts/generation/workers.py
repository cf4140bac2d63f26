"""Running asynchronous work to its end: workers, the heartbeat of a run, signals, notebooks."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from lsmseg_prompts.generation.ledger import HEARTBEAT, Ledger
from lsmseg_prompts.generation.limits import Stop, Stopped

_T = TypeVar("_T")


class Interrupted(KeyboardInterrupt):
    """A run was stopped by a signal, after the replies on their way had come in."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


async def run_workers(
    workers: Sequence[Callable[[], Coroutine[Any, Any, None]]], ledger: Ledger | None, stop: Stop
) -> None:
    """Run workers to their end; a stopped one ends quietly, an error in one stops all."""

    async def guarded(worker: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await worker()
        except Stopped:
            pass
        except (Exception, KeyboardInterrupt) as error:
            stop.set(error)

    async def heartbeat() -> None:
        while ledger is not None:
            await asyncio.sleep(HEARTBEAT)
            await ledger.patiently(ledger.seen)

    beat = asyncio.create_task(guarded(heartbeat))
    try:
        await asyncio.gather(*(guarded(worker) for worker in workers))
    finally:
        beat.cancel()


@contextmanager
def signals_stop(stop: Stop, on_stop: Callable[[], None] | None = None) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the run after the replies on their way; the second time at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def stopped(signum: int) -> None:
        if stop and task is not None:
            task.cancel()
        stop.set(Interrupted(signum))
        if on_stop is not None:
            on_stop()

    before = {}
    for signum in (signal.SIGINT, signal.SIGTERM):
        before[signum] = signal.getsignal(signum)
        if before[signum] is not signal.SIG_IGN:
            with suppress(NotImplementedError):  # Windows: Ctrl-C ends the run at once
                loop.add_signal_handler(signum, stopped, signum)
    try:
        yield
    except asyncio.CancelledError:
        if isinstance(stop.error, Interrupted):
            raise stop.error from None
        raise
    finally:
        for signum, handler in before.items():
            with suppress(NotImplementedError):
                loop.remove_signal_handler(signum)
            signal.signal(signum, handler)


def run_async(work: Coroutine[Any, Any, _T]) -> _T:
    """asyncio.run, also inside a notebook, where a loop is running already."""
    inside = True
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        inside = False
    if not inside:  # not in the handler: its error would be the context of every other
        return asyncio.run(work)
    task: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def cancellable() -> _T:
        current = asyncio.current_task()
        assert current is not None
        task.append((asyncio.get_running_loop(), current))
        return await work

    with ThreadPoolExecutor(max_workers=1) as pool:
        result = pool.submit(asyncio.run, cancellable())
        try:
            return result.result()
        except KeyboardInterrupt:  # the thread does not hear of it, and would go on to spend
            for loop, running in task:
                with suppress(RuntimeError):  # it has just ended
                    loop.call_soon_threadsafe(running.cancel)
            raise
