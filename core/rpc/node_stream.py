"""All of a node's servers over one WebSocket, held open: for nodes that are agents of ours. Broken connections are made again, and each
console goes on where it was.

Gives the same frames as a server's own socket (stream.py), each with its server's uuid. Raises StreamMissing for a node that has no such
stream; what else a node does is a frame like any other.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import orjson
from pydantic import ValidationError

from core.clock import Clock
from core.errors import AerieError, NodeTimeout, NodeUnreachable
from core.protocol.socket import (
    ConsoleBatch,
    ConsolePlace,
    CrashReport,
    Outbound,
    PowerProgress,
    Resumed,
    StateChange,
    StatsFrame,
)
from core.protocol.stream import Ask, Topic
from core.rpc import stream as limits
from core.rpc.client import NodeClient, refused, unreachable
from core.rpc.stream import Lost, Notice, Opened, Status, StreamFrame
from core.supervise import Supervisor
from core.vocabulary import ServerState

log = logging.getLogger(__name__)

_AT_ONCE = 500
"""Servers in one message."""
_ALWAYS = frozenset(Topic) - {Topic.CONSOLE}
_TYPES: dict[str, type[StatsFrame | StateChange | PowerProgress | CrashReport]] = {
    Outbound.STATS: StatsFrame,
    Outbound.AERIE_STATE: StateChange,
    Outbound.AERIE_POWER: PowerProgress,
    Outbound.AERIE_CRASH: CrashReport,
}


class StreamMissing(Exception):
    """The node has no stream for all its servers: it is a stock Wings, or an agent from before there was one."""


class NodeStream:
    """`async for uuid, frame in NodeStream(client, clock):` goes on until `close`; what concerns the node comes with an empty uuid."""

    def __init__(self, client: NodeClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._closed = asyncio.Event()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._servers: set[str] = set()
        self._consoles: dict[str, ConsolePlace] = {}
        """Those wanted, and how far each has got."""
        self._asked: set[str] = set()
        self._asked_consoles: set[str] = set()
        self._changed = asyncio.Event()

    def want(self, servers: set[str], consoles: Mapping[str, ConsolePlace]) -> None:
        """Hear of these servers, and of the consoles of some. A place counts for a console that is new here."""
        self._servers = set(servers)
        self._consoles = {uuid: self._consoles.get(uuid, place) for uuid, place in consoles.items() if uuid in servers}
        self._changed.set()

    def go_back(self, uuid: str, place: ConsolePlace) -> None:
        """Have a console told again from this place on, for one more who missed something."""
        self._consoles[uuid] = place
        self._asked_consoles.discard(uuid)
        self._changed.set()

    async def close(self) -> None:
        """End the iteration."""
        self._closed.set()
        if self._socket is not None:
            await self._socket.close()

    async def __aiter__(self) -> AsyncIterator[tuple[str, StreamFrame]]:
        pause = limits.FIRST_PAUSE
        while not self._closed.is_set():
            opened = False
            try:
                async for uuid, frame in self._one_connection():
                    if isinstance(frame, Opened):
                        opened, pause = True, limits.FIRST_PAUSE
                    yield uuid, frame
                failure: AerieError = NodeUnreachable(f"The node {self._client.address.name} closed the connection.")
            except AerieError as error:
                failure = error
            if self._closed.is_set():
                return
            if not opened and isinstance(failure, NodeUnreachable):
                self._client.circuit.failed(failure.message, slow=isinstance(failure, NodeTimeout))
            yield "", Lost(failure.message, failure.code, self._clock.now(), pause)
            try:
                async with asyncio.timeout(pause):
                    await self._closed.wait()
            except TimeoutError:
                pause = min(pause * 2, limits.LONGEST_PAUSE)

    async def _one_connection(self) -> AsyncIterator[tuple[str, StreamFrame]]:
        address = self._client.address
        try:
            socket = await limits.socket_at(self._client, "/api/aerie/stream")
        except aiohttp.WSServerHandshakeError as error:
            if error.status in (404, 405):
                raise StreamMissing from error
            if error.status in (401, 403):
                raise refused(address) from error
            raise NodeUnreachable(f"The node {address.name} would not open its stream (status {error.status}).") from error
        self._socket = socket
        self._asked, self._asked_consoles = set(), set()
        self._changed.set()
        self._client.circuit.succeeded()
        try:
            async with Supervisor("node stream", self._clock) as tasks:
                tasks.spawn("ask", self._ask(socket))
                yield "", Opened(self._clock.now())
                async for frame in self._frames(socket):
                    yield frame
        except (aiohttp.ClientError, OSError) as error:
            raise unreachable(address, error) from error
        finally:
            self._socket = None
            await socket.close()

    async def _ask(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Keep what we ask for equal to what is wanted, for as long as the connection lives."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            gone, silent = self._asked - self._servers, self._asked_consoles - self._consoles.keys()
            fresh, heard = self._servers - self._asked, self._consoles.keys() - self._asked_consoles
            self._asked, self._asked_consoles = set(self._servers), set(self._consoles)
            now = ConsolePlace()
            try:
                await self._send(socket, "ignore", dict.fromkeys(gone, now), frozenset())
                await self._send(socket, "ignore", dict.fromkeys(silent - gone, now), frozenset({Topic.CONSOLE}))
                await self._send(socket, "watch", dict.fromkeys(fresh, now), _ALWAYS)
                await self._send(socket, "watch", {uuid: self._consoles[uuid] for uuid in heard}, frozenset({Topic.CONSOLE}))
            except (aiohttp.ClientError, OSError):
                return  # the reading side notices, too

    @staticmethod
    async def _send(
        socket: aiohttp.ClientWebSocketResponse, event: Any, servers: Mapping[str, ConsolePlace], topics: frozenset[Topic]
    ) -> None:
        names = list(servers)
        for start in range(0, len(names), _AT_ONCE):
            some = {uuid: servers[uuid] for uuid in names[start : start + _AT_ONCE]}
            await socket.send_str(Ask(event=event, servers=some, topics=sorted(topics)).model_dump_json())

    async def _frames(self, socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[tuple[str, StreamFrame]]:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                for uuid, frame in self._read(message.data):
                    yield uuid, frame
            elif message.type is aiohttp.WSMsgType.ERROR:
                raise unreachable(self._client.address, socket.exception() or ConnectionResetError())

    def _read(self, text: str) -> list[tuple[str, StreamFrame]]:
        """One message as frames. What cannot be read is told in the log and passed over."""
        found: list[tuple[str, StreamFrame]] = []
        try:
            told: list[dict[str, Any]] = orjson.loads(text)
            for one in told:
                try:
                    if (frame := self._typed(one["server"], one["event"], one["body"])) is not None:
                        found.append((one["server"], frame))
                except (ValidationError, ValueError) as error:
                    log.warning("node %s told something that cannot be read: %s", self._client.address.name, error)
        except (ValueError, TypeError, KeyError) as error:
            log.warning("node %s sent a message that cannot be read: %s", self._client.address.name, error)
        return found

    def _typed(self, uuid: str, event: str, body: Any) -> StreamFrame | None:
        if event == Outbound.AERIE_CONSOLE:
            return self._console(uuid, ConsoleBatch.model_validate(body))
        if (kind := _TYPES.get(event)) is not None:
            return kind.model_validate(body)
        if event == Outbound.STATUS:
            return Status(ServerState(body), self._clock.now())
        if event == Outbound.AERIE_RESUMED:
            resumed = Resumed.model_validate(body)
            if uuid in self._consoles:
                self._consoles[uuid] = ConsolePlace(after=resumed.after, boot=resumed.boot)
            return None
        return Notice(event, body if isinstance(body, str) else orjson.dumps(body).decode())

    def _console(self, uuid: str, batch: ConsoleBatch) -> ConsoleBatch | None:
        place = self._consoles.get(uuid)
        if place is None:
            return None  # nobody wants it any more
        last = batch.first_seq + len(batch.lines) - 1
        if uuid in self._asked_consoles:  # otherwise it is about to go back
            self._consoles[uuid] = ConsolePlace(after=last, boot=place.boot)
        return batch.model_copy(update={"boot": place.boot})
