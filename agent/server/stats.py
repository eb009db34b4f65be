"""What one server uses: measured once a second while it runs, its files counted now and then.

Answers Wings' figures. Only measures: who is told that the files take too much decides what follows.
"""

import asyncio
import contextlib
from collections.abc import Callable

from agent.runtime.runtime import Runtime, Sample
from agent.server.disk import usage
from agent.server.standing import Standing
from agent.server.terminal import Terminal
from core.clock import Clock
from core.errors import AerieError
from core.protocol.socket import Network, StatsFrame
from core.supervise import Supervisor

SAMPLE_SECONDS = 1.0
DISK_SECONDS = 150.0
"""Wings' interval between two walks through a server's files."""


class Stats:
    """`over_limit` is called after a walk that found more than the disk limit."""

    def __init__(
        self, standing: Standing, terminal: Terminal, runtime: Runtime, clock: Clock, tasks: Supervisor, over_limit: Callable[[], None]
    ) -> None:
        self.disk_bytes = 0
        self._standing = standing
        self._terminal = terminal
        self._runtime = runtime
        self._clock = clock
        self._tasks = tasks
        self._over_limit = over_limit
        self._sample: Sample | None = None
        self._measuring: asyncio.Task[None] | None = None
        self._saved_seq = 0

    @property
    def disk_limit(self) -> int:
        """Bytes; 0 is no limit."""
        return self._standing.configuration.settings.build.disk_space * 1024 * 1024

    def frame(self) -> StatsFrame:
        """The newest measurement; zero but for disk and limit while offline, as Wings shows it."""
        sample = self._sample
        limit = self._standing.configuration.settings.build.memory_limit * 1_000_000
        frame = StatsFrame(
            state=self._standing.state,
            disk_bytes=self.disk_bytes,
            memory_limit_bytes=limit,
            aerie_players=self._terminal.players.names,
        )
        if sample is None or self._standing.offline:
            return frame
        return frame.model_copy(
            update={
                "memory_bytes": sample.memory_bytes,
                "memory_limit_bytes": sample.memory_limit_bytes,
                "cpu_absolute": sample.cpu_absolute,
                "network": Network(rx_bytes=sample.rx_bytes, tx_bytes=sample.tx_bytes),
                "uptime": sample.uptime_ms,
            }
        )

    def tell(self) -> None:
        self._standing.events.publish(self.frame())

    def begin(self) -> None:
        """Measure from now on."""
        self.end()
        self._measuring = self._tasks.spawn("stats", self._measure())

    def end(self) -> None:
        measuring, self._measuring, self._sample = self._measuring, None, None
        if measuring is not None and measuring is not asyncio.current_task():
            measuring.cancel()

    def saved(self, seq: int) -> None:
        """The console was saved up to this line; only newer ones call for another save."""
        self._saved_seq = seq

    async def _measure(self) -> None:
        walked = -DISK_SECONDS
        while True:
            await self._clock.sleep(SAMPLE_SECONDS)
            with contextlib.suppress(AerieError):
                self._sample = await self._runtime.sample(self._standing.uuid)
            if self._clock.monotonic() - walked >= DISK_SECONDS:
                walked = self._clock.monotonic()
                self.disk_bytes = await asyncio.to_thread(usage, self._standing.folder)
                if self.disk_limit and self.disk_bytes > self.disk_limit:
                    self._over_limit()
            if not self._standing.offline:
                self.tell()
            if self._terminal.console.last_seq != self._saved_seq:
                self._standing.changed()
