"""One server's place on disk: its folder, its disk limit, its denylist, whose its new files are. Sessions get their `Rooted` here.

Knows how many bytes the files take, for everybody who asks: SFTP, the file manager, the figures, the start. Asks the kernel where it
keeps the server to its limit (hard_quota.py), else counts. Limit and denylist are asked for each time, so that a sync is heeded at once.
"""

import logging
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from agent.filesystem.denylist import Denylist, denylist
from agent.filesystem.hard_quota import HardQuota
from agent.filesystem.quota import MEBIBYTE, Quota
from agent.filesystem.root import Root
from agent.filesystem.rooted import Rooted
from agent.filesystem.scan import Scan, scan
from agent.filesystem.tree import Tree
from agent.filesystem.watching import Watcher
from core.errors import NotFound, ServerBusy
from core.protocol.settings import ServerSettings

log = logging.getLogger(__name__)

STALE_SECONDS = 150.0
"""Wings' interval between two counts of a server's files."""
NEARLY_FULL, NEARLY_FULL_SECONDS = 0.9, 30.0
"""A running server that takes so much of its limit is counted more often."""
RECOUNT_SECONDS = 1800.0
"""A watched server is counted again so often: a file that is mapped into memory grows without telling."""
LEAST_SECONDS, COST = 5.0, 20.0
"""Between two whole counts of one server lie so many seconds, and so many times what the last one took."""
UNUSED_SECONDS = 1800.0
"""Files that were made ready for a start are watched so long, even if it never comes."""
ASK_SECONDS, ASK_OFFLINE_SECONDS = 1.0, 30.0
"""How old a figure of the kernel's may get."""
_MOVE_SECONDS = 60.0
"""What a session waits for files that are being brought under the kernel's limit."""


