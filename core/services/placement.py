"""Where a new server goes: the node that answers, has a free port, and the most memory left. Says why none fits; reserves nothing."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, select

from core.clock import Clock
from core.db.engine import Database
from core.errors import AerieError, Conflict
from core.models.node import Location, Node
from core.models.server import Server
from core.services import amounts
from core.services.allocations import Allocations, Ports
from core.services.nodes import Nodes

PATIENCE = 2.5  # s a node may take to say how much memory it has
REMEMBERED = 300.0  # s that answer is good for


@dataclass(frozen=True, slots=True)
class Room:
    """What one node has and has left. Memory MB, disk MiB; None is unlimited or unknown. `fault` says why it does not answer."""

    node: Node
    ports: Ports
    servers: int
    memory: int | None
    memory_given: int
    disk: int | None
    disk_given: int
    fault: str = ""
    version: str = ""

    @property
    def memory_left(self) -> int | None:
        return None if self.memory is None else self.memory - self.memory_given

    @property
    def disk_left(self) -> int | None:
        return None if self.disk is None else self.disk - self.disk_given

    def obstacle(self, memory: int, disk: int, *, any_port: bool = True) -> str:
        """Why a server of this size does not fit; empty when it does. Without `any_port`, whoever asks looks for its address themself."""
        if self.fault:
            return self.fault
        if self.node.maintenance:
            return "it is in maintenance"
        if any_port and not self.ports.free:
            return "it has no free port" if self.ports.total else "it has no ports"
        if self.memory_left is not None and (memory > self.memory_left or self.memory_left <= 0):
            return f"it has {_left(self.memory_left, 'MB')} of memory left"
        if self.disk_left is not None and (disk > self.disk_left or self.disk_left <= 0):
            return f"it has {_left(self.disk_left, 'MiB')} of disk left"
        return ""


class Placement:
    def __init__(self, database: Database, nodes: Nodes, allocations: Allocations, clock: Clock) -> None:
        self._database = database
        self._nodes = nodes
        self._allocations = allocations
        self._clock = clock
        self._machines: dict[int, tuple[float, int]] = {}

    async def choose(self, memory: int, disk: int, node_ref: str | int | None = None) -> Room:
        """The node for a server of this size (MB, MiB; 0 is unlimited): the named one, else the one with the most memory left.

        Raises Conflict, saying of each node why it does not fit, and NotFound for a node nobody knows.
        """
        nodes = await self._nodes.all() if node_ref is None else [await self._nodes.find(node_ref)]
        rooms = await asyncio.gather(*(self.room(node) for node in nodes if node.public or node_ref is not None))
        if not rooms:
            raise Conflict("There is no node yet.", hint="`/node create` adds a machine that can run servers.")
        fitting = [room for room in rooms if not room.obstacle(memory, disk)]
        if not fitting:
            reasons = "; ".join(f"{room.node.name}: {room.obstacle(memory, disk)}" for room in rooms[:6])
            raise Conflict(f"No node can take this server ({reasons}).", hint=_way_out(rooms))
        return max(fitting, key=_roominess)

    async def fitting(self, memory: int, disk: int, location_ids: Collection[int] = (), *, answering: bool = True) -> list[Room]:
        """Public nodes, of these locations if any are named, that can take a server of this size; the one `choose` would take first.

        Whoever asks looks for its address themself. Without `answering` the nodes are not asked: what the database says must do.
        """
        async with self._database.session() as session:
            wanted = select(Node).where(Node.public)
            if location_ids:
                wanted = wanted.where(Node.location.in_(select(Location.short).where(Location.id.in_(location_ids))))
            nodes = list(await session.scalars(wanted))
        rooms = await asyncio.gather(*(self.room(node, ask=answering) for node in nodes))
        fits = [room for room in rooms if not room.obstacle(memory, disk, any_port=False)]
        return sorted(fits, key=_roominess, reverse=True)

    async def rooms(self) -> list[Room]:
        """Every node, asked at the same time."""
        return await asyncio.gather(*(self.room(node) for node in await self._nodes.all()))

    async def room(self, node: Node, *, ask: bool = True) -> Room:
        """One node, asked now unless `ask` is False; a node that does not answer shows in `fault`."""
        async with self._database.session() as session:
            sums = select(func.count(), func.sum(Server.memory), func.sum(Server.disk)).where(Server.node_id == node.id)
            servers, memory, disk = (await session.execute(sums)).one()
        ports = (await self._allocations.counts()).get(node.id, Ports(0, 0))
        total, fault, version = await self._ask(node) if ask else (self._remembered(node), "", "")
        return Room(
            node,
            ports,
            servers,
            _whole(node.memory or total, node.memory_overallocate),
            int(memory or 0),
            _whole(node.disk, node.disk_overallocate),
            int(disk or 0),
            fault=fault,
            version=version,
        )

    async def _ask(self, node: Node) -> tuple[int | None, str, str]:
        try:
            async with asyncio.timeout(PATIENCE):
                facts = await self._nodes.client(node).system()
        except TimeoutError:
            return self._remembered(node), "it does not answer in time", ""
        except AerieError as error:
            return self._remembered(node), error.message.removeprefix(f"The node {node.name} ").rstrip("."), ""
        total = facts.system.memory_bytes // 10**6
        if total:
            self._machines[node.id] = (self._clock.monotonic(), total)
        return total or None, "", facts.version

    def _remembered(self, node: Node) -> int | None:
        when, total = self._machines.get(node.id, (0.0, 0))
        return total if total and self._clock.monotonic() - when < REMEMBERED else None


def _left(amount: int, unit: str) -> str:
    return amounts.shown(amount, unit) if amount > 0 else "nothing"


def _way_out(rooms: list[Room]) -> str:
    """What to do first, when none of these rooms will do."""
    up = [room for room in rooms if not room.fault]
    if not up:
        return "Start `aerie agent` on one of them; `/node info` shows whether it answers."
    bare = next((room for room in up if not room.ports.free), None)
    if bare is not None:
        return f"Give it ports: `/node ports node:{bare.node.name} do:Add ports:25565-25580`."
    return "Give it less memory or disk, or add a node with `/node create`."


def _roominess(room: Room) -> tuple[bool, int, int, int]:
    """The most memory left first, then the most free ports."""
    return room.memory_left is None, room.memory_left or 0, room.ports.free, -room.node.id


def _whole(amount: int | None, overallocate: int) -> int | None:
    """What may be given away; None is unlimited or unknown."""
    return amount * (100 + overallocate) // 100 if amount and overallocate >= 0 else None
