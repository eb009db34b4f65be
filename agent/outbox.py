"""What the control plane must hear: kept on disk until it said that it has it, however long it is away and however often we die.

Items of one stream (a server's, the activity's) arrive in order; streams do not wait for each other. Sent again with back-off and jitter
after network errors, 5xx, 401, 408, 425, 429; any other refusal ends an item, loudly. An item may arrive twice: say only what bears it.
"""

import asyncio
import json
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from agent.journal import Item, Journal
from core.clock import Clock
from core.errors import AerieError
from core.protocol.remote import ActivityEntry
from core.supervise import Supervisor

log = logging.getLogger(__name__)

FIRST_WAIT, FACTOR, LONGEST_WAIT = 0.5, 2.0, 60.0
"""Seconds between tries of one stream."""
AT_ONCE = 4
"""Items under way at a time."""
MOST_ITEMS = 10_000
"""Kept at most: then the oldest activity goes first, else the oldest of all."""
MOST_BYTES = 256 * 1024
ACTIVITY = "activity"
ACTIVITY_SECONDS, ACTIVITY_MOST = 60.0, 100
"""Wings' activity_send_interval and activity_send_count."""
_AGAIN = frozenset({401, 408, 425, 429})


class Deliver(Protocol):
    """One try: the answer's status. Raises AerieError when there was none."""

    async def __call__(self, path: str, body: Any) -> int: ...


@dataclass
class _Stream:
    items: deque[Item] = field(default_factory=deque)
    tries: int = 0
    due: float = 0.0
    """Monotonic seconds before which it is left alone."""
    busy: bool = False


