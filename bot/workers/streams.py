"""A socket to each server's node: frames become events for everybody and console lines a fanout for this process.

Events go through `live` to every process; console lines do not (they are too many). Must never let one slow reader or one broken node
hold up another server.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from core.clock import Clock
from core.events import Event, ServerCrashed, ServerDeleted, ServerPowerProgressed, ServerStateChanged, ServerStatsSampled
from core.fanout import Fanout, Listener
from core.protocol.socket import ConsoleBatch, CrashReport, Outbound, PowerProgress, StateChange, StatsFrame
from core.rpc.client import NodeAddress
from core.rpc.pool import NodePool
from core.rpc.stream import Lost, Notice, Opened, ServerStream, Status, StreamFrame
from core.services.build import Services
from core.supervise import Supervisor
from core.vocabulary import ServerState

log = logging.getLogger(__name__)

LOOK_EVERY = 5.0  # s between two looks at which servers there are
CONSOLE_HELD = 2000  # batches one reader may lag behind
CONSOLE_BYTES = 4 * 1024 * 1024
INSTALLER = (Outbound.INSTALL_STARTED, Outbound.INSTALL_OUTPUT, Outbound.INSTALL_COMPLETED)


class NodeEar(Protocol):
    """Who wants to know that a node was just heard or just did not answer."""

    def heard(self, node_id: int) -> None: ...

    def suspect(self, node_id: int) -> None: ...


@dataclass
class _Watched:
    address: NodeAddress
    task: asyncio.Task[None]
    stream: ServerStream


def _bytes(batch: ConsoleBatch) -> int:
    return sum(map(len, batch.lines)) + 64


class Streams:
    """One ServerStream per server; `run` is the worker that opens and closes them as servers come and go."""

    def __init__(self, services: Services, pool: NodePool, tasks: Supervisor, clock: Clock, ear: NodeEar | None = None) -> None:
        self._services = services
        self._pool = pool
        self._tasks = tasks
        self._clock = clock
        self._ear = ear
        self._watched: dict[str, _Watched] = {}
        self._consoles: dict[str, Fanout[ConsoleBatch]] = {}
        self._installs: dict[str, Fanout[tuple[str, str]]] = {}
        self._look = asyncio.Event()

    def console(self, uuid: str) -> Listener[ConsoleBatch]:
        """The server's console from now on; a reader that lags loses its oldest batches and counts them."""
        return self._consoles.setdefault(uuid, Fanout(_bytes)).listen(CONSOLE_HELD, CONSOLE_BYTES)

    def installing(self, uuid: str) -> Listener[tuple[str, str]]:
        """What a server's installer says from now on: the wire's event and its text; a reader that lags loses the oldest."""
        return self._installs.setdefault(uuid, Fanout()).listen(500)

    def look(self) -> None:
        """Look at once which servers there are."""
        self._look.set()

    async def run(self) -> None:
        """Keep the open streams equal to the servers in the database."""
        try:
            while True:
                self._look.clear()
                await self._reconcile()
                try:
                    async with asyncio.timeout(LOOK_EVERY):
                        await self._look.wait()
                except TimeoutError:
                    pass
        finally:
            for uuid in list(self._watched):
                await self._drop(uuid)

    async def _reconcile(self) -> None:
        addresses = {address.id: address for address in await self._services.nodes.addresses()}
        wanted: dict[str, NodeAddress] = {}
        for server in await self._services.servers.all():
            self._services.live.place(server.uuid, server.node_id)
            if server.node_id in addresses:
                wanted[server.uuid] = addresses[server.node_id]
        for uuid, watched in list(self._watched.items()):
            if wanted.get(uuid) != watched.address or watched.task.done():
                await self._drop(uuid)
        for uuid, address in wanted.items():
            if uuid not in self._watched:
                stream = ServerStream(self._pool.client(address), uuid, self._clock)
                task = self._tasks.spawn(f"stream {uuid[:8]}", self._read(uuid, address, stream))
                self._watched[uuid] = _Watched(address, task, stream)

    async def _drop(self, uuid: str) -> None:
        watched = self._watched.pop(uuid)
        await watched.stream.close()
        watched.task.cancel()

    async def _read(self, uuid: str, address: NodeAddress, stream: ServerStream) -> None:
        async for frame in stream:
            await self._take(uuid, address, frame)

    async def _take(self, uuid: str, address: NodeAddress, frame: StreamFrame) -> None:
        if isinstance(frame, ConsoleBatch):
            if (fanout := self._consoles.get(uuid)) is not None:
                fanout.publish(frame)
        elif isinstance(frame, Notice) and frame.event in INSTALLER:
            if (told := self._installs.get(uuid)) is not None:
                told.publish((frame.event, frame.text))
        elif isinstance(frame, Opened):
            self._tell(lambda ear: ear.heard(address.id))
        elif isinstance(frame, Lost):
            log.info("the stream of %s is lost: %s", uuid[:8], frame.reason)
            self._tell(lambda ear: ear.suspect(address.id))
        elif (event := self._event(uuid, frame)) is not None:
            await self._services.live.publish(event)

    def _tell(self, what: Callable[[NodeEar], None]) -> None:
        if self._ear is not None:
            what(self._ear)

    def _event(self, uuid: str, frame: StreamFrame) -> Event | None:
        """The fact in a frame; None when it is none, or known already."""
        if isinstance(frame, StateChange):
            return ServerStateChanged(server_uuid=uuid, change=frame)
        if isinstance(frame, PowerProgress):
            return ServerPowerProgressed(server_uuid=uuid, progress=frame)
        if isinstance(frame, CrashReport):
            return ServerCrashed(server_uuid=uuid, crash=frame)
        if isinstance(frame, StatsFrame):
            return ServerStatsSampled(server_uuid=uuid, stats=frame)
        if isinstance(frame, Status):
            known = self._services.live.of(uuid).state
            if known is frame.state:
                return None
            previous = known or ServerState.OFFLINE
            return ServerStateChanged(server_uuid=uuid, change=StateChange(state=frame.state, previous=previous, at=frame.at))
        if isinstance(frame, Notice) and frame.event == Outbound.DELETED:
            return ServerDeleted(server_uuid=uuid)
        return None
