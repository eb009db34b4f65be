"""Starts that nobody asked for: after a crash, after the node came back.

Knows when such a start may be sent; that it is sent at all was decided elsewhere (crash.py, `Server.restore`).
"""

import contextlib
from collections.abc import Callable

from agent.server.power import PowerQueue
from core.errors import AerieError
from core.supervise import Supervisor
from core.vocabulary import PowerSignal


class OwnStart:
    """Starts one server by `power`, its own door, which refuses what makes no sense any more."""

    def __init__(self, power: Callable[[PowerSignal], str], queue: PowerQueue, tasks: Supervisor) -> None:
        self._power = power
        self._queue = queue
        self._tasks = tasks

    def soon(self) -> None:
        """Start once nothing is under way; whoever asked for something else meanwhile wins."""
        self._tasks.spawn("own start", self._start())

    async def _start(self) -> None:
        await self._queue.idle()
        with contextlib.suppress(AerieError):
            self._power(PowerSignal.START)
