"""What a server's files take and may take: counted once by a walk, then on every change that goes through us.

The game itself writes past us, so the walk is repeated when the count is old. Threads share one count; growth is reserved before it
happens, so that parallel writers cannot each find the last free byte.
"""

import threading
from collections.abc import Callable

from agent.filesystem.refusals import QuotaExceeded

MEBIBYTE = 1024 * 1024
STALE_SECONDS = 150.0
"""Wings' interval between two walks."""


class Quota:
    """Bytes used and the limit. `limit` answers bytes, 0 for none; `seconds` is a monotonic clock."""

    def __init__(self, limit: Callable[[], int], seconds: Callable[[], float]) -> None:
        self._limit = limit
        self._seconds = seconds
        self._lock = threading.Lock()
        self._scanning = threading.Lock()
        self._changed = 0
        self._counted_at: float | None = None
        self.used = 0
        """Bytes; 0 until the first count."""

    @property
    def limit(self) -> int:
        return self._limit()

    @property
    def counted(self) -> bool:
        """Whether the files were ever counted."""
        return self._counted_at is not None

    @property
    def stale(self) -> bool:
        """Whether the files should be counted (again)."""
        return self._counted_at is None or self._seconds() - self._counted_at >= STALE_SECONDS

    def count(self, walk: Callable[[], int]) -> None:
        """Count by `walk`, in a thread; a second caller waits for the first one's result. Changes made meanwhile are added."""
        with self._scanning:
            if not self.stale:
                return
            with self._lock:
                before = self._changed
            walked = walk()
            with self._lock:
                self.used = max(0, walked + self._changed - before)
                self._counted_at = self._seconds()

    def reserve(self, growth: int) -> None:
        """Take `growth` more bytes, or raise QuotaExceeded and take none."""
        if growth <= 0:
            return
        limit = self._limit()
        with self._lock:
            if limit and self.used + growth > limit:
                raise QuotaExceeded(
                    f"The server's disk limit of {limit // MEBIBYTE} MiB would be exceeded: quota exceeded.",
                    hint="Delete files first, or ask for a higher limit.",
                )
            self.used += growth
            self._changed += growth

    def release(self, bytes_: int) -> None:
        """Give bytes back."""
        if bytes_ > 0:
            with self._lock:
                self.used = max(0, self.used - bytes_)
                self._changed -= bytes_
