"""The one scheduler of background writes to Discord: live consoles, files, cards, alerts. Answers to interactions never pass through it.

Discord allows five creates and five edits per five seconds and channel (observed, not documented); we take four, and 25 a second over all
channels, which leaves room for everything else. A channel that Discord slows down rests alone. Holds no tasks: each caller drives its own
write when its turn comes. Must never drop a write silently: it ends with its result, None (a newer edit took its place) or an error.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, TypeVar

import discord

from core.clock import Clock
from core.errors import LimitReached

T = TypeVar("T")

log = logging.getLogger(__name__)

GLOBAL_PER_SECOND = 25
MOST_BYTES = 48 * 1024 * 1024
"""Bytes of creates that may wait in one channel."""
FIRST_REST = 5.0  # s a channel rests when Discord names no time
LONGEST_REST = 300.0
OLD_MESSAGE_EDITED_TOO_OFTEN = 30046


class Kind(StrEnum):
    """What is written; each has its own allowance per channel."""

    CREATE = "create"
    EDIT = "edit"
    REACT = "react"


ALLOWANCES: dict[Kind, tuple[int, float]] = {Kind.CREATE: (4, 5.0), Kind.EDIT: (4, 5.0), Kind.REACT: (1, 0.35)}
"""Writes per seconds, in one channel."""


class Priority(IntEnum):
    """Who goes first in a channel; the smaller, the sooner."""

    ALERT = 0
    PANEL = 1
    TRANSCRIPT = 2
    LIVE = 3


class Allowance:
    """At most `most` in any `seconds`: a sliding window, so a fixed window of Discord's can never hold more."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._taken: deque[float] = deque()

    def wait(self, now: float) -> float:
        """Seconds until one more is allowed; 0 means now."""
        while self._taken and now - self._taken[0] >= self._seconds:
            self._taken.popleft()
        return 0.0 if len(self._taken) < self._most else self._taken[0] + self._seconds - now

    def take(self, now: float) -> None:
        self._taken.append(now)


@dataclass(eq=False)
class _Ticket:
    kind: Kind
    priority: Priority
    order: int
    key: object
    size: int
    turn: asyncio.Future[None]
    superseded: bool = False
    started: bool = False


@dataclass(eq=False)
class _Lane:
    """One channel."""

    allowances: dict[Kind, Allowance] = field(default_factory=lambda: {kind: Allowance(*rule) for kind, rule in ALLOWANCES.items()})
    waiting: list[_Ticket] = field(default_factory=list)
    current: _Ticket | None = None
    rests_until: float = 0.0
    strikes: int = 0
    used: float = 0.0

    @property
    def bytes_waiting(self) -> int:
        return sum(ticket.size for ticket in self.waiting)


@dataclass
class WriteCounts:
    """For metrics: how many writes of what end."""

    written: int = 0
    superseded: int = 0
    refused: int = 0
    rests: int = 0


