"""Starts that nobody asked for: after a crash, after the node or its Docker came back.

Knows when such a start may be sent; that it is sent at all was decided elsewhere (crash.py, `Server.restore`). Whoever asks for something
else meanwhile wins.
"""

import asyncio
import contextlib
from collections.abc import Callable

from agent.server.power import PowerQueue
from agent.server.start_gate import SHARE_SECONDS, StartGate
from core.clock import Clock
from core.errors import AerieError, Conflict, EngineUnreachable, ServerBusy, ServerSuspended
from core.supervise import Supervisor
from core.vocabulary import PowerSignal

_AGAIN_SECONDS = 2.0
"""Between two tries while the engine is away."""
_TRIES = 15
"""How often it is tried while the server is neither on nor off."""


class OwnStart:
    """Starts one server by `power`, its own door, which refuses what makes no sense any more; `priority` says who goes first."""

    def __init__(
        self,
        power: Callable[[PowerSignal], str],
        queue: PowerQueue,
        clock: Clock,
        tasks: Supervisor,
        gate: StartGate,
        priority: Callable[[], int] = lambda: 0,
    ) -> None:
        self._power = power
        self._queue = queue
        self._clock = clock
        self._tasks = tasks
        self._gate = gate
        self._priority = priority
        self._waiting: asyncio.Task[None] | None = None
        self._sent = False

    @property
    def pending(self) -> bool:
        """Whether a start is still to be sent."""
        return self._waiting is not None and not self._sent and not self._waiting.done()

    def soon(self, wait: float = 0.0) -> None:
        """Start in `wait` seconds, once nothing is under way and the node has room for it."""
        if not self._sent:  # one that was sent ends with its order, and gives its turn back then
            self.forget()
        self._sent = False
        self._waiting = self._tasks.spawn("own start", self._start(wait))

    def forget(self) -> None:
        """Somebody asked for something: what waits here is not wanted any more."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None and waiting is not asyncio.current_task():
            waiting.cancel()

    async def _start(self, wait: float) -> None:
        me, refused = asyncio.current_task(), 0
        await self._clock.sleep(wait)
        await self._queue.idle()
        while True:
            async with self._gate.turn(self._priority()):
                self._sent = True
                try:
                    signal_id = self._power(PowerSignal.START)
                except (ServerBusy, ServerSuspended):
                    return
                except Conflict:
                    refused += 1  # between two states still, maybe until an engine that is away says how it stands
                    signal_id = ""
                except AerieError:
                    return
                self._waiting = me  # `power` forgot us; from here on another's signal shall end us
                if signal_id:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(SHARE_SECONDS):
                            await self._queue.idle()
            await self._queue.idle()
            end = self._queue.last_end
            if not signal_id and refused < _TRIES and self._waiting is me:
                self._sent = False
                await self._clock.sleep(_AGAIN_SECONDS)
                continue
            if end is None or end.signal_id != signal_id or end.code != EngineUnreachable.code or self._waiting is not me:
                return
            self._sent = False  # the engine is away: it will be back
            await self._clock.sleep(_AGAIN_SECONDS)
