"""One server's WebSocket, as Wings speaks it: `{"event", "args"}` both ways, signed in by a JWT inside the connection.

Console lines are one message each, but many frames are built and written in one go: the cost is one write per batch. A socket that reads
slowly loses its oldest lines and is told how many; it never holds up the game or another socket. `aerie.*` frames go only to those who
sent `aerie.batch`.
"""

import asyncio
import logging
import uuid
from contextlib import suppress
from weakref import WeakKeyDictionary

from aiohttp import WSMsgType, web
from pydantic import ValidationError

from agent.api.auth import is_control_plane
from agent.api.denials import Denials
from agent.api.doors import Doors, Place, asker
from agent.api.errors import answer
from agent.api.frames import ConsoleFrames, Group, frame, groups, message
from agent.api.keys import CLOCK, CONFIG, CREDENTIALS, OUTBOX
from agent.api.limits import GLOBAL, Limits
from agent.api.origins import may_open
from agent.api.servers import named
from agent.server.console import Batch
from agent.server.crash_record import REPLAYED_FOR
from agent.server.server import Server
from agent.server.standing import DaemonNotice, Event
from core.addresses import Network
from core.clock import unix
from core.errors import AerieError, Invalid, Unauthenticated
from core.fanout import Listener
from core.permissions import CONNECT, CONTROL_CONSOLE, CONTROL_RESTART, CONTROL_START, CONTROL_STOP, allows
from core.protocol.remote import ActivityEntry
from core.protocol.socket import (
    JWT_DENIED,
    JWT_EXPIRED,
    JWT_MISSING,
    JWT_NO_CONNECT,
    JWT_WRONG_SERVER,
    SUSPENDED_CLOSE_CODE,
    CrashReport,
    Frame,
    Inbound,
    Outbound,
    PowerProgress,
    SocketClaims,
    StateChange,
    StatsFrame,
)
from core.supervise import Supervisor
from core.tokens import read_socket_token
from core.vocabulary import PowerSignal, ServerState

log = logging.getLogger(__name__)

MOST_SOCKETS = 30
"""Per server (Wings 1.12)."""
AUTH_SECONDS = 10.0
PING_SECONDS = 30.0
EXPIRY_CHECK_SECONDS = 30.0
WARNING_SECONDS = 60.0
GRACE_SECONDS = 60.0
LARGEST_MESSAGE = 4096
"""Bytes (Wings 1.12). Compression is not offered, so that nothing small can become something large."""
STALLED_SECONDS = 30.0
"""A peer that reads nothing for so long is cut off."""
CLOSE_SECONDS = 2.0
"""For the peer's half of a goodbye."""
BACKLOG_LINES = 32_000
FLOOD_LINES = 20
GATHER_SECONDS = 0.004
"""After a write of so many lines, let more come together: many small writes to many sockets would cost more than the lines."""
DENIALS = web.AppKey("denials", Denials)
DOORS = web.AppKey("doors", Doors)
PROXIES = web.AppKey("proxies", list[Network])
SOCKETS = web.AppKey("sockets", dict[str, set["Socket"]])
FRAMES = web.AppKey("frames", WeakKeyDictionary[Server, ConsoleFrames])
_NEEDS = {
    PowerSignal.START: CONTROL_START,
    PowerSignal.STOP: CONTROL_STOP,
    PowerSignal.RESTART: CONTROL_RESTART,
    PowerSignal.KILL: CONTROL_STOP,
}
_GATES = {
    Outbound.INSTALL_OUTPUT: "admin.websocket.install",
    Outbound.INSTALL_STARTED: CONNECT,
    Outbound.INSTALL_COMPLETED: CONNECT,
    Outbound.BACKUP_COMPLETED: "backup.read",
    Outbound.TRANSFER_LOGS: "admin.websocket.transfer",
}
SEES_ERRORS = "admin.websocket.errors"


