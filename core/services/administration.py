"""Servers as administrators keep them by REST: whose they are, what they may use, how they start, whether they are suspended.

Rows are committed, then the node is told; one that cannot be told now learns of it at its next start.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from core.actor import Actor
from core.db.engine import Database
from core.errors import AerieError, BadRequest, Conflict, NotFound
from core.models.egg import Egg
from core.models.guild import Guild
from core.models.server import Allocation, Server, ServerVariable, whole_servers
from core.models.user import User
from core.services.activity import ActivityLog
from core.services.live import LiveBoard
from core.services.nodes import Nodes
from core.services.servers import Extras, Limits
from core.services.sessions import Sessions
from core.services.startup import check_value
from core.vocabulary import ServerStatus

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Build:
    """What a server may use and which addresses it has; allocation ids. None leaves the limits as they are."""

    allocation: int
    limits: Limits | None
    oom_disabled: bool | None
    extras: Extras
    add: tuple[int, ...] = ()
    remove: tuple[int, ...] = ()


class Administration:
    def __init__(self, database: Database, activity: ActivityLog, nodes: Nodes, sessions: Sessions, live: LiveBoard) -> None:
        self._database = database
        self._activity = activity
        self._nodes = nodes
        self._sessions = sessions
        self._live = live

    async def guild_for(self, user: User) -> int | None:
        """In which guild a server made by REST shows: the one its owner has, else the only one there is, else none."""
        async with self._database.session() as session:
            guilds = list(await session.scalars(select(Guild).limit(1000)))
        own = [guild for guild in guilds if user.discord_id is not None and guild.owner_id == user.discord_id]
        chosen = own if len(own) == 1 else guilds
        return chosen[0].id if len(chosen) == 1 else None

    async def details(self, actor: Actor, server_id: int, *, name: str, owner_id: int, external_id: str | None, description: str) -> Server:
        """Name, owner and description. A former owner's sessions end. Raises NotFound and Conflict."""
        async with self._database.session() as session:
            before = await session.get(Server, server_id)
            former = before.owner_id if before is not None else None
        await self._change(server_id, {"name": name, "owner_id": owner_id, "external_id": external_id, "description": description})
        server = await self._told(server_id)
        if former is not None and former != owner_id and (user := await self._user(former)) is not None:
            await self._sessions.end(user, server_id=server.id)
        await self._activity.write(actor, "admin:server.details", server, metadata={"name": name, "owner": owner_id})
        return server

    async def build(self, actor: Actor, server_id: int, wanted: Build) -> Server:
        """Limits and addresses. Of `add`, free ones of the same node are taken; the rest is passed over.

        Raises NotFound, and BadRequest when no main address would be left.
        """
        async with self._database.begin() as session:
            server = await session.scalar(select(Server).where(Server.id == server_id).with_for_update())
            if server is None:
                raise NotFound("There is no such server.")
            await _rearrange(session, server, wanted)
            if wanted.limits is not None:
                for name in ("memory", "swap", "disk", "io", "cpu", "threads"):
                    setattr(server, name, getattr(wanted.limits, name))
            if wanted.oom_disabled is not None:
                server.oom_disabled = wanted.oom_disabled
            server.database_limit, server.allocation_limit = wanted.extras.databases, wanted.extras.allocations
            server.backup_limit = wanted.extras.backups
        await self._activity.write(actor, "admin:server.build", server, metadata={"memory": server.memory, "allocation": wanted.allocation})
        return await self._told(server_id)

    async def startup(
        self, actor: Actor, server_id: int, *, startup: str, egg_id: int, image: str, skip_scripts: bool, values: Mapping[str, str]
    ) -> Server:
        """Command, egg, image and, unless `values` is empty, every variable of the egg anew; names that are no variables are passed over.

        Raises NotFound, and Invalid for a value that breaks its variable's rules.
        """
        async with self._database.session() as session:
            egg = await session.scalar(select(Egg).options(selectinload(Egg.variables)).where(Egg.id == egg_id))
        if egg is None:
            raise NotFound("There is no such egg.")
        chosen = {variable: values.get(variable.env_variable, "") for variable in egg.variables} if values else {}
        for variable, value in chosen.items():
            await asyncio.to_thread(check_value, variable, value)
        await self._change(server_id, {"startup": startup, "egg_id": egg_id, "image": image, "skip_scripts": skip_scripts})
        if values:
            async with self._database.begin() as session:
                await session.execute(delete(ServerVariable).where(ServerVariable.server_id == server_id))
                session.add_all(
                    ServerVariable(server_id=server_id, egg_variable_id=variable.id, value=value) for variable, value in chosen.items()
                )
        server = await self._told(server_id)
        await self._activity.write(actor, "admin:server.startup", server, metadata={"egg": egg.name, "image": image})
        return server

    async def suspend(self, actor: Actor, server_id: int, *, suspended: bool) -> None:
        """Suspend a server, whose node then stops it, or lift that. The same twice changes nothing. Raises NotFound.

        Its node goes on with an installation meanwhile, and says whether one is under way still when the suspension ends.
        """
        status, installing = ServerStatus.SUSPENDED.value, ServerStatus.INSTALLING.value
        server = await self._whole(server_id)
        if (server.status == status) is suspended:
            return
        under_way = not suspended and await self._installing(server)
        await self._change(server_id, {"status": status if suspended else installing if under_way else None})
        if under_way and not await self._installing(server):  # it ended just now, and was told before we wrote
            async with self._database.begin() as session:
                await session.execute(update(Server).where(Server.id == server_id, Server.status == installing).values(status=None))
        await self._activity.write(actor, f"admin:server.{'suspend' if suspended else 'unsuspend'}", server)
        await self._told(server_id)

    async def _installing(self, server: Server) -> bool:
        """Whether its node says so. One that cannot be asked, or is no agent of ours, does not."""
        try:
            told = await self._nodes.client(server.node).server(server.uuid)
        except AerieError:
            return False
        return told.aerie is not None and told.aerie.installing

    async def _user(self, user_id: int) -> User | None:
        async with self._database.session() as session:
            return await session.get(User, user_id)

    async def _change(self, server_id: int, values: Mapping[str, object]) -> None:
        try:
            async with self._database.begin() as session:
                found = await session.scalar(select(Server.id).where(Server.id == server_id).with_for_update())
                if found is None:
                    raise NotFound("There is no such server.")
                await session.execute(update(Server).where(Server.id == server_id).values(**values))
        except IntegrityError as error:
            raise Conflict("Another server has this name or external id already.", hint="Choose another.") from error

    async def _whole(self, server_id: int) -> Server:
        async with self._database.session() as session:
            server = await session.scalar(whole_servers().where(Server.id == server_id))
        if server is None:
            raise NotFound("There is no such server.")
        return server

    async def _told(self, server_id: int) -> Server:
        server = await self._whole(server_id)
        await self._quietly(server, self._nodes.client(server.node).sync(server.uuid))
        self._live.changed.publish(server.uuid)
        return server

    async def _quietly(self, server: Server, call: Awaitable[None]) -> None:
        try:
            await call
        except AerieError as error:
            log.warning("server %s: its node learns of the change at its next start: %s", server.short, error.message)


async def _rearrange(session: AsyncSession, server: Server, wanted: Build) -> None:
    """Give and take addresses, then say which is the main one."""
    rows = list(await session.scalars(select(Allocation).where(Allocation.node_id == server.node_id).with_for_update()))
    known = {row.id: row for row in rows}
    added: list[Allocation] = []
    for number in wanted.add:
        row = known.get(number)
        if row is not None and row.server_id is None:
            row.server_id = server.id
            added.append(row)
    main = known.get(wanted.allocation)
    removed = [known[number] for number in wanted.remove if number in known and number not in wanted.add]
    if main in removed:
        if not added:
            raise BadRequest("The main address cannot be taken away without another one to replace it.")
        main = added[0]
    if main is None or main.server_id != server.id:
        raise BadRequest("The main address must belong to this server.")
    for row in removed:
        if row.server_id == server.id:
            row.server_id, row.is_primary, row.notes = None, False, None
    for row in rows:
        if row.server_id == server.id:
            row.is_primary = row is main
