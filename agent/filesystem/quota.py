"""How many bytes one server's files take and may take: the node's one count of it, which every door asks and changes.

Bytes are those the file system gave out, as `du` and the kernel's quotas count them: whole blocks of files, folders and links, holes not, a
file with several names once. The figure comes from whoever measures (volume.py); between two measurements every change that goes
through us is added. Threads share one count; growth is reserved before it happens, so that parallel writers cannot each find the last
free byte.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agent.filesystem.refusals import QuotaExceeded

MEBIBYTE = 1024 * 1024
BLOCK = 4096
"""What growth is rounded up to before it is known better: the block of ext4, xfs and btrfs."""


def rounded(size: int) -> int:
    """What a file of `size` bytes without holes takes."""
    return -(-size // BLOCK) * BLOCK


def taken(facts: os.stat_result) -> int:
    """What a file, folder or link takes."""
    return facts.st_blocks * 512


class Quota:
    """Bytes used and the limit. `limit` answers bytes, 0 for none."""

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._measured = 0
        self._held = 0
        self._changed = 0
        self._before = 0
        self.counted = False
        """Whether the files were ever measured."""

    @property
    def limit(self) -> int:
        return max(0, self._limit())

    @property
    def used(self) -> int:
        """Bytes; 0 until the first measurement."""
        return max(0, self._measured + self._held + self._changed - self._before)

    @property
    def over(self) -> bool:
        """Whether the files take more than the limit; as much is not over (Wings)."""
        limit = self.limit
        return bool(limit) and self.used > limit

    def mark(self) -> int:
        """To be taken before measuring begins and given to `measured`."""
        with self._lock:
            return self._changed

    def measured(self, size: int, mark: int) -> None:
        """`size` bytes were found; changes since `mark` are added."""
        with self._lock:
            self._measured, self._before = size, mark
            self.counted = True

    def reserve(self, growth: int, promised: int = 0) -> None:
        """Take `growth` more bytes, or raise QuotaExceeded and take none. `promised`: what must fit, when that is more (a hole's end)."""
        with self._lock:
            self._check(max(growth, promised))
            self._changed += max(0, growth)

    def release(self, bytes_: int) -> None:
        """Give bytes back."""
        if bytes_ > 0:
            with self._lock:
                self._changed -= bytes_
                if self.used == 0:  # never below nothing, however wrong a caller was
                    self._changed = self._before - self._measured - self._held

    def hold(self, growth: int) -> None:
        """As `reserve`, for what no measurement can see yet; `settle` or `drop` it."""
        if growth > 0:
            with self._lock:
                self._check(growth)
                self._held += growth

    def settle(self, bytes_: int) -> None:
        """What was held is in the files now."""
        with self._lock:
            bytes_ = min(bytes_, self._held)
            self._held -= bytes_
            self._changed += bytes_

    def drop(self, bytes_: int) -> None:
        """What was held is not needed."""
        with self._lock:
            self._held -= min(max(0, bytes_), self._held)

    @contextmanager
    def growing(self, growth: int, promised: int = 0) -> Iterator[None]:
        """Reserved while the block writes; given back when the disk refuses it."""
        growth = max(0, growth)
        with self._lock:
            self._check(max(growth, promised))
            self._held += growth
        try:
            yield
        except OSError as error:
            self.drop(growth)
            if error.errno in (errno.ENOSPC, errno.EDQUOT) and self.limit and self.used + growth > self.limit - MEBIBYTE:
                raise self._exceeded() from error  # xfs calls a full quota a full disk
            raise
        except BaseException:
            self.settle(growth)
            raise
        self.settle(growth)

    def _check(self, growth: int) -> None:
        limit = self.limit
        if growth > 0 and limit and self.used + growth > limit:
            raise self._exceeded()

    def _exceeded(self) -> QuotaExceeded:
        return QuotaExceeded(
            f"The server's disk limit of {self.limit // MEBIBYTE} MiB would be exceeded: quota exceeded.",
            hint="Delete files first, or ask for a higher limit.",
        )
