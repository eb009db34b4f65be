"""One socket's token buckets (Wings 1.12): so many messages at all, and so many of each kind. Knows time and names, nothing else."""

from core.clock import Clock
from core.protocol.socket import Inbound

GLOBAL = "global"
_RATES: dict[str, tuple[float, float]] = {
    GLOBAL: (5.0, 10.0),
    Inbound.AUTH.value: (0.2, 2.0),
    Inbound.SEND_LOGS.value: (0.2, 2.0),
    Inbound.SEND_COMMAND.value: (1.0, 10.0),
}
"""Per second, and at once."""
_OTHERS = (1.0, 4.0)


class Limits:
    """`passes` takes one token; over the limit, `untold` is true once until the bucket has recovered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._told: set[str] = set()

    def passes(self, event: str) -> bool:
        name = self._named(event)
        rate, most = _RATES.get(name, _OTHERS)
        now = self._clock.monotonic()
        left, then = self._buckets.get(name, (most, now))
        left = min(most, left + (now - then) * rate)
        passed = left >= 1
        self._buckets[name] = (left - 1 if passed else left, now)
        if passed:
            self._told.discard(name)
        return passed

    def untold(self, event: str) -> bool:
        """Whether the peer was not told of this limit yet; from now on it was."""
        name = self._named(event)
        untold = name not in self._told
        self._told.add(name)
        return untold

    @staticmethod
    def _named(event: str) -> str:
        """All events without a limit of their own share one bucket, so that inventing names wins nothing."""
        return event if event in _RATES else ""
