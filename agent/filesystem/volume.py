"""One server's place on disk: its folder, its disk limit, its denylist, whose its new files are. Sessions get their `Rooted` here.

The count of used bytes is shared by all of them; limit and denylist are asked for each time, so that a sync is heeded at once.
"""

import os
from collections.abc import Callable
from pathlib import Path

from agent.filesystem.denylist import Denylist, denylist
from agent.filesystem.quota import MEBIBYTE, Quota
from agent.filesystem.root import Root
from agent.filesystem.rooted import Rooted
from agent.filesystem.usage import usage
from core.errors import NotFound
from core.protocol.settings import ServerSettings


class Volume:
    """`settings` answers the server's settings as they are now; `seconds` is a monotonic clock."""

    def __init__(self, folder: Path, owner: tuple[int, int], settings: Callable[[], ServerSettings], seconds: Callable[[], float]) -> None:
        self._folder = folder
        self._owner = owner if os.geteuid() == 0 else None
        self._settings = settings
        self.quota = Quota(lambda: max(0, settings().build.disk_space) * MEBIBYTE, seconds)

    def denied(self) -> Denylist | None:
        return denylist(self._settings().egg.file_denylist)

    def open(self) -> Rooted:
        """In a thread. Raises NotFound while there is no folder."""
        root = Root(self._folder)
        owner = root.owner if self._owner is not None and root.owner[0] else self._owner
        return Rooted(root, self.quota, self.denied(), owner)

    def count(self) -> None:
        """In a thread: count what the files take, when that is not known or old. A folder that is not there counts nothing."""
        if self.quota.stale:
            try:
                root = Root(self._folder)
            except NotFound:
                return
            try:
                self.quota.count(lambda: usage(root.descriptor))
            finally:
                root.close()

    def count_first(self) -> None:
        """In a thread: count, when that was never done; an old count is good enough to begin with."""
        if not self.quota.counted:
            self.count()
