"""Waiting for a service at the start: told each time, further apart, and only for services that are away."""

import asyncio
import logging

import pytest

from bot.patience import once_there
from core.clock import ManualClock
from core.errors import NotConfigured, ServiceDown


async def test_it_is_tried_again_further_and_further_apart(caplog: pytest.LogCaptureFixture) -> None:
    clock, tries = ManualClock(), list[float]()
    begun = clock.monotonic()

    async def attempt() -> str:
        tries.append(clock.monotonic() - begun)
        if len(tries) < 7:
            raise ServiceDown("Redis does not answer.", hint="See that it runs.")
        return "there"

    with caplog.at_level(logging.WARNING):
        waiting = asyncio.ensure_future(once_there(clock, attempt))
        await clock.advance(100)
        assert await waiting == "there"
    assert tries == [0, 2, 6, 14, 29, 44, 59]
    assert caplog.messages[0] == "Redis does not answer. See that it runs. Trying again in 2 s."


async def test_wrong_settings_are_told_at_once() -> None:
    async def attempt() -> None:
        raise NotConfigured("Access denied.")

    with pytest.raises(NotConfigured, match="Access denied"):
        await once_there(ManualClock(), attempt)