async def connect(request: web.Request) -> web.StreamResponse:
    """`GET /api/servers/{server}/ws`. The Origin must be the control plane's address, or one of `allowed_origins` (Wings)."""
    server = named(request)
    if not may_open(request.app[CONFIG], request.headers.get("Origin")):
        return answer(403, "This origin may not open a socket.")
    sockets = request.app[SOCKETS].setdefault(server.uuid, set())
    if len(sockets) >= MOST_SOCKETS:
        return answer(400, "Too many open connections for this server.")
    ip, place = asker(request, request.app[PROXIES]), None
    if not is_control_plane(request, request.app[CREDENTIALS]) and (place := request.app[DOORS].enter(ip)) is None:
        return answer(429, "Too many connections from this address.", hint="Close some, or try again in a moment.")
    response = web.WebSocketResponse(timeout=CLOSE_SECONDS, heartbeat=PING_SECONDS, max_msg_size=LARGEST_MESSAGE, compress=False)
    socket = Socket(response, request, server, ip, place)
    sockets.add(socket)
    try:
        await response.prepare(request)
        if server.suspended:
            await socket.close(SUSPENDED_CLOSE_CODE, "server is suspended")
        else:
            await socket.run()
    finally:
        sockets.discard(socket)
        if place is not None:
            place.leave()
    return response


