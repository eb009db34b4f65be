"""The clock tests turn: sleepers wake at their own moment, in order."""

import asyncio
from datetime import UTC, datetime, timedelta

from core.clock import ManualClock, SystemClock, unix


async def test_the_manual_clock_stands_still() -> None:
    clock = ManualClock()
    before = clock.now(), clock.monotonic()
    await asyncio.sleep(0.01)
    assert (clock.now(), clock.monotonic()) == before


async def test_sleepers_wake_in_the_order_of_their_deadlines_each_at_its_own_moment() -> None:
    clock = ManualClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    tasks = [asyncio.create_task(sleeper(name, seconds)) for name, seconds in (("late", 9.0), ("early", 2.0), ("never", 60.0))]
    await clock.advance(10)
    assert woken == [("early", 2.0), ("late", 9.0)]
    assert clock.monotonic() == 10.0
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_sleeper_that_sleeps_again_wakes_again_within_one_advance() -> None:
    clock = ManualClock()
    beats: list[float] = []

    async def heart() -> None:
        while True:
            await clock.sleep(1.0)
            beats.append(clock.monotonic())

    task = asyncio.create_task(heart())
    await clock.advance(3.5)
    assert beats == [1.0, 2.0, 3.0]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_cancelled_sleeper_does_not_disturb_the_others() -> None:
    clock = ManualClock()
    gone = asyncio.create_task(clock.sleep(1.0))
    kept = asyncio.create_task(clock.sleep(2.0))
    await asyncio.sleep(0)
    gone.cancel()
    await clock.advance(2.0)
    assert gone.cancelled()
    assert kept.done()
    assert not kept.cancelled()


async def test_a_sleep_of_nothing_lets_others_run_and_returns() -> None:
    clock = ManualClock()
    await asyncio.wait_for(clock.sleep(0), timeout=1)


def test_now_moves_with_the_elapsed_seconds() -> None:
    start = datetime(2026, 11, 24, tzinfo=UTC)
    clock = ManualClock(start)
    asyncio.run(clock.advance(90))
    assert clock.now() == start + timedelta(seconds=90)


def test_the_system_clock_knows_its_time_zone() -> None:
    assert SystemClock().now().utcoffset() == timedelta(0)


def test_unix_seconds_are_whole() -> None:
    assert unix(datetime(1970, 1, 1, 0, 0, 5, 999_999, tzinfo=UTC)) == 5
