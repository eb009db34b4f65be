"""The live board: what is known right now of every server and node. Kept in memory, fed by events, told to whoever listens.

Every process has its own board; the backplane carries the events between them. An event that comes twice changes nothing.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError
from sqlalchemy import select

from core.backplane.backplane import SERVERS, Backplane
from core.db.engine import Database
from core.errors import AerieError
from core.events import (
    EVENT,
    Event,
    NodeBack,
    NodeLost,
    ServerBackupEnded,
    ServerCrashed,
    ServerDeleted,
    ServerInstallEnded,
    ServerPowerProgressed,
    ServerRestoreEnded,
    ServerStateChanged,
    ServerStatsSampled,
)
from core.fanout import Fanout, Listener
from core.models.server import Server
from core.protocol.socket import StatsFrame
from core.vocabulary import ServerState

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Live:
    """One server now. `state` None: nobody has told yet. With `node_up` False, state and stats are the last that were known."""

    state: ServerState | None = None
    since: datetime | None = None
    reason: str = ""
    stats: StatsFrame | None = None
    node_up: bool = True
    node_reason: str = ""


@dataclass(slots=True)
class _Entry:
    state: ServerState | None = None
    since: datetime | None = None
    reason: str = ""
    stats: StatsFrame | None = None


class LiveBoard:
    def __init__(self, database: Database, backplane: Backplane) -> None:
        self._database = database
        self._backplane = backplane
        self._entries: defaultdict[str, _Entry] = defaultdict(_Entry)
        self._nodes: dict[str, int] = {}
        self._lost: dict[int, str] = {}
        self._echoes: Counter[bytes] = Counter()
        self._deaf = False
        self._watchers: defaultdict[str, Fanout[Event]] = defaultdict(Fanout)
        self.changed: Fanout[str] = Fanout()
        """Uuids of servers whose `of` now says something else."""
        self.events: Fanout[Event] = Fanout()
        """Every event that this process hears of or tells."""

    def of(self, server_uuid: str) -> Live:
        entry = self._entries.get(server_uuid) or _Entry()
        lost = self._lost.get(self._nodes.get(server_uuid, -1))
        return Live(entry.state, entry.since, entry.reason, entry.stats, lost is None, lost or "")

    def lost(self, node_id: int) -> str | None:
        """Why a node is lost; None while it is up, or nobody has told."""
        return self._lost.get(node_id)

    def place(self, server_uuid: str, node_id: int) -> None:
        """Say on which node a server lives, so that a lost node shows on it."""
        self._nodes[server_uuid] = node_id

    def apply(self, event: Event) -> None:
        """Take one event in, and pass it on to those who watch the server. Never waits."""
        self.events.publish(event)
        match event:
            case ServerStateChanged(server_uuid=uuid, change=change):
                entry = self._entries[uuid]
                if entry.state is not change.state or entry.reason != change.reason:
                    entry.since = change.at if entry.state is not change.state or entry.since is None else entry.since
                    entry.state, entry.reason = change.state, change.reason
                    self.changed.publish(uuid)
                self._tell(uuid, event)
            case ServerStatsSampled(server_uuid=uuid, stats=stats):
                entry = self._entries[uuid]
                if entry.stats != stats:
                    entry.stats = stats
                    self.changed.publish(uuid)
                self._tell(uuid, event)
            case ServerPowerProgressed(server_uuid=uuid) | ServerCrashed(server_uuid=uuid) | ServerInstallEnded(server_uuid=uuid):
                self._tell(uuid, event)
            case ServerBackupEnded(server_uuid=uuid) | ServerRestoreEnded(server_uuid=uuid):
                self._tell(uuid, event)
            case NodeLost(node_id=node_id, reason=reason):
                self._node(node_id, reason, event)
            case NodeBack(node_id=node_id):
                self._node(node_id, None, event)
            case ServerDeleted(server_uuid=uuid):
                self._entries.pop(uuid, None)
                self.changed.publish(uuid)
                self._tell(uuid, event)
                self._nodes.pop(uuid, None)

    def _node(self, node_id: int, reason: str | None, event: Event) -> None:
        if self._lost.get(node_id) == reason:
            return
        if reason is None:
            del self._lost[node_id]
        else:
            self._lost[node_id] = reason
        for uuid in [uuid for uuid, home in self._nodes.items() if home == node_id]:
            self.changed.publish(uuid)
            self._tell(uuid, event)

    def _tell(self, uuid: str, event: Event) -> None:
        if uuid in self._watchers:
            self._watchers[uuid].publish(event)

    @asynccontextmanager
    async def watching(self, server_uuid: str) -> AsyncIterator[Listener[Event]]:
        """Events of one server, and of its node being lost or back, from now on."""
        with self._watchers[server_uuid].listen() as listener:
            yield listener
        if not len(self._watchers[server_uuid]):
            del self._watchers[server_uuid]

    async def publish(self, event: Event) -> None:
        """Apply an event here at once and tell the other processes. Use this rather than `apply` for what this process saw itself.

        A backplane that does not answer is told in the log once; here the event counts all the same.
        """
        self.apply(event)
        body = EVENT.dump_json(event)
        if len(self._echoes) > 10_000:
            self._echoes.clear()
        self._echoes[body] += 1
        try:
            await self._backplane.publish(SERVERS, body)
        except AerieError as error:
            del self._echoes[body]
            if not self._deaf:
                log.warning("other processes do not hear of events any more: %s", error)
            self._deaf = True
        else:
            self._deaf = False

    async def run(self) -> None:
        """Worker: learn where servers live, then apply what other processes tell, for ever."""
        async with self._backplane.subscribe(SERVERS) as listener:
            await self.load()
            while batch := await listener.drain():
                for body in batch:
                    self._hear(body)

    async def load(self) -> None:
        """Learn from the database where every server lives."""
        async with self._database.session() as session:
            rows = await session.execute(select(Server.uuid, Server.node_id))
            self._nodes.update((uuid, node_id) for uuid, node_id in rows)

    def _hear(self, body: bytes) -> None:
        if self._echoes[body] > 0:
            self._echoes[body] -= 1
            if not self._echoes[body]:
                del self._echoes[body]
            return
        del self._echoes[body]
        try:
            self.apply(EVENT.validate_json(body))
        except ValidationError:
            log.warning("an event on the backplane cannot be read; does another version of Aerie run beside this one?")
