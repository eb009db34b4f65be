"""Making and removing servers, the settings a node asks for, and what nodes report of installations."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from core.actor import Actor
from core.clock import Clock
from core.db.engine import Database
from core.errors import AerieError, Conflict, Forbidden, Invalid, NotFound, ServerBusy, ServerSuspended
from core.events import ServerDeleted, ServerInstallEnded
from core.models.egg import Egg
from core.models.guild import Guild
from core.models.node import Node
from core.models.server import Allocation, Server, ServerVariable, whole_servers
from core.permissions import ALL
from core.protocol.agent import CreateServer
from core.protocol.remote import InstallScript, Page, ServerEntry, ServerPage
from core.protocol.settings import ServerConfiguration
from core.services.access import Access
from core.services.activity import ActivityLog
from core.services.configuration import configuration
from core.services.eggs import Eggs
from core.services.live import LiveBoard
from core.services.nodes import Nodes
from core.services.variables import demand
from core.vocabulary import ActorKind, Outcome, ServerStatus

log = logging.getLogger(__name__)

TOLD_WITHIN = 15.0
"""Seconds after its making in which whoever makes a server is still telling its node."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server may use. Memory and swap MB (10^6 bytes), disk MiB, cpu percent of one thread; 0 is unlimited, swap -1 too."""

    memory: int = 0
    swap: int = 0
    disk: int = 0
    io: int = 500
    cpu: int = 0
    threads: str | None = None
    oom_disabled: bool = False


@dataclass(frozen=True, slots=True)
class Extras:
    """What only administrators say of a new server: whose it is, its further addresses (allocation ids), how many of what it may have."""

    owner_id: int | None = None
    external_id: str | None = None
    also: tuple[int, ...] = ()
    databases: int = 0
    allocations: int = 0
    backups: int = 0
    skip_scripts: bool = False


