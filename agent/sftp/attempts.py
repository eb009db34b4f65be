"""Failed sign-ins, counted per household and per name within it, so that guessing is slow and then useless.

Counted on the node, since the control plane sees every attempt come from the node's own address. Somebody else's failures never lock a
person out: they come from another household.
"""

import logging
from collections import OrderedDict, deque

from core.addresses import household
from core.clock import Clock

log = logging.getLogger(__name__)

WINDOW_SECONDS = 600.0
MOST_FOR_A_NAME = 10
"""Failures of one household with one name within the window; after them it is refused unasked."""
MOST_FOR_A_HOUSEHOLD = 40
FREE_FAILURES = 3
"""After these the answer comes later and later."""
LONGEST_DELAY = 5.0
MOST_REMEMBERED = 10_000


class Attempts:
    """Remembers failures for ten minutes; the longest untouched are forgotten first when there are very many."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def exhausted(self, ip: str, username: str) -> bool:
        """Whether this household may not try any more for now."""
        home = household(ip)
        return len(self._recent(home, username)) >= MOST_FOR_A_NAME or len(self._recent(home, "")) >= MOST_FOR_A_HOUSEHOLD

    def delay(self, ip: str, username: str) -> float:
        """Seconds to wait before telling of a failure."""
        over = len(self._recent(household(ip), username)) - FREE_FAILURES
        return min(LONGEST_DELAY, 0.25 * 2**over) if over > 0 else 0.0

    def failed(self, ip: str, username: str) -> None:
        home, now = household(ip), self._clock.monotonic()
        for name in (username, ""):
            moments = self._failures.setdefault((home, name), deque(maxlen=MOST_FOR_A_HOUSEHOLD))
            moments.append(now)
            self._failures.move_to_end((home, name))
        if len(self._recent(home, username)) == MOST_FOR_A_NAME:
            log.warning("SFTP: %d wrong passwords for %r from %s; refused for ten minutes", MOST_FOR_A_NAME, username, home)
        while len(self._failures) > MOST_REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, ip: str, username: str) -> None:
        self._failures.pop((household(ip), username), None)

    def _recent(self, home: str, name: str) -> deque[float]:
        moments = self._failures.get((home, name))
        if moments is None:
            return deque()
        while moments and self._clock.monotonic() - moments[0] > WINDOW_SECONDS:
            moments.popleft()
        if not moments:
            del self._failures[home, name]
        return moments
