"""Tests every backplane must pass. Modules that run them import everything and give a fixture `opener`."""

import asyncio
from collections.abc import Callable

from core.backplane.backplane import Backplane

Opener = Callable[[], Backplane]


async def test_everybody_who_listens_hears_what_is_published_after(opener: Opener) -> None:
    async with opener() as backplane:
        await backplane.publish("topic", b"too early")
        async with backplane.subscribe("topic") as one, backplane.subscribe("topic") as other, backplane.subscribe("else") as third:
            for number in range(200):
                await backplane.publish("topic", b"%d" % number)
            await backplane.publish("else", b"\x00\xff")
            for listener in (one, other):
                heard: list[bytes] = []
                async with asyncio.timeout(5):
                    while len(heard) < 200:
                        heard += await listener.drain()
                assert heard == [b"%d" % number for number in range(200)]
            async with asyncio.timeout(5):
                assert await third.drain() == [b"\x00\xff"]
        await backplane.publish("topic", b"to nobody")
        async with backplane.subscribe("topic") as again:
            await backplane.publish("topic", b"again")
            async with asyncio.timeout(5):
                assert await again.drain() == [b"again"]


async def test_a_lock_is_held_by_one_until_it_is_given_back_or_ends(opener: Opener) -> None:
    async with opener() as backplane:
        async with backplane.lock("it", 5) as first, backplane.lock("it", 5) as second, backplane.lock("other", 5) as third:
            assert (first, second, third) == (True, False, True)
        async with backplane.lock("it", 0.05) as first:
            assert first
            await asyncio.sleep(0.1)
            async with backplane.lock("it", 5) as second:
                assert second
            async with backplane.lock("it", 5) as free:
                assert free


async def test_a_late_holder_does_not_give_back_another_ones_lock(opener: Opener) -> None:
    async with opener() as backplane:
        late = backplane.lock("late", 0.05)
        assert await late.__aenter__()
        await asyncio.sleep(0.1)
        async with backplane.lock("late", 5) as held:
            assert held
            await late.__aexit__(None, None, None)
            async with backplane.lock("late", 5) as third:
                assert not third


async def test_a_counter_counts_up_and_begins_again(opener: Opener) -> None:
    async with opener() as backplane:
        assert [await backplane.increment("visits", 0.2) for _ in range(3)] == [1, 2, 3]
        assert await backplane.increment("others", 0.2) == 1
        assert await backplane.count("never") == 0
        assert await backplane.increment("lasting", 60) == await backplane.count("lasting") == 1
        await asyncio.sleep(0.3)
        assert await backplane.count("visits") == 0
        assert await backplane.increment("visits", 0.2) == 1


async def test_closing_ends_every_listener(opener: Opener) -> None:
    backplane = opener()
    async with backplane.subscribe("topic") as listener:
        waiting = asyncio.create_task(listener.drain())
        await asyncio.sleep(0.05)
        await backplane.close()
        async with asyncio.timeout(5):
            assert await waiting == []
