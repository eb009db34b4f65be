"""Nodes and their addresses as administrators keep them by REST: made, described, moved, removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError

from core.actor import Actor
from core.clock import Clock
from core.db.engine import Database
from core.errors import Conflict, Invalid, NotFound
from core.models.node import Location, Node
from core.models.server import Allocation, Server
from core.services.activity import ActivityLog
from core.services.directory import Directory
from core.services.nodes import Nodes

MOST_PORTS = 1000
"""Of one range."""
LEAST_PORT = 1025
SMALLEST_NETWORK = 25


@dataclass(frozen=True, slots=True)
class NodePlan:
    """What an administrator writes down of a node. Memory in MB (10^6 bytes), disk and upload_size in MiB, overallocation in percent."""

    name: str
    location_id: int
    url: str
    memory: int
    disk: int
    description: str = ""
    public: bool = True
    maintenance: bool = False
    behind_proxy: bool = False
    memory_overallocate: int = 0
    disk_overallocate: int = 0
    upload_size: int = 100
    sftp_port: int = 2022
    base_directory: str = "/var/lib/aerie/volumes"

    def lay_on(self, row: Node) -> None:
        """Write everything but name, address and location into a row."""
        for name in (
            "memory",
            "disk",
            "description",
            "public",
            "maintenance",
            "behind_proxy",
            "memory_overallocate",
            "disk_overallocate",
            "upload_size",
            "sftp_port",
            "base_directory",
        ):
            setattr(row, name, getattr(self, name))


class Fleet:
    def __init__(self, database: Database, activity: ActivityLog, nodes: Nodes, directory: Directory, clock: Clock) -> None:
        self._database = database
        self._activity = activity
        self._nodes = nodes
        self._directory = directory
        self._clock = clock

    async def create(self, actor: Actor, plan: NodePlan) -> Node:
        """Make a node; `secret` tells what its daemon needs. Raises Invalid, NotFound, Conflict."""
        place = await self._directory.one(Location, "id", plan.location_id)
        made, _ = await self._nodes.create(plan.name, plan.url, location=place.short)
        async with self._database.begin() as session:
            row = await session.get_one(Node, made.id)
            plan.lay_on(row)
            row.updated_at = self._clock.now()
        await self._activity.write(actor, "admin:node.create", metadata={"node": row.name})
        return row

    async def update(self, actor: Actor, node_id: int, plan: NodePlan, *, reset_secret: bool = False) -> Node:
        """Describe a node anew; with `reset_secret` its daemon must be given the new token. Raises Invalid, NotFound, Conflict."""
        place = await self._directory.one(Location, "id", plan.location_id)
        await self._nodes.move(node_id, plan.url)
        try:
            async with self._database.begin() as session:
                row = await session.get_one(Node, node_id)
                plan.lay_on(row)
                row.name, row.location, row.updated_at = plan.name, place.short, self._clock.now()
        except IntegrityError as error:
            raise Conflict(f"There is already a node called {plan.name}.", hint="Choose another name.") from error
        if reset_secret:
            row = await self._nodes.renew(node_id)
        await self._activity.write(actor, "admin:node.update", metadata={"node": row.name, "reset_secret": reset_secret})
        return row

    async def delete(self, actor: Actor, node_id: int) -> None:
        """Raises NotFound, and Conflict while servers live there."""
        async with self._database.begin() as session:
            row = await session.get(Node, node_id)
            if row is None:
                raise NotFound("There is no such node.")
            if await session.scalar(select(func.count()).select_from(Server).where(Server.node_id == node_id)):
                raise Conflict("This node still has servers.", hint="Delete the servers first.")
            await session.execute(delete(Allocation).where(Allocation.node_id == node_id))
            await session.execute(delete(Node).where(Node.id == node_id))
        await self._activity.write(actor, "admin:node.delete", metadata={"node": row.name})

    def secret(self, node: Node) -> str:
        """The node's secret, for its configuration file."""
        return self._nodes.address(node).token.secret

    async def add_allocations(self, actor: Actor, node_id: int, addresses: Sequence[str], ports: Sequence[int], alias: str | None) -> int:
        """Give a node every port at every address; those it has already are passed over. Returns how many are new. Raises NotFound."""
        async with self._database.begin() as session:
            node = await session.get(Node, node_id)
            if node is None:
                raise NotFound("There is no such node.")
            own = select(Allocation.ip, Allocation.port).where(Allocation.node_id == node_id, Allocation.ip.in_(addresses))
            known = {(ip, port) for ip, port in await session.execute(own)}
            fresh = [
                Allocation(node_id=node_id, ip=ip, port=port, alias=alias)
                for ip in addresses
                for port in dict.fromkeys(ports)
                if (ip, port) not in known
            ]
            session.add_all(fresh)
        await self._activity.write(actor, "admin:allocation.create", metadata={"node": node.name, "count": len(fresh)})
        return len(fresh)

    async def remove_allocation(self, actor: Actor, node_id: int, allocation_id: int) -> None:
        """Raises NotFound, and Conflict while a server has it."""
        async with self._database.begin() as session:
            own = (Allocation.id == allocation_id) & (Allocation.node_id == node_id)
            row = await session.scalar(select(Allocation).where(own).with_for_update())
            if row is None:
                raise NotFound("This node has no such address.")
            if row.server_id is not None:
                raise Conflict("This address belongs to a server.", hint="Take it from the server first.")
            await session.execute(delete(Allocation).where(Allocation.id == allocation_id))
        await self._activity.write(actor, "admin:allocation.delete", metadata={"address": f"{row.ip}:{row.port}"})


def addresses_of(text: str) -> list[str]:
    """One address, or all of a network of at most 128. Raises Invalid."""
    try:
        if "/" not in text:
            return [str(ip_address(text))]
        network = ip_network(text, strict=False)
    except ValueError:
        raise Invalid(f"{text[:60]} is no address and no network.") from None
    if network.num_addresses > 2 ** (32 - SMALLEST_NETWORK):
        raise Invalid("A network may have 128 addresses at most (/25).")
    return [str(each) for each in network]


def ports_of(texts: Sequence[str]) -> list[int]:
    """Ports of `25565` and `25570-25580`. Raises Invalid."""
    ports: list[int] = []
    for text in texts:
        first, parted, last = text.partition("-")
        if not all(part.isascii() and part.isdigit() and len(part) <= 5 for part in (first, *([last] if parted else []))):
            raise Invalid(f"{text[:30]} is no port and no range of ports.", hint="Write 25565 or 25570-25580.")
        span = range(int(first), int(last or first) + 1)
        if not span or span[0] < LEAST_PORT or span[-1] > 65535:
            raise Invalid(f"Ports must be from {LEAST_PORT} to 65535.")
        if len(span) > MOST_PORTS:
            raise Invalid(f"One range may have {MOST_PORTS} ports at most.")
        ports += span
    return ports
