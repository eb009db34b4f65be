"""The scheduler of background writes, on a clock that the test turns."""

import asyncio
from collections.abc import Awaitable, Callable

import discord
import pytest

from bot.workers.writes import Allowance, Priority, Writes
from core.clock import ManualClock
from core.errors import LimitReached


class Channel:
    """Writes down when what was written."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.log: list[tuple[float, str]] = []

    def write(self, name: str, error: Exception | None = None) -> Callable[[], Awaitable[str]]:
        async def write() -> str:
            self.log.append((self._clock.monotonic(), name))
            if error is not None:
                raise error
            return name

        return write


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def channel(clock: ManualClock) -> Channel:
    return Channel(clock)


async def test_a_channel_gets_four_creates_in_five_seconds(clock: ManualClock, channel: Channel) -> None:
    writes = Writes(clock)
    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(writes.create(1, channel.write(str(number))))
        await clock.advance(20)
    assert [at for at, _ in channel.log] == [0.0] * 4 + [5.0] * 4 + [10.0] * 2
    assert [name for _, name in channel.log] == [str(number) for number in range(10)]


async def test_all_channels_together_get_25_a_second(clock: ManualClock, channel: Channel) -> None:
    writes = Writes(clock)
    async with asyncio.TaskGroup() as group:
        for number in range(60):
            group.create_task(writes.edit(number, number, channel.write(str(number))))
        await clock.advance(5)
    times = [at for at, _ in channel.log]
    assert [times.count(second) for second in (0.0, 1.0, 2.0)] == [25, 25, 10]


async def test_a_newer_edit_takes_the_place_of_a_waiting_one(clock: ManualClock, channel: Channel) -> None:
    writes = Writes(clock)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(writes.edit(1, number, channel.write(f"m{number}"))) for number in range(4)]
        tasks += [group.create_task(writes.edit(1, "live", channel.write(f"v{number}"))) for number in range(5)]
        await clock.advance(10)
    assert channel.log[4:] == [(5.0, "v4")]
    assert [task.result() for task in tasks] == ["m0", "m1", "m2", "m3", None, None, None, None, "v4"]
    assert writes.counts.superseded == 4


async def test_an_alert_overtakes_what_waits(clock: ManualClock, channel: Channel) -> None:
    writes = Writes(clock)
    async with asyncio.TaskGroup() as group:
        for number in range(7):
            group.create_task(writes.create(1, channel.write(str(number)), priority=Priority.LIVE))
        await clock.advance(1)
        group.create_task(writes.create(1, channel.write("alert"), priority=Priority.ALERT))
        await clock.advance(20)
    assert [name for _, name in channel.log].index("alert") == 5  # one was at the head already


async def test_a_slowed_channel_rests_alone(clock: ManualClock, channel: Channel) -> None:
    writes = Writes(clock)
    with pytest.raises(discord.RateLimited):
        await writes.create(1, channel.write("slow", discord.RateLimited(40.0)))
    async with asyncio.TaskGroup() as group:
        group.create_task(writes.create(1, channel.write("after")))
        group.create_task(writes.create(2, channel.write("other")))
        await clock.advance(100)
    assert channel.log[1:] == [(0.0, "other"), (40.0, "after")]
    assert writes.counts.rests == 1


async def test_what_waits_in_a_channel_is_bounded_in_bytes(clock: ManualClock, channel: Channel) -> None:
    writes = Writes(clock, most_bytes=100)
    writes.rest(1, 10)
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(writes.create(1, channel.write(str(number)), size=40))
        await clock.advance(0)
        with pytest.raises(LimitReached):
            await writes.create(1, channel.write("too much"), size=40)
        await clock.advance(30)
    assert len(channel.log) == 3 and writes.counts.refused == 1


async def test_a_cancelled_writer_passes_its_turn_on(clock: ManualClock, channel: Channel) -> None:
    writes = Writes(clock)
    writes.rest(1, 10)
    tasks = [asyncio.create_task(writes.create(1, channel.write(name))) for name in ("head", "queued", "last")]
    await clock.advance(1)
    tasks[0].cancel()
    tasks[1].cancel()
    await clock.advance(20)
    assert await tasks[2] == "last" and [name for _, name in channel.log] == ["last"]
    assert writes.waiting(1) == 0


async def test_a_failed_write_does_not_block_the_next(clock: ManualClock, channel: Channel) -> None:
    writes = Writes(clock)
    with pytest.raises(ValueError, match="broken"):
        await writes.create(1, channel.write("bad", ValueError("broken")))
    assert await writes.create(1, channel.write("good")) == "good"


def test_no_window_of_five_seconds_holds_more_than_allowed() -> None:
    allowance, taken, now = Allowance(4, 5.0), list[float](), 0.0
    while len(taken) < 40:
        if (pause := allowance.wait(now)) > 0:
            now += pause
            continue
        allowance.take(now)
        taken.append(now)
        now += 0.7
    assert all(taken[index + 4] - taken[index] >= 5.0 - 1e-9 for index in range(36))
