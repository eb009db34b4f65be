"""How much disk one server's files take, and whether that is more than it may use: known here alone, asked by everybody.

Counted by a walk in a thread, once in a while as long as the server runs. Must never decide what follows from too much.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from agent.filesystem import usage as walk
from agent.filesystem.root import Root
from agent.server.standing import Standing
from core.clock import Clock
from core.errors import NotFound
from core.supervise import Supervisor

FIRST_SECONDS = 1.0
WALK_SECONDS = 150.0
"""Wings' interval between two walks through a server's files."""


class DiskWatch:
    """`bytes` is what was counted last; `over_limit` is called after a count that found more than the limit."""

    def __init__(self, standing: Standing, clock: Clock, tasks: Supervisor, over_limit: Callable[[], None]) -> None:
        self.bytes = 0
        self._standing = standing
        self._clock = clock
        self._tasks = tasks
        self._over_limit = over_limit
        self._watching: asyncio.Task[None] | None = None

    @property
    def limit(self) -> int:
        """Bytes; 0 is no limit."""
        return self._standing.configuration.settings.build.disk_space * 1024 * 1024

    def begin(self) -> None:
        """Count from now on."""
        self.end()
        self._watching = self._tasks.spawn("disk", self._watch())

    def end(self) -> None:
        watching, self._watching = self._watching, None
        if watching is not None and watching is not asyncio.current_task():
            watching.cancel()

    async def _watch(self) -> None:
        await self._clock.sleep(FIRST_SECONDS)
        while True:
            self.bytes = await asyncio.to_thread(usage, self._standing.folder)
            if self.limit and self.bytes > self.limit:
                self._over_limit()
            await self._clock.sleep(WALK_SECONDS)


def usage(folder: Path) -> int:
    """Bytes of all regular files, as `agent.filesystem.usage` counts them; a folder that is not there takes none."""
    try:
        root = Root(folder)
    except NotFound:
        return 0
    try:
        return walk.usage(root.descriptor)
    finally:
        root.close()
