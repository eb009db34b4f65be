"""What one server has to say to one stream: its events and its console, each in a bounded queue, taken a turn at a time.

Stats that were overtaken by newer ones are left out. Knows no socket.
"""

from collections.abc import AsyncIterator, Callable

import orjson

from agent.api.frames import Group, groups
from agent.history.history import History
from agent.server.crash_record import REPLAYED_FOR
from agent.server.reading import Reading
from agent.server.server import Server
from agent.server.standing import DaemonNotice, Event
from core.clock import Clock
from core.protocol.socket import ConsolePlace, CrashReport, Outbound, PowerProgress, StateChange, StatsFrame
from core.protocol.stream import Topic
from core.vocabulary import ServerState

EVENTS_HELD = 200
LINES_HELD = 8_000
TURN = 1_000
"""What a console says in one turn, as `Batch.weight` measures."""


def told(server: str, event: str, body: object) -> bytes:
    """One event; `body` is anything JSON has, or JSON already."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return b'{"server":' + orjson.dumps(server) + b',"event":' + orjson.dumps(event) + b',"body":' + data + b"}"


class Channel:
    """One server. `mark` is called when there is something to take."""

    def __init__(self, server: Server, history: History, clock: Clock, mark: Callable[["Channel"], None]) -> None:
        self.server = server
        self.topics: set[Topic] = set()
        self._history = history
        self._clock = clock
        self._mark = mark
        self._events = server.events.listen(EVENTS_HELD, woken=self._woken)
        self._dropped = 0
        self._first: list[bytes] = []
        self._reading: Reading | None = None
        self._making_up = False

    def _woken(self) -> None:
        self._mark(self)

    @property
    def ended(self) -> bool:
        """Whether the server is gone and everything was taken."""
        return self._events.closed and not len(self._events)

    @property
    def has_more(self) -> bool:
        reading = self._reading
        return bool(len(self._events)) or (reading is not None and not self._making_up and bool(len(reading.listener)))

    def greet(self, topics: set[Topic]) -> None:
        """Say first how it stands, and of a crash that nobody was there to hear of."""
        if Topic.STATE in topics:
            self._first.append(self._tell(Outbound.STATUS, self.server.state.value))
        if Topic.STATS in topics:
            self._first.append(self._tell(Outbound.STATS, self.server.stats().text(extended=True).encode()))
        crash = self.server.crash
        if Topic.CRASH not in topics or crash is None or self.server.crash_told or self._clock.now() - crash.at > REPLAYED_FOR:
            return
        self._first.append(self._crash(crash))
        if self.server.state is ServerState.RUNNING:
            running, why = ServerState.RUNNING, self.server.reason
            again = StateChange(state=running, previous=ServerState.OFFLINE, reason=why, at=self.server.state_since)
            self._first.append(self._tell(Outbound.AERIE_STATE, again.model_dump_json().encode()))

    def open_console(self, place: ConsolePlace) -> tuple[bytes, Reading]:
        """Go on at a place, or begin now; answers what to tell first, and what to give to `missed` then."""
        self.close_console()
        reading = self._reading = Reading(self.server.uuid, self.server.console, self._history, LINES_HELD, self._woken)
        found = place.after is not None and reading.go_back(place.after, place.boot)
        self._making_up = True
        after = place.after if found else reading.last
        return self._tell(Outbound.AERIE_RESUMED, {"after": after, "boot": self.server.console.count, "found": found}), reading

    def close_console(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.listener.close()

    def close(self) -> None:
        self.close_console()
        self._events.close()

    async def missed(self, reading: Reading) -> AsyncIterator[bytes]:
        """What the reader of the console missed; ends early when its console was closed or opened anew meanwhile."""
        async for batch in reading.missed():
            if self._reading is not reading:
                return
            for part in self._batches([batch], reading):
                yield part
        if self._reading is reading:
            self._making_up = False
            self._mark(self)

    def take(self) -> list[bytes]:
        """One turn."""
        parts, self._first = self._first, []
        parts += self._news()
        reading = self._reading
        if reading is not None and not self._making_up:
            for group in groups(reading.listener.take(TURN)):
                parts += self._batches(group, reading)
        return parts

    def _batches(self, group: Group, reading: Reading) -> list[bytes]:
        lost = reading.lost_before(group[0])
        reading.last = group[-1].first_seq + len(group[-1].lines) - 1
        lines = [line for batch in group for line in batch.lines]
        return [self._tell(Outbound.AERIE_CONSOLE, {"first_seq": group[0].first_seq, "lines": lines, "dropped": lost})]

    def _news(self) -> list[bytes]:
        events = self._events.take(EVENTS_HELD)
        newest = next((event for event in reversed(events) if isinstance(event, StatsFrame)), None)
        parts = [part for event in events if (part := self._event(event, newest)) is not None]
        if self._events.dropped > self._dropped:
            self._dropped = self._events.dropped
            if Topic.STATE in self.topics:  # a change may be among what was lost
                parts.append(self._tell(Outbound.STATUS, self.server.state.value))
        return parts

    def _event(self, event: Event, newest: StatsFrame | None) -> bytes | None:
        match event:
            case StateChange() if Topic.STATE in self.topics:
                return self._tell(Outbound.AERIE_STATE, event.model_dump_json().encode())
            case PowerProgress() if Topic.POWER in self.topics:
                return self._tell(Outbound.AERIE_POWER, event.model_dump_json().encode())
            case StatsFrame() if Topic.STATS in self.topics and event is newest:
                return self._tell(Outbound.STATS, event.text(extended=True).encode())
            case CrashReport() if Topic.CRASH in self.topics:
                return self._crash(event)
            case DaemonNotice() if Topic.NOTICES in self.topics:
                return self._tell(event.event, event.text)
            case _:
                return None

    def _crash(self, crash: CrashReport) -> bytes:
        self.server.crash_told = True
        return self._tell(Outbound.AERIE_CRASH, crash.model_dump_json().encode())

    def _tell(self, event: Outbound, body: object) -> bytes:
        return told(self.server.uuid, event.value, body)
