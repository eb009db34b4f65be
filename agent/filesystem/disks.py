"""All servers' volumes: made here, and kept counted by one task for the node.

Counting is done in threads, few at a time, so that many servers or a very large one hold up nobody else's figures for long.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from weakref import WeakSet

from agent.filesystem.method import Method, best_method
from agent.filesystem.volume import Volume
from agent.filesystem.watching import Watcher
from core.agent_settings import SystemSection
from core.clock import Clock
from core.errors import AerieError
from core.protocol.settings import ServerSettings
from core.supervise import Supervisor

log = logging.getLogger(__name__)

PASS_SECONDS = 1.0
COUNTS_AT_ONCE = 2


class Disks:
    """`open` it, then `follow` for ever; `volume` makes one server's."""

    def __init__(self, system: SystemSection, clock: Clock, tasks: Supervisor) -> None:
        self._system = system
        self._clock = clock
        self._tasks = tasks
        self.method = Method(None, "")
        self._watcher = Watcher()
        self._volumes: WeakSet[Volume] = WeakSet()
        self._counting: set[Volume] = set()
        self._asking: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Find out what the file system can do."""
        system = self._system
        self.method = await asyncio.to_thread(best_method, system.data, system.root_directory, system.disk_quota)
        log.info("disk usage: %s", self.method.words)

    def volume(self, uuid: str, owner: tuple[int, int], settings: Callable[[], ServerSettings]) -> Volume:
        """A server's files, whose new ones become `owner`'s (uid, gid); `settings` answers its settings as they are now."""
        system = self._system
        made = Volume(system.data / uuid, owner, settings, self._clock.monotonic, self.method.hard, system.disk_inodes, self._watcher)
        self._volumes.add(made)
        return made

    async def follow(self) -> None:
        """Keep the figures new, and the kernel's limits those of the settings."""
        while True:
            await self._clock.sleep(PASS_SECONDS)
            volumes = list(self._volumes)
            for volume in volumes:
                if volume.active:
                    volume.heed()
                if volume.count_due and volume not in self._counting and len(self._counting) < COUNTS_AT_ONCE:
                    self._counting.add(volume)
                    self._tasks.spawn("count files", self._count(volume))
            if self._asking is None or self._asking.done():
                self._asking = self._tasks.spawn("ask for disk usage", asyncio.to_thread(self._ask_all, volumes))

    def close(self) -> None:
        """End all watches."""
        self._watcher.close()

    async def _count(self, volume: Volume) -> None:
        try:
            await asyncio.to_thread(self._ask, [volume])
        finally:
            self._counting.discard(volume)

    def _ask_all(self, volumes: Sequence[Volume]) -> None:
        """In a thread: whatever is quick."""
        self._watcher.drain()
        self._ask([volume for volume in volumes if volume.ask_due])

    @staticmethod
    def _ask(volumes: Sequence[Volume]) -> None:
        """In a thread. One server's trouble is not another's."""
        for volume in volumes:
            try:
                volume.count()
            except AerieError as error:
                log.warning("%s: %s", volume.folder.name, error)
            except OSError as error:
                log.warning("%s: its files cannot be counted: %s", volume.folder.name, error)
