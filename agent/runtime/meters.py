"""One meter for each running container of a Docker Engine: its cgroup's files where this machine shows them, else the engine's stats.

Meters are opened beforehand, when a container is seen running or its start is heard of, so that a pass only reads. Nobody's trouble holds
up a pass: a container without a meter is looked up meanwhile, and left out until then.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Protocol

from agent.runtime.cgroup import CgroupMeter
from agent.runtime.docker_records import Life, measured
from agent.runtime.runtime import Sample
from core.clock import Clock
from core.errors import AerieError
from core.supervise import Supervisor

log = logging.getLogger(__name__)

AGAIN_SECONDS = 5.0
"""A container that could not be looked up is looked up again after so long, at the earliest."""
AT_ONCE = 8
"""Look-ups under way at the same time."""
SILENT_SECONDS = 30.0
"""An engine's stats stream that says nothing for so long is given up."""


class Meter(Protocol):
    """What measures one container."""

    def sample(self) -> Sample | None:
        """The newest figures, None when there are none yet. Raises OSError or ValueError once it is of no use any more."""
        ...

    def close(self) -> None: ...


class EngineMeter:
    """Figures as the engine streams them, one a second: dear, hence only where cgroups cannot be read (an engine elsewhere)."""

    def __init__(self, records: AsyncIterator[dict[str, Any]], life: Life, clock: Clock, tasks: Supervisor) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self._age = max(0.0, (clock.now() - life.started_at).total_seconds())
        self._newest: Sample | None = None
        self._reading = tasks.spawn("engine's stats", self._read(records))

    def sample(self) -> Sample | None:
        if self._reading.done():
            raise ProcessLookupError("the engine's stats stream has ended")
        return self._newest

    def close(self) -> None:
        self._reading.cancel()

    async def _read(self, records: AsyncIterator[dict[str, Any]]) -> None:
        try:
            while True:
                record = await asyncio.wait_for(anext(records), SILENT_SECONDS)
                up = self._age + self._clock.monotonic() - self._began
                self._newest = measured(record, up) or self._newest
        except StopAsyncIteration:
            return
        except (AerieError, TimeoutError, KeyError) as error:
            log.debug("the engine's stats stream broke: %s", error)


class Meters:
    """`find` asks the engine how a container runs, None when it does not; `stream` opens its stats there."""

    def __init__(
        self,
        find: Callable[[str], Awaitable[Life | None]],
        stream: Callable[[str], AsyncIterator[dict[str, Any]]],
        clock: Clock,
        tasks: Supervisor,
        *,
        cgroups: bool,
    ) -> None:
        self._find = find
        self._stream = stream
        self._clock = clock
        self._tasks = tasks
        self._cgroups = cgroups
        self._meters: dict[str, Meter] = {}
        self._lives: dict[str, Life] = {}
        self._asked: dict[str, float] = {}
        self._finding: set[str] = set()
        self._again: set[str] = set()
        self._gate = asyncio.Semaphore(AT_ONCE)

    def samples(self, uuids: Iterable[str]) -> dict[str, Sample]:
        """Read all meters; what has none is looked up for the next pass."""
        found = {}
        for uuid in uuids:
            if (meter := self._meters.get(uuid)) is not None:
                try:
                    if (sample := meter.sample()) is not None:
                        found[uuid] = sample
                    continue
                except (OSError, ValueError):
                    self._close(uuid)
            if (asked := self._asked.get(uuid)) is None or self._clock.monotonic() - asked >= AGAIN_SECONDS:
                self.look_up(uuid)
        return found

    def look_up(self, uuid: str) -> None:
        """It was started, or has no meter: see how it runs, meanwhile."""
        self._asked[uuid] = self._clock.monotonic()
        if uuid in self._finding:
            self._again.add(uuid)  # what is being answered may be of the life before
        else:
            self._finding.add(uuid)
            self._tasks.spawn("meter", self._look(uuid))

    def see(self, uuid: str, life: Life) -> None:
        """It runs, in this life: have a meter for it."""
        if self._lives.get(uuid) == life and uuid in self._meters:
            return
        self._close(uuid)
        self._lives[uuid] = life
        self._meters[uuid] = self._made(uuid, life)

    def forget(self, uuid: str) -> None:
        """It does not run: close what is held of it."""
        self._asked.pop(uuid, None)
        self._close(uuid)

    def close(self) -> None:
        for uuid in list(self._meters):
            self.forget(uuid)

    def _close(self, uuid: str) -> None:
        self._lives.pop(uuid, None)
        if (meter := self._meters.pop(uuid, None)) is not None:
            meter.close()

    def _made(self, uuid: str, life: Life) -> Meter:
        if self._cgroups:
            try:
                return CgroupMeter(life.pid, life.container_id, life.started_at, self._clock)
            except (OSError, ValueError) as error:
                log.debug("the cgroup of %s cannot be read, asking the engine: %s", uuid, error)
        return EngineMeter(self._stream(uuid), life, self._clock, self._tasks)

    async def _look(self, uuid: str) -> None:
        try:
            async with self._gate:
                while True:
                    self._again.discard(uuid)
                    with contextlib.suppress(AerieError):
                        life = await self._find(uuid)
                        if uuid in self._again:
                            continue
                        if life is not None:
                            self.see(uuid, life)
                    return
        finally:
            self._finding.discard(uuid)
