"""Discord's HTTP rate limits: visible buckets, hidden ones, the global 50/s and the ban for invalid requests.

Counts and answers numbers; the HTTP layer turns them into headers and 429s. Fixed windows that open with their first
request, as Discord's do. Must never sleep.
"""

import hashlib
from dataclasses import dataclass

from sandbox import limits
from sandbox.clock import Clock
from sandbox.limits import Bucket


@dataclass
class Window:
    """One counter: used requests and when (monotonic seconds) it starts anew."""

    used: int
    ends: float


@dataclass(frozen=True)
class Denied:
    """A request that must wait: which bucket refused (None: the global limit) and for how many seconds."""

    bucket: Bucket | None
    retry_after: float


def bucket_hash(bucket: Bucket) -> str:
    """The opaque name Discord gives a bucket."""
    return hashlib.sha256(bucket.name.encode()).hexdigest()[:32]


class Limiter:
    """All counters of one sandbox. `enforce=False` counts and shows, but refuses nothing."""

    def __init__(self, clock: Clock, *, enforce: bool) -> None:
        self._clock = clock
        self.enforce = enforce
        self._windows: dict[tuple[str, str], Window] = {}
        self._global = Window(0, 0.0)
        self._invalid = Window(0, 0.0)
        self.hits = 0

    def take_global(self) -> Denied | None:
        """Counts a request against the 50 per second of the whole bot."""
        now = self._clock.monotonic()
        if now >= self._global.ends:
            self._global = Window(0, now + 1.0)
        if self._global.used >= limits.GLOBAL_PER_SECOND and self.enforce:
            self.hits += 1
            return Denied(None, self._global.ends - now)
        self._global.used += 1
        return None

    def take(self, wanted: list[tuple[Bucket, str]]) -> Denied | None:
        """Counts a request against several buckets at once; when one refuses, none is charged."""
        now = self._clock.monotonic()
        windows = [self._window(bucket, scope, now) for bucket, scope in wanted]
        full = [
            Denied(bucket, window.ends - now) for (bucket, _), window in zip(wanted, windows, strict=True) if window.used >= bucket.limit
        ]
        if full and self.enforce:
            self.hits += 1
            return max(full, key=lambda denied: denied.retry_after)
        for window in windows:
            window.used += 1
        return None

    def _window(self, bucket: Bucket, scope: str, now: float) -> Window:
        window = self._windows.get((bucket.name, scope))
        if window is None or now >= window.ends:
            if len(self._windows) > 10_000:
                self._windows = {key: old for key, old in self._windows.items() if old.ends > now}
            window = self._windows[bucket.name, scope] = Window(0, now + bucket.seconds)
        return window

    def headers(self, bucket: Bucket, scope: str) -> dict[str, str]:
        """The X-RateLimit headers of a visible bucket after its last count."""
        now = self._clock.monotonic()
        window = self._window(bucket, scope, now)
        left = max(window.ends - now, 0.0)
        return {
            "X-RateLimit-Limit": str(bucket.limit),
            "X-RateLimit-Remaining": str(max(bucket.limit - window.used, 0)),
            "X-RateLimit-Reset": f"{self._clock.now() + left:.3f}",
            "X-RateLimit-Reset-After": f"{left:.3f}",
            "X-RateLimit-Bucket": bucket_hash(bucket),
        }

    def invalid(self) -> None:
        """Counts a 401, 403 or 429 that was not shared."""
        now = self._clock.monotonic()
        if now >= self._invalid.ends:
            self._invalid = Window(0, now + limits.INVALID_REQUESTS_SECONDS)
        self._invalid.used += 1

    def banned(self) -> float:
        """Seconds the caller's address is still banned for; 0 when it is not."""
        now = self._clock.monotonic()
        if not self.enforce or now >= self._invalid.ends or self._invalid.used < limits.INVALID_REQUESTS:
            return 0.0
        return self._invalid.ends - now
