"""What one socket is told of its server without asking: state, stats, console, notices, and that its token ends.

A socket that reads slowly loses its oldest lines and is told how many; it never holds up the game or another socket.
`aerie.*` frames go only to those who asked for them. Must never act on a server.
"""

import asyncio
import logging
import uuid
from contextlib import suppress

from agent.api.admission import Admission
from agent.api.frames import ConsoleFrames, Group, frame, groups, message
from agent.api.peer import Peer
from agent.history.history import History
from agent.server.console import Batch
from agent.server.crash_record import REPLAYED_FOR
from agent.server.reading import Reading
from agent.server.server import Server
from agent.server.standing import DaemonNotice, Event
from core.clock import Clock
from core.errors import AerieError
from core.fanout import Listener
from core.permissions import CONNECT
from core.protocol.socket import JWT_DENIED, ConsolePlace, CrashReport, Outbound, PowerProgress, Resumed, StateChange, StatsFrame
from core.supervise import Supervisor
from core.vocabulary import ServerState

log = logging.getLogger(__name__)

EXPIRY_CHECK_SECONDS = 30.0
WARNING_SECONDS = 60.0
GRACE_SECONDS = 60.0
BACKLOG_LINES = 32_000
FLOOD_LINES = 20
GATHER_SECONDS = 0.004
"""After a write of so many lines, let more come together: many small writes to many sockets would cost more than the lines."""
SEES_ERRORS = "admin.websocket.errors"
_GATES = {
    Outbound.INSTALL_OUTPUT: "admin.websocket.install",
    Outbound.INSTALL_STARTED: CONNECT,
    Outbound.INSTALL_COMPLETED: CONNECT,
    Outbound.BACKUP_COMPLETED: "backup.read",
    Outbound.TRANSFER_LOGS: "admin.websocket.transfer",
}


