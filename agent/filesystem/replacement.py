"""A file's new contents, written aside and put in place in one step: whoever looks, or a power cut, finds the old file or the new one.

The new contents have no name while they are written (O_TMPFILE), so that an agent that dies meanwhile leaves nothing behind; only for the
moment of the exchange they bear a name that begins with `.aerie-`. Runs in threads.
"""

import errno
import os
import secrets
import stat
import threading
from contextlib import suppress

from agent.filesystem.quota import rounded, taken
from agent.filesystem.refusals import NotRegular, OutsideRoot, translated
from agent.filesystem.root import is_regular, normal
from agent.filesystem.rooted import FILE_MODE, MODE_BITS, Rooted
from core.errors import Conflict, NotFound

PREFIX = b".aerie-"
_NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)
"""What file systems without O_TMPFILE answer."""


class Replacement:
    """Open one, `write` to it, then `commit` or `abort`; each may come from another thread. `abort` waits for a write under way.

    `path` may be a link inside the root: what it leads to is replaced. Room is taken for the growth over the old contents: at the beginning
    for `size` bytes, when that is known, and more as more is written. Raises Denied, NotRegular, NotFound, OutsideRoot, QuotaExceeded.
    """

    def __init__(self, files: Rooted, path: bytes, *, size: int = 0) -> None:
        self._files = files
        self._lock = threading.RLock()
        self._path, self._mode, self._old = self._seen(files, path)
        self.is_new = self._old is None
        self._room = self._old or 0
        """Bytes that are paid for."""
        self._taken = 0
        self.written = 0
        self._folder, self._name, self._descriptor = -1, b"", -1
        self._aside = b""
        self._take(size)
        try:
            with files.parent(self._path) as (folder, name), translated():
                self._folder, self._name = os.dup(folder), name
                self._descriptor = self._made()
        except BaseException:
            self.abort()
            raise

    def write(self, data: bytes | memoryview) -> None:
        with self._lock, translated():
            if self._descriptor < 0:
                raise Conflict("The file was given up.")
            self._take(self.written + len(data))
            view = memoryview(data)
            while view:
                done = os.write(self._descriptor, view)
                self.written += done
                view = view[done:]

    def commit(self) -> None:
        """Put it in place. Raises NotRegular when a folder has the name by now."""
        with self._lock:
            try:
                with translated():
                    os.fchmod(self._descriptor, self._mode)
                    self._name_it()
                    if is_folder(self._folder, self._name):
                        raise NotRegular("This is a folder.")
                    os.rename(self._aside, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
                    self._aside = b""
            except BaseException:
                self._abort()
                raise
            self._files.quota.settle(self._taken)
            self._files.quota.release(self._room - rounded(self.written))
            self._close()

    def abort(self) -> None:
        """Leave everything as it was. Harmless after the end."""
        with self._lock:
            self._abort()

    def _abort(self) -> None:
        self._files.quota.drop(self._taken)
        self._taken = 0
        if self._aside:
            with suppress(OSError):
                os.unlink(self._aside, dir_fd=self._folder)
            self._aside = b""
        self._close()

    def _close(self) -> None:
        for descriptor in (self._descriptor, self._folder):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._folder = -1
        self._taken = 0

    @staticmethod
    def _seen(files: Rooted, path: bytes) -> tuple[bytes, int, int | None]:
        """Where the file really is, its mode, and the bytes it takes if it exists."""
        try:
            descriptor = files.open_existing(path, os.O_WRONLY)
        except NotFound:
            try:
                facts = files.facts(path, follow=False)
            except NotFound:
                return normal(path), FILE_MODE, None
            if stat.S_ISLNK(facts.st_mode):
                raise OutsideRoot("The path is a link that leads to nothing.") from None
            raise
        try:
            facts = os.fstat(descriptor)
            return files.inside(descriptor), stat.S_IMODE(facts.st_mode) & MODE_BITS, taken(facts)
        finally:
            os.close(descriptor)

    def _take(self, size: int) -> None:
        growth = rounded(size) - self._room
        if growth > 0:
            self._files.quota.hold(growth)  # nobody who counts can see the new contents yet
            self._room += growth
            self._taken += growth

    def _made(self) -> int:
        try:
            descriptor = os.open(b".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=self._folder)
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise
            self._aside = _fresh_name()
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._aside, flags, 0o600, dir_fd=self._folder)
        self._files.give(descriptor)
        return descriptor

    def _name_it(self) -> None:
        if not self._aside:
            fresh = _fresh_name()
            os.link(f"/proc/self/fd/{self._descriptor}", fresh, dst_dir_fd=self._folder, follow_symlinks=True)
            self._aside = fresh


def is_folder(folder: int, name: bytes) -> bool:
    try:
        facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(facts.st_mode) and not is_regular(facts) and not stat.S_ISLNK(facts.st_mode):
        raise NotRegular("This is no regular file.")
    return stat.S_ISDIR(facts.st_mode)


def _fresh_name() -> bytes:
    return PREFIX + secrets.token_hex(12).encode()
