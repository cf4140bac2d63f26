from __future__ import annotations

import asyncio
import socket
import time

import pytest

from lsmseg_prompts.llm.time_limit import time_limit


def read_within(seconds: float, held_up: float, sent: bytes) -> bytes:
    """Read a line that the other side sent while the event loop was held up."""

    async def work() -> bytes:
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_connection(sock=ours)
            try:
                async with time_limit(seconds):
                    asyncio.get_running_loop().call_later(0.01, time.sleep, held_up)
                    theirs.send(sent)
                    await asyncio.sleep(0.02)  # a connection is read in more than one step
                    return await reader.readline()
            finally:
                writer.close()

    return asyncio.run(work())


def test_what_arrived_while_the_loop_was_held_up_is_read() -> None:
    assert read_within(0.05, 0.2, b"answer\n") == b"answer\n"


def test_what_does_not_arrive_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lsmseg_prompts.llm.time_limit.GRACE", 0.05)
    for held_up in (0.0, 0.2):
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            read_within(0.05, held_up, b"half of it")
        assert time.monotonic() - began >= 0.05
