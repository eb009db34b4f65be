"""Starts that nobody asked for: after a crash, after the node came back.

Knows when such a start may be sent; that it is sent at all was decided elsewhere (crash.py, `Server.restore`). Whoever asks for something
else meanwhile wins.
"""

import asyncio
import contextlib
from collections.abc import Callable

from agent.server.power import PowerQueue
from core.clock import Clock
from core.errors import AerieError
from core.supervise import Supervisor
from core.vocabulary import PowerSignal


class OwnStart:
    """Starts one server by `power`, its own door, which refuses what makes no sense any more."""

    def __init__(self, power: Callable[[PowerSignal], str], queue: PowerQueue, clock: Clock, tasks: Supervisor) -> None:
        self._power = power
        self._queue = queue
        self._clock = clock
        self._tasks = tasks
        self._waiting: asyncio.Task[None] | None = None

    def soon(self, wait: float = 0.0) -> None:
        """Start in `wait` seconds, once nothing is under way."""
        self.forget()
        self._waiting = self._tasks.spawn("own start", self._start(wait))

    def forget(self) -> None:
        """Somebody asked for something: what waits here is not wanted any more."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None and waiting is not asyncio.current_task():
            waiting.cancel()

    async def _start(self, wait: float) -> None:
        await self._clock.sleep(wait)
        await self._queue.idle()
        with contextlib.suppress(AerieError):
            self._power(PowerSignal.START)
