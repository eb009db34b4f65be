"""Watches the files of servers that run, so that what they take is known without counting: one inotify instance for several servers.

A server that changes more than can be told is left to whole counts for a while; those that share its instance are counted once more.
"""

import errno
import logging
import threading
from collections import Counter

from agent.filesystem.inotify import IGNORED, OVERFLOW, Inotify
from agent.filesystem.root import Root
from agent.filesystem.scan import Scan
from agent.filesystem.tree import Folder, Tree

log = logging.getLogger(__name__)

INSTANCES = 16
"""The kernel allows a user 128 by default, and other programs want some."""
NOISY_PART = 0.5
"""Of the events that were kept when others were lost: whose servers' these are caused it."""


class _Instance:
    """An inotify and whose its watches are."""

    def __init__(self) -> None:
        self.inotify = Inotify()
        self.watches: dict[int, tuple[Tree | None, Folder]] = {}
        self.trees: set[Tree] = set()


class Watcher:
    """The node's. `drain` it often; a `Tree` it made ends with `unwatch`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._instances: list[_Instance] = []
        self._of: dict[Tree, _Instance] = {}
        self._told = False
        self._closed = False
        self.noisy: set[Tree] = set()
        """Trees that made others lose events; whoever has one should end it."""

    def watch(self, root: Root, found: Scan) -> Tree | None:
        """Keep a count true from now on. Takes over `root`. None when the kernel has no more watches."""
        with self._lock:
            if self._closed:
                root.close()
                return None
            try:
                instance = self._free()
            except OSError as error:
                root.close()
                self._tell(error)
                return None
            bound: list[tuple[int, Folder]] = []
            owner: list[Tree] = []

            def bind(watch: int, folder: Folder) -> None:
                instance.watches[watch] = (owner[0] if owner else None, folder)
                if not owner:
                    bound.append((watch, folder))

            def drop(watch: int, folder: Folder) -> None:
                if (held := instance.watches.get(watch)) is not None and held[1] is folder:
                    del instance.watches[watch]
                    instance.inotify.remove(watch)

            try:
                tree = Tree(root, found, instance.inotify.add, bind, drop)
            except OSError as error:
                for watch, folder in bound:
                    drop(watch, folder)
                root.close()
                self._tell(error)
                return None
            owner.append(tree)
            for watch, folder in bound:
                if instance.watches.get(watch) == (None, folder):
                    instance.watches[watch] = (tree, folder)
            instance.trees.add(tree)
            self._of[tree] = instance
            return tree

    def unwatch(self, tree: Tree) -> None:
        with self._lock:
            instance = self._of.pop(tree, None)
            if instance is not None:
                instance.trees.discard(tree)
                tree.close()
                self.noisy.discard(tree)

    def settle(self, tree: Tree) -> int:
        """A tree's total as of now."""
        with self._lock:
            if (instance := self._of.get(tree)) is not None:
                self._drain(instance)
            return tree.settle()

    def drain(self) -> None:
        """Take what the kernel has to tell; what changed is noted, not yet looked at."""
        with self._lock:
            for instance in self._instances:
                self._drain(instance)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for tree in self._of:
                tree.close()
            for instance in self._instances:
                instance.inotify.close()
            self._instances.clear()
            self._of.clear()

    def _free(self) -> _Instance:
        """The one with the fewest watches."""
        if len(self._instances) < INSTANCES:
            try:
                self._instances.append(_Instance())
            except OSError:
                if not self._instances:
                    raise
        return min(self._instances, key=lambda instance: len(instance.watches))

    def _drain(self, instance: _Instance) -> None:
        counts: Counter[Tree] = Counter()
        lost = False
        for watch, kind, name in instance.inotify.read():
            if kind & OVERFLOW:
                lost = True
                continue
            tree, folder = instance.watches.get(watch, (None, None))
            if tree is None or folder is None:
                continue
            if kind & IGNORED:
                del instance.watches[watch]
                continue
            counts[tree] += 1
            tree.note(folder, kind, name)
        if lost:
            for tree in instance.trees:
                tree.lost = True
                if counts[tree] > counts.total() * NOISY_PART:
                    self.noisy.add(tree)

    def _tell(self, error: OSError) -> None:
        if not self._told:
            self._told = True
            limit = "fs.inotify.max_user_watches" if error.errno == errno.ENOSPC else "fs.inotify.max_user_instances"
            log.warning("files of some servers are counted now and then instead of watched: %s (see %s in sysctl)", error.strerror, limit)
