"""One server's WebSocket, held open: tokens renewed before they expire, broken connections made again, frames typed.

Speaks Wings' frames, and Aerie's own where the node knows them. Never raises for what a node does: a lost node is a frame like any other.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

import aiohttp
import orjson

from core.clock import Clock
from core.errors import AerieError, NodeTimeout, NodeUnreachable, NotFound
from core.permissions import ADMIN_SOCKET, ALL
from core.protocol.socket import (
    JWT_DENIED,
    JWT_EXPIRED,
    SUSPENDED_CLOSE_CODE,
    ConsoleBatch,
    CrashReport,
    Frame,
    Inbound,
    Outbound,
    PowerProgress,
    StateChange,
    StatsFrame,
)
from core.rpc.client import CONNECT_LIMIT, TOTAL_LIMIT, NodeClient, headers_of, refused, unreachable
from core.supervise import Supervisor
from core.tokens import SOCKET_TOKEN_LIFE, sign_socket_token
from core.vocabulary import ServerState

log = logging.getLogger(__name__)

RENEW_AFTER = SOCKET_TOKEN_LIFE.total_seconds() - 120  # seconds; a token lives ten minutes
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0
MOST_BYTES = 16 * 1024 * 1024  # of one frame
BEAT = 20.0  # seconds between pings; a node silent for that and a half again is lost


@dataclass(frozen=True, slots=True)
class Opened:
    """The node let us in; states and console follow."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is gone, or could not be made. `code` is an AerieError code; `again_in` seconds until the next try."""

    reason: str
    code: str
    at: datetime
    again_in: float


@dataclass(frozen=True, slots=True)
class Status:
    """Wings' bare `status` frame; from our agents a StateChange tells the same and more."""

    state: ServerState
    at: datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """Any other event: installer output, daemon messages and errors, `deleted`, `throttled`."""

    event: str
    text: str


StreamFrame = StateChange | PowerProgress | StatsFrame | ConsoleBatch | CrashReport | Status | Notice | Opened | Lost


async def socket_at(client: NodeClient, path: str) -> aiohttp.ClientWebSocketResponse:
    """Open a socket at a node. Raises NodeUnreachable, and WSServerHandshakeError for what the node would not open."""
    address = client.address
    try:
        async with asyncio.timeout(TOTAL_LIMIT):
            return await client.session.ws_connect(
                address.url + path,
                headers=headers_of(address),
                heartbeat=BEAT,
                max_msg_size=MOST_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=CONNECT_LIMIT),
            )
    except aiohttp.WSServerHandshakeError:
        raise
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        raise unreachable(address, error) from error


