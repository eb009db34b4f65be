"""The backplane's tests, once more on Redis; and what only Redis can do: speak from process to process, and go away."""

import asyncio

import pytest
from redis.asyncio import Redis

from core.backplane.backplane import open_backplane
from tests.backplane_suite import *  # noqa: F403
from tests.backplane_suite import Opener

pytestmark = pytest.mark.real


@pytest.fixture
async def opener(redis_url: str) -> Opener:
    redis = Redis.from_url(redis_url)
    await redis.flushdb()
    await redis.aclose()
    return lambda: open_backplane(redis_url)


async def test_one_process_hears_another(opener: Opener) -> None:
    async with opener() as here, opener() as there, here.subscribe("topic") as listener:
        await there.publish("topic", b"hello")
        async with asyncio.timeout(5):
            assert await listener.drain() == [b"hello"]


async def test_a_broken_connection_is_made_again(opener: Opener, redis_url: str) -> None:
    async with opener() as backplane, backplane.subscribe("topic") as listener:
        redis = Redis.from_url(redis_url)
        await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]
        async with asyncio.timeout(10):
            while not (heard := listener.dropped) and not listener._items:
                await redis.publish("aerie:topic", b"back")
                await asyncio.sleep(0.05)
        assert heard == 0
        assert (await listener.drain())[0] == b"back"
        await redis.aclose()
