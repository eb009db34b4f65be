"""How often somebody may ask: counters per whole minute, in the backplane, so that several processes count together.

A backplane that does not answer lets everybody through: a limit is a courtesy, an outage is none.
"""

import logging
from dataclasses import dataclass

from core.backplane.backplane import Backplane
from core.clock import Clock, unix
from core.errors import AerieError

log = logging.getLogger(__name__)

WINDOW = 60  # seconds


@dataclass(frozen=True, slots=True)
class Taken:
    """One request, counted. `resets_at` is in Unix seconds, `wait` in seconds from now."""

    limit: int
    remaining: int
    resets_at: int
    wait: int
    allowed: bool


class Throttles:
    def __init__(self, backplane: Backplane, clock: Clock) -> None:
        self._backplane = backplane
        self._clock = clock
        self._blind = False

    async def take(self, name: str, limit: int) -> Taken:
        """Count one request of `name`, of which `limit` are allowed in a minute."""
        now = unix(self._clock.now())
        resets_at = now - now % WINDOW + WINDOW
        try:
            count = await self._backplane.increment(f"throttle:{name}:{resets_at}", WINDOW)
        except AerieError as error:
            if not self._blind:
                log.warning("requests are not counted: %s", error)
            self._blind, count = True, 1
        else:
            self._blind = False
        return Taken(limit, max(limit - count, 0), resets_at, resets_at - now, count <= limit)