class Volume:
    """`settings` answers the server's settings as they are now; `seconds` is a monotonic clock; `inodes` what `hard` limits files to."""

    def __init__(
        self,
        folder: Path,
        owner: tuple[int, int],
        settings: Callable[[], ServerSettings],
        seconds: Callable[[], float],
        hard: HardQuota | None = None,
        inodes: int = 0,
        watcher: Watcher | None = None,
    ) -> None:
        self.folder = folder
        self._owner = owner if os.geteuid() == 0 else None
        self._settings = settings
        self._seconds = seconds
        self._hard = hard
        self._inodes = inodes
        self._watcher = watcher
        self._tree: Tree | None = None
        self._soon = False
        """Whether a start was made ready."""
        self._ready_at = 0.0
        self._took = 0.0
        self._limited: int | None = None
        """The limit that the kernel was told last."""
        self._kernel: int | None = None
        """Its last figure; None while it holds this server to nothing."""
        self._measuring = threading.Lock()
        self._gate = threading.Condition()
        self._open = 0
        self._moving = False
        self._measured_at = -STALE_SECONDS
        self._wanted = True
        self.quota = Quota(lambda: settings().build.disk_space * MEBIBYTE)
        self.active = False
        """Whether the game runs, so that the files change without us."""
        self.heed: Callable[[], None] = lambda: None
        """Called in the event loop about once a second while the game runs, the figures being as new as they get."""

    @property
    def used(self) -> int:
        """Bytes, as quota.py counts them; costs nothing. 0 while never counted."""
        return self.quota.used

    @property
    def held(self) -> bool:
        """Whether the kernel holds it to its limit."""
        return self._kernel is not None

    @property
    def stale(self) -> bool:
        """Whether the files should be counted (again)."""
        age = self._seconds() - self._measured_at
        if self.held:
            return self._wanted or age >= (ASK_SECONDS if self.active else ASK_OFFLINE_SECONDS)
        if age < max(LEAST_SECONDS, self._took * COST) and self.quota.counted and not self._wanted:
            return False
        if self._tree is not None:
            return self._wanted or self._tree.lost or age >= (STALE_SECONDS if self._tree.partial else RECOUNT_SECONDS)
        nearly_full = self.active and self.quota.limit and self.used > self.quota.limit * NEARLY_FULL
        return self._wanted or age >= (NEARLY_FULL_SECONDS if nearly_full else STALE_SECONDS)

    @property
    def ask_due(self) -> bool:
        """Whether there is something to ask or tell the kernel, which is quick."""
        if self.held:
            return self.stale or self._limited != self.quota.limit
        tree = self._tree
        return tree is not None and (bool(tree.dirty) or self._unused or (self._watcher is not None and tree in self._watcher.noisy))

    @property
    def count_due(self) -> bool:
        """Whether the files should be looked at, which takes its time. Those of an offline server change by our own doors alone."""
        return not self.held and (self.stale if self.active else self._wanted)

    def denied(self) -> Denylist | None:
        return denylist(self._settings().egg.file_denylist)

    def open(self, *, guarded: bool = True) -> Rooted:
        """In a thread. Not `guarded` by the denylist are backups alone. Raises NotFound without a folder, ServerBusy while it is moved."""
        with self._gate:
            if not self._gate.wait_for(lambda: not self._moving, _MOVE_SECONDS):
                raise ServerBusy("The server's files are being brought under its disk limit.", hint="Try again in some minutes.")
            root = Root(self.folder)
            self._open += 1
        owner = root.owner if self._owner is not None and root.owner[0] else self._owner
        return Rooted(root, self.quota, self.denied() if guarded else None, owner, self._closed)

    def prepare(self) -> None:
        """In a thread, while nothing runs: make the folder, and have the kernel hold it to its limit where it can. Raises OSError."""
        if self._hard is not None:
            try:
                self._take_in(self._hard)
            except OSError as error:
                log.error("%s: no hard disk limit, its files are counted instead: %s", self.folder.name, error.strerror or error)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._soon, self._ready_at = True, self._seconds()

    def begin(self) -> None:
        """Something runs that changes the files without us."""
        self.active, self._soon = True, False

    def end(self) -> None:
        """It does no more. What the files came to in the end is still found out, in the background."""
        if self.active:
            self.active, self._soon = False, False
            self._wanted = self._wanted or self._tree is None

    def remove(self) -> None:
        """In a thread: the folder with everything in it, and what the kernel knows of it."""
        try:
            if self._hard is not None:
                self._hard.remove(self.folder)
        except OSError as error:
            log.error("%s: its quota cannot be given back: %s", self.folder.name, error.strerror or error)
        with self._measuring:
            if self._tree is not None and self._watcher is not None:
                self._watcher.unwatch(self._tree)
                self._tree = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def count_soon(self) -> None:
        """Have it counted anew in the background."""
        self._wanted = True

    def measure(self) -> int:
        """In a thread: count what the files take, and answer that. No folder takes nothing. Raises NotCounted, OSError."""
        with self._measuring:
            self._measure()
        return self.used

    def count(self) -> None:
        """In a thread: as `measure`, when that is not known or old. A second caller waits for the first one's figure."""
        with self._measuring:
            if self.stale or (self.held and self._limited != self.quota.limit):
                self._measure()
            elif self._tree is not None:
                self._settle(self._tree)

    def count_first(self) -> None:
        """In a thread: count, when that was never done or is asked for; an old count is good enough to begin with."""
        if self._wanted or not self.quota.counted:
            self.count()

    def _measure(self) -> None:
        mark = self.quota.mark()
        self._measured_at, self._wanted = self._seconds(), False
        if self._hard is not None and self._ask(self._hard, mark):
            if self._tree is not None and self._watcher is not None:
                self._watcher.unwatch(self._tree)
                self._tree = None
            return
        try:
            root = Root(self.folder)
        except NotFound:
            self.quota.measured(0, mark)
            return
        try:
            found = scan(root.descriptor)
        except BaseException:
            root.close()
            raise
        self._took = self._seconds() - self._measured_at
        self.quota.measured(found.total, mark)
        self._watch(root, found)

    def _watch(self, root: Root, found: Scan) -> None:
        """Keep the count true while something runs, or is about to. Takes over `root`."""
        before, self._tree = self._tree, None
        if self._watcher is not None and before is not None:
            noisy = before in self._watcher.noisy
            self._watcher.unwatch(before)
            if noisy:  # left alone until the next count
                root.close()
                return
        if self._watcher is None or self._unused:
            root.close()
            return
        self._tree = self._watcher.watch(root, found)
        if self._tree is not None and self.active and before is None:
            self._wanted = True  # it ran meanwhile: what changed between the count and the watch is found by one more

    def _settle(self, tree: Tree) -> None:
        """Bring a watched count up to date, or end the watch when nothing runs any more."""
        assert self._watcher is not None
        mark = self.quota.mark()
        total = self._watcher.settle(tree)
        if not tree.lost:
            self.quota.measured(total, mark)
        if self._unused or tree in self._watcher.noisy:
            self._watcher.unwatch(tree)
            self._tree = None

    @property
    def _unused(self) -> bool:
        return not self.active and (not self._soon or self._seconds() - self._ready_at > UNUSED_SECONDS)

    def _ask(self, hard: HardQuota, mark: int) -> bool:
        """Tell the kernel the limit and ask for its figure; whether it had one."""
        before, self._kernel = self._kernel, None
        limit = self.quota.limit
        if not hard.holds(self.folder):
            self._limited = limit
            return False
        if self._limited != limit or before is None:
            hard.limit(self.folder, limit, self._inodes)
        self._limited = limit
        used = hard.used(self.folder)
        if used is None:
            return False
        self._kernel = used
        if used != before or not hard.lags:  # an old figure again: what we changed since is in none yet
            self.quota.measured(used, mark)
        return True

    def _take_in(self, hard: HardQuota) -> None:
        moves = hard.moves and not hard.holds(self.folder)
        with self._gate:
            if moves and self._open:
                log.warning("%s: no hard disk limit until its next start, since somebody has its files open", self.folder.name)
                return
            self._moving = moves
        try:
            hard.take_in(self.folder)
            hard.limit(self.folder, self.quota.limit, self._inodes)
        finally:
            with self._gate:
                self._moving = False
                self._gate.notify_all()

    def _closed(self) -> None:
        with self._gate:
            self._open -= 1
