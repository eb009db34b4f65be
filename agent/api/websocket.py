"""One server's WebSocket, as Wings speaks it: `{"event", "args"}` both ways, signed in by a JWT inside the connection.

Here is who may open one and what a peer may ask of the server. What it has shown of itself is agent/api/admission.py's, what it is told
unasked agent/api/telling.py's, the bytes agent/api/peer.py's.
"""

from contextlib import suppress
from weakref import WeakKeyDictionary

from aiohttp import WSMsgType, web
from pydantic import ValidationError

from agent.api.admission import JWT_WORDS, Admission
from agent.api.auth import is_control_plane
from agent.api.denials import Denials
from agent.api.doors import Doors, Place, asker
from agent.api.errors import answer
from agent.api.frames import ConsoleFrames
from agent.api.keys import CLOCK, CONFIG, CREDENTIALS, MANAGER, OUTBOX
from agent.api.limits import GLOBAL, Limits
from agent.api.origins import may_open
from agent.api.peer import Peer
from agent.api.servers import named
from agent.api.telling import Telling
from agent.server.server import Server
from core.addresses import Network
from core.errors import AerieError, Invalid, Unauthenticated
from core.permissions import CONTROL_CONSOLE, CONTROL_RESTART, CONTROL_START, CONTROL_STOP
from core.protocol.remote import ActivityEntry
from core.protocol.socket import SUSPENDED_CLOSE_CODE, ConsolePlace, Frame, Inbound, Outbound
from core.supervise import Supervisor
from core.vocabulary import PowerSignal, ServerState

MOST_SOCKETS = 30
"""Per server, of people (Wings 1.12)."""
MOST_OWN_SOCKETS = 100
"""Per server, of the control plane: whoever fills the others does not keep it out."""
AUTH_SECONDS = 10.0
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


async def connect(request: web.Request) -> web.StreamResponse:
    """`GET /api/servers/{server}/ws`. The Origin must be the control plane's address, or one of `allowed_origins` (Wings)."""
    server = named(request)
    if not may_open(request.app[CONFIG], request.headers.get("Origin")):
        return answer(403, "This origin may not open a socket.")
    sockets = request.app[SOCKETS].setdefault(server.uuid, set())
    ours = is_control_plane(request, request.app[CREDENTIALS])
    if sum(1 for other in sockets if other.ours is ours) >= (MOST_OWN_SOCKETS if ours else MOST_SOCKETS):
        return answer(400, "Too many open connections for this server.")
    ip, place = asker(request, request.app[PROXIES]), None
    if not ours and (place := request.app[DOORS].enter(ip)) is None:
        return answer(429, "Too many connections from this address.", hint="Close some, or try again in a moment.")
    socket = Socket(request, server, ip, place)
    sockets.add(socket)
    try:
        await socket.peer.open()
        if server.suspended:
            await socket.close(SUSPENDED_CLOSE_CODE, "server is suspended")
        else:
            await socket.run()
    finally:
        sockets.discard(socket)
        if place is not None:
            place.leave()
    return socket.peer.response


class Socket:
    """One open connection; `place` is None for the control plane's own."""

    def __init__(self, request: web.Request, server: Server, ip: str, place: Place | None) -> None:
        self._request = request
        self._server = server
        self._ip = ip
        self._place = place
        self.ours = place is None
        """Whether the control plane itself opened it."""
        self._clock = request.app[CLOCK]
        self._limits = Limits(self._clock)
        self._admission = Admission(server.uuid, request.app[CONFIG].api, request.app[CREDENTIALS], request.app[DENIALS], self._clock)
        self.peer = Peer(request)
        frames = request.app[FRAMES].setdefault(server, ConsoleFrames())
        self._telling = Telling(self.peer, self._admission, server, frames, request.app[MANAGER].history, self._clock)
        self.listening = False
        """Whether it signed in once and is told what happens."""

    async def run(self) -> None:
        """Serve until the peer leaves."""
        async with Supervisor("socket", self._clock) as tasks:
            self._tasks = tasks
            tasks.spawn("time to sign in", self._sign_in_limit())
            async for message in self.peer.response:
                with suppress(ConnectionError):
                    await self._receive(message.data if message.type is WSMsgType.TEXT else "")

    async def close(self, code: int, words: str) -> None:
        """Say goodbye; a peer that does not answer is cut off."""
        await self.peer.close(code, words)

    async def _sign_in_limit(self) -> None:
        await self._clock.sleep(AUTH_SECONDS)
        if self._admission.claims is None:
            await self.close(1008, "no token came in time")

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
        if (trouble := self._admission.trouble()) is not None:
            await self.peer.send(Outbound.JWT_ERROR, trouble)
            return
        try:
            await self._act(frame.event, args)
        except AerieError as error:
            await self._telling.error(error)

    async def _tell_throttled(self, event: str) -> None:
        if self._limits.untold(event):
            await self.peer.send(Outbound.THROTTLED, event[:40])

    async def _act(self, event: str, args: str) -> None:
        match event:
            case Inbound.SET_STATE:
                try:
                    signal = PowerSignal(args)
                except ValueError:
                    raise Invalid(f"There is no power action {args[:40]!r}.") from None
                if self._admission.may(_NEEDS[signal]):
                    await self._server.asked(signal)
                    await self._note(f"server:power.{signal.value}")
            case Inbound.SEND_COMMAND:
                if self._admission.may(CONTROL_CONSOLE) and self._server.state is not ServerState.OFFLINE:
                    await self._server.command(args)
                    await self._note("server:console.command", command=args)
            case Inbound.SEND_LOGS:
                if self._server.state is not ServerState.OFFLINE:
                    await self._telling.history(self._request.app[CONFIG].system.websocket_log_count)
            case Inbound.SEND_STATS:
                await self._telling.stats()
            case Inbound.BATCH:
                self._telling.batched = True
                if args.startswith("{"):
                    await self._telling.resume(self._tasks, _place(args))
                await self._telling.missed_crash()

    async def _note(self, event: str, **metadata: str) -> None:
        """Have it reported what this person did (Wings). What the control plane does itself it writes down itself."""
        if self._admission.user_uuid:
            entry = ActivityEntry(
                user=self._admission.user_uuid,
                server=self._server.uuid,
                event=event,
                metadata=dict(metadata),
                ip=self._ip,
                timestamp=self._clock.now(),
            )
            await self._request.app[OUTBOX].activity(entry)

    async def _sign_in(self, token: str) -> None:
        try:
            claims = self._admission.examine(token)
        except Unauthenticated as error:
            if error.message in JWT_WORDS:
                await self.peer.send(Outbound.JWT_ERROR, error.message)
            else:
                await self._telling.error(error)
            return
        if self._place is not None and not self._place.sign_in():
            await self.close(1008, "too many connections from this address")
            return
        self._admission.accept(claims)
        self._telling.renewed()
        await self.peer.send(Outbound.AUTH_SUCCESS)
        if not self.listening:
            self.listening = True
            await self._telling.begin(self._tasks)


def _place(text: str) -> ConsolePlace:
    """Where a reader was. Raises Invalid."""
    try:
        return ConsolePlace.model_validate_json(text)
    except ValidationError:
        raise Invalid('A place in the console is {"after": number, "boot": "name of the count"}.') from None
