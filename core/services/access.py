"""The one door to a server: `server(actor, ref, permission)`. No command, route or worker reaches a server on another way.

A guild's owner and its administrators hold `*` on every server of their guild; others hold what their roles and they themselves were
granted, on one server or on the whole guild. Aerie itself holds everything. Every refusal is written to the activity log.
"""

import difflib
import re
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import permissions
from core.actor import Actor
from core.db.engine import Database
from core.errors import Forbidden, MissingPermission, NotFound
from core.models.guild import Grant, Guild
from core.models.server import Server, whole_servers
from core.models.user import Member, User
from core.permissions import ADMIN_SOCKET, ALL, CONNECT
from core.services.activity import ActivityLog
from core.services.members import Members
from core.vocabulary import ActorKind


class Access:
    def __init__(self, database: Database, activity: ActivityLog, members: Members, *, managers_may_build: bool = True) -> None:
        self._database = database
        self._activity = activity
        self._members = members
        self._managers_may_build = managers_may_build

    async def server(self, actor: Actor, ref: str | int, permission: str, *, event: str = "") -> Server:
        """The server called `ref` (id, uuid, first 8 characters of it, or name) in the actor's guild, if the actor may.

        Raises NotFound, naming up to three nearest names the actor may see, and MissingPermission, naming who can grant it.
        `event` is what the activity log calls the refused action.
        """
        server, held = await self.seen(actor, ref)
        await self.require(actor, server, held, permission, event=event)
        return server

    async def seen(self, actor: Actor, ref: str | int) -> tuple[Server, frozenset[str]]:
        """The server as `server` finds it, with the keys the actor holds on it. From an API key who holds none is told NotFound."""
        async with self._database.session() as session:
            server = await self._find(session, actor, ref)
        held = await self._held(actor, [server]) if server else {}
        if server is None or (actor.kind is ActorKind.API_KEY and not held[server.id]):
            raise await self._unknown(actor, ref)
        return server, held[server.id]

    async def require(self, actor: Actor, server: Server, held: frozenset[str], permission: str, *, event: str = "") -> None:
        """Raises MissingPermission unless `held`, which `seen` gave, allows it; the refusal is written down."""
        if permissions.allows(held, permission):
            return
        async with self._database.session() as session:
            guild = await session.get(Guild, server.guild_id) if server.guild_id else None
        error = MissingPermission(permission, permissions.meaning(permission, server.name), grantors=_grantors(guild))
        await self._activity.refused(actor, event or f"server:{permission}", server, error, {"permission": permission})
        raise error

    async def visible(self, actor: Actor, permission: str = CONNECT) -> list[Server]:
        """Every server of the actor's guild on which they hold `permission`, by name."""
        async with self._database.session() as session:
            servers = list(await session.scalars(whole_servers().where(_within(actor)).order_by(Server.name)))
        held = await self._held(actor, servers)
        return [server for server in servers if permissions.allows(held[server.id], permission)]

    async def reachable(self, actor: Actor) -> list[tuple[Server, frozenset[str]]]:
        """Every server on which the actor holds anything at all, with what they hold, by name."""
        async with self._database.session() as session:
            servers = list(await session.scalars(whole_servers().where(_within(actor)).order_by(Server.name, Server.id)))
        held = await self._held(actor, servers)
        return [(server, held[server.id]) for server in servers if held[server.id]]

    async def permissions(self, actor: Actor, server: Server) -> frozenset[str]:
        """The keys the actor holds on the server; may hold `*`."""
        if actor.kind not in (ActorKind.SYSTEM, ActorKind.API_KEY) and (actor.guild_id is None or server.guild_id != actor.guild_id):
            return frozenset()
        return (await self._held(actor, [server]))[server.id]

    async def permissions_of(self, user: User, server: Server) -> frozenset[str]:
        """The keys a user holds on a server, whatever guild it is in and though nobody is interacting; may hold `*`.

        Roles are Discord's of now, or those last seen while it cannot be asked.
        """
        if user.root_admin:
            return frozenset({ALL, *ADMIN_SOCKET})
        if server.owner_id == user.id:
            return frozenset({ALL})
        if server.guild_id is None:
            return frozenset()
        actor = await self.actor_in(server.guild_id, user)
        return await self.permissions(actor, server) if actor is not None else frozenset()

    async def servers_of(self, user: User, permission: str = CONNECT) -> list[Server]:
        """Every server, of all guilds, on which the user holds `permission`, by name."""
        if user.root_admin:
            async with self._database.session() as session:
                return list(await session.scalars(whole_servers().order_by(Server.name)))
        async with self._database.session() as session:
            guilds = list(await session.scalars(select(Server.guild_id).where(Server.guild_id.is_not(None)).distinct()))
        found: list[Server] = []
        for guild_id in guilds:
            if guild_id is not None and (actor := await self.actor_in(guild_id, user)) is not None:
                found += await self.visible(actor, permission)
        return sorted(found, key=lambda server: server.name)

    async def actor_in(self, guild_id: int, user: User, *, origin: str = "") -> Actor | None:
        """A user as an actor in one guild, with the roles they hold there; None when they are not its member."""
        if user.discord_id is None:
            return None
        like = Actor(ActorKind.USER, user.name, discord_id=user.discord_id, user_id=user.id, origin=origin)
        return await self._members.actor(guild_id, user.discord_id, like)

    async def in_guild(self, actor: Actor) -> frozenset[str]:
        """The keys the actor holds on every server of their guild, whatever is granted on single ones."""
        if actor.kind is ActorKind.SYSTEM:
            return frozenset({ALL, *ADMIN_SOCKET})
        if actor.guild_owner or actor.guild_admin:
            return frozenset({ALL})
        async with self._database.session() as session:
            grants = await session.scalars(select(Grant).where(_granted(actor), Grant.server_id.is_(None)))
            return frozenset(key for grant in grants for key in grant.permissions)

    async def require_in_guild(self, actor: Actor, permission: str, *, event: str) -> None:
        """For what concerns a whole guild, such as its grants. Raises MissingPermission."""
        if permissions.allows(await self.in_guild(actor), permission):
            return
        async with self._database.session() as session:
            guild = await session.get(Guild, actor.guild_id) if actor.guild_id else None
        what = permissions.meaning(permission, "every server here", "every server’s")
        error = MissingPermission(permission, what, grantors=_grantors(guild))
        await self._activity.refused(actor, event, None, error, {"permission": permission})
        raise error

    async def require_builder(self, actor: Actor, *, event: str) -> None:
        """For nodes and eggs, which all guilds share: Aerie itself, and managers unless the settings say otherwise.

        Raises MissingPermission and Forbidden.
        """
        if actor.kind is ActorKind.SYSTEM or actor.root_admin:
            return
        await self.require_in_guild(actor, ALL, event=event)
        if not self._managers_may_build:
            error = Forbidden(
                "Nodes and eggs are changed by whoever runs Aerie, not from Discord.",
                hint="The setting [discord] managers_may_build allows it to managers.",
            )
            await self._activity.refused(actor, event, None, error)
            raise error

    async def _find(self, session: AsyncSession, actor: Actor, ref: str | int) -> Server | None:
        """By the surest reading of `ref` first, so that no server can hide another by its name."""
        for reading in _readings(ref):
            found = list(await session.scalars(whole_servers().where(_within(actor), reading).limit(2)))
            if len(found) == 1:
                return found[0]
        return None

    async def _unknown(self, actor: Actor, ref: str | int) -> NotFound:
        seen = [server.name for server in await self.visible(actor)]
        asked = _plain(str(ref))
        by_lower = {name.lower(): name for name in seen}
        near = [by_lower[name] for name in difflib.get_close_matches(asked.lower(), by_lower, n=3, cutoff=0.4)]
        if near:
            hint = f"Did you mean {' or '.join(near)}?"
        elif seen:
            hint = f"There are: {', '.join(seen[:3])}{' …' if len(seen) > 3 else ''}. `/server list` shows all."
        else:
            hint = "There is no server here that you may see."
        return NotFound(f"There is no server called “{asked}” here.", hint=hint)

    async def _held(self, actor: Actor, servers: list[Server]) -> dict[int, frozenset[str]]:
        """What the actor holds on each. Call without an open session: it opens its own, one after the other, and may ask Discord."""
        if actor.kind is ActorKind.SYSTEM or actor.root_admin:
            return {server.id: frozenset({ALL, *ADMIN_SOCKET}) for server in servers}
        if actor.guild_owner or actor.guild_admin:
            return {server.id: frozenset({ALL}) for server in servers}
        if actor.kind is ActorKind.API_KEY:
            return await self._held_anywhere(actor, servers)
        async with self._database.session() as session:
            grants = list(await session.scalars(select(Grant).where(_granted(actor))))
        return {
            server.id: frozenset(key for grant in grants if grant.server_id in (None, server.id) for key in grant.permissions)
            for server in servers
        }

    async def _held_anywhere(self, actor: Actor, servers: list[Server]) -> dict[int, frozenset[str]]:
        """Of a person behind an API key, who asks from no guild: what they own, and what they are in each server's guild just now."""
        guilds = {server.guild_id for server in servers if server.guild_id is not None}
        async with self._database.session() as session:
            owned = set(await session.scalars(_guilds_of(actor)))
            grants = list(await session.scalars(select(Grant).where(Grant.guild_id.in_(guilds))))
        members = {
            guild_id: await self._members.actor(guild_id, actor.discord_id, actor)
            for guild_id in guilds - owned
            if actor.discord_id is not None
        }
        held: dict[int, frozenset[str]] = {}
        for server in servers:
            member = members.get(server.guild_id) if server.guild_id is not None else None
            if server.owner_id == actor.user_id or server.guild_id in owned or (member is not None and member.guild_admin):
                held[server.id] = frozenset({ALL})
                continue
            here = [grant for grant in grants if grant.guild_id == server.guild_id and grant.server_id in (None, server.id)]
            own = [
                grant for grant in here if member is not None and (grant.user_id == actor.discord_id or grant.role_id in member.role_ids)
            ]
            held[server.id] = frozenset(key for grant in own for key in grant.permissions)
        return held


