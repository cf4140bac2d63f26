"""How long a call may take, without the time that this process itself was held up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

LATE, GRACE = 0.1, 1.0  # seconds


@asynccontextmanager
async def time_limit(seconds: float) -> AsyncIterator[None]:
    """`asyncio.timeout` that does not throw away an answer which has arrived.

    Where the event loop comes late to the end of a call (the disk was slow, Ctrl-Z stopped the
    process), the answer may lie in the socket unread: there is a moment for reading it.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds

    def over() -> None:
        now = loop.time()
        timeout.reschedule(now + GRACE if now - end > LATE else now)

    async with asyncio.timeout(None) as timeout:
        alarm = loop.call_at(end, over)
        try:
            yield
        finally:
            alarm.cancel()
