"""Each node's events become events for everybody, and console lines a fanout for this process.

Events go through `live` to every process; console lines do not (they are too many), and are only asked for while somebody reads them,
where the node lets us choose. Must never let one slow reader or one broken node hold up another server.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from core.clock import Clock
from core.events import Event, ServerCrashed, ServerDeleted, ServerPowerProgressed, ServerStateChanged, ServerStatsSampled
from core.fanout import Fanout, Listener
from core.protocol.socket import ConsoleBatch, ConsolePlace, CrashReport, Outbound, PowerProgress, StateChange, StatsFrame
from core.rpc.client import NodeAddress
from core.rpc.node_events import NodeEvents
from core.rpc.pool import NodePool
from core.rpc.stream import Lost, Notice, Opened, Status, StreamFrame
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
    """One node, and which of its servers are listened to."""

    address: NodeAddress
    task: asyncio.Task[None]
    events: NodeEvents
    servers: set[str] = field(default_factory=set)


def _bytes(batch: ConsoleBatch) -> int:
    return sum(map(len, batch.lines)) + 64


class Streams:
    """The events of every node; `run` is the worker that opens and closes them as servers and nodes come and go."""

    def __init__(self, services: Services, pool: NodePool, tasks: Supervisor, clock: Clock, ear: NodeEar | None = None) -> None:
        self._services = services
        self._pool = pool
        self._tasks = tasks
        self._clock = clock
        self._ear = ear
        self._watched: dict[int, _Watched] = {}
        self._consoles: dict[str, Fanout[ConsoleBatch]] = {}
        self._places: dict[str, ConsolePlace] = {}
        """How far each console that somebody reads has got, or where its first reader was before."""
        self._installs: dict[str, Fanout[tuple[str, str]]] = {}
        self._look = asyncio.Event()

    def console(self, uuid: str, place: ConsolePlace | None = None) -> Listener[ConsoleBatch]:
        """The server's console from now on, or from a place on where its node can go back; lines may then come that others had already.

        A reader that lags loses its oldest batches and counts them.
        """
        fanout = self._consoles.setdefault(uuid, Fanout(_bytes))
        first, listener = not len(fanout), fanout.listen(CONSOLE_HELD, CONSOLE_BYTES)
        if first:
            self._places[uuid] = place or ConsolePlace()
            self.look()
        elif place is not None and place.after is not None:
            for watched in self._watched.values():
                if uuid in watched.servers:
                    watched.events.go_back(uuid, place)
        return listener

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
            for node_id in list(self._watched):
                await self._drop(node_id)

    async def _reconcile(self) -> None:
        addresses = {address.id: address for address in await self._services.nodes.addresses()}
        wanted: dict[int, set[str]] = {}
        for server in await self._services.servers.all():
            self._services.live.place(server.uuid, server.node_id)
            if server.node_id in addresses:
                wanted.setdefault(server.node_id, set()).add(server.uuid)
        for node_id, watched in list(self._watched.items()):
            if node_id not in wanted or addresses[node_id] != watched.address or watched.task.done():
                await self._drop(node_id)
        read = {uuid: self._places.get(uuid, ConsolePlace()) for uuid, fanout in self._consoles.items() if len(fanout)}
        for node_id, servers in wanted.items():
            if node_id not in self._watched:
                self._watched[node_id] = self._opened(addresses[node_id])
            watched = self._watched[node_id]
            watched.servers = servers
            await watched.events.want(servers, {uuid: place for uuid, place in read.items() if uuid in servers})

    def _opened(self, address: NodeAddress) -> _Watched:
        async def take(uuid: str, frame: StreamFrame) -> None:
            await self._take(uuid, address, frame)

        events = NodeEvents(self._pool.client(address), self._clock, self._tasks, take)
        return _Watched(address, self._tasks.spawn(f"events of {address.name}", events.run()), events)

    async def _drop(self, node_id: int) -> None:
        watched = self._watched.pop(node_id)
        await watched.events.close()
        watched.task.cancel()

    async def _take(self, uuid: str, address: NodeAddress, frame: StreamFrame) -> None:
        if isinstance(frame, ConsoleBatch):
            if (fanout := self._consoles.get(uuid)) is not None:
                self._places[uuid] = ConsolePlace(after=frame.first_seq + len(frame.lines) - 1, boot=frame.boot)
                fanout.publish(frame)
        elif isinstance(frame, Notice) and frame.event in INSTALLER:
            if (told := self._installs.get(uuid)) is not None:
                told.publish((frame.event, frame.text))
        elif isinstance(frame, Opened):
            self._tell(lambda ear: ear.heard(address.id))
        elif isinstance(frame, Lost):
            log.info("the events of %s on %s are lost: %s", uuid[:8] or "all servers", address.name, frame.reason)
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