def _within(actor: Actor) -> ColumnElement[bool]:
    """Nobody but Aerie itself sees beyond the guild they ask from."""
    if actor.root_admin or (actor.kind is ActorKind.SYSTEM and actor.guild_id is None):
        return Server.id.is_not(None)
    if actor.kind is ActorKind.API_KEY:
        granted = select(Grant.guild_id).where(_granted_to(actor))
        member = select(Member.guild_id).where(Member.discord_id == (actor.discord_id if actor.discord_id is not None else -1))
        return or_(Server.owner_id == actor.user_id, *(Server.guild_id.in_(guilds) for guilds in (_guilds_of(actor), granted, member)))
    return Server.guild_id == (actor.guild_id if actor.guild_id is not None else -1)


def _guilds_of(actor: Actor) -> Select[int]:
    """Guilds that belong to the actor."""
    return select(Guild.id).where(Guild.owner_id == (actor.discord_id if actor.discord_id is not None else -1))


def _granted_to(actor: Actor) -> ColumnElement[bool]:
    """What the person themself was granted, in any guild."""
    return Grant.user_id == (actor.discord_id if actor.discord_id is not None else -1)


def _granted(actor: Actor) -> ColumnElement[bool]:
    return (Grant.guild_id == (actor.guild_id if actor.guild_id is not None else -1)) & or_(
        Grant.user_id == (actor.discord_id if actor.discord_id is not None else -1),
        Grant.role_id.in_(actor.role_ids),
    )


def _readings(ref: str | int) -> list[ColumnElement[bool]]:
    if isinstance(ref, int):
        return [Server.id == ref]
    text = ref.strip()
    try:
        return [Server.uuid == str(UUID(text))]
    except ValueError:
        pass
    readings: list[ColumnElement[bool]] = [Server.name == text, func.lower(Server.name) == text.lower(), Server.short == text.lower()]
    if text.isascii() and text.isdigit() and len(text) < 8:
        readings.append(Server.id == int(text))
    return readings


def _plain(text: str) -> str:
    """What somebody typed, fit to be repeated to them."""
    return re.sub(r"[^\w .\-]", "", text)[:50].strip() or "that"


def _grantors(guild: Guild | None) -> str:
    return f"<@{guild.owner_id}>" if guild else "The guild's owner"