class Writes:
    """Turns for writers. `create`, `edit` and `react` wait for theirs, then call `write` and answer its result."""

    def __init__(self, clock: Clock, *, per_second: int = GLOBAL_PER_SECOND, most_bytes: int = MOST_BYTES) -> None:
        self._clock = clock
        self._all = Allowance(per_second, 1.0)
        self._most_bytes = most_bytes
        self._lanes: dict[int, _Lane] = {}
        self._order = 0
        self.counts = WriteCounts()

    async def create(
        self, channel_id: int, write: Callable[[], Awaitable[T]], *, priority: Priority = Priority.TRANSCRIPT, size: int = 0
    ) -> T:
        """Post, first come first served within a priority. Raises LimitReached when too many bytes wait, and what `write` raises."""
        lane = self._lane(channel_id)
        if lane.waiting and lane.bytes_waiting + size > self._most_bytes:
            self.counts.refused += 1
            raise LimitReached("Too much waits to be written into this channel.", hint="Discord is slow or the output is too fast.")
        result = await self._write(lane, self._ticket(Kind.CREATE, priority, None, size), write)
        assert not isinstance(result, _Superseded)
        return result

    async def edit(
        self, channel_id: int, key: object, write: Callable[[], Awaitable[T]], *, priority: Priority = Priority.LIVE
    ) -> T | None:
        """Edit what `key` names. A newer edit of the same key takes the place of one that still waits, which then answers None."""
        lane = self._lane(channel_id)
        ticket = self._ticket(Kind.EDIT, priority, key, 0)
        known = lane.waiting if lane.current is None else [lane.current, *lane.waiting]
        for older in known:
            if older.key == key and older.kind is Kind.EDIT and not older.started and not older.superseded:
                older.superseded = True
                ticket.order, ticket.priority = older.order, min(older.priority, priority)
                if older in lane.waiting:
                    lane.waiting.remove(older)
                    _wake(older)
        result = await self._write(lane, ticket, write)
        return None if isinstance(result, _Superseded) else result

    async def react(self, channel_id: int, write: Callable[[], Awaitable[T]], *, priority: Priority = Priority.ALERT) -> T:
        """Add a reaction."""
        result = await self._write(self._lane(channel_id), self._ticket(Kind.REACT, priority, None, 0), write)
        assert not isinstance(result, _Superseded)
        return result

    def rest(self, channel_id: int, seconds: float) -> None:
        """Leave a channel alone for so long."""
        lane = self._lane(channel_id)
        lane.rests_until = max(lane.rests_until, self._clock.monotonic() + min(seconds, LONGEST_REST))

    def waiting(self, channel_id: int) -> int:
        """How many writes wait in a channel."""
        return len(self._lanes[channel_id].waiting) if channel_id in self._lanes else 0

    @property
    def all_waiting(self) -> int:
        """How many writes wait in all channels together."""
        return sum(len(lane.waiting) for lane in self._lanes.values())

    def _lane(self, channel_id: int) -> _Lane:
        lane = self._lanes.get(channel_id)
        if lane is None:
            if len(self._lanes) > 1000:
                self._forget_idle()
            lane = self._lanes[channel_id] = _Lane()
        lane.used = self._clock.monotonic()
        return lane

    def _forget_idle(self) -> None:
        now = self._clock.monotonic()
        for channel_id, lane in list(self._lanes.items()):
            if lane.current is None and not lane.waiting and now - lane.used > LONGEST_REST:
                del self._lanes[channel_id]

    def _ticket(self, kind: Kind, priority: Priority, key: object, size: int) -> _Ticket:
        self._order += 1
        return _Ticket(kind, priority, self._order, key, size, asyncio.get_running_loop().create_future())

    async def _write(self, lane: _Lane, ticket: _Ticket, write: Callable[[], Awaitable[T]]) -> "T | _Superseded":
        lane.waiting.append(ticket)
        try:
            self._next(lane)
            await ticket.turn
            while not ticket.superseded and (pause := self._pause(lane, ticket)) > 0:
                await self._clock.sleep(pause)
            if ticket.superseded:
                self.counts.superseded += 1
                return _SUPERSEDED
            ticket.started = True
            now = self._clock.monotonic()
            lane.allowances[ticket.kind].take(now)
            self._all.take(now)
            return await self._attempt(lane, write)
        finally:
            if ticket in lane.waiting:
                lane.waiting.remove(ticket)
            if lane.current is ticket:
                lane.current = None
                self._next(lane)

    def _next(self, lane: _Lane) -> None:
        """Give the turn to whoever is first, if nobody has it."""
        if lane.current is None and lane.waiting:
            ticket = min(lane.waiting, key=lambda one: (one.priority, one.order))
            lane.waiting.remove(ticket)
            lane.current = ticket
            _wake(ticket)

    def _pause(self, lane: _Lane, ticket: _Ticket) -> float:
        now = self._clock.monotonic()
        return max(lane.allowances[ticket.kind].wait(now), self._all.wait(now), lane.rests_until - now)

    async def _attempt(self, lane: _Lane, write: Callable[[], Awaitable[T]]) -> T:
        try:
            result = await write()
        except (discord.RateLimited, discord.HTTPException) as error:
            if (seconds := _asked_to_rest(error)) is not None:
                lane.strikes += 1
                self.counts.rests += 1
                rest = min(max(seconds, FIRST_REST * 2 ** min(lane.strikes - 1, 6)), LONGEST_REST)
                lane.rests_until = self._clock.monotonic() + rest
                log.warning("Discord slows a channel down (%s); it rests for %.0f s", error, rest)
            raise
        lane.strikes = 0
        self.counts.written += 1
        return result


def _wake(ticket: _Ticket) -> None:
    if not ticket.turn.done():  # a cancelled caller leaves by itself
        ticket.turn.set_result(None)


class _Superseded:
    """A newer edit took the place of this one."""


_SUPERSEDED = _Superseded()


def slowed_down(error: BaseException) -> bool:
    """Whether Discord asked for less. The channel rests already; try again later."""
    return _asked_to_rest(error) is not None


def _asked_to_rest(error: Any) -> float | None:
    """Seconds Discord asked for, 0 when it named none; None when the failure is of another kind."""
    if isinstance(error, discord.RateLimited):
        return float(error.retry_after)
    if isinstance(error, discord.HTTPException) and (error.status == 429 or error.code == OLD_MESSAGE_EDITED_TOO_OFTEN):
        return 6.0 if error.code == OLD_MESSAGE_EDITED_TOO_OFTEN else 0.0
    return None
