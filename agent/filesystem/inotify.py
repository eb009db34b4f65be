"""Linux's inotify, by ctypes: what changes in folders. Source: inotify(7). Knows no server.

Chosen over fanotify, which would tell of every write on the whole file system, the machine's own and Docker's among them, and needs rights
that an agent in a container has not.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterator

MODIFY, CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x2, 0x8, 0x40, 0x80, 0x100, 0x200
OVERFLOW, IGNORED, IS_FOLDER = 0x4000, 0x8000, 0x40000000
_ONLYDIR, _EXCL_UNLINK = 0x01000000, 0x04000000
_WANTED = MODIFY | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | _ONLYDIR | _EXCL_UNLINK
_HEAD = struct.Struct("iIII")
_PORTION = 256 * 1024
MOST_EVENTS = 65_536
"""Read at once from one instance: more than the kernel keeps by default."""

_libc = ctypes.CDLL(None, use_errno=True)


class Inotify:
    """One instance. `close` it. Raises OSError."""

    def __init__(self) -> None:
        self._descriptor = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._descriptor < 0:
            _fail()

    def close(self) -> None:
        os.close(self._descriptor)

    def add(self, folder: int) -> int:
        """Watch an open folder; answers the watch's number, the same again for a folder that is watched. ENOSPC: no more watches."""
        watch: int = _libc.inotify_add_watch(self._descriptor, f"/proc/self/fd/{folder}".encode(), _WANTED)
        if watch < 0:
            _fail()
        return watch

    def remove(self, watch: int) -> None:
        """One that is gone already is no error."""
        _libc.inotify_rm_watch(self._descriptor, watch)

    def read(self) -> Iterator[tuple[int, int, bytes]]:
        """What has happened: watch, kind, name in the folder. Never waits."""
        for _ in range(MOST_EVENTS * _HEAD.size // _PORTION + 1):
            try:
                data = os.read(self._descriptor, _PORTION)
            except BlockingIOError:
                return
            at = 0
            while at < len(data):
                watch, kind, _, length = _HEAD.unpack_from(data, at)
                at += _HEAD.size
                yield watch, kind, data[at : at + length].rstrip(b"\0")
                at += length


def _fail() -> None:
    code = ctypes.get_errno()
    raise OSError(code or errno.EIO, os.strerror(code))
