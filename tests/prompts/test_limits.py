"""What holds a run back: rate, concurrency, pauses and money."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsmseg_prompts.errors import BudgetError, ProviderError, UsageError
from lsmseg_prompts.generation.limits import Budget, Gate, Limits, Rate, Stop, Stopped


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 10))


# -- the rate ----------------------------------------------------------------------------


@given(
    rpm=st.sampled_from([1, 10, 60, 500, 3000]),
    late=st.lists(st.floats(0, 0.3), min_size=1, max_size=200),
)
def test_no_minute_has_more_than_the_rate(rpm: int, late: list[float]) -> None:
    clock = Clock()
    rate = Rate(rpm, clock)
    times = []
    for delay in (late * (1 + 2 * rpm // len(late)))[: 2 * rpm + 5]:
        clock.now += max(0.0, rate.wait()) + delay  # never early, sometimes late
        rate.take()
        times.append(clock.now)
    assert times == sorted(times)
    for start in times:
        assert bisect_right(times, start + 60) - bisect_left(times, start) <= rpm


def test_lateness_within_bounds_is_made_good_for() -> None:
    clock = Clock()
    rate = Rate(600, clock)  # one in 0.1 s
    began = clock.now
    for _ in range(1000):
        clock.now += max(0.0, rate.wait()) + 0.02  # every timer is 20 ms late
        rate.take()
    assert 1000 / ((clock.now - began) / 60) > 0.97 * 600


def test_a_long_silence_is_not_made_good_for() -> None:
    clock = Clock()
    rate = Rate(60, clock)
    rate.take()
    clock.now += 3600
    rate.take()
    assert rate.wait() > 0.8


def test_unused_tokens_are_given_back() -> None:
    clock = Clock()
    rate = Rate(1000, clock)
    rate.take(1000)
    assert rate.wait() == pytest.approx(60 * 1.005)
    rate.give_back(900)
    assert rate.wait() == pytest.approx(6 * 1.005)


def test_tokens_that_come_back_shorten_the_wait() -> None:
    async def work() -> float:
        gate = Gate(Limits(concurrency=2, tpm=60_000), Stop())
        gate.succeeded()
        await gate.enter(10_000)  # 10 seconds' worth
        waiting = asyncio.create_task(gate.enter(10))
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        began = loop.time()
        gate.leave(10_000, used=100)
        await waiting
        return loop.time() - began

    assert run(work()) < 2


# -- the gate ----------------------------------------------------------------------------


def test_the_first_goes_alone_and_then_as_many_as_allowed() -> None:
    async def work() -> None:
        gate = Gate(Limits(concurrency=3), Stop())
        await gate.enter(0)
        second = asyncio.create_task(gate.enter(0))
        await asyncio.sleep(0)
        assert gate.on_their_way == 1 and not second.done()
        gate.leave(0, None)
        gate.succeeded()
        await second
        await gate.enter(0)
        await gate.enter(0)
        fourth = asyncio.create_task(gate.enter(0))
        await asyncio.sleep(0)
        assert gate.on_their_way == 3 and not fourth.done()
        gate.leave(0, None)
        await fourth

    run(work())


def test_throttled_halves_once_for_all_and_grows_again() -> None:
    async def work() -> None:
        clock = Clock()
        gate = Gate(Limits(concurrency=8), Stop(), clock)
        gate.succeeded()
        for _ in range(8):
            gate.throttled(2.0)  # all that were on their way
        assert (gate.at_once, gate.paused_until) == (4.0, 102.0)
        clock.now = 103.0
        gate.throttled(1.0)
        assert (gate.at_once, gate.paused_until) == (2.0, 104.0)
        clock.now = 105.0
        gate.throttled(0.5)
        clock.now = 106.0
        gate.throttled(0.5)
        assert gate.at_once == 1.0  # never less
        for _ in range(100):
            gate.succeeded()
        assert gate.at_once == 8.0

    run(work())


def test_a_pause_holds_everyone_and_the_longest_counts() -> None:
    async def work() -> None:
        gate = Gate(Limits(concurrency=2), Stop())
        gate.succeeded()
        gate.pause(0.05)
        gate.pause(0.01)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(gate.enter(0), gate.enter(0))
        assert loop.time() - began >= 0.05

    run(work())


def test_a_stop_wakes_all_who_wait() -> None:
    async def work() -> None:
        stop = Stop()
        gate = Gate(Limits(concurrency=1), stop)
        await gate.enter(0)
        waiting = [asyncio.create_task(gate.enter(0)) for _ in range(3)]
        sleeping = asyncio.create_task(stop.sleep(3600))
        await asyncio.sleep(0)
        stop.set(ProviderError("over"))
        stop.set(ProviderError("later"))
        gate.leave(0, None)  # the request on its way comes back
        results = await asyncio.gather(*waiting, sleeping, return_exceptions=True)
        assert all(isinstance(result, Stopped) for result in results)
        assert str(stop.error) == "over"

    run(work())


def test_stopping_all_stops_each_but_not_the_other_way_round() -> None:
    everything = Stop()
    one, other = Stop(everything), Stop(everything)
    one.set(ProviderError("one"))
    assert one and not other and not everything
    everything.set(ProviderError("all"))
    assert str(one.error) == "one" and str(other.error) == "all"
    assert str(Stop(everything).error) == "all"


# -- the budget --------------------------------------------------------------------------


@given(
    limit=st.floats(0, 2),
    costs=st.lists(st.tuples(st.floats(0.01, 0.5), st.floats(0, 1)), min_size=1, max_size=40),
    workers=st.integers(1, 8),
)
def test_the_budget_is_never_exceeded_and_well_used(
    limit: float, costs: list[tuple[float, float]], workers: int
) -> None:
    async def work() -> tuple[Budget, bool]:
        budget, stop, over = Budget(limit, None), Stop(), False
        queue = iter(costs)

        async def worker() -> None:
            nonlocal over
            for worst, share in queue:
                try:
                    await budget.reserve(worst, stop)
                except BudgetError:
                    over = True
                    return
                assert budget.spent + budget.reserved <= limit + 1e-9
                await asyncio.sleep(0)
                budget.settle(worst, worst * share)

        await asyncio.gather(*(worker() for _ in range(workers)))
        return budget, over

    budget, over = run(work())
    assert budget.spent <= limit + 1e-9 and budget.reserved == 0
    if over:  # stopped only where another request might really not have fitted
        assert budget.spent + max(worst for worst, _ in costs) > limit
    else:
        assert budget.calls == len(costs)


def test_max_calls_counts_requests() -> None:
    async def work() -> None:
        budget, stop = Budget(None, 2), Stop()
        await budget.reserve(0.0, stop)
        await budget.reserve(0.0, stop)
        budget.unsent(0.0)  # it was not sent after all
        await budget.reserve(0.0, stop)
        waiting = asyncio.create_task(budget.reserve(0.0, stop))
        await asyncio.sleep(0)
        budget.settle(0.0, 0.0)
        await asyncio.sleep(0)
        assert not waiting.done()  # the other may still not be sent
        budget.settle(0.0, 0.0)
        with pytest.raises(BudgetError, match="limit of 2 requests"):
            await waiting
        with pytest.raises(BudgetError, match="limit of 2 requests"):
            await budget.reserve(0.0, stop)

    run(work())


@pytest.mark.parametrize(
    "wrong", [{"concurrency": 0}, {"rpm": 0}, {"tpm": -1}, {"max_cost": -1.0}, {"max_calls": -1}]
)
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Limits(**wrong)
