"""All servers' volumes: made here, and kept counted by one task for the node.

Counting is done in threads, few at a time, so that many servers or a very large one hold up nobody else's figures for long.
"""

import asyncio
import logging
from collections.abc import Callable
from weakref import WeakSet

from agent.filesystem.volume import Volume
from core.agent_settings import SystemSection
from core.clock import Clock
from core.errors import AerieError
from core.protocol.settings import ServerSettings
from core.supervise import Supervisor

log = logging.getLogger(__name__)

PASS_SECONDS = 1.0
COUNTS_AT_ONCE = 2


class Disks:
    """`follow` for ever; `volume` makes one server's."""

    def __init__(self, system: SystemSection, clock: Clock, tasks: Supervisor) -> None:
        self._system = system
        self._clock = clock
        self._tasks = tasks
        self._volumes: WeakSet[Volume] = WeakSet()
        self._counting: set[Volume] = set()

    def volume(self, uuid: str, owner: tuple[int, int], settings: Callable[[], ServerSettings]) -> Volume:
        """A server's files, whose new ones become `owner`'s (uid, gid); `settings` answers its settings as they are now."""
        made = Volume(self._system.data / uuid, owner, settings, self._clock.monotonic)
        self._volumes.add(made)
        return made

    async def follow(self) -> None:
        """Keep the figures new: of running servers all the time, of all others once, since nothing changes them but our own doors."""
        while True:
            await self._clock.sleep(PASS_SECONDS)
            for volume in list(self._volumes):
                if volume.active:
                    volume.heed()
                due = volume.stale if volume.active else volume.wanted
                if due and volume not in self._counting and len(self._counting) < COUNTS_AT_ONCE:
                    self._counting.add(volume)
                    self._tasks.spawn("count files", self._count(volume))

    async def _count(self, volume: Volume) -> None:
        try:
            await asyncio.to_thread(volume.count)
        except AerieError as error:
            log.warning("%s: %s", volume.folder.name, error)
        except OSError as error:
            log.warning("%s: its files cannot be counted: %s", volume.folder.name, error)
        finally:
            self._counting.discard(volume)