class ServerStream:
    """`async for frame in ServerStream(client, uuid, clock):` goes on until `close`, or until the server is deleted."""

    def __init__(self, client: NodeClient, uuid: str, clock: Clock) -> None:
        self._client = client
        self._uuid = uuid
        self._clock = clock
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._closed = asyncio.Event()
        self._renewed = 0.0
        self._refusals = 0
        self._ours = False
        self._expected: int | None = None
        self._plain = 0

    @property
    def connected(self) -> bool:
        return self._socket is not None and not self._socket.closed

    async def close(self) -> None:
        """End the iteration."""
        self._closed.set()
        if self._socket is not None:
            await self._socket.close()

    async def __aiter__(self) -> AsyncIterator[StreamFrame]:
        pause = FIRST_PAUSE
        while not self._closed.is_set():
            opened = False
            try:
                async for frame in self._one_connection():
                    if isinstance(frame, Opened):
                        opened, pause = True, FIRST_PAUSE
                    yield frame
                    if isinstance(frame, Notice) and frame.event == Outbound.DELETED:
                        return
                failure: AerieError = NodeUnreachable(f"The node {self._client.address.name} closed the connection.")
            except AerieError as error:
                failure = error
            if self._closed.is_set():
                return
            if not opened and isinstance(failure, NodeUnreachable):
                self._client.circuit.failed(failure.message, slow=isinstance(failure, NodeTimeout))
            again_in = pause * self._spread()
            yield Lost(failure.message, failure.code, self._clock.now(), again_in)
            pause = min(pause * 2, LONGEST_PAUSE)
            await self._rest(again_in)

    def _spread(self) -> float:
        """Between 0.75 and 1.25, so that the streams of one node do not all knock together."""
        return 0.75 + (hash(self._uuid) % 1000) / 2000

    async def _rest(self, seconds: float) -> None:
        """Wait, but not when asked to end."""
        async with Supervisor("stream", self._clock) as tasks:
            waits = {tasks.spawn("pause", self._clock.sleep(seconds)), tasks.spawn("end", self._ended())}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)

    async def _ended(self) -> None:
        await self._closed.wait()

    async def _one_connection(self) -> AsyncIterator[StreamFrame]:
        address = self._client.address
        try:
            socket = await socket_at(self._client, f"/api/servers/{self._uuid}/ws")
        except aiohttp.WSServerHandshakeError as error:
            raise self._handshake_failure(error.status) from error
        self._socket, self._ours, self._refusals, self._plain = socket, False, 0, 0
        try:
            await self._sign_in()
            await self._send(Inbound.BATCH, "1")
            async for frame in self._frames(socket):
                yield frame
        except (aiohttp.ClientError, OSError) as error:
            raise unreachable(address, error) from error
        finally:
            self._socket = None
            await socket.close()

    async def _frames(self, socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[StreamFrame]:
        entered = False
        while not self._closed.is_set():
            try:
                message = await socket.receive(timeout=TOTAL_LIMIT)
            except TimeoutError:
                if not entered:
                    raise NodeTimeout(f"The node {self._client.address.name} did not answer our sign-in in time.") from None
                await self._renew_when_due()
                continue
            if message.type is aiohttp.WSMsgType.TEXT:
                for frame in await self._read(message.data):
                    entered = entered or isinstance(frame, Opened)
                    yield frame
                await self._renew_when_due()
            elif message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED):
                if SUSPENDED_CLOSE_CODE in (message.data, socket.close_code):  # a peer that leaves at once turns the latter into 1006
                    yield Notice("suspended", "The server is suspended.")
                return
            elif message.type is aiohttp.WSMsgType.ERROR:
                raise unreachable(self._client.address, socket.exception() or ConnectionResetError())

    async def _read(self, text: str) -> list[StreamFrame]:
        """One message as frames. A message that cannot be read is told in the log and passed over."""
        try:
            frame = Frame.model_validate(orjson.loads(text))
            return await self._typed(frame.event, frame.args[0] if frame.args else "")
        except ValueError as error:
            log.warning("node %s sent a frame that cannot be read: %s", self._client.address.name, error)
            return []

    async def _typed(self, event: str, body: str) -> list[StreamFrame]:
        now = self._clock.now()
        match event:
            case Outbound.AERIE_CONSOLE:
                return [self._numbered(ConsoleBatch.model_validate_json(body))]
            case Outbound.CONSOLE_OUTPUT:
                return [self._counted(body)]
            case Outbound.STATS:
                return [StatsFrame.model_validate_json(body)]
            case Outbound.STATUS:
                return [Status(ServerState(body), now)]
            case Outbound.AERIE_STATE:
                return [StateChange.model_validate_json(body)]
            case Outbound.AERIE_POWER:
                return [PowerProgress.model_validate_json(body)]
            case Outbound.AERIE_CRASH:
                return [CrashReport.model_validate_json(body)]
            case Outbound.AUTH_SUCCESS:
                self._refusals = 0
                if self._entered_once():
                    return []
                self._client.circuit.succeeded()
                return [Opened(now)]
            case Outbound.TOKEN_EXPIRING | Outbound.TOKEN_EXPIRED:
                await self._sign_in()
                return []
            case Outbound.JWT_ERROR:
                await self._sign_in_again(body)
                return []
            case _:
                return [Notice(event, body)]

    def _entered_once(self) -> bool:
        before, self._ours = self._ours, True
        return before

    def _numbered(self, batch: ConsoleBatch) -> ConsoleBatch:
        """Lines missed while the connection was down show as a gap in the numbers; they count as dropped."""
        gap = 0 if self._expected is None else batch.first_seq - self._expected - self._plain
        self._plain = 0
        self._expected = batch.first_seq + len(batch.lines)
        return batch.model_copy(update={"dropped": gap}) if gap > batch.dropped else batch

    def _counted(self, line: str) -> ConsoleBatch:
        """A plain Wings frame, numbered here."""
        first = (self._expected or 0) + self._plain
        self._plain += 1
        return ConsoleBatch(first_seq=first, lines=[line])

    async def _sign_in_again(self, reason: str) -> None:
        self._refusals += 1
        renewable = JWT_EXPIRED in reason or JWT_DENIED in reason
        if not renewable or self._refusals > 3:
            raise refused(self._client.address)
        await self._sign_in()

    async def _renew_when_due(self) -> None:
        if self._clock.monotonic() - self._renewed >= RENEW_AFTER:
            await self._sign_in()

    async def _sign_in(self) -> None:
        self._renewed = self._clock.monotonic()
        token = sign_socket_token(
            self._client.address.token.secret,
            server_uuid=self._uuid,
            permissions=[ALL, *ADMIN_SOCKET],
            now=self._clock.now(),
            user_uuid="aerie",
            issuer=self._client.address.origin,
            audience=self._client.address.url,
            derived=await self._client.takes_derived(),
        )
        await self._send(Inbound.AUTH, token)

    async def _send(self, event: Inbound, *args: str) -> None:
        if self._socket is not None and not self._socket.closed:
            await self._socket.send_str(orjson.dumps({"event": event, "args": args}).decode())

    def _handshake_failure(self, status: int) -> AerieError:
        address = self._client.address
        if status == 404:
            return NotFound(f"The node {address.name} does not have this server yet.")
        if status in (401, 403):
            return refused(address)
        return NodeUnreachable(f"The node {address.name} would not open a console connection (status {status}).")
