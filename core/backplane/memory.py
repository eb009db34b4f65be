"""The backplane of a single process."""

import secrets
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from core.clock import Clock
from core.fanout import Fanout, Listener


class MemoryBackplane:
    """Everything lives in this process and ends with it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._topics: defaultdict[str, Fanout[bytes]] = defaultdict(Fanout)
        self._locks: dict[str, tuple[str, float]] = {}
        self._counts: dict[str, tuple[int, float]] = {}

    async def publish(self, topic: str, body: bytes) -> None:
        if topic in self._topics:
            self._topics[topic].publish(body)

    @asynccontextmanager
    async def subscribe(self, topic: str) -> AsyncIterator[Listener[bytes]]:
        with self._topics[topic].listen(capacity=10_000) as listener:
            yield listener
        if not len(self._topics[topic]):
            del self._topics[topic]

    @asynccontextmanager
    async def lock(self, name: str, ttl: float) -> AsyncIterator[bool]:
        mine, now = secrets.token_hex(8), self._clock.monotonic()
        _, until = self._locks.get(name, ("", 0.0))
        if until > now:
            yield False
            return
        self._locks[name] = (mine, now + ttl)
        try:
            yield True
        finally:
            if self._locks.get(name, ("", 0.0))[0] == mine:
                del self._locks[name]

    async def increment(self, name: str, ttl: float) -> int:
        now = self._clock.monotonic()
        count, until = self._counts.get(name, (0, 0.0))
        if until <= now:
            count, until = 0, now + ttl
            self._counts = {key: entry for key, entry in self._counts.items() if entry[1] > now}
        self._counts[name] = (count + 1, until)
        return count + 1

    async def count(self, name: str) -> int:
        count, until = self._counts.get(name, (0, 0.0))
        return count if until > self._clock.monotonic() else 0

    async def ping(self) -> None:
        return

    async def close(self) -> None:
        for topic in list(self._topics.values()):
            topic.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
