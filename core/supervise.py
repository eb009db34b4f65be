"""Background work: named, restarted with back-off when it fails, cancelled in reverse order of its start.

The only place that creates tasks. A broad `except` lives here because a worker must outlive any single failure;
each failure is logged with its trace and counted.
"""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from core.clock import Clock, SystemClock

T = TypeVar("T")

log = logging.getLogger(__name__)


def stop_asked() -> asyncio.Event:
    """What SIGINT or SIGTERM sets from now on, in place of ending the process."""
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    return asked


class Closing(RuntimeError):
    """Work was handed to a supervisor that is ending its tasks: whoever asked for it is to end too."""


@dataclass
class WorkerHealth:
    """What /health shows of one worker."""

    name: str
    running: bool = True
    failures: int = 0
    last_error: str = ""


@dataclass
class Supervisor:
    """Owns tasks. `async with Supervisor("bot") as tasks:` cancels and awaits all of them on the way out."""

    name: str
    clock: Clock = field(default_factory=SystemClock)
    first_delay: float = 0.5
    """Seconds before the first restart of a failed worker; doubles up to `longest_delay`."""
    longest_delay: float = 30.0
    patience: float = 10.0
    """Seconds a cancelled task may take to end before we stop waiting for it."""
    health: dict[str, WorkerHealth] = field(default_factory=dict)
    _tasks: dict[asyncio.Task[Any], None] = field(default_factory=dict)
    """In the order of their start."""
    _closed: bool = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def run(self, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Keep `work` running for ever: started again after a failure (with back-off) and ended only by `close` or by returning."""
        self.health[name] = WorkerHealth(name)
        return self._own(self._keep(name, work), name)

    def spawn(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a piece of work once. A failure nobody awaits is logged. Raises Closing, which ends the asking worker quietly."""
        task = self._own(work, name)
        task.add_done_callback(self._report)
        return task

    def _own(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        if self._closed:
            work.close()
            raise Closing(f"{self.name} is closing; {name} was not started")
        task = asyncio.get_running_loop().create_task(work, name=f"{self.name}/{name}")
        self._tasks[task] = None
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)

    def _report(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, Closing):
            log.error("%s failed", task.get_name(), exc_info=error)

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        health, delay = self.health[name], self.first_delay
        while True:
            begun = self.clock.monotonic()
            try:
                await work()
                health.running = False
                return
            except Closing:
                health.running = False  # a moment before its own cancellation
                return
            except asyncio.CancelledError:
                health.running = False
                raise
            except Exception as error:
                health.failures += 1
                health.last_error = f"{type(error).__name__}: {error}"
                log.exception("%s/%s failed, starting it again in %.1f s", self.name, name, delay)
            if self.clock.monotonic() - begun > self.longest_delay:
                delay = self.first_delay
            try:
                await self.clock.sleep(delay)
            except asyncio.CancelledError:
                health.running = False
                raise
            delay = min(delay * 2, self.longest_delay)

    async def close(self) -> None:
        """Cancel every task, the youngest first, and wait for each (at most `patience` seconds)."""
        self._closed = True
        own = asyncio.current_task()  # a task of ours that closes us cannot be waited for: it is this very one
        for task in [task for task in reversed(self._tasks) if task is not own]:
            task.cancel()
            done, _ = await asyncio.wait({task}, timeout=self.patience)
            if not done:
                log.error("%s did not end within %.0f s of being cancelled", task.get_name(), self.patience)
