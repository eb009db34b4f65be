"""One server's WebSocket, as Wings speaks it: `{"event", "args"}` both ways, signed in by a JWT inside the connection.

Console lines are one message each, but many frames are built and written in one go: the cost is one write per batch. A socket that reads
slowly loses its oldest lines and is told how many; it never holds up the game or another socket. `aerie.*` frames go only to those who
sent `aerie.batch`.
"""

import logging
from contextlib import suppress
from weakref import WeakKeyDictionary

from aiohttp import WSMsgType, web
from pydantic import ValidationError

from agent.api.denials import Denials
from agent.api.errors import answer
from agent.api.frames import ConsoleFrames, Group, frame, groups, message
from agent.api.keys import CLOCK, CONFIG, OUTBOX
from agent.api.servers import named
from agent.server.console import Batch
from agent.server.crash_record import REPLAYED_FOR
from agent.server.server import Server
from agent.server.standing import DaemonNotice, Event
from core.clock import Clock, unix
from core.errors import AerieError, Unauthenticated
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
GRACE_SECONDS = 60.0
LARGEST_MESSAGE = 32 * 1024
BACKLOG_LINES = 20_000
FLOOD_LINES = 20
GATHER_SECONDS = 0.004
"""After a write of so many lines, let more come together: many small writes to many sockets would cost more than the lines."""
DENIALS = web.AppKey("denials", Denials)
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
}


async def connect(request: web.Request) -> web.StreamResponse:
    """`GET /api/servers/{server}/ws`. The Origin must be the control plane's address, or one of `allowed_origins` (Wings)."""
    server = named(request)
    config = request.app[CONFIG]
    allowed = (config.remote.url, *config.allowed_origins)
    if "*" not in allowed and request.headers.get("Origin", "") not in allowed:
        return answer(403, "This origin may not open a socket.")
    sockets = request.app[SOCKETS].setdefault(server.uuid, set())
    if len(sockets) >= MOST_SOCKETS:
        return answer(400, "Too many open connections for this server.")
    response = web.WebSocketResponse(heartbeat=PING_SECONDS, max_msg_size=LARGEST_MESSAGE, compress=False)
    await response.prepare(request)
    if server.suspended:
        await response.close(code=SUSPENDED_CLOSE_CODE, message=b"server is suspended")
        return response
    socket = Socket(response, request, server, config.remote.token.get_secret_value(), request.app[DENIALS], request.app[CLOCK])
    sockets.add(socket)
    try:
        await socket.run()
    finally:
        sockets.discard(socket)
    return response


