"""What holds a run back: a stop, the provider's rate, its concurrency, and the money.

All of it lives in one event loop; nothing here is for threads. Times are of a monotonic clock.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from lsmseg_prompts.errors import BudgetError, UsageError
from lsmseg_prompts.llm.prices import Price

LATENESS = 0.1  # seconds by which a late request may be made good for without exceeding the rate
GLANCE = 0.05  # seconds
MARGIN = 1.005  # a rate is a count in any minute, its two ends included: stay a little below


@dataclass(frozen=True)
class Limits:
    """The bounds of one run; None is not a bound.

    concurrency: requests on their way at once. rpm, tpm: requests and tokens a minute.
    max_retries: for passing failures of one question. max_cost: US dollars; max_calls: requests.
    price: per million tokens; by default the model's list price, if it is known.
    """

    concurrency: int = 8
    rpm: float | None = None
    tpm: float | None = None
    max_retries: int = 6
    max_cost: float | None = None
    max_calls: int | None = None
    price: Price | None = None

    def __post_init__(self) -> None:
        for name in ("concurrency", "rpm", "tpm"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} must be more than 0, not {value}.")
        for name in ("max_retries", "max_cost", "max_calls"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise UsageError(f"{name} must not be negative, not {value}.")


class Stopped(Exception):
    """Raised where something was waited for when the run was stopped."""


class Stop:
    """The end of a run before its time; `error` is why. What is on its way is let finish."""

    def __init__(self, parent: Stop | None = None) -> None:
        self.error: BaseException | None = None
        self._event = asyncio.Event()
        self._children: list[Stop] = []
        if parent is not None:
            parent._children.append(self)
            if parent.error is not None:
                self.set(parent.error)

    def set(self, error: BaseException) -> None:
        """Stop for this reason; the first reason stays."""
        if self.error is None:
            self.error = error
        self._event.set()
        for child in self._children:
            child.set(error)

    def __bool__(self) -> bool:
        return self.error is not None

    def check(self) -> None:
        if self.error is not None:
            raise Stopped

    async def sleep(self, seconds: float) -> None:
        """Sleep; raises Stopped as soon as the run is stopped."""
        self.check()
        if seconds > 0:
            try:
                await asyncio.wait_for(self._event.wait(), seconds)
            except TimeoutError:
                return
            raise Stopped


class Rate:
    """Places in time for what may be used `per_minute`, evenly spaced.

    A place is taken by `take`; one that comes late may be followed up sooner, by at most
    LATENESS, so that the rate is kept on average without ever being exceeded in a minute.
    """

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds_each = 60.0 * MARGIN / per_minute
        self._clock = clock
        self._next = clock()

    def wait(self) -> float:
        """Seconds until the next place."""
        return self._next - self._clock()

    def take(self, amount: float = 1.0) -> None:
        self._next = max(self._next, self._clock() - LATENESS) + amount * self._seconds_each

    def give_back(self, amount: float) -> None:
        """Less was used than had been taken (the tokens of a short reply)."""
        self._next -= amount * self._seconds_each


class Gate:
    """Lets requests out, one after the other: after pauses, at the rate, so many at a time.

    It begins with one request alone, until `opened`: a wrong key or model costs one request.
    On `throttled` everyone waits and the number at a time is halved; with every success it
    grows again, by one for as many successes as there are requests at a time.
    """

    def __init__(
        self, limits: Limits, stop: Stop, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = limits.concurrency
        self._stop, self._clock = stop, clock
        self._requests = Rate(limits.rpm or math.inf, clock)
        self._tokens = Rate(limits.tpm or math.inf, clock)
        self.at_once = 1.0
        self.opened = False
        self.on_their_way = 0
        self.paused_until = 0.0
        self._turn = asyncio.Lock()
        self._left = asyncio.Event()

    async def enter(self, tokens: int) -> None:
        """Wait for leave to send a request that may use so many tokens; then `leave`."""
        async with self._turn:
            while True:
                self._stop.check()
                if self.on_their_way >= int(self.at_once):
                    self._left.clear()
                    await self._left.wait()  # after a stop too: all on the way come back
                    continue
                wait = max(self.paused_until - self._clock(), self._requests.wait())
                # Tokens are given back when replies come: look again soon.
                wait = max(wait, min(GLANCE, self._tokens.wait()))
                if wait <= 0:
                    break
                await self._stop.sleep(wait)
            self._requests.take()
            self._tokens.take(tokens)
            self.on_their_way += 1

    def leave(self, tokens: int, used: int | None) -> None:
        """The request is over; `used` of the tokens are known to have been used."""
        self.on_their_way -= 1
        if used is not None and used < tokens:
            self._tokens.give_back(tokens - used)
        self._left.set()

    def succeeded(self) -> None:
        if not self.opened:
            self.opened, self.at_once = True, float(self._most)
        elif self.at_once < self._most:
            self.at_once = min(self._most, self.at_once + 1 / self.at_once)
        self._left.set()

    def pause(self, seconds: float) -> None:
        """Everyone waits so long from now."""
        self.paused_until = max(self.paused_until, self._clock() + seconds)

    def throttled(self, seconds: float) -> None:
        """Pause, and go on with half as many.

        Requests that were on their way together are throttled together; that counts once.
        """
        if self._clock() >= self.paused_until:
            self.at_once = max(1.0, self.at_once / 2)
        self.pause(seconds)


class Budget:
    """The money and the requests of a run, those on their way included.

    The worst case is reserved before a request is sent. A request that does not fit waits for
    the others to come back, because they mostly cost less than the worst case, or are not sent
    after all; those that wait to be sent are not cut off by it.
    """

    def __init__(self, max_cost: float | None, max_calls: int | None) -> None:
        self._max_cost, self._max_calls = max_cost, max_calls
        self.spent = self.reserved = 0.0
        self.calls = self.outstanding = 0
        self._changed = asyncio.Event()

    async def reserve(self, worst: float, stop: Stop) -> None:
        """Raises BudgetError if the request cannot be had for what is left."""
        while True:
            stop.check()
            enough_calls = self._max_calls is None or self.calls < self._max_calls
            total = self.spent + self.reserved + worst
            if enough_calls and (self._max_cost is None or total <= self._max_cost):
                self.reserved += worst
                self.calls += 1
                self.outstanding += 1
                return
            if self.outstanding == 0 and not enough_calls:
                raise BudgetError(
                    f"The limit of {self._max_calls} requests is reached; what came back is kept: "
                    "the same command goes on from there, with a limit of its own."
                )
            if self.outstanding == 0:
                raise BudgetError(
                    f"The budget of ${self._max_cost:g} is reached: ${self.spent:.4f} is spent, "
                    f"and the next request may cost ${worst:.4f}. What came back is kept: the "
                    "same command goes on from there, with a budget of its own."
                )
            self._changed.clear()
            await self._changed.wait()

    def settle(self, worst: float, cost: float) -> None:
        """The request cost this much, instead of the worst case."""
        self.outstanding -= 1
        self.reserved = max(0.0, self.reserved - worst) if self.outstanding else 0.0
        self.spent += cost
        self._changed.set()

    def unsent(self, worst: float) -> None:
        """The request was not sent after all."""
        self.calls -= 1
        self.settle(worst, 0.0)