class Servers:
    def __init__(
        self, database: Database, access: Access, activity: ActivityLog, eggs: Eggs, nodes: Nodes, live: LiveBoard, clock: Clock
    ) -> None:
        self._database = database
        self._access = access
        self._activity = activity
        self._eggs = eggs
        self._nodes = nodes
        self._live = live
        self._clock = clock

    async def create(
        self,
        actor: Actor,
        *,
        name: str,
        egg_id: int,
        node_id: int,
        ip: str | None = None,
        port: int | None = None,
        guild_id: int | None = None,
        limits: Limits | None = None,
        variables: Mapping[str, str] | None = None,
        image: str | None = None,
        startup: str | None = None,
        alias: str | None = None,
        description: str = "",
        start: bool = False,
        uuid: str | None = None,
        extras: Extras | None = None,
    ) -> Server:
        """Make a server on a node and tell the node, which installs it. `uuid` is for those that move in with one.

        Without `port` it gets the first free one of the node. Managers make servers in their own guild, on ports the node was given and
        with an image of the egg; Aerie itself anywhere. A node that cannot take it now is told by `remind` once it can; the activity log
        says so, and until then the server `waits_for_node`.
        Raises Invalid, NotFound, Conflict and MissingPermission.
        """
        ours = actor.kind is ActorKind.SYSTEM or actor.root_admin
        if not ours:
            await self._may_make(actor, guild_id, ip)
        egg = await self._eggs.get(egg_id)
        await demand(egg, variables or {})
        chosen = _chosen(egg, variables or {})
        limits, extras = _checked(limits or Limits()), extras or Extras()
        uuid = _uuid(uuid)
        name = _name(name)
        if port is not None and not 1 <= port <= 65535:
            raise Invalid("A port must be from 1 to 65535.")
        if image is not None and not ours and image not in egg.docker_images.values():
            raise Invalid(f"The egg {egg.name} has no such image.", hint="Choose one of the suggestions.")
        script = bool(egg.script.strip()) and not extras.skip_scripts
        row = Server(
            uuid=uuid,
            short=uuid[:8],
            name=name,
            description=description,
            status=ServerStatus.INSTALLING.value if script else None,
            guild_id=guild_id,
            node_id=node_id,
            egg_id=egg.id,
            image=image or next(iter(egg.docker_images.values())),
            startup=startup or egg.startup,
            memory=limits.memory,
            swap=limits.swap,
            disk=limits.disk,
            io=limits.io,
            cpu=limits.cpu,
            threads=limits.threads,
            oom_disabled=limits.oom_disabled,
            skip_scripts=extras.skip_scripts,
            owner_id=extras.owner_id,
            external_id=extras.external_id,
            database_limit=extras.databases,
            allocation_limit=extras.allocations,
            backup_limit=extras.backups,
            installed_at=None if script else self._clock.now(),
            created_at=self._clock.now(),
            waits_for_node=True,
            start_when_made=start,
        )
        try:
            async with self._database.begin() as session:
                await self._insert(session, row, ip, alias, port, chosen)
                await _claim(session, row, extras.also)
        except IntegrityError as error:
            raise Conflict(f"A server called {name}, or one at this address, was made at the same moment.", hint="Try again.") from error
        server = await self.get(uuid)
        self._live.place(uuid, node_id)
        await self._activity.write(actor, "server:create", server)
        await self._tell_node(actor, server)
        return server

    async def _may_make(self, actor: Actor, guild_id: int | None, ip: str | None) -> None:
        """Raises Forbidden and MissingPermission."""
        if guild_id is None or guild_id != actor.guild_id or ip is not None:
            raise Forbidden("You can make servers in your own community only, on ports its nodes were given.")
        await self._access.require_in_guild(actor, ALL, event="server:create")

    async def name_is_free(self, guild_id: int | None, name: str) -> None:
        """Raises Invalid for what is no name, and Conflict when a server of the guild has it."""
        async with self._database.session() as session:
            await _free(session, guild_id, _name(name))

    async def _insert(
        self, session: AsyncSession, row: Server, ip: str | None, alias: str | None, port: int | None, chosen: dict[int, str]
    ) -> None:
        if await session.get(Node, row.node_id) is None:
            raise NotFound("There is no such node.")
        if row.guild_id is not None and await session.get(Guild, row.guild_id) is None:
            raise NotFound("Aerie does not know this guild yet.", hint="Invite the bot there first.")
        await _free(session, row.guild_id, row.name)
        session.add(row)
        await session.flush()
        allocation = await _allocation(session, row.node_id, ip, port)
        allocation.server_id, allocation.is_primary = row.id, True
        allocation.alias = alias or allocation.alias
        session.add_all(ServerVariable(server_id=row.id, egg_variable_id=key, value=value) for key, value in chosen.items())

    async def _tell_node(self, actor: Actor, server: Server) -> None:
        try:
            await self._order(server)
        except AerieError as error:
            log.warning("server %s waits for its node: %s", server.short, error.message)
            await self._activity.write(actor, "server:create.node", server, Outcome.FAILED, reason=str(error))

    async def _order(self, server: Server) -> None:
        """Have the node make it. Raises the node's errors; a node that takes it twice makes it once."""
        await self._nodes.client(server.node).create(CreateServer(uuid=server.uuid, start_on_completion=server.start_when_made))
        async with self._database.begin() as session:
            await session.execute(update(Server).where(Server.id == server.id).values(waits_for_node=False))
        server.waits_for_node = False

    async def get(self, uuid: str) -> Server:
        """The whole server, asking nobody: for Aerie's own workers. Raises NotFound."""
        return await self._one(uuid, None)

    async def all(self) -> list[Server]:
        """Every server whole, asking nobody: for Aerie's own workers."""
        async with self._database.session() as session:
            return list(await session.scalars(whole_servers().order_by(Server.id)))

    async def settings(self, uuid: str, node: Node | None = None) -> ServerConfiguration:
        """Wings' configuration of a server; with `node`, only when it lives there. Raises NotFound."""
        return configuration(await self._one(uuid, node))

    async def page(self, node: Node, page: int = 1, per_page: int = 50) -> ServerPage:
        """A node's servers, `per_page` (1 to 500) at a time; page 0 is the first."""
        page, per_page = max(page, 1), min(max(per_page, 1), 500)
        async with self._database.session() as session:
            total = await session.scalar(select(func.count()).select_from(Server).where(Server.node_id == node.id)) or 0
            chosen = whole_servers().where(Server.node_id == node.id).order_by(Server.id).offset((page - 1) * per_page).limit(per_page)
            rows = list(await session.scalars(chosen))
        entries = [ServerEntry(uuid=row.uuid, **dict(configuration(row))) for row in rows]
        first = (page - 1) * per_page + 1
        return ServerPage(
            data=entries,
            meta=Page.model_validate(
                {
                    "current_page": page,
                    "from": first if rows else None,
                    "last_page": max(1, -(-total // per_page)),
                    "per_page": per_page,
                    "to": first + len(rows) - 1 if rows else None,
                    "total": total,
                }
            ),
        )

    async def install_script(self, uuid: str, node: Node) -> InstallScript:
        """Raises NotFound when the server does not live on the node."""
        egg = (await self._one(uuid, node)).egg
        return InstallScript(container_image=egg.script_container, entrypoint=egg.script_entrypoint, script=egg.script)

    async def report_install(self, uuid: str, node: Node, *, successful: bool, reinstall: bool, reason: str = "") -> None:
        """Take a node's word on an installation; the same report twice changes nothing. A suspended server stays suspended."""
        server = await self._one(uuid, node)
        failed = ServerStatus.REINSTALL_FAILED if reinstall else ServerStatus.INSTALL_FAILED
        status = None if successful else failed.value
        async with self._database.begin() as session:
            await session.execute(update(Server).where(Server.id == server.id).values(installed_at=self._clock.now(), waits_for_node=False))
            free = update(Server).where(Server.id == server.id, func.coalesce(Server.status, "") != ServerStatus.SUSPENDED.value)
            await session.execute(free.values(status=status))
        event = "server:reinstall" if reinstall else "server:install"
        await self._activity.write(_node_actor(node), event, server, Outcome.OK if successful else Outcome.FAILED, reason=reason)
        await self._installed(server, successful, reinstall, reason)

    async def _installed(self, server: Server, successful: bool, reinstall: bool, reason: str) -> None:
        await self._live.publish(
            ServerInstallEnded(server_uuid=server.uuid, at=self._clock.now(), successful=successful, reinstall=reinstall, reason=reason)
        )

    async def reinstall(self, actor: Actor, ref: str | int) -> Server:
        """Have the node run the install script again, over the files. Raises ServerBusy, ServerSuspended and the node's errors."""
        server = await self._access.server(actor, ref, "settings.reinstall", event="server:reinstall")
        if server.status == ServerStatus.SUSPENDED:
            raise ServerSuspended(f"{server.name} is suspended.", hint="An administrator of Aerie can lift it.")
        busy = (ServerStatus.INSTALLING.value, ServerStatus.RESTORING_BACKUP.value, ServerStatus.SUSPENDED.value)
        async with self._database.begin() as session:
            free = update(Server).where(Server.id == server.id, func.coalesce(Server.status, "").not_in(busy))
            taken = await session.execute(free.values(status=ServerStatus.INSTALLING.value))
        if not taken.rowcount:  # type: ignore[attr-defined]
            raise ServerBusy(f"{server.name} is already being installed or restored.", hint="Wait until that is done.")
        row_id = await self._activity.write(actor, "server:reinstall", server)
        client = self._nodes.client(server.node)
        try:
            try:
                await client.install(server.uuid, again=server.status != ServerStatus.INSTALL_FAILED)
            except NotFound:
                await client.create(CreateServer(uuid=server.uuid))
        except AerieError as error:
            async with self._database.begin() as session:
                mine = update(Server).where(Server.id == server.id, Server.status == ServerStatus.INSTALLING.value)
                await session.execute(mine.values(status=server.status))
            await self._activity.amend(row_id, Outcome.FAILED, str(error))
            raise
        return await self.get(server.uuid)

    async def waiting(self, node_id: int) -> list[str]:
        """Uuids of servers which their node has not taken, but for those it is just being told of."""
        before = self._clock.now() - timedelta(seconds=TOLD_WITHIN)
        wanted = select(Server.uuid).where(Server.node_id == node_id, Server.waits_for_node, Server.created_at < before)
        async with self._database.session() as session:
            return list(await session.scalars(wanted.order_by(Server.id)))

    async def remind(self, uuid: str) -> None:
        """Tell a node once more of a server that it has not taken, or should be installing and does not know. Raises its errors."""
        server = await self.get(uuid)
        if not server.waits_for_node:
            if server.status != ServerStatus.INSTALLING:
                return
            try:
                await self._nodes.client(server.node).server(uuid)
            except NotFound:
                pass
            else:
                return
        await self._order(server)
        log.info("server %s: its node has taken it now", server.short)

    async def rename(self, actor: Actor, ref: str | int, name: str, *, description: str | None = None) -> Server:
        """Give a server another name; its node learns it at the latest when it next asks. A `description` of None stays as it is.

        Raises Invalid, Conflict, NotFound and MissingPermission.
        """
        server = await self._access.server(actor, ref, "settings.rename", event="server:settings.rename")
        name, old = _name(name), server.name
        try:
            async with self._database.begin() as session:
                await _free(session, server.guild_id, name, but=server.id)
                words = server.description if description is None else description
                await session.execute(update(Server).where(Server.id == server.id).values(name=name, description=words))
        except IntegrityError as error:
            raise Conflict(f"There is already a server called {name} here.", hint="Choose another name.") from error
        await self._activity.write(actor, "server:settings.rename", server, metadata={"old": old, "new": name})
        if words != server.description:
            await self._activity.write(actor, "server:settings.description", server, metadata={"old": server.description, "new": words})
        with suppress(AerieError):
            await self._nodes.client(server.node).sync(server.uuid)
        self._live.changed.publish(server.uuid)
        return await self.get(server.uuid)

    async def reset(self, node: Node) -> int:
        """A node has booted: nothing on it is being installed or restored any more. Returns how many servers that changed.

        Servers it never took stay as they are: it is still to be told to install them.
        """
        busy = (ServerStatus.INSTALLING.value, ServerStatus.RESTORING_BACKUP.value)
        async with self._database.begin() as session:
            taken = select(Server).where(Server.node_id == node.id, Server.waits_for_node.is_(False))
            rows = list(await session.scalars(taken.where(Server.status.in_(busy))))
            restoring = [row for row in rows if row.status == ServerStatus.RESTORING_BACKUP]
            installing = [row for row in rows if row.status == ServerStatus.INSTALLING]
            for row in rows:
                row.status = None
        for row in restoring:
            reason = "The node restarted while the backup was being restored."
            await self._activity.write(_node_actor(node), "server:backup.restore-failed", row, Outcome.FAILED, reason=reason)
        for row in installing:
            await self._installed(row, False, False, "The node started anew meanwhile, so its files may be incomplete.")
        return len(rows)

    async def delete(self, actor: Actor, ref: str | int, *, force: bool = False) -> None:
        """Remove a server from its node, files included, then here. With `force`, also when the node cannot be reached."""
        server = await self._access.server(actor, ref, ALL, event="server:delete")
        row_id = await self._activity.write(actor, "server:delete", server)
        try:
            await self._nodes.client(server.node).delete(server.uuid)
        except NotFound:
            pass
        except AerieError as error:
            if not force:
                await self._activity.amend(row_id, Outcome.FAILED, str(error))
                raise
            log.warning("server %s was deleted here, but not on its node: %s", server.short, error.message)
        async with self._database.begin() as session:
            await session.execute(update(Allocation).where(Allocation.server_id == server.id).values(server_id=None, is_primary=False))
            row = await session.get(Server, server.id)
            if row is not None:
                await session.execute(Server.__table__.delete().where(Server.id == server.id))  # type: ignore[attr-defined]
        await self._live.publish(ServerDeleted(server_uuid=server.uuid))

    async def _one(self, uuid: str, node: Node | None) -> Server:
        async with self._database.session() as session:
            wanted = whole_servers().where(Server.uuid == uuid)
            row = await session.scalar(wanted if node is None else wanted.where(Server.node_id == node.id))
        if row is None:
            raise NotFound("There is no such server.")
        return row


async def _claim(session: AsyncSession, server: Server, allocation_ids: Sequence[int]) -> None:
    """Give a server more addresses of its node. Raises Conflict when one is not there or not free."""
    for number in allocation_ids:
        row = await session.scalar(select(Allocation).where(Allocation.id == number).with_for_update())
        if row is None or row.node_id != server.node_id or row.server_id is not None:
            raise Conflict("One of the additional addresses is not free on this node.", hint="Choose others.")
        row.server_id = server.id


async def _free(session: AsyncSession, guild_id: int | None, name: str, *, but: int = -1) -> None:
    """Raises Conflict when another server of the guild has this name, in whatever letters."""
    same = select(Server.id).where(Server.guild_id == guild_id, func.lower(Server.name) == name.lower(), Server.id != but)
    if await session.scalar(same.limit(1)) is not None:
        raise Conflict(f"There is already a server called {name} here.", hint="Choose another name.")


async def _allocation(session: AsyncSession, node_id: int, ip: str | None, port: int | None) -> Allocation:
    """A free address, held until the transaction ends: the asked one, made if need be with an `ip`; else the first there is."""
    wanted = select(Allocation).where(Allocation.node_id == node_id)
    if ip is not None:
        wanted = wanted.where(Allocation.ip == ip)
    if port is not None:
        wanted = wanted.where(Allocation.port == port)
    free = wanted.where(Allocation.server_id.is_(None)).order_by(Allocation.port, Allocation.id).limit(1)
    allocation = await session.scalar(free.with_for_update())
    if allocation is not None:
        return allocation
    taken = await session.scalar(wanted.limit(1))
    if port is not None and taken is not None:
        raise Conflict(f"The address {taken.ip}:{port} already belongs to a server.", hint="Choose another port.")
    if port is None or ip is None:
        what = f"the port {port}" if port is not None else "a free port"
        raise Conflict(f"The node does not have {what}.", hint="`/node ports` adds some.")
    allocation = Allocation(node_id=node_id, ip=ip, port=port)
    session.add(allocation)
    return allocation


def _name(name: str) -> str:
    if not 1 <= len(name.strip()) <= 100 or not name.isprintable():
        raise Invalid("A server's name must have 1 to 100 printable characters.")
    return name.strip()


def _node_actor(node: Node) -> Actor:
    return Actor(ActorKind.NODE, node.name, node_id=node.id)


def _uuid(given: str | None) -> str:
    """A fresh uuid, or the given one; nodes take version 4 alone."""
    try:
        known = UUID(given) if given is not None else uuid4()
    except ValueError:
        raise Invalid("A server's uuid must be a uuid of version 4.") from None
    if known.version != 4:
        raise Invalid("A server's uuid must be a uuid of version 4.")
    return str(known)


def _chosen(egg: Egg, variables: Mapping[str, str]) -> dict[int, str]:
    known = {variable.env_variable: variable.id for variable in egg.variables}
    return {known[key]: str(value) for key, value in variables.items()}


def _checked(limits: Limits) -> Limits:
    wrong: dict[str, Any] = {
        "memory": limits.memory < 0,
        "swap": limits.swap < -1,
        "disk": limits.disk < 0,
        "io": not 10 <= limits.io <= 1000,
        "cpu": limits.cpu < 0,
    }
    for name, bad in wrong.items():
        if bad:
            raise Invalid(f"The limit {name} is out of range.", hint="0 is unlimited; io is from 10 to 1000.")
    return limits