class Socket:
    """One open connection."""

    def __init__(
        self, response: web.WebSocketResponse, request: web.Request, server: Server, secret: str, denials: Denials, clock: Clock
    ) -> None:
        self._response = response
        self._request = request
        self._server = server
        self._secret = secret
        self._denials = denials
        self._clock = clock
        self._frames = request.app[FRAMES].setdefault(server, ConsoleFrames())
        self._claims: SocketClaims | None = None
        self._batched = False
        self._listening = False
        self._expired = False
        self._buckets: dict[str, tuple[float, float]] = {}
        self._throttled: set[str] = set()
        self.user_uuid = ""

    async def run(self) -> None:
        """Serve until the peer leaves."""
        async with Supervisor("socket", self._clock) as tasks:
            self._tasks = tasks
            tasks.spawn("time to sign in", self._sign_in_limit())
            async for message in self._response:
                if message.type is not WSMsgType.TEXT:
                    continue
                with suppress(ConnectionError):
                    await self._receive(message.data)

    async def close(self, code: int, words: str) -> None:
        await self._response.close(code=code, message=words.encode())

    async def _sign_in_limit(self) -> None:
        await self._clock.sleep(AUTH_SECONDS)
        if self._claims is None:
            await self.close(1008, "no token came in time")

    # What the peer sends

    async def _receive(self, text: str) -> None:
        try:
            frame = Frame.model_validate_json(text)
        except ValidationError:
            return
        if not self._within_limits(frame.event):
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
            await self._send(Outbound.DAEMON_ERROR, str(error))

    async def _act(self, event: str, args: str) -> None:
        match event:
            case Inbound.SET_STATE:
                try:
                    signal = PowerSignal(args)
                except ValueError:
                    await self._send(Outbound.DAEMON_ERROR, f"There is no power action {args[:40]!r}.")
                    return
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
                ip=self._request.remote,
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
        try:
            claims = read_socket_token(self._secret, token, now=self._clock.now())
        except Unauthenticated as error:
            if error.message == JWT_EXPIRED:
                await self._send(Outbound.JWT_ERROR, JWT_EXPIRED)
            else:
                await self._send(Outbound.DAEMON_ERROR, error.message)
            return
        if self._denials.denies(claims):
            await self._send(Outbound.JWT_ERROR, JWT_DENIED)
        elif not allows(claims.permissions, CONNECT):
            await self._send(Outbound.JWT_ERROR, JWT_NO_CONNECT)
        elif claims.server_uuid != self._server.uuid:
            await self._send(Outbound.JWT_ERROR, JWT_WRONG_SERVER)
        else:
            self._claims, self._expired = claims, False
            self.user_uuid = claims.user_uuid
            await self._send(Outbound.AUTH_SUCCESS)
            if not self._listening:
                self._listening = True
                await self._begin()

    async def _begin(self) -> None:
        self._tasks.spawn("events", self._tell_events(self._server.events.listen(1000)))
        self._tasks.spawn("console", self._tell_console(self._server.console.listen(BACKLOG_LINES)))
        self._tasks.spawn("expiry", self._watch_expiry())
        await self._send(Outbound.STATUS, self._server.state.value)
        if self._server.state is ServerState.OFFLINE:
            await self._send(Outbound.STATS, self._server.stats().model_dump_json(exclude_none=not self._batched))

    def _trouble(self) -> str | None:
        """Why what we hold of the peer's token is no longer good."""
        claims = self._claims
        if claims is None:
            return JWT_MISSING
        if claims.exp <= unix(self._clock.now()):
            return JWT_EXPIRED
        return JWT_DENIED if self._denials.denies(claims) else None

    def _may(self, permission: str) -> bool:
        return self._claims is not None and allows(self._claims.permissions, permission)

    def _within_limits(self, event: str) -> bool:
        """Wings 1.12's token buckets; over the limit the event is dropped and `throttled` said once."""
        known = event in (Inbound.AUTH, Inbound.SEND_LOGS, Inbound.SEND_COMMAND)
        rate, burst = {Inbound.AUTH.value: (0.2, 2.0), Inbound.SEND_LOGS.value: (0.2, 2.0), Inbound.SEND_COMMAND.value: (1.0, 10.0)}.get(
            event, (1.0, 4.0)
        )
        for name, speed, most in (("global", 5.0, 10.0), (event if known else "other", rate, burst)):
            tokens, then = self._buckets.get(name, (most, self._clock.monotonic()))
            now = self._clock.monotonic()
            tokens = min(most, tokens + (now - then) * speed)
            if tokens < 1:
                self._buckets[name] = (tokens, now)
                if name not in self._throttled:
                    self._throttled.add(name)
                    self._tasks.spawn("throttled", self._send(Outbound.THROTTLED, "global" if name == "global" else event))
                return False
            self._buckets[name] = (tokens - 1, now)
            self._throttled.discard(name)
        return True

    # What we send

    async def _tell_events(self, listener: Listener[Event]) -> None:
        with listener, suppress(ConnectionError):
            async for event in listener:
                if self._trouble() is not None:
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
                if self._trouble() is not None:
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
        while True:
            await self._clock.sleep(EXPIRY_CHECK_SECONDS)
            claims = self._claims
            if claims is None:
                continue
            left = claims.exp - unix(self._clock.now())
            if left <= -GRACE_SECONDS:
                await self.close(1008, "token expired")
                return
            if left <= 0:
                if not self._expired:
                    self._expired = True
                    await self._send(Outbound.TOKEN_EXPIRED)
            elif left <= 60:
                await self._send(Outbound.TOKEN_EXPIRING)

    async def _send(self, event: Outbound, text: str | None = None) -> None:
        await self._write(frame(message(event, text)))

    async def _write(self, data: bytes) -> None:
        """Put finished frames on the wire at once, and wait while the peer reads slowly."""
        transport = self._request.transport
        if transport is None or transport.is_closing() or self._response.closed:
            raise ConnectionResetError("the peer has left")
        transport.write(data)
        await self._request.protocol._drain_helper()