class Telling:
    """One socket's side that speaks. `batched` is set when the peer asked for Aerie's own frames."""

    def __init__(self, peer: Peer, admission: Admission, server: Server, frames: ConsoleFrames, history: History, clock: Clock) -> None:
        self._peer = peer
        self._admission = admission
        self._server = server
        self._frames = frames
        self._history = history
        self._clock = clock
        self._reading: Reading | None = None
        self._speaking: asyncio.Task[None] | None = None
        self._told_barred = False
        self._expired = False
        self.batched = False

    async def begin(self, tasks: Supervisor) -> None:
        """After the first sign-in: listen from now on, and say how the server stands."""
        tasks.spawn("events", self._tell_events(self._server.events.listen(1000)))
        self._read(tasks, self._opened())
        tasks.spawn("expiry", self._watch_expiry())
        await self._peer.send(Outbound.STATUS, self._server.state.value)
        if self._server.state is ServerState.OFFLINE and self._server.end_installation is None:
            await self.stats()

    async def resume(self, tasks: Supervisor, place: ConsolePlace) -> None:
        """Go on where the peer was: what it missed comes first, but for what this connection has told it already."""
        before, reading = self._reading, self._opened()
        shown = (before.began, before.last) if before is not None else None
        found = place.after is not None and reading.go_back(place.after, place.boot, shown)
        if not found and shown is not None:
            reading.go_back(shown[1], self._server.console.count)
        after = place.after if found and place.after is not None else reading.last
        resumed = Resumed(after=after, boot=self._server.console.count, found=found)
        await self._peer.send(Outbound.AERIE_RESUMED, resumed.model_dump_json())
        self._read(tasks, reading)

    def _opened(self) -> Reading:
        if self._speaking is not None and self._reading is not None:
            self._speaking.cancel()
            self._reading.listener.close()
        return Reading(self._server.uuid, self._server.console, self._history, BACKLOG_LINES)

    def _read(self, tasks: Supervisor, reading: Reading) -> None:
        self._reading, self._speaking = reading, tasks.spawn("console", self._tell_console(reading))

    def renewed(self) -> None:
        """The peer showed a good token (again)."""
        self._expired = self._told_barred = False

    async def stats(self) -> None:
        await self._peer.send(Outbound.STATS, self._server.stats().text(extended=self.batched))

    async def history(self, count: int) -> None:
        """The newest lines that are remembered."""
        if lines := self._server.console.history(count):
            await self._lines([Batch(max(1, self._server.console.last_seq - len(lines) + 1), lines)], 0)

    async def error(self, error: AerieError) -> None:
        """What went wrong. What is the node's trouble, not the person's, is told in full to those alone who may see it (Wings)."""
        number = uuid.uuid4()
        log.info("server %s, socket error %s: %s", self._server.uuid, number, error)
        words = str(error) if error.status < 500 or self._admission.may(SEES_ERRORS) else "The node could not do that; its log says why."
        await self._peer.send(Outbound.DAEMON_ERROR, words if self.batched else f"[{number}] {words}")

    async def missed_crash(self) -> None:
        """A crash that nobody of ours was there to hear of; and that it runs again, if it does."""
        crash = self._server.crash
        if crash is None or self._server.crash_told or self._clock.now() - crash.at > REPLAYED_FOR:
            return
        await self._crash(crash)
        if self._server.state is ServerState.RUNNING:
            again = StateChange(
                state=ServerState.RUNNING, previous=ServerState.OFFLINE, reason=self._server.reason, at=self._server.state_since
            )
            await self._peer.send(Outbound.AERIE_STATE, again.model_dump_json())

    async def _crash(self, crash: CrashReport) -> None:
        await self._peer.send(Outbound.AERIE_CRASH, crash.model_dump_json())
        self._server.crash_told = True

    async def _barred(self) -> bool:
        """Whether nothing may be sent now. Who was signed out is told once; who ran out of time hears it on time, see `_watch_expiry`."""
        trouble = self._admission.trouble()
        if trouble == JWT_DENIED and not self._told_barred:
            self._told_barred = True
            await self._peer.send(Outbound.JWT_ERROR, trouble)
        return trouble is not None

    async def _tell_events(self, listener: Listener[Event]) -> None:
        with listener, suppress(ConnectionError):
            async for event in listener:
                if await self._barred():
                    continue
                match event:
                    case StateChange():
                        if self.batched:  # first, so that the reason is known before the bare word comes
                            await self._peer.send(Outbound.AERIE_STATE, event.model_dump_json())
                        await self._peer.send(Outbound.STATUS, event.state.value)
                    case PowerProgress():
                        if self.batched:
                            await self._peer.send(Outbound.AERIE_POWER, event.model_dump_json())
                    case StatsFrame():
                        await self._peer.send(Outbound.STATS, event.text(extended=self.batched))
                    case CrashReport():
                        if self.batched:
                            await self._crash(event)
                    case DaemonNotice():
                        if self._admission.may(_GATES.get(event.event, CONNECT)):
                            await self._peer.send(event.event, event.text)
                        if event.event is Outbound.DELETED:
                            await self._peer.close(1001, "server deleted")

    async def _tell_console(self, reading: Reading) -> None:
        with reading.listener as listener, suppress(ConnectionError):
            async for batch in reading.missed():
                if not await self._barred():
                    await self._lines([batch], reading.lost_before(batch))
            while batches := await listener.drain():
                if await self._barred():
                    reading.last = batches[-1].first_seq + len(batches[-1].lines) - 1
                    continue
                for group in groups(batches):
                    lost = reading.lost_before(group[0])
                    reading.last = group[-1].first_seq + len(group[-1].lines) - 1
                    await self._lines(group, lost)
                if sum(len(batch.lines) for batch in batches) >= FLOOD_LINES:
                    await self._clock.sleep(GATHER_SECONDS)

    async def _lines(self, group: Group, lost: int) -> None:
        if self.batched:
            await self._peer.write(self._frames.batched(group, max(0, lost)))
            return
        words = f"{lost} console lines were left out: they came faster than they could be sent."
        told = frame(message(Outbound.DAEMON_MESSAGE, words)) if lost > 0 else b""
        await self._peer.write(told + self._frames.plain(group))  # in one go: whoever is cut short here has told it all

    async def _watch_expiry(self) -> None:
        """Tell of a token's end a minute before, once at the end, and close when no new one comes within a minute."""
        while True:
            left = self._admission.seconds_left()
            if left <= -GRACE_SECONDS:
                await self._peer.close(1008, "token expired")
                return
            if left <= 0:
                following = left + GRACE_SECONDS
                if not self._expired:
                    self._expired = True
                    await self._peer.send(Outbound.TOKEN_EXPIRED)
            elif left <= WARNING_SECONDS:
                following = left
                await self._peer.send(Outbound.TOKEN_EXPIRING)
            else:
                following = left - WARNING_SECONDS
            await self._clock.sleep(min(EXPIRY_CHECK_SECONDS, max(0.05, following)))
