"""Limits that the kernel itself holds a server to, at the byte, whoever writes. Two kinds: qgroup_quota.py and project_quota.py.

What they have in common, and nothing else.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol


class HardQuota(Protocol):
    """One kind, on the file system that holds all servers. Everything runs in threads and raises OSError."""

    name: str
    """For people."""
    lags: bool
    """Whether `used` may be some seconds old; the limit never is."""
    moves: bool
    """Whether taking a folder in moves its files, so that nobody may have them open."""

    def holds(self, folder: Path) -> bool:
        """Whether a server's folder is under it."""
        ...

    def take_in(self, folder: Path) -> None:
        """Make the folder, or bring the one that is there under it, with all its files. Nothing runs meanwhile.

        Ended half-way it leaves the folder as it was or as it shall be, and can be done again. Harmless when it was done before.
        """
        ...

    def limit(self, folder: Path, size: int, inodes: int) -> None:
        """Bytes and (where this kind can) files and folders; 0 is no limit. Counts at once, for what runs, too."""
        ...

    def used(self, folder: Path) -> int | None:
        """Bytes, without looking at the files; None while the kernel does not know."""
        ...

    def remove(self, folder: Path) -> None:
        """The folder with all its files, and what the kernel knows of it."""
        ...


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    """A folder's descriptor for a block."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class NoHardQuota(Exception):
    """Why the kernel cannot do it here, in words that finish «a hard limit is not possible, because …»."""


def refuses(file: Path, size: int) -> bool:
    """Whether the kernel ends a file before it has `size` bytes."""
    try:
        with file.open("wb", buffering=0) as opened:
            for _ in range(size // 65536):
                opened.write(b"\xa5" * 65536)
            os.fsync(opened.fileno())
    except OSError as error:
        return error.errno in (errno.EDQUOT, errno.ENOSPC)
    return False
