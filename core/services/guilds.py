"""What belongs to a Discord guild: its grants, the channels that show consoles, the cards, the hash of its commands."""

from typing import Any

from sqlalchemy import ColumnElement, Select, delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import selectinload

from core import permissions
from core.actor import Actor
from core.clock import Clock
from core.db.engine import Database
from core.errors import Conflict, Forbidden, Invalid, NotFound
from core.models.egg import Egg
from core.models.guild import CommandHash, ConsoleBridge, Grant, Guild, ServerCard
from core.models.server import Server, ServerVariable
from core.permissions import CONTROL_CONSOLE, PRESETS, USER_READ, USER_UPDATE
from core.services.access import Access
from core.services.activity import ActivityLog
from core.services.members import Members
from core.services.sessions import Sessions


class Guilds:
    def __init__(
        self, database: Database, access: Access, activity: ActivityLog, members: Members, sessions: Sessions, clock: Clock
    ) -> None:
        self._database = database
        self._access = access
        self._activity = activity
        self._members = members
        self._sessions = sessions
        self._clock = clock

    async def bind(self, guild_id: int, owner_id: int, name: str) -> Guild:
        """Know a guild, or learn its new owner and name; a former owner's sessions end. Call on every GUILD_CREATE and GUILD_UPDATE."""
        try:
            async with self._database.begin() as session:
                row = await session.get(Guild, guild_id)
                if row is None:
                    row = Guild(id=guild_id, created_at=self._clock.now(), name=name[:191], owner_id=owner_id)
                    session.add(row)
                former = row.owner_id
                row.name, row.owner_id = name[:191], owner_id
        except IntegrityError:
            return await self.bind(guild_id, owner_id, name)
        if former != owner_id:
            await self._sessions.end_of([former], guild_id=guild_id)
        return row

    async def get(self, guild_id: int) -> Guild | None:
        async with self._database.session() as session:
            return await session.get(Guild, guild_id)

    async def grant(
        self, actor: Actor, *, preset: str, role_id: int | None = None, user_id: int | None = None, server_ref: str | int | None = None
    ) -> Grant:
        """Give a role or a member a preset, on one server or on all of the guild's; replaces what they had there.

        Needs `user.update`, and nobody gives more than they hold. Raises Invalid, MissingPermission, NotFound.
        """
        if preset not in PRESETS:
            raise Invalid(f"There is no preset {preset[:40]}.", hint=f"Choose one of {', '.join(PRESETS)}.")
        if (role_id is None) == (user_id is None):
            raise Invalid("Name a role or a member, one of the two.")
        guild_id = _guild(actor)
        server, held = await self._subject(actor, server_ref, USER_UPDATE, "guild:grant")
        if not all(permissions.allows(held, key) for key in PRESETS[preset]):
            error = Forbidden(f"You cannot give more than you hold yourself, and {preset} is more.", hint="Ask the guild's owner.")
            await self._activity.refused(actor, "guild:grant", server, error, {"role": role_id, "user": user_id, "preset": preset})
            raise error
        row = Grant(
            guild_id=guild_id,
            role_id=role_id,
            user_id=user_id,
            server_id=server.id if server else None,
            preset=preset,
            permissions=sorted(PRESETS[preset]),
            granted_by=actor.label[:191],
            created_at=self._clock.now(),
        )
        async with self._database.begin() as session:
            before = list(await session.scalars(select(Grant).where(*_same_grant(guild_id, role_id, user_id, server))))
            await session.execute(delete(Grant).where(Grant.id.in_([old.id for old in before])))
            session.add(row)
        if any(not permissions.allows(PRESETS[preset], key) for old in before for key in old.permissions):
            await self._send_away(guild_id, role_id, user_id, server)
        await self._activity.write(actor, "guild:grant", server, metadata={"role": role_id, "user": user_id, "preset": preset})
        return row

    async def revoke(
        self, actor: Actor, *, role_id: int | None = None, user_id: int | None = None, server_ref: str | int | None = None
    ) -> int:
        """Take back what a role or a member was granted on one server, or on the whole guild; returns how many grants that was."""
        guild_id = _guild(actor)
        server, _ = await self._subject(actor, server_ref, USER_UPDATE, "guild:revoke")
        async with self._database.begin() as session:
            gone = await session.scalars(select(Grant.id).where(*_same_grant(guild_id, role_id, user_id, server)))
            ids = list(gone)
            await session.execute(delete(Grant).where(Grant.id.in_(ids)))
        if ids:
            await self._send_away(guild_id, role_id, user_id, server)
            await self._activity.write(actor, "guild:revoke", server, metadata={"role": role_id, "user": user_id})
        return len(ids)

    async def _send_away(self, guild_id: int, role_id: int | None, user_id: int | None, server: Server | None) -> None:
        """Rights were taken: sessions that stand on them end."""
        people = await self._members.holders(guild_id, role_id) if role_id is not None else [user_id] if user_id is not None else []
        await self._sessions.end_of(people, guild_id=guild_id, server_id=server.id if server else None)

    async def grants(self, actor: Actor) -> list[Grant]:
        """Every grant of the actor's guild, its server loaded. Needs `user.read` on the whole guild."""
        await self._access.require_in_guild(actor, USER_READ, event="guild:grants")
        async with self._database.session() as session:
            rows = select(Grant).options(selectinload(Grant.server)).where(Grant.guild_id == _guild(actor)).order_by(Grant.id)
            return list(await session.scalars(rows))

    async def attach_console(self, actor: Actor, ref: str | int, channel_id: int) -> ConsoleBridge:
        """Show a server's console in a channel. Everybody who sees the channel will see it, so it needs `control.console`."""
        server = await self._access.server(actor, ref, CONTROL_CONSOLE, event="server:console.attach")
        guild_id = server.guild_id if server.guild_id is not None else _guild(actor)
        row = ConsoleBridge(
            guild_id=guild_id,
            channel_id=channel_id,
            server_id=server.id,
            attached_by=actor.label[:191],
            created_at=self._clock.now(),
        )
        try:
            async with self._database.begin() as session:
                session.add(row)
        except IntegrityError as error:
            raise Conflict(f"<#{channel_id}> already shows the console of {server.name}.", hint="`/console detach` ends it.") from error
        await self._activity.write(actor, "server:console.attach", server, metadata={"channel": channel_id})
        return await self._bridge(row.id)

    async def detach_console(self, actor: Actor, ref: str | int, channel_id: int | None = None) -> list[ConsoleBridge]:
        """Stop showing a console in one channel, or in all. Returns what was removed. Raises NotFound when nothing was shown."""
        server = await self._access.server(actor, ref, CONTROL_CONSOLE, event="server:console.detach")
        async with self._database.begin() as session:
            wanted = _bridges().where(ConsoleBridge.server_id == server.id)
            if channel_id is not None:
                wanted = wanted.where(ConsoleBridge.channel_id == channel_id)
            rows = list(await session.scalars(wanted))
            await session.execute(delete(ConsoleBridge).where(ConsoleBridge.id.in_([row.id for row in rows])))
        if not rows:
            raise NotFound(f"The console of {server.name} is not shown here.", hint="`/console attach` shows it.")
        await self._activity.write(actor, "server:console.detach", server, metadata={"channels": [row.channel_id for row in rows]})
        return rows

    async def consoles(self) -> list[ConsoleBridge]:
        """Every channel that shows a console, its server loaded whole."""
        async with self._database.session() as session:
            return list(await session.scalars(_bridges().order_by(ConsoleBridge.id)))

    async def remember_message(self, bridge_id: int, message_id: int | None) -> None:
        """Remember the live message of a channel, so that it is edited on after a restart."""
        async with self._database.begin() as session:
            row = await session.get(ConsoleBridge, bridge_id)
            if row is not None:
                row.message_id = message_id

    async def remember_place(self, bridge_id: int, last_seq: int | None, boot: str) -> None:
        """Remember how far a channel's console has got, so that it goes on there after a restart."""
        async with self._database.begin() as session:
            row = await session.get(ConsoleBridge, bridge_id)
            if row is not None:
                row.last_seq, row.boot = last_seq, boot

    async def forget_console(self, bridge_id: int) -> None:
        """The channel is gone or closed to us."""
        async with self._database.begin() as session:
            await session.execute(delete(ConsoleBridge).where(ConsoleBridge.id == bridge_id))

    async def remember_card(self, server: Server, guild_id: int, channel_id: int, message_id: int) -> ServerCard:
        row = ServerCard(server_id=server.id, guild_id=guild_id, channel_id=channel_id, message_id=message_id, created_at=self._clock.now())
        async with self._database.begin() as session:
            await session.execute(delete(ServerCard).where(ServerCard.message_id == message_id))
            session.add(row)
        return row

    async def cards(self, server_uuid: str | None = None) -> list[ServerCard]:
        """Cards of one server or of all, their server loaded whole, oldest first."""
        wanted = select(ServerCard).options(*_whole(ServerCard)).order_by(ServerCard.id)
        if server_uuid is not None:
            wanted = wanted.join(Server, Server.id == ServerCard.server_id).where(Server.uuid == server_uuid)
        async with self._database.session() as session:
            return list(await session.scalars(wanted))

    async def forget_card(self, message_id: int) -> None:
        async with self._database.begin() as session:
            await session.execute(delete(ServerCard).where(ServerCard.message_id == message_id))

    async def command_hash(self, scope: str) -> str | None:
        """Hash of the commands last synced to `scope` (`global` or a guild's id)."""
        async with self._database.session() as session:
            row = await session.get(CommandHash, scope)
            return row.hash if row else None

    async def set_command_hash(self, scope: str, value: str) -> None:
        async with self._database.begin() as session:
            await session.merge(CommandHash(scope=scope, hash=value, updated_at=self._clock.now()))

    async def _subject(
        self, actor: Actor, server_ref: str | int | None, permission: str, event: str
    ) -> tuple[Server | None, frozenset[str]]:
        if server_ref is None:
            await self._access.require_in_guild(actor, permission, event=event)
            return None, await self._access.in_guild(actor)
        server = await self._access.server(actor, server_ref, permission, event=event)
        return server, await self._access.permissions(actor, server)

    async def _bridge(self, bridge_id: int) -> ConsoleBridge:
        async with self._database.session() as session:
            return (await session.scalars(_bridges().where(ConsoleBridge.id == bridge_id))).one()


def _guild(actor: Actor) -> int:
    if actor.guild_id is None:
        raise Invalid("This works in a Discord server only.", hint="Run it in a channel of the guild it is for.")
    return actor.guild_id


def _same_grant(guild_id: int, role_id: int | None, user_id: int | None, server: Server | None) -> list[ColumnElement[bool]]:
    return [
        Grant.guild_id == guild_id,
        Grant.role_id == role_id,
        Grant.user_id == user_id,
        Grant.server_id == (server.id if server else None),
    ]


def _whole(kind: type[ConsoleBridge] | type[ServerCard]) -> list[Any]:
    """The row's server, with all that the services hand out."""
    server = selectinload(kind.server)
    return [
        server.selectinload(Server.node),
        server.selectinload(Server.egg).selectinload(Egg.variables),
        server.selectinload(Server.allocation),
        server.selectinload(Server.allocations),
        server.selectinload(Server.variables).selectinload(ServerVariable.variable),
    ]


def _bridges() -> Select[ConsoleBridge]:
    return select(ConsoleBridge).options(*_whole(ConsoleBridge))
