"""What Discord says of a guild's members, remembered: roles and rights as last seen, so that a sign-in needs no interaction.

Every interaction brings a member's roles; where there is none (SFTP, an API key), Discord is asked, and while it cannot be, what was last
seen counts, up to a maximum age. Must never decide what a role may do (services/access.py does).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from core.actor import Actor
from core.bot_settings import AccountsSection
from core.clock import Clock
from core.db.engine import Database
from core.errors import AerieError, NotConfigured
from core.models.guild import Guild
from core.models.user import Member

log = logging.getLogger(__name__)

SEEN_EVERY = timedelta(seconds=30)
"""An unchanged member is written down again after this long."""
ASK_WITHIN = 3.0  # s that Discord may take

Lost = Callable[[int, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Described:
    """A member in Discord's own words."""

    name: str
    roles: frozenset[int]
    admin: bool


class Discord(Protocol):
    """Whoever can ask Discord; the bot's client is one, `Silent` the other."""

    async def describe(self, guild_id: int, discord_id: int) -> Described | None:
        """The member now; None when they are not in the guild. Raises AerieError when Discord cannot be asked."""


class Silent:
    """No Discord at all: programs without a client."""

    async def describe(self, guild_id: int, discord_id: int) -> Described | None:
        raise NotConfigured("Discord is not connected.")


class Members:
    def __init__(self, database: Database, clock: Clock, accounts: AccountsSection) -> None:
        self._database = database
        self._clock = clock
        self._fresh = timedelta(seconds=accounts.roles_fresh)
        self._oldest = timedelta(hours=accounts.roles_max_age)
        self._written: dict[tuple[int, int], tuple[Described, datetime]] = {}
        self._absent: dict[tuple[int, int], datetime] = {}
        self._unasked: set[int] = set()
        """Guilds of which Discord could not be asked last time; said once, not for each request."""
        self.discord: Discord = Silent()
        """Who is asked; bot/app.py gives the client."""
        self.lessened: list[Lost] = []
        """Told (guild, member) when somebody lost a role or a right, or left."""

    async def seen(self, actor: Actor) -> None:
        """Remember what an interaction said of its member. Cheap when nothing changed."""
        if actor.guild_id is not None and actor.discord_id is not None:
            said = Described(actor.name[:191], actor.role_ids, actor.guild_admin)
            known = self._written.get((actor.guild_id, actor.discord_id))
            if known is None or known[0] != said or self._clock.now() - known[1] >= SEEN_EVERY:
                await self._write(actor.guild_id, actor.discord_id, said)

    async def actor(self, guild_id: int, discord_id: int, like: Actor) -> Actor | None:
        """`like`, with the roles and rights this person has in a guild right now; None when they are not in it, or nothing is known.

        Asks Discord when what is known is not fresh. Never raises AerieError.
        """
        async with self._database.session() as session:
            row = await session.get(Member, (guild_id, discord_id))
            guild = await session.get(Guild, guild_id)
        now = self._clock.now()
        if row is None and now - self._absent.get((guild_id, discord_id), datetime.min.replace(tzinfo=UTC)) <= self._fresh:
            return None
        if row is None or now - row.seen_at > self._fresh:
            try:
                async with asyncio.timeout(ASK_WITHIN):
                    said = await self.discord.describe(guild_id, discord_id)
            except (AerieError, TimeoutError) as error:
                self._silence(guild_id, discord_id, row, error)
                if row is None or now - row.seen_at > self._oldest:
                    return None
            else:
                if guild_id in self._unasked:
                    self._unasked.discard(guild_id)
                    log.info("Discord can be asked for the roles in guild %d again", guild_id)
                if said is None:
                    await self._forget(guild_id, discord_id, known=row is not None)
                    return None
                row = await self._write(guild_id, discord_id, said)
        return replace(
            like,
            discord_id=discord_id,
            guild_id=guild_id,
            role_ids=frozenset(row.roles),
            guild_owner=guild is not None and guild.owner_id == discord_id,
            guild_admin=row.admin,
        )

    def _silence(self, guild_id: int, discord_id: int, row: Member | None, error: Exception) -> None:
        """Discord cannot be asked: a warning the first time, and what it meant for each person for those who look closer."""
        known = f"those of {row.seen_at.isoformat()}" if row is not None else "unknown"
        if guild_id not in self._unasked:
            self._unasked.add(guild_id)
            log.warning("Discord cannot be asked for the roles in guild %d, so those last seen count: %s", guild_id, error)
        log.debug("the roles of %d in guild %d are %s", discord_id, guild_id, known)

    async def holders(self, guild_id: int, role_id: int) -> list[int]:
        """Discord ids of members last seen with a role."""
        async with self._database.session() as session:
            rows = await session.scalars(select(Member).where(Member.guild_id == guild_id))
            return [row.discord_id for row in rows if role_id in row.roles]

    async def _write(self, guild_id: int, discord_id: int, said: Described) -> Member:
        now, less = self._clock.now(), False
        try:
            async with self._database.begin() as session:
                row = await session.get(Member, (guild_id, discord_id))
                if row is None:
                    row = Member(guild_id=guild_id, discord_id=discord_id)
                    session.add(row)
                else:
                    less = bool(set(row.roles) - said.roles) or (row.admin and not said.admin)
                row.name, row.roles, row.admin, row.seen_at = said.name[:191], sorted(said.roles), said.admin, now
        except IntegrityError:
            return await self._write(guild_id, discord_id, said)
        if len(self._written) > 10_000:
            self._written.clear()
        self._written[guild_id, discord_id] = (said, now)
        if less:
            await self._tell(guild_id, discord_id)
        return row

    async def _forget(self, guild_id: int, discord_id: int, *, known: bool) -> None:
        self._written.pop((guild_id, discord_id), None)
        if len(self._absent) > 10_000:
            self._absent.clear()
        self._absent[guild_id, discord_id] = self._clock.now()
        async with self._database.begin() as session:
            await session.execute(delete(Member).where(Member.guild_id == guild_id, Member.discord_id == discord_id))
        if known:
            await self._tell(guild_id, discord_id)

    async def _tell(self, guild_id: int, discord_id: int) -> None:
        for lost in self.lessened:
            await lost(guild_id, discord_id)
