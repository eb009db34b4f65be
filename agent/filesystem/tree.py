"""What one server's folders take, each by itself, kept true by what inotify tells: only what changed is looked at again.

Begun from a whole count (scan.py), folder by folder. A changed file costs one look at it, once its folder was looked at. Files with several
names, lost events and floods make it `lost`: then only another whole count helps. Runs in threads, one at a time.
"""

import os
import stat
from collections.abc import Callable

from agent.filesystem.inotify import IS_FOLDER
from agent.filesystem.quota import taken
from agent.filesystem.root import Root
from agent.filesystem.scan import Scan

MOST_KEPT = 100_000
"""Files whose sizes are kept, per server: those in folders where something changed."""
MOST_FOUND = 20_000
"""Files in new folders that are looked at here; more are counted by a whole count."""
LONGEST = 3500
"""Bytes of a folder's path from the root; deeper ones are counted by whole counts alone."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class Folder:
    """One folder: what it takes without those in it, and which of it are to be looked at."""

    __slots__ = ("changed", "files", "inner", "inode", "kept", "name", "parent", "size", "watch", "whole")

    def __init__(self, parent: "Folder | None", name: bytes, inode: int, watch: int, size: int) -> None:
        self.parent, self.name, self.inode, self.watch, self.size = parent, name, inode, watch, size
        self.files = 0
        """What its files take, once they were looked at."""
        self.inner: dict[bytes, Folder] = {}
        self.kept: dict[bytes, int] | None = None
        """Sizes of its files, when they were looked at one by one."""
        self.changed: set[bytes] = set()
        self.whole = False
        """Whether all of it is to be looked at."""

    def path(self) -> bytes:
        parts: list[bytes] = []
        here: Folder | None = self
        while here is not None and here.parent is not None:
            parts.append(here.name)
            here = here.parent
        return b"/".join(reversed(parts))


class TooMuch(Exception):
    """More has changed than is worth looking at piece by piece."""


class Tree:
    """`add` watches an open folder for a `Folder`-to-be and answers the watch, `bind` tells whose it is, `drop` ends it."""

    def __init__(
        self,
        root: Root,
        found: Scan,
        add: Callable[[int], int],
        bind: Callable[[int, Folder], None],
        drop: Callable[[int, Folder], None],
    ) -> None:
        """Takes over `root`. Raises OSError when there are no more watches; the caller closes what was begun."""
        self._root = root
        self._add, self._bind, self._drop = add, bind, drop
        self._free = found.free
        self._device = os.fstat(root.descriptor).st_dev
        self._kept = 0
        self.dirty: set[Folder] = set()
        self.lost = not found.whole
        """Whether only a whole count can tell."""
        self.partial = False
        """Whether some folders are too deep to be watched."""
        self.total = found.total
        self._top = self._begun(found)

    def _begun(self, found: Scan) -> Folder:
        top: Folder | None = None
        made: dict[bytes, Folder] = {}
        for path in sorted(found.folders, key=lambda path: path.count(b"/") if path else -1):
            above, _, name = path.rpartition(b"/")
            parent = made.get(above) if path else None
            if path and (parent is None or len(path) > LONGEST):
                self.partial = True
                continue
            try:
                opened = self._root.open(path, _FOLDER)
            except OSError:
                self.lost = True  # gone or replaced since it was counted
                continue
            try:
                folder = self._watched(opened, parent, name, found.folders[path])
            finally:
                os.close(opened)
            made[path] = folder
            top = top or folder
        if top is None:
            raise FileNotFoundError("the root is gone")
        return top

    def _watched(self, opened: int, parent: Folder | None, name: bytes, size: int) -> Folder:
        watch = self._add(opened)
        folder = Folder(parent, name, os.fstat(opened).st_ino, watch, size)
        self._bind(watch, folder)
        if parent is not None:
            parent.inner[name] = folder
        return folder

    def close(self) -> None:
        """End all watches."""
        self._forget(self._top)
        self._root.close()

    def note(self, folder: Folder, kind: int, name: bytes) -> None:
        """An event; costs next to nothing."""
        if kind & IS_FOLDER:
            folder.whole = True
        else:
            folder.changed.add(name)
        self.dirty.add(folder)

    def settle(self) -> int:
        """Look at what changed; answers the total. Sets `lost` when that does not suffice."""
        found = 0
        try:
            while self.dirty and not self.lost:
                folder = self.dirty.pop()
                found += self._look(folder)
                if found > MOST_FOUND:
                    raise TooMuch
        except TooMuch:
            self.lost = True
        except OSError:
            self.lost = True  # no more watches, most of all
        return self.total

    def _look(self, folder: Folder) -> int:
        """Answers how many files it looked at in folders that are new."""
        changed, whole = folder.changed, folder.whole or folder.kept is None
        folder.changed, folder.whole = set(), False
        try:
            opened = self._root.open(folder.path(), _FOLDER)
        except OSError:
            return 0  # gone: the folder above says so
        try:
            facts = os.fstat(opened)
            if facts.st_ino != folder.inode or facts.st_dev != self._device:
                return 0
            own = taken(facts) - (min(taken(facts), self._free) if folder is self._top else 0)
            found = self._look_whole(opened, folder) if whole else self._look_at(opened, folder, changed)
            size = own + folder.files
            self.total += size - folder.size
            folder.size = size
            return found
        finally:
            os.close(opened)

    def _look_at(self, opened: int, folder: Folder, changed: set[bytes]) -> int:
        assert folder.kept is not None
        for name in changed:
            try:
                facts = os.stat(name, dir_fd=opened, follow_symlinks=False)
            except FileNotFoundError:
                if (gone := folder.kept.pop(name, None)) is not None:
                    self._kept -= 1
                    folder.files -= gone
                continue
            if stat.S_ISDIR(facts.st_mode):
                continue
            self._alone(facts)
            self._kept += name not in folder.kept
            folder.files += taken(facts) - folder.kept.get(name, 0)
            folder.kept[name] = taken(facts)
        return 0

    def _look_whole(self, opened: int, folder: Folder) -> int:
        """Every file in it, and whether the folders in it are still those."""
        if folder.kept is not None:
            self._kept -= len(folder.kept)
        sizes: dict[bytes, int] = {}
        folders: dict[bytes, int] = {}
        with os.scandir(opened) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                try:
                    if entry.is_dir(follow_symlinks=False):
                        folders[name] = entry.inode()
                        continue
                    facts = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                self._alone(facts)
                sizes[name] = taken(facts)
        folder.files, folder.kept = sum(sizes.values()), None
        if self._kept + len(sizes) <= MOST_KEPT:
            folder.kept = sizes
            self._kept += len(sizes)
        for name in [name for name, inner in folder.inner.items() if folders.get(name) != inner.inode]:
            self._forget(folder.inner.pop(name))
        return sum(self._take_up(opened, folder, name) for name in folders.keys() - folder.inner.keys())

    def _take_up(self, above: int, parent: Folder, name: bytes) -> int:
        """A folder that is new here, watched first and then looked at, so that nothing in it can be missed."""
        if len(parent.path()) + len(name) >= LONGEST:
            self.partial = True
            return 0
        try:
            opened = os.open(name, _FOLDER | os.O_CLOEXEC, dir_fd=above)
        except OSError:
            return 0  # gone again
        try:
            if os.fstat(opened).st_dev != self._device:
                return 0
            folder = self._watched(opened, parent, name, 0)
        finally:
            os.close(opened)
        found = self._look(folder)
        return found + 1 + (len(folder.kept) if folder.kept is not None else MOST_FOUND)

    def _alone(self, facts: os.stat_result) -> None:
        if facts.st_nlink > 1:
            raise TooMuch  # which of its names it counts for is known to a whole count alone

    def _forget(self, folder: Folder) -> None:
        pending = [folder]
        while pending:
            here = pending.pop()
            self.total -= here.size
            if here.kept is not None:
                self._kept -= len(here.kept)
            self.dirty.discard(here)
            self._drop(here.watch, here)
            pending.extend(here.inner.values())
