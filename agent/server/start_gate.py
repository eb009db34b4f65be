"""How many servers the node starts of its own accord at a time, and which first: after a reboot, after Docker was restarted, after crashes.

Only such starts wait here; a person's never does. A turn ends when its start has ended one way or the other, or took `SHARE_SECONDS`:
so one that hangs at an image or a ready line does not hold up the others.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

SHARE_SECONDS = 30.0
"""Longest that one start keeps others waiting."""


class StartGate:
    """Lets `at_once` through at a time, the highest priority first, then whoever came first."""

    def __init__(self, at_once: int = 4) -> None:
        self._free = at_once
        self._line: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()

    @property
    def waiting(self) -> int:
        return sum(not future.done() for _, _, future in self._line)

    @asynccontextmanager
    async def turn(self, priority: int) -> AsyncIterator[None]:
        """Wait for a turn, and give it back afterwards."""
        await self._take(priority)
        try:
            yield
        finally:
            self._give()

    async def _take(self, priority: int) -> None:
        if self._free > 0:
            self._free -= 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._line, (-priority, next(self._numbers), mine))
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():  # it was given to us just now
                self._give()
            raise

    def _give(self) -> None:
        while self._line:
            _, _, future = heapq.heappop(self._line)
            if not future.done():
                future.set_result(None)
                return
        self._free += 1
