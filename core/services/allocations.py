"""Ports of nodes: which there are, which are free, adding and removing them by ranges. Servers take them in core/services/servers.py."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError

from core.actor import Actor
from core.db.engine import Database
from core.errors import Conflict, Invalid, LimitReached
from core.models.node import Node
from core.models.server import Allocation
from core.services.access import Access
from core.services.activity import ActivityLog
from core.services.nodes import Nodes

MOST_AT_ONCE = 1000
MOST_OF_NODE = 10_000
LOWEST = 1024
"""Ports below belong to the machine's own services."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Counts of one node."""

    total: int
    free: int


class Allocations:
    def __init__(self, database: Database, access: Access, activity: ActivityLog, nodes: Nodes) -> None:
        self._database = database
        self._access = access
        self._activity = activity
        self._nodes = nodes

    async def add(
        self, actor: Actor, node_ref: str | int, ranges: str, *, ip: str = "0.0.0.0", alias: str | None = None
    ) -> tuple[Node, int]:
        """Give a node ports, `25565, 25570-25580`; those it has already stay as they are. Answers how many are new.

        `ip` is the address the node binds; `alias` is what players are told, else the host in the node's address where `ip` names none.
        Raises Invalid, LimitReached, NotFound and MissingPermission.
        """
        await self._access.require_builder(actor, event="node:ports.add")
        ports, ip, alias = parse(ranges), address(ip), named(alias)
        node = await self._nodes.find(node_ref)
        if alias is None and ipaddress.ip_address(ip).is_unspecified:
            alias = urlsplit(node.url).hostname
        try:
            async with self._database.begin() as session:
                here = select(Allocation.port).where(Allocation.node_id == node.id, Allocation.ip == ip)
                known = set(await session.scalars(here))
                total = await session.scalar(select(func.count()).select_from(Allocation).where(Allocation.node_id == node.id)) or 0
                fresh = [port for port in ports if port not in known]
                if total + len(fresh) > MOST_OF_NODE:
                    raise LimitReached(f"A node can have {MOST_OF_NODE} ports at most; {node.name} has {total}.")
                session.add_all(Allocation(node_id=node.id, ip=ip, port=port, alias=alias) for port in fresh)
        except IntegrityError as error:
            raise Conflict("Somebody gave this node the same ports at the same moment.", hint="Look at them with `/node info`.") from error
        await self._activity.write(actor, "node:ports.add", metadata={"node": node.name, "ports": ranges[:200], "new": len(fresh)})
        return node, len(fresh)

    async def remove(self, actor: Actor, node_ref: str | int, ranges: str, *, ip: str | None = None) -> tuple[Node, int, int]:
        """Take free ports away; answers how many went and how many stay because a server uses them."""
        await self._access.require_builder(actor, event="node:ports.remove")
        ports = parse(ranges)
        node = await self._nodes.find(node_ref)
        async with self._database.begin() as session:
            wanted = select(Allocation).where(Allocation.node_id == node.id, Allocation.port.in_(ports))
            if ip is not None:
                wanted = wanted.where(Allocation.ip == address(ip))
            rows = list(await session.scalars(wanted.with_for_update()))
            free = [row.id for row in rows if row.server_id is None]
            await session.execute(delete(Allocation).where(Allocation.id.in_(free), Allocation.server_id.is_(None)))
        await self._activity.write(actor, "node:ports.remove", metadata={"node": node.name, "ports": ranges[:200], "gone": len(free)})
        return node, len(free), len(rows) - len(free)

    async def counts(self) -> dict[int, Ports]:
        """How many ports each node has and how many are free, by node id."""
        async with self._database.session() as session:
            rows = await session.execute(
                select(Allocation.node_id, func.count(), func.count(Allocation.server_id)).group_by(Allocation.node_id)
            )
            return {node_id: Ports(total, total - taken) for node_id, total, taken in rows}

    async def of(self, node: Node) -> list[Allocation]:
        """Every port of a node, by address and number."""
        async with self._database.session() as session:
            wanted = select(Allocation).where(Allocation.node_id == node.id).order_by(Allocation.ip, Allocation.port)
            return list(await session.scalars(wanted))


def parse(ranges: str) -> list[int]:
    """`25565, 25570-25580` as numbers in order. Raises Invalid, naming the part that is wrong."""
    found: set[int] = set()
    parts = [part.strip() for part in ranges.replace(";", ",").split(",") if part.strip()]
    for part in parts:
        match = re.fullmatch(r"(\d{1,5})(?:\s*-\s*(\d{1,5}))?", part, re.ASCII)
        if match is None:
            raise Invalid(
                f"“{part[:30]}” is not a port or a range of ports.", hint="Write them like 25565 or 25565-25580, with commas between."
            )
        low, high = int(match[1]), int(match[2] or match[1])
        if not LOWEST <= low <= high <= 65535:
            raise Invalid(f"{part} is not a range of ports from {LOWEST} to 65535, smaller number first.")
        if len(found) + high - low >= MOST_AT_ONCE and len(found | set(range(low, high + 1))) > MOST_AT_ONCE:
            raise Invalid(f"That is more than {MOST_AT_ONCE} ports at once.", hint="Add them in several steps, if you need so many.")
        found.update(range(low, high + 1))
    if not found:
        raise Invalid("No ports were named.", hint="Write them like 25565 or 25565-25580.")
    return sorted(found)


def spans(ports: list[int]) -> str:
    """Numbers as people write them: 25565, 25570-25580."""
    shown: list[str] = []
    start = previous = None
    for port in [*sorted(set(ports)), None]:
        if start is not None and (port is None or port != previous + 1):  # type: ignore[operator]
            shown.append(str(start) if start == previous else f"{start}-{previous}")
            start = None
        start, previous = (port if start is None else start), port
    return ", ".join(shown)


def address(ip: str) -> str:
    """Raises Invalid unless it is an IPv4 or IPv6 address."""
    try:
        return str(ipaddress.ip_address(ip.strip()))
    except ValueError:
        raise Invalid(f"“{ip.strip()[:60]}” is not an IP address.", hint="Use the address the node binds, for instance 0.0.0.0.") from None


def named(alias: str | None) -> str | None:
    """A host name or address that players are told. Raises Invalid."""
    if alias is None or not alias.strip():
        return None
    if not re.fullmatch(r"[\w.\-:]{1,191}", alias.strip(), re.ASCII):
        raise Invalid("The address for players must be a host name or an IP address.")
    return alias.strip()
