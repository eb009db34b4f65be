"""Requests counted per minute, together with other processes, and never at the price of an outage."""

import pytest

from core.backplane.memory import MemoryBackplane
from core.clock import ManualClock
from core.errors import NotConfigured
from core.services.throttles import Throttles


async def test_two_processes_count_together_until_the_minute_is_over() -> None:
    clock = ManualClock()
    async with MemoryBackplane(clock) as backplane:
        here, there = Throttles(backplane, clock), Throttles(backplane, clock)
        taken = [await (here if number % 2 else there).take("client:x", 3) for number in range(4)]
        assert [one.remaining for one in taken] == [2, 1, 0, 0]
        assert [one.allowed for one in taken] == [True, True, True, False]
        assert 0 < taken[-1].wait <= 60
        assert (await here.take("client:y", 3)).allowed
        await clock.advance(61)
        assert (await here.take("client:x", 3)).remaining == 2


async def test_a_backplane_that_does_not_answer_lets_everybody_through(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MemoryBackplane):
        async def increment(self, name: str, ttl: float) -> int:
            raise NotConfigured("Redis does not answer.")

    throttles = Throttles(Broken(ManualClock()), ManualClock())
    for _ in range(5):
        assert (await throttles.take("client:x", 1)).allowed
    assert len([record for record in caplog.records if "not counted" in record.message]) == 1