class Outbox:
    """`put` and `activity` return when the item is safe; `begin` sends. `refused` answers whether our token is refused altogether."""

    def __init__(self, journal: Journal, deliver: Deliver, refused: Callable[[], Awaitable[bool]], clock: Clock) -> None:
        self._journal = journal
        self._deliver = deliver
        self._refused = refused
        self._clock = clock
        self._tasks = Supervisor("outbox", clock)
        self._streams: dict[str, _Stream] = {}
        self._news = asyncio.Event()
        self._activity_due = 0.0
        self._runner: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Take up what an earlier agent left. Raises RuntimeFailure."""
        for item in await self._journal.open():
            self._stream(item.stream).items.append(item)
        if self.waiting():
            log.info("%d messages for the control plane wait in the outbox", self.waiting())

    def begin(self) -> None:
        """Send from now on, in the background."""
        self._runner = self._tasks.run("outbox", self._run)

    async def close(self) -> None:
        """What was not acknowledged is sent by a later agent."""
        if self._runner is not None:  # first, so that it begins nothing any more
            self._runner.cancel()
            await asyncio.wait({self._runner})
        await self._tasks.close()
        await self._journal.close()

    def waiting(self) -> int:
        """How many items were not acknowledged yet."""
        return sum(len(stream.items) for stream in self._streams.values())

    async def put(self, path: str, body: Any, *, stream: str) -> None:
        """Have `body` posted to /api/remote`path`. Raises RuntimeFailure when it cannot be kept."""
        text = json.dumps(body)
        if len(text) > MOST_BYTES:
            log.error("a message of %d bytes for %s is too long for the control plane and is not sent", len(text), path)
            return
        await self._make_room()
        item = await self._journal.add(stream, path, text)
        self._stream(stream).items.append(item)
        self._news.set()

    async def activity(self, entry: ActivityEntry) -> None:
        """Have it reported that somebody did something; many travel together."""
        if not self._stream(ACTIVITY).items:
            self._activity_due = self._clock.monotonic() + ACTIVITY_SECONDS
        await self.put("/activity", entry.model_dump(mode="json"), stream=ACTIVITY)

    async def _run(self) -> None:
        for stream in self._streams.values():
            stream.busy = False
        while True:
            self._news.clear()
            for name in self._ready():
                self._streams[name].busy = True
                self._tasks.spawn("outbox", self._turn(name))
            wake = self._tasks.spawn("outbox wait", self._clock.sleep(self._pause()))
            news = self._tasks.spawn("outbox news", self._news.wait())
            try:
                await asyncio.wait({wake, news}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                wake.cancel()
                news.cancel()

    def _stream(self, name: str) -> _Stream:
        return self._streams.setdefault(name, _Stream())

    def _due(self, name: str, stream: _Stream) -> float:
        if name == ACTIVITY and not stream.tries and len(stream.items) < ACTIVITY_MOST:
            return max(stream.due, self._activity_due)
        return stream.due

    def _ready(self) -> list[str]:
        """Streams whose turn it is, the one with the oldest item first."""
        free = AT_ONCE - sum(stream.busy for stream in self._streams.values())
        now = self._clock.monotonic()
        idle = [(s.items[0].id, name) for name, s in self._streams.items() if s.items and not s.busy and self._due(name, s) <= now]
        return [name for _, name in sorted(idle)[: max(0, free)]]

    def _pause(self) -> float:
        now = self._clock.monotonic()
        waits = [self._due(name, stream) - now for name, stream in self._streams.items() if stream.items and not stream.busy]
        return max(0.01, min(waits, default=3600.0))

    async def _turn(self, name: str) -> None:
        """Send the head of one stream; then let the others have theirs."""
        stream = self._streams[name]
        wait = min(FIRST_WAIT * FACTOR**stream.tries, LONGEST_WAIT) * random.uniform(0.5, 1.5)  # noqa: S311
        stream.tries, stream.due = min(stream.tries + 1, 20), self._clock.monotonic() + wait
        try:
            if sent := await self._send_activity(stream) if name == ACTIVITY else await self._send(stream.items[0]):
                await self._forget(name, sent)
                stream.tries, stream.due = 0, 0.0
                if name == ACTIVITY:
                    self._activity_due = self._clock.monotonic() + ACTIVITY_SECONDS
        except AerieError as error:
            log.error("%s", error)
        finally:
            stream.busy = False
            self._news.set()

    async def _forget(self, name: str, sent: list[Item]) -> None:
        await self._journal.remove(sent)
        gone = {item.id for item in sent}
        stream = self._streams[name]
        stream.items = deque(item for item in stream.items if item.id not in gone)
        if not stream.items and name != ACTIVITY:
            del self._streams[name]

    async def _send(self, item: Item) -> list[Item]:
        """The item when it needs no other try, else nothing."""
        return [item] if await self._ended(item.path, json.loads(item.body), item.stream) else []

    async def _send_activity(self, stream: _Stream) -> list[Item]:
        """One report of many entries. When it is refused the culprits are found by halves and dropped, the others still arrive."""
        batch = [stream.items[index] for index in range(min(ACTIVITY_MOST, len(stream.items)))]
        status = await self._try("/activity", {"data": [json.loads(item.body) for item in batch]})
        if status is None:
            return []
        if status < 300 or len(batch) == 1:
            if status >= 300:
                log.error("the control plane refuses an activity entry (%d), it is dropped: %s", status, batch[0].body[:300])
            return batch
        half = _Stream(deque(batch[: len(batch) // 2]))
        return await self._send_activity(half)

    async def _ended(self, path: str, body: Any, stream: str) -> bool:
        status = await self._try(path, body)
        if status is not None and status >= 300:
            log.error("the control plane refuses %s of %s (%d); it is dropped: %s", path, stream, status, json.dumps(body)[:300])
        return status is not None

    async def _try(self, path: str, body: Any) -> int | None:
        """The final status, or None when it must be tried again."""
        try:
            status = await self._deliver(path, body)
        except AerieError as error:
            log.debug("%s waits: %s", path, error.message)
            return None
        if status >= 500 or 300 <= status < 400 or status in _AGAIN or (status == 403 and await self._refused()):
            log.warning("the control plane does not take %s now (%d); it will be sent again", path, status)
            return None
        return status

    async def _make_room(self) -> None:
        while self.waiting() >= MOST_ITEMS:
            name = (
                ACTIVITY
                if self._stream(ACTIVITY).items
                else min((name for name, stream in self._streams.items() if stream.items), key=lambda name: self._streams[name].items[0].id)
            )
            oldest = self._streams[name].items[0]
            log.error("the outbox is full (%d); dropping its oldest: %s %s", MOST_ITEMS, oldest.path, oldest.body[:200])
            await self._forget(name, [oldest])
