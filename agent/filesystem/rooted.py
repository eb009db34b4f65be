"""What can be done to one server's files. Everything that touches them comes through here.

Paths are a client's: bytes, absolute ones meaning the server's own `/`. Each is opened below the root's descriptor and then acted on by
descriptor, never by name again; the denylist is held against where the path really led; growth is reserved before it is written. Runs in
threads: nothing here may be called from the event loop. Raises AerieError subclasses only.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from agent.filesystem.denylist import Denylist
from agent.filesystem.identity import acting_as
from agent.filesystem.quota import BLOCK, Quota, rounded, taken
from agent.filesystem.refusals import NotRegular, OutsideRoot, translated
from agent.filesystem.root import Root, is_regular, normal
from agent.filesystem.syscalls import rename_fresh
from core.errors import Conflict, Forbidden, NotFound

MODE_BITS = 0o777
"""What of a mode may be set: never setuid, setgid or sticky."""
FOLDER_MODE, FILE_MODE = 0o755, 0o644
MOST_LOOKED_AT = 100_000
"""Entries of a folder that are held against the denylist before it is moved."""
_PLAIN = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_TRIES = 8


class Rooted:
    """The files below a root, for one session. `close` it. `owner` is the uid and gid that new files get; None leaves them ours."""

    def __init__(
        self,
        root: Root,
        quota: Quota,
        denied: Denylist | None,
        owner: tuple[int, int] | None,
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        self._root = root
        self.quota = quota
        self.denied = denied
        self._owner = owner
        self._on_close = closed
        self._closed = False

    def close(self) -> None:
        self._root.close()
        if not self._closed:
            self._closed = True
            self._on_close()

    @property
    def descriptor(self) -> int:
        """Of the root itself, for counting and statvfs."""
        return self._root.descriptor

    def inside(self, descriptor: int) -> bytes:
        """Where an open file really is, from the root, links resolved. Raises OutsideRoot."""
        return self._root.inside(descriptor)

    def rights(self) -> AbstractContextManager[None]:
        """The file rights of the folder's owner for this thread, see `identity`; work on the files belongs inside."""
        return acting_as(*self._root.owner)

    # Looking

    def facts(self, path: bytes, *, follow: bool = True) -> os.stat_result:
        """Of a file, folder or (when not followed) link."""
        with self._held(normal(path), follow=follow) as descriptor, translated():
            return os.fstat(descriptor)

    def link_target(self, path: bytes) -> bytes:
        with self.parent(path) as (folder, name), translated():
            return os.readlink(name, dir_fd=folder)

    def open_listing(self, path: bytes) -> int:
        """A folder's descriptor for scandir; the caller closes it."""
        where = normal(path)
        self._check(where)
        with translated():
            descriptor = self._root.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self._allowed(descriptor)

    # Files

    def open_read(self, path: bytes) -> int:
        """A regular file's descriptor; the caller closes it."""
        return self._regular(path, os.O_RDONLY)

    def open_existing(self, path: bytes, flags: int) -> int:
        """A regular file to write to. Raises NotFound."""
        descriptor = self._regular(path, flags)
        facts = os.fstat(descriptor)
        if facts.st_nlink > 1 and self._owner is not None and facts.st_uid != self._owner[0]:
            os.close(descriptor)
            raise Forbidden("The file has several names and another owner, so it is not written to.")
        return descriptor

    def create(self, path: bytes, flags: int, mode: int = FILE_MODE) -> int:
        """A new regular file; the caller closes it. Raises Conflict when something is there, a link included."""
        with self.parent(path) as (folder, name), translated():
            descriptor = os.open(name, flags | _PLAIN | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode & MODE_BITS, dir_fd=folder)
            self.give(descriptor)
            return descriptor

    def write(self, descriptor: int, data: bytes | memoryview, offset: int) -> None:
        """All of `data` at `offset`, growth charged first: what lies in blocks that the file has not yet."""
        with translated():
            facts, end = os.fstat(descriptor), offset + len(data)
            touched = rounded(end) - offset // BLOCK * BLOCK
            growth = min(touched, rounded(max(facts.st_size, end)) - taken(facts))
            with self.quota.growing(growth, promised=rounded(end) - rounded(facts.st_size)):
                done = os.pwrite(descriptor, data, offset)
                while done < len(data):
                    done += os.pwrite(descriptor, memoryview(data)[done:], offset + done)

    def append(self, descriptor: int, data: bytes | memoryview) -> None:
        """At the end, wherever that is by now; the descriptor must be in append mode."""
        with translated():
            facts = os.fstat(descriptor)
            with self.quota.growing(rounded(facts.st_size + len(data)) - rounded(facts.st_size)):
                done = os.write(descriptor, data)
                while done < len(data):
                    done += os.write(descriptor, memoryview(data)[done:])

    def resize(self, descriptor: int, size: int) -> None:
        """Cut or extend a file to `size` bytes. A sparse end takes nothing yet, but must fit: it could be filled later."""
        with translated():
            before = os.fstat(descriptor)
            with self.quota.growing(0, promised=rounded(size) - rounded(before.st_size)):
                os.ftruncate(descriptor, size)
            self.quota.release(taken(before) - taken(os.fstat(descriptor)))

    def resize_path(self, path: bytes, size: int) -> None:
        descriptor = self.open_existing(path, os.O_WRONLY)
        try:
            self.resize(descriptor, size)
        finally:
            os.close(descriptor)

    # Modes and times

    def set_mode(self, path: bytes, mode: int, *, follow: bool = True) -> None:
        """Permission bits of a file or folder; setuid, setgid and sticky are dropped. The root keeps its own."""
        with self._changeable(path, follow=follow) as descriptor:
            self.set_mode_of(descriptor, mode)

    def set_times(self, path: bytes, accessed: float, modified: float, *, follow: bool = True) -> None:
        """Seconds since 1970."""
        with self._changeable(path, follow=follow) as descriptor:
            self.set_times_of(descriptor, accessed, modified)

    def set_mode_of(self, descriptor: int, mode: int) -> None:
        with translated():
            Path(f"/proc/self/fd/{descriptor}").chmod(mode & MODE_BITS)

    def set_times_of(self, descriptor: int, accessed: float, modified: float) -> None:
        with translated():
            os.utime(f"/proc/self/fd/{descriptor}", (accessed, modified))

    # Names

    def make_folder(self, path: bytes, mode: int = FOLDER_MODE) -> None:
        with self.parent(path) as (folder, name), translated():
            os.mkdir(name, mode & MODE_BITS, dir_fd=folder)
            if self._owner is not None:
                os.chown(name, *self._owner, dir_fd=folder, follow_symlinks=False)

    def remove_file(self, path: bytes) -> None:
        """Remove a file or link (the link itself)."""
        with self.parent(path) as (folder, name), translated():
            freed = self._freed(folder, name)
            os.unlink(name, dir_fd=folder)
            self.quota.release(freed)

    def remove_folder(self, path: bytes) -> None:
        """Remove an empty folder."""
        with self.parent(path) as (folder, name), translated():
            os.rmdir(name, dir_fd=folder)

    def rename(self, old: bytes, new: bytes, *, replace: bool) -> None:
        """Move. Without `replace` whatever has the new name already stays, and Conflict is raised."""
        with self.parent(old) as (from_, name), self.parent(new) as (to, fresh), translated():
            if self.denied is not None:
                self._check_moved(from_, name, self._root.inside(to), fresh)
            if not replace:
                rename_fresh(from_, name, to, fresh)
                return
            freed = 0 if self._same(from_, name, to, fresh) else self._freed(to, fresh)
            os.rename(name, fresh, src_dir_fd=from_, dst_dir_fd=to)
            self.quota.release(freed)

    def make_link(self, target: bytes, path: bytes) -> None:
        """A symbolic link to something inside: a target that would lead out is refused; an absolute one is stored relative to the link."""
        where = normal(path)
        folder = where.rpartition(b"/")[0]
        if b"\0" in target or not target:
            raise OutsideRoot("The link's target is no path.")
        stored = os.path.relpath(b"/" + normal(target), b"/" + folder) if target.startswith(b"/") else target
        depth = len([part for part in folder.split(b"/") if part])
        for part in stored.split(b"/"):
            depth += 0 if part in (b"", b".") else -1 if part == b".." else 1
            if depth < 0:
                raise OutsideRoot("The link would lead out of the server's folder.")
        self._check(normal(folder + b"/" + stored))
        with self.parent(path) as (at, name), translated():
            os.symlink(stored, name, dir_fd=at)
            if self._owner is not None:
                os.chown(name, *self._owner, dir_fd=at, follow_symlinks=False)

    def restore_link(self, target: bytes, path: bytes) -> None:
        """A symbolic link with this text, for backups: it may lead anywhere, as the game itself may make them. Replaces a link, no more."""
        with self.parent(path) as (at, name), translated():
            if (facts := self._there(at, name)) is not None:
                if not stat.S_ISLNK(facts.st_mode):
                    raise Conflict("Something with this name is there already.")
                os.unlink(name, dir_fd=at)
            os.symlink(target, name, dir_fd=at)
            if self._owner is not None:
                os.chown(name, *self._owner, dir_fd=at, follow_symlinks=False)

    @staticmethod
    def _there(folder: int, name: bytes) -> os.stat_result | None:
        try:
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def make_hard_link(self, old: bytes, new: bytes) -> None:
        """A second name for a regular file inside."""
        with self.parent(old) as (from_, name), self.parent(new) as (to, fresh), translated():
            facts = os.stat(name, dir_fd=from_, follow_symlinks=False)
            if not is_regular(facts):
                raise NotRegular("Only regular files can have a second name.")
            os.link(name, fresh, src_dir_fd=from_, dst_dir_fd=to, follow_symlinks=False)

    # How paths become descriptors

    @contextmanager
    def parent(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """The folder that holds `path`, open, and its last name there; the root itself is refused."""
        folder, _, name = normal(path).rpartition(b"/")
        if not name:
            raise Forbidden("This is the server's own folder, which stays as it is.")
        self._check(normal(path))
        with translated():
            descriptor = self._root.open_folder(folder)
        try:
            if self.denied is not None:
                self.denied.check(b"/".join(filter(None, (self._root.inside(descriptor), name))))
            yield descriptor, name
        finally:
            os.close(descriptor)

    @contextmanager
    def _held(self, where: bytes, *, follow: bool) -> Iterator[int]:
        """A descriptor that can be looked at and changed, but neither read nor written."""
        self._check(where)
        with translated():
            descriptor = self._root.open(where, os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
        descriptor = self._allowed(descriptor)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _changeable(self, path: bytes, *, follow: bool) -> Iterator[int]:
        """As `_held`, but neither the root, nor a link, device or pipe, nor another owner's file with several names."""
        where = normal(path)
        if not where:
            raise Forbidden("This is the server's own folder, which stays as it is.")
        with self._held(where, follow=follow) as descriptor:
            facts = os.fstat(descriptor)
            if not is_regular(facts) and not stat.S_ISDIR(facts.st_mode):
                raise NotRegular("This is neither a regular file nor a folder.")
            if is_regular(facts) and facts.st_nlink > 1 and self._owner is not None and facts.st_uid != self._owner[0]:
                raise Forbidden("The file has several names and another owner, so it is not changed.")
            yield descriptor

    def _regular(self, path: bytes, flags: int) -> int:
        where = normal(path)
        self._check(where)
        with translated():
            descriptor = self._root.open(where, flags | _PLAIN)
        descriptor = self._allowed(descriptor)
        if not is_regular(os.fstat(descriptor)):
            os.close(descriptor)
            raise NotRegular("This is no regular file.")
        return descriptor

    def _allowed(self, descriptor: int) -> int:
        """The descriptor, unless it led to something denied: then it is closed."""
        if self.denied is not None:
            try:
                self.denied.check(self._root.inside(descriptor))
            except BaseException:
                os.close(descriptor)
                raise
        return descriptor

    def _check(self, where: bytes) -> None:
        if self.denied is not None:
            self.denied.check(where)

    def check_tree(self, folder: int, name: bytes) -> None:
        """Raises Denied when the folder `name` in `folder` holds something denied; a file's own name was checked before."""
        if self.denied is not None and (here := self._place(folder, name)) is not None:
            for below in self._looked_through(here):
                self.denied.check(here + b"/" + below)

    def _check_moved(self, folder: int, name: bytes, new_folder: bytes, fresh: bytes) -> None:
        """A folder that holds something denied is not moved, and nothing becomes denied by being moved: both would evade the list."""
        if self.denied is None or (here := self._place(folder, name)) is None:
            return
        there = b"/".join(filter(None, (new_folder, fresh)))
        for below in self._looked_through(here):
            self.denied.check(here + b"/" + below)
            self.denied.check(there + b"/" + below)

    def _place(self, folder: int, name: bytes) -> bytes | None:
        """Where a folder really is, from the root; None for what is no folder."""
        try:
            opened = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except OSError:
            return None
        try:
            return self._root.inside(opened)
        finally:
            os.close(opened)

    def _looked_through(self, here: bytes) -> Iterator[bytes]:
        for looked, below in enumerate(self._names_below(here)):
            if looked >= MOST_LOOKED_AT:
                raise Conflict("The folder holds too many files to be moved or deleted at once.", hint="Take its parts one by one.")
            yield below

    def _names_below(self, top: bytes) -> Iterator[bytes]:
        pending = [b""]
        while pending:
            inner = pending.pop()
            try:
                opened = self._root.open(b"/".join(filter(None, (top, inner))), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            except OSError:
                continue
            try:
                with os.scandir(opened) as entries:
                    for entry in entries:
                        path = b"/".join(filter(None, (inner, os.fsencode(entry.name))))
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(path)
                        yield path
            finally:
                os.close(opened)

    def give(self, descriptor: int) -> None:
        """Make a new file the folder owner's."""
        if self._owner is not None:
            os.fchown(descriptor, *self._owner)

    @staticmethod
    def _freed(folder: int, name: bytes) -> int:
        """Bytes that go with this name."""
        try:
            facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return 0
        return taken(facts) if is_regular(facts) and facts.st_nlink == 1 else 0

    @staticmethod
    def _same(from_: int, name: bytes, to: int, fresh: bytes) -> bool:
        """Whether both names are one file: renaming it over itself frees nothing."""
        try:
            one, other = (os.stat(n, dir_fd=f, follow_symlinks=False) for f, n in ((from_, name), (to, fresh)))
        except FileNotFoundError:
            return False
        return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def open_or_create(
    files: Rooted, path: bytes, flags: int, mode: int, *, exclusive: bool, before_create: Callable[[], None]
) -> tuple[int, bool]:
    """A regular file to write to and whether it is new. Raises Conflict when it must be new and is not; `before_create` may refuse."""
    for _ in range(_TRIES):
        if not exclusive:
            with suppress(NotFound):
                return files.open_existing(path, flags), False
        before_create()
        try:
            return files.create(path, flags, mode), True
        except Conflict:
            if exclusive:
                raise
    raise OutsideRoot("The path is a link that leads to nothing.")
