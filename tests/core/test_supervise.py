"""Background work: restarted with back-off, ended in reverse order, never failing unseen."""

import asyncio
import logging
import os
import signal

import pytest

from core.clock import ManualClock
from core.supervise import Supervisor, stop_asked


class Flaky:
    """Work that fails a number of times, then runs for ever."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.starts = 0

    async def __call__(self) -> None:
        self.starts += 1
        if self.starts <= self.failures:
            raise ValueError(f"start {self.starts}")
        await asyncio.Event().wait()


async def test_a_failed_worker_starts_again_and_waits_longer_each_time() -> None:
    clock, work = ManualClock(), Flaky(failures=3)
    async with Supervisor("test", clock=clock, first_delay=1.0) as tasks:
        tasks.run("flaky", work)
        await clock.advance(0.9)
        assert work.starts == 1
        await clock.advance(0.2)
        assert work.starts == 2
        await clock.advance(1.5)
        assert work.starts == 2
        await clock.advance(5.0)
        assert work.starts == 4
        health = tasks.health["flaky"]
        assert (health.running, health.failures, health.last_error) == (True, 3, "ValueError: start 3")


async def test_the_wait_never_exceeds_the_longest_delay() -> None:
    clock, work = ManualClock(), Flaky(failures=1000)
    async with Supervisor("test", clock=clock, first_delay=1.0, longest_delay=4.0) as tasks:
        tasks.run("flaky", work)
        await clock.advance(1 + 2 + 4)
        starts = work.starts
        await clock.advance(40.0)
        assert work.starts == starts + 10


async def test_a_worker_that_ran_long_starts_again_soon() -> None:
    clock = ManualClock()
    starts: list[float] = []

    async def long_runner() -> None:
        starts.append(clock.monotonic())
        await clock.sleep(100.0)
        raise OSError("gone")

    async with Supervisor("test", clock=clock, first_delay=1.0, longest_delay=10.0) as tasks:
        tasks.run("long", long_runner)
        await clock.advance(305.0)
    assert starts == [0.0, 101.0, 202.0, 303.0]


async def test_a_worker_that_returns_is_over() -> None:
    async def done() -> None:
        return

    async with Supervisor("test") as tasks:
        await tasks.run("once", done)
        assert not tasks.health["once"].running


async def test_failures_are_logged_with_their_trace(caplog: pytest.LogCaptureFixture) -> None:
    async def breaks() -> None:
        raise RuntimeError("the pipe burst")

    async with Supervisor("house") as tasks:
        with caplog.at_level(logging.ERROR):
            task = tasks.spawn("pipe", breaks())
            await asyncio.wait({task})
            await asyncio.sleep(0)
    assert "house/pipe failed" in caplog.text
    assert "the pipe burst" in caplog.text


async def test_close_ends_the_youngest_first() -> None:
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async with Supervisor("test") as tasks:
        for name in ("first", "second", "third"):
            tasks.spawn(name, work(name))
        await asyncio.sleep(0)
    assert ended == ["third", "second", "first"]


async def test_a_task_that_will_not_end_is_told_of_and_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    tasks = Supervisor("test", patience=0.05)
    task = tasks.spawn("stubborn", stubborn())
    await asyncio.sleep(0)
    await asyncio.wait_for(tasks.close(), 1)
    assert "stubborn did not end" in caplog.text
    release.set()
    await task


async def test_a_task_may_close_its_own_supervisor() -> None:
    tasks = Supervisor("test", patience=0.2)
    bystander = tasks.spawn("bystander", asyncio.Event().wait())
    closer = tasks.spawn("closer", tasks.close())
    await asyncio.wait_for(closer, 0.1)
    assert bystander.cancelled()


async def test_a_worker_ended_while_it_waits_to_start_again_is_not_shown_as_running() -> None:
    clock = ManualClock()
    async with Supervisor("test", clock=clock) as tasks:
        tasks.run("flaky", Flaky(failures=9))
        await clock.advance(0.1)
    assert not tasks.health["flaky"].running


async def test_nothing_starts_after_close() -> None:
    tasks = Supervisor("test")
    await tasks.close()
    with pytest.raises(RuntimeError, match="closing"):
        tasks.spawn("late", asyncio.sleep(0))


@pytest.mark.parametrize("kept", [True, False])
async def test_a_worker_that_asks_for_more_while_all_ends_ends_quietly(kept: bool, caplog: pytest.LogCaptureFixture) -> None:
    ending = asyncio.Event()

    async def asks() -> None:
        await ending.wait()
        tasks.spawn("late", asyncio.sleep(0))

    async def ends_first() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await asyncio.wait({asking})

    tasks = Supervisor("test")
    asking = tasks.run("asks", asks) if kept else tasks.spawn("asks", asks())
    tasks.spawn("ends first", ends_first())
    await asyncio.sleep(0)
    await asyncio.wait_for(tasks.close(), 20)
    assert asking.done()
    assert not asking.cancelled()
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []
    if kept:
        assert (tasks.health["asks"].running, tasks.health["asks"].failures) == (False, 0)


async def test_a_signal_to_stop_is_an_event_and_ends_nothing_by_itself() -> None:
    asked = stop_asked()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(15):
            await asked.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().remove_signal_handler(number)
