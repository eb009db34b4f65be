"""Waiting for the database and Redis at the start, so that the order in which a machine starts its programs does not matter.

Only for services that are away: wrong passwords and addresses are told at once. Must never write a password.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from core.clock import Clock
from core.errors import ServiceDown

T = TypeVar("T")

log = logging.getLogger(__name__)

FIRST, LONGEST = 2.0, 15.0
"""Seconds between two tries: doubled each time, up to the longest."""


async def once_there(clock: Clock, attempt: Callable[[], Awaitable[T]]) -> T:
    """What `attempt` answers, tried again for as long as it raises ServiceDown."""
    delay = FIRST
    while True:
        try:
            return await attempt()
        except ServiceDown as error:
            log.warning("%s Trying again in %.0f s.", error, delay)
        await clock.sleep(delay)
        delay = min(delay * 2, LONGEST)
