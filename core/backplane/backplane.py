"""What several bot processes share in passing: messages, locks, counters. Nothing here is kept; what must last goes to the database.

Delivery is at most once: a message published while a listener reconnects is lost to it.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol, Self

from core.backplane.memory import MemoryBackplane
from core.backplane.redis import RedisBackplane
from core.clock import Clock, SystemClock
from core.fanout import Listener

SERVERS = "servers"
"""Topic of every core.events.Event, as JSON."""


class Backplane(Protocol):
    """One process (memory) or many (Redis). Both pass the same tests."""

    async def publish(self, topic: str, body: bytes) -> None:
        """Tell every listener of the topic, in every process, this one included. Never waits for a listener."""

    def subscribe(self, topic: str) -> AbstractAsyncContextManager[Listener[bytes]]:
        """Listen: what is published after the block is entered arrives."""

    def lock(self, name: str, ttl: float) -> AbstractAsyncContextManager[bool]:
        """Try to hold `name` for the block, at most `ttl` seconds. Yields whether it is held; never waits."""

    async def increment(self, name: str, ttl: float) -> int:
        """Count up and return the new count; `ttl` seconds after the first count it begins again at one."""

    async def count(self, name: str) -> int:
        """What `increment` last returned, zero once its time is over."""

    async def ping(self) -> None:
        """Raises NotConfigured when the backplane does not answer."""

    async def close(self) -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...


def open_backplane(url: str, clock: Clock | None = None) -> Backplane:
    """`redis://host:6379/0`, or empty for the backplane of a single process. Use it as a context manager, or `close` it."""
    clock = clock or SystemClock()
    return RedisBackplane(url, clock) if url else MemoryBackplane(clock)
