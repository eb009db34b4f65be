"""What one server uses, as Wings tells it: the newest measurement, kept here. The node's sampler measures all servers (sampling.py).

Must never measure by itself: a task or a call to the engine for each server is what made measuring dear.
"""

from agent.runtime.runtime import Sample
from agent.server.disk import DiskWatch
from agent.server.standing import Standing
from agent.server.terminal import Terminal
from core.protocol.socket import Network, StatsFrame

KEPT_PASSES = 15
"""Passes without a measurement after which the last one is no longer shown: figures that stand still would be a lie."""


class Stats:
    """`begin` and `end` with the process; between them the sampler calls `take` once a second."""

    def __init__(self, standing: Standing, terminal: Terminal, disk: DiskWatch) -> None:
        self.disk = disk
        self.measured = False
        """Whether there is a process to measure."""
        self._standing = standing
        self._terminal = terminal
        self._sample: Sample | None = None
        self._missed = 0

    def frame(self) -> StatsFrame:
        """The newest measurement; zero but for disk and limit while offline, as Wings shows it."""
        sample = self._sample
        build = self._standing.configuration.settings.build
        frame = StatsFrame(
            state=self._standing.state,
            disk_bytes=self.disk.bytes,
            memory_limit_bytes=build.memory_limit * 1_000_000,
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
                "aerie_cpu_of_limit": round(sample.cpu_absolute / sample.cpu_limit * 100, 3) if sample.cpu_limit > 0 else None,
                "aerie_oom_kills": sample.oom_kills,
            }
        )

    def tell(self) -> None:
        """Send the figures to whoever listens."""
        if len(self._standing.events):
            self._standing.events.publish(self.frame())

    def begin(self) -> None:
        """A process is held: measure it from now on."""
        self.measured, self._sample = True, None
        self.disk.begin()

    def end(self) -> None:
        self.measured, self._sample = False, None
        self.disk.end()

    def take(self, sample: Sample | None) -> None:
        """A pass of the sampler: what it measured, None when this server could not be measured in it."""
        if sample is not None:
            self._sample, self._missed = sample, 0
        elif (missed := self._missed + 1) < KEPT_PASSES:
            self._missed = missed
        else:
            self._sample = None
        if not self._standing.offline:
            self.tell()
