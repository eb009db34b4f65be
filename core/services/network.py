"""A server's addresses as those who may use it change them: which is the main one, notes, taking a further one, giving one back.

Rows are committed, then the node is told; one that cannot be told now learns of it at its next start.
"""

import logging

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core.actor import Actor
from core.db.engine import Database
from core.errors import AerieError, Conflict, LimitReached, NotFound
from core.models.server import Allocation, Server
from core.services.access import Access
from core.services.activity import ActivityLog
from core.services.nodes import Nodes

log = logging.getLogger(__name__)


class Network:
    def __init__(self, database: Database, access: Access, activity: ActivityLog, nodes: Nodes) -> None:
        self._database = database
        self._access = access
        self._activity = activity
        self._nodes = nodes

    async def annotate(self, actor: Actor, ref: str | int, allocation_id: int, notes: str | None) -> Allocation:
        """Raises NotFound and MissingPermission."""
        server = await self._access.server(actor, ref, "allocation.update", event="server:allocation.notes")
        async with self._database.begin() as session:
            row = await _own(session, server, allocation_id)
            old, row.notes = row.notes, notes
        if old != notes:
            await self._write(actor, "server:allocation.notes", server, row)
        return row

    async def make_primary(self, actor: Actor, ref: str | int, allocation_id: int) -> Allocation:
        """The game uses it from its next start. Raises NotFound and MissingPermission."""
        server = await self._access.server(actor, ref, "allocation.update", event="server:allocation.primary")
        async with self._database.begin() as session:
            row = await _own(session, server, allocation_id)
            for other in await session.scalars(select(Allocation).where(Allocation.server_id == server.id).with_for_update()):
                other.is_primary = other.id == row.id
        await self._write(actor, "server:allocation.primary", server, row)
        await self._tell(server)
        return row

    async def take(self, actor: Actor, ref: str | int) -> Allocation:
        """The lowest free address at the main one's IP. Raises LimitReached, Conflict when none is free, NotFound, MissingPermission."""
        server = await self._access.server(actor, ref, "allocation.create", event="server:allocation.create")
        async with self._database.begin() as session:
            held = list(await session.scalars(select(Allocation).where(Allocation.server_id == server.id).with_for_update()))
            if len(held) >= server.allocation_limit:
                raise LimitReached(
                    f"{server.name} may have {server.allocation_limit} addresses and has {len(held)}.",
                    hint="An administrator of Aerie can raise that.",
                )
            ip = next((row.ip for row in held if row.is_primary), "")
            free = select(Allocation).where(Allocation.node_id == server.node_id, Allocation.server_id.is_(None), Allocation.ip == ip)
            row = await session.scalar(free.order_by(Allocation.port).limit(1).with_for_update())
            if row is None:
                raise Conflict("The node has no free address for this server.", hint="An administrator of Aerie can add some.")
            row.server_id, row.is_primary, row.notes = server.id, False, None
        await self._write(actor, "server:allocation.create", server, row)
        await self._tell(server)
        return row

    async def give_back(self, actor: Actor, ref: str | int, allocation_id: int) -> None:
        """Raises NotFound, MissingPermission, and Conflict for the main address or a server that may not take others."""
        server = await self._access.server(actor, ref, "allocation.delete", event="server:allocation.delete")
        async with self._database.begin() as session:
            row = await _own(session, server, allocation_id)
            if not server.allocation_limit:
                raise Conflict("The addresses of this server are chosen by administrators of Aerie.")
            if row.is_primary:
                raise Conflict("The main address cannot be given back.", hint="Make another one the main address first.")
            row.server_id, row.notes = None, None
        await self._write(actor, "server:allocation.delete", server, row)
        await self._tell(server)

    async def _write(self, actor: Actor, event: str, server: Server, row: Allocation) -> None:
        await self._activity.write(actor, event, server, metadata={"allocation": f"{row.ip}:{row.port}"})

    async def _tell(self, server: Server) -> None:
        try:
            await self._nodes.client(server.node).sync(server.uuid)
        except AerieError as error:
            log.warning("server %s: its node learns of its addresses at its next start: %s", server.short, error.message)


async def _own(session: AsyncSession, server: Server, allocation_id: int) -> Allocation:
    row = await session.scalar(select(Allocation).where(Allocation.id == allocation_id).with_for_update())
    if row is None or row.server_id != server.id:
        raise NotFound("This server has no such address.")
    return row