class Socket:
    """One open connection; `place` is None for the control plane's own."""

    def __init__(self, response: web.WebSocketResponse, request: web.Request, server: Server, ip: str, place: Place | None) -> None:
        self._response = response
        self._request = request
        self._server = server
        self._ip = ip
        self._place = place
        self._credentials = request.app[CREDENTIALS]
        self._denials = request.app[DENIALS]
        self._clock = request.app[CLOCK]
        self._frames = request.app[FRAMES].setdefault(server, ConsoleFrames())
        self._limits = Limits(self._clock)
        self._claims: SocketClaims | None = None
        self._signed_with = ""
        self._batched = False
        self._told_barred = False
        self._expired = False
        self.listening = False
        """Whether it signed in once and is told what happens."""
        self.user_uuid = ""

    async def run(self) -> None:
        """Serve until the peer leaves."""
        async with Supervisor("socket", self._clock) as tasks:
            self._tasks = tasks
            tasks.spawn("time to sign in", self._sign_in_limit())
            async for message in self._response:
                with suppress(ConnectionError):
                    await self._receive(message.data if message.type is WSMsgType.TEXT else "")

    async def close(self, code: int, words: str) -> None:
        """Say goodbye; a peer that does not answer is cut off."""
        try:
            async with asyncio.timeout(2 * CLOSE_SECONDS):
                await self._response.close(code=code, message=words.encode())
        except (TimeoutError, ConnectionError):
            self._cut_off()

    def _cut_off(self) -> None:
        if (transport := self._request.transport) is not None:
            transport.abort()

    async def _sign_in_limit(self) -> None:
        await self._clock.sleep(AUTH_SECONDS)
        if self._claims is None:
            await self.close(1008, "no token came in time")

    # What the peer sends

    async def _receive(self, text: str) -> None:
        if not self._limits.passes(GLOBAL):
            await self._tell_throttled(GLOBAL)
            return
        try:
            frame = Frame.model_validate_json(text)
        except ValidationError:
            return
        if not self._limits.passes(frame.event):
            await self._tell_throttled(frame.event)
            return
        if self._server.suspended:
            await self.close(SUSPENDED_CLOSE_CODE, "server is suspended")
            return
        args = "".join(frame.args)
        if frame.event == Inbound.AUTH:
            await self._sign_in(args)
            return
        if (trouble := self._trouble()) is not None:
            await self._send(Outbound.JWT_ERROR, trouble)
            return
        try:
            await self._act(frame.event, args)
        except AerieError as error:
            await self._tell_error(error)

    async def _tell_throttled(self, event: str) -> None:
        if self._limits.untold(event):
            await self._send(Outbound.THROTTLED, event[:40])

    async def _tell_error(self, error: AerieError) -> None:
        """What went wrong. What is the node's trouble, not the person's, is told in full to those alone who may see it (Wings)."""
        number = uuid.uuid4()
        log.info("server %s, socket error %s: %s", self._server.uuid, number, error)
        words = str(error) if error.status < 500 or self._may(SEES_ERRORS) else "The node could not do that; its log says why."
        await self._send(Outbound.DAEMON_ERROR, words if self._batched else f"[{number}] {words}")

    async def _act(self, event: str, args: str) -> None:
        match event:
            case Inbound.SET_STATE:
                try:
                    signal = PowerSignal(args)
                except ValueError:
                    raise Invalid(f"There is no power action {args[:40]!r}.") from None
                if self._may(_NEEDS[signal]):
                    self._server.power(signal)
                    await self._note(f"server:power.{signal.value}")
            case Inbound.SEND_COMMAND:
                if self._may(CONTROL_CONSOLE) and self._server.state is not ServerState.OFFLINE:
                    await self._server.command(args)
                    await self._note("server:console.command", command=args)
            case Inbound.SEND_LOGS:
                count = self._request.app[CONFIG].system.websocket_log_count
                if self._server.state is not ServerState.OFFLINE and (lines := self._server.console.history(count)):
                    await self._send_lines([Batch(max(1, self._server.console.last_seq - len(lines) + 1), lines)], 0)
            case Inbound.SEND_STATS:
                await self._send(Outbound.STATS, self._server.stats().model_dump_json(exclude_none=not self._batched))
            case Inbound.BATCH:
                self._batched = True
                await self._tell_missed_crash()

    async def _note(self, event: str, **metadata: str) -> None:
        """Have it reported what this person did (Wings). What the control plane does itself it writes down itself."""
        if self.user_uuid:
            entry = ActivityEntry(
                user=self.user_uuid,
                server=self._server.uuid,
                event=event,
                metadata=dict(metadata),
                ip=self._ip,
                timestamp=self._clock.now(),
            )
            await self._request.app[OUTBOX].activity(entry)

    async def _tell_crash(self, crash: CrashReport) -> None:
        await self._send(Outbound.AERIE_CRASH, crash.model_dump_json())
        self._server.crash_told = True

    async def _tell_missed_crash(self) -> None:
        """A crash that nobody of ours was there to hear of; and that it runs again, if it does."""
        crash = self._server.crash
        if crash is None or self._server.crash_told or self._clock.now() - crash.at > REPLAYED_FOR:
            return
        await self._tell_crash(crash)
        if self._server.state is ServerState.RUNNING:
            again = StateChange(
                state=ServerState.RUNNING, previous=ServerState.OFFLINE, reason=self._server.reason, at=self._server.state_since
            )
            await self._send(Outbound.AERIE_STATE, again.model_dump_json())

    async def _sign_in(self, token: str) -> None:
        secret = self._credentials.secret
        try:
            claims = read_socket_token(secret, token, now=self._clock.now())
        except Unauthenticated as error:
            if error.message == JWT_EXPIRED:
                await self._send(Outbound.JWT_ERROR, JWT_EXPIRED)
            else:
                await self._tell_error(error)
            return
        if self._denials.denies(claims):
            await self._send(Outbound.JWT_ERROR, JWT_DENIED)
        elif not allows(claims.permissions, CONNECT):
            await self._send(Outbound.JWT_ERROR, JWT_NO_CONNECT)
        elif claims.server_uuid != self._server.uuid:
            await self._send(Outbound.JWT_ERROR, JWT_WRONG_SERVER)
        elif self._place is not None and not self._place.sign_in():
            await self.close(1008, "too many connections from this address")
        else:
            self._claims, self._signed_with = claims, secret
            self._expired = self._told_barred = False
            self.user_uuid = claims.user_uuid
            await self._send(Outbound.AUTH_SUCCESS)
            if not self.listening:
                self.listening = True
                await self._begin()

    async def _begin(self) -> None:
        self._tasks.spawn("events", self._tell_events(self._server.events.listen(1000)))
        self._tasks.spawn("console", self._tell_console(self._server.console.listen(BACKLOG_LINES)))
        self._tasks.spawn("expiry", self._watch_expiry())
        await self._send(Outbound.STATUS, self._server.state.value)
        if self._server.state is ServerState.OFFLINE and self._server.end_installation is None:
            await self._send(Outbound.STATS, self._server.stats().model_dump_json(exclude_none=not self._batched))

    def _trouble(self) -> str | None:
        """Why what we hold of the peer's token is no longer good."""
        claims = self._claims
        if claims is None:
            return JWT_MISSING
        if claims.exp <= unix(self._clock.now()):
            return JWT_EXPIRED
        renewed = self._signed_with != self._credentials.secret
        return JWT_DENIED if renewed or self._denials.denies(claims) else None

    async def _barred(self) -> bool:
        """Whether nothing may be sent now. Who was signed out is told once; who ran out of time hears it on time, see `_watch_expiry`."""
        trouble = self._trouble()
        if trouble == JWT_DENIED and not self._told_barred:
            self._told_barred = True
            await self._send(Outbound.JWT_ERROR, trouble)
        return trouble is not None

    def _may(self, permission: str) -> bool:
        return self._claims is not None and allows(self._claims.permissions, permission)

    # What we send

    async def _tell_events(self, listener: Listener[Event]) -> None:
        with listener, suppress(ConnectionError):
            async for event in listener:
                if await self._barred():
                    continue
                match event:
                    case StateChange():
                        if self._batched:  # first, so that the reason is known before the bare word comes
                            await self._send(Outbound.AERIE_STATE, event.model_dump_json())
                        await self._send(Outbound.STATUS, event.state.value)
                    case PowerProgress():
                        if self._batched:
                            await self._send(Outbound.AERIE_POWER, event.model_dump_json())
                    case StatsFrame():
                        await self._send(Outbound.STATS, event.model_dump_json(exclude_none=not self._batched))
                    case CrashReport():
                        if self._batched:
                            await self._tell_crash(event)
                    case DaemonNotice():
                        if self._may(_GATES.get(event.event, CONNECT)):
                            await self._send(event.event, event.text)
                        if event.event is Outbound.DELETED:
                            await self.close(1001, "server deleted")

    async def _tell_console(self, listener: Listener[Batch]) -> None:
        last = self._server.console.last_seq
        with listener, suppress(ConnectionError):
            while batches := await listener.drain():
                if await self._barred():
                    last = batches[-1].first_seq + len(batches[-1].lines) - 1
                    continue
                for group in groups(batches):
                    await self._send_lines(group, group[0].first_seq - last - 1)
                    last = group[-1].first_seq + len(group[-1].lines) - 1
                if sum(len(batch.lines) for batch in batches) >= FLOOD_LINES:
                    await self._clock.sleep(GATHER_SECONDS)

    async def _send_lines(self, group: Group, lost: int) -> None:
        if self._batched:
            await self._write(self._frames.batched(group, max(0, lost)))
            return
        if lost > 0:
            await self._send(Outbound.DAEMON_MESSAGE, f"{lost} console lines were left out: they came faster than they could be sent.")
        await self._write(self._frames.plain(group))

    async def _watch_expiry(self) -> None:
        """Tell of a token's end a minute before, once at the end, and close when no new one comes within a minute."""
        while (claims := self._claims) is not None:
            left = claims.exp - self._clock.now().timestamp()
            if left <= -GRACE_SECONDS:
                await self.close(1008, "token expired")
                return
            if left <= 0:
                following = left + GRACE_SECONDS
                if not self._expired:
                    self._expired = True
                    await self._send(Outbound.TOKEN_EXPIRED)
            elif left <= WARNING_SECONDS:
                following = left
                await self._send(Outbound.TOKEN_EXPIRING)
            else:
                following = left - WARNING_SECONDS
            await self._clock.sleep(min(EXPIRY_CHECK_SECONDS, max(0.05, following)))

    async def _send(self, event: Outbound, text: str | None = None) -> None:
        await self._write(frame(message(event, text)))

    async def _write(self, data: bytes) -> None:
        """Put finished frames on the wire at once, and wait while the peer reads slowly."""
        transport = self._request.transport
        if transport is None or transport.is_closing() or self._response.closed:
            raise ConnectionResetError("the peer has left")
        transport.write(data)
        try:
            async with asyncio.timeout(STALLED_SECONDS):
                await self._request.protocol._drain_helper()
        except TimeoutError:
            self._cut_off()
            raise ConnectionResetError("the peer does not read") from None
