"""One server's place on disk: its folder, its disk limit, its denylist, whose its new files are. Sessions get their `Rooted` here.

Knows how many bytes the files take, for everybody who asks: SFTP, the file manager, the figures, the start. Limit and denylist are asked
for each time, so that a sync is heeded at once.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path

from agent.filesystem.denylist import Denylist, denylist
from agent.filesystem.quota import MEBIBYTE, Quota
from agent.filesystem.root import Root
from agent.filesystem.rooted import Rooted
from agent.filesystem.scan import scan
from core.errors import NotFound
from core.protocol.settings import ServerSettings

STALE_SECONDS = 150.0
"""Wings' interval between two counts of a server's files."""
NEARLY_FULL, NEARLY_FULL_SECONDS = 0.9, 30.0
"""A running server that takes so much of its limit is counted more often."""


class Volume:
    """`settings` answers the server's settings as they are now; `seconds` is a monotonic clock."""

    def __init__(self, folder: Path, owner: tuple[int, int], settings: Callable[[], ServerSettings], seconds: Callable[[], float]) -> None:
        self.folder = folder
        self._owner = owner if os.geteuid() == 0 else None
        self._settings = settings
        self._seconds = seconds
        self._measuring = threading.Lock()
        self._measured_at = -STALE_SECONDS
        self.quota = Quota(lambda: settings().build.disk_space * MEBIBYTE)
        self._wanted = True
        self.active = False
        """Whether the game runs, so that the files change without us."""
        self.heed: Callable[[], None] = lambda: None
        """Called in the event loop about once a second while the game runs, the figures being as new as they get."""

    @property
    def used(self) -> int:
        """Bytes, as quota.py counts them; costs nothing. 0 while never counted."""
        return self.quota.used

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for a count, or there never was one."""
        return self._wanted

    @property
    def stale(self) -> bool:
        """Whether the files should be counted (again)."""
        age = self._seconds() - self._measured_at
        limit = self.quota.limit
        nearly_full = self.active and limit and self.used > limit * NEARLY_FULL
        return self._wanted or age >= (NEARLY_FULL_SECONDS if nearly_full else STALE_SECONDS)

    def denied(self) -> Denylist | None:
        return denylist(self._settings().egg.file_denylist)

    def open(self, *, guarded: bool = True) -> Rooted:
        """In a thread. Not `guarded` by the denylist are backups alone. Raises NotFound while there is no folder."""
        root = Root(self.folder)
        owner = root.owner if self._owner is not None and root.owner[0] else self._owner
        return Rooted(root, self.quota, self.denied() if guarded else None, owner)

    def prepare(self) -> None:
        """In a thread, while nothing runs: make the folder. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def count_soon(self) -> None:
        """Have it counted anew in the background."""
        self._wanted = True

    def measure(self) -> int:
        """In a thread: count what the files take, and answer that. No folder takes nothing. Raises NotCounted."""
        with self._measuring:
            self._measure()
        return self.used

    def count(self) -> None:
        """In a thread: as `measure`, when that is not known or old. A second caller waits for the first one's figure."""
        with self._measuring:
            if self.stale:
                self._measure()

    def count_first(self) -> None:
        """In a thread: count, when that was never done; an old count is good enough to begin with."""
        if not self.quota.counted:
            self.count()

    def _measure(self) -> None:
        mark = self.quota.mark()
        self._measured_at, self._wanted = self._seconds(), False
        try:
            root = Root(self.folder)
        except NotFound:
            self.quota.measured(0, mark)
            return
        try:
            found = scan(root.descriptor)
        finally:
            root.close()
        self.quota.measured(found.total, mark)
