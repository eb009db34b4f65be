"""Where alerts come from and whom they call: sources with their tokens, the channel of Aerie's own alerts, roles by severity.

A token is shown once and kept as its hash alone. Must never tell a wrong token from one that was removed.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from core.actor import Actor
from core.clock import Clock
from core.db.engine import Database
from core.errors import Conflict, Forbidden, Invalid, LimitReached, NotFound
from core.log import hide
from core.models.alert import Alert, AlertMention, AlertSource
from core.models.guild import ConsoleBridge, ServerCard
from core.permissions import USER_READ, USER_UPDATE
from core.seal import Seal
from core.services.access import Access
from core.services.activity import ActivityLog
from core.vocabulary import AlertSeverity, AlertStatus

OWN_NAME = "Aerie"
MOST_SOURCES = 50
"""Of one guild."""
KNOWN_SECONDS = 2.0
"""How long a process takes a token for good without asking the database again; after a removal elsewhere it may last so long."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class NewSource:
    """A source with the secrets that are shown once. `signing_key` is empty unless its bodies must be signed."""

    source: AlertSource
    token: str
    signing_key: str = ""


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One source as a list shows it."""

    source: AlertSource
    firing: int


class AlertSources:
    def __init__(self, database: Database, access: Access, activity: ActivityLog, seal: Seal, clock: Clock) -> None:
        self._database = database
        self._access = access
        self._activity = activity
        self._seal = seal
        self._clock = clock
        self._known: dict[str, tuple[float, AlertSource]] = {}

    # Managers

    async def create(self, actor: Actor, name: str, channel_id: int, *, signed: bool = False) -> NewSource:
        """Make a source that reports into a channel. Needs `user.update` on the guild. Raises Invalid, Conflict, LimitReached."""
        guild_id = await self._manager(actor, "alert:source.create")
        name = _name(name)
        token, key = secrets.token_urlsafe(32), secrets.token_urlsafe(32) if signed else ""
        row = AlertSource(
            guild_id=guild_id,
            name=name,
            channel_id=channel_id,
            token_hash=_hash(token),
            signing_sealed=self._seal.close(key) if key else None,
            created_by=actor.label[:191],
            creator_id=actor.discord_id,
            created_at=self._clock.now(),
        )
        try:
            async with self._database.begin() as session:
                if (await session.scalar(select(func.count()).select_from(AlertSource).where(_of(guild_id))) or 0) >= MOST_SOURCES:
                    raise LimitReached(f"There are {MOST_SOURCES} sources here already.", hint="Remove one with `/alert source remove`.")
                session.add(row)
        except IntegrityError as error:
            raise Conflict(f"There is already a source called {name}.", hint="Choose another name.") from error
        await self._activity.write(actor, "alert:source.create", metadata={"source": name, "channel": channel_id, "signed": signed})
        return NewSource(row, token, key)

    async def rotate(self, actor: Actor, name: str) -> NewSource:
        """Give a source a new token (and signing key); the old ones end at once."""
        row = await self.named(actor, name, "alert:source.rotate")
        token, key = secrets.token_urlsafe(32), secrets.token_urlsafe(32) if row.signing_sealed else ""
        async with self._database.begin() as session:
            sealed = self._seal.close(key) if key else None
            await session.execute(
                update(AlertSource).where(AlertSource.id == row.id).values(token_hash=_hash(token), signing_sealed=sealed)
            )
        self._known.clear()
        await self._activity.write(actor, "alert:source.rotate", metadata={"source": row.name})
        return NewSource(row, token, key)

    async def move(self, actor: Actor, name: str, channel_id: int) -> AlertSource:
        """Report into another channel from now on; messages that stand stay where they are."""
        row = await self.named(actor, name, "alert:source.move")
        await self._set_channel(row, channel_id)
        await self._activity.write(actor, "alert:source.move", metadata={"source": row.name, "channel": channel_id})
        return row

    async def remove(self, actor: Actor, name: str) -> AlertSource:
        """Forget a source and its alerts; its token ends at once."""
        row = await self.named(actor, name, "alert:source.remove")
        async with self._database.begin() as session:
            await session.execute(delete(AlertSource).where(AlertSource.id == row.id))
        self._known.clear()
        await self._activity.write(actor, "alert:source.remove", metadata={"source": row.name})
        return row

    async def lines(self, actor: Actor) -> list[SourceLine]:
        """Every source of the guild with how many of its alerts fire. Needs `user.read`."""
        await self._access.require_in_guild(actor, USER_READ, event="alert:source.list")
        async with self._database.session() as session:
            rows = list(await session.scalars(select(AlertSource).where(_of(_guild(actor))).order_by(AlertSource.name)))
            counts = await session.execute(
                select(Alert.source_id, func.count())
                .where(Alert.guild_id == _guild(actor), Alert.status == AlertStatus.FIRING.value)
                .group_by(Alert.source_id)
            )
            firing = {row[0]: row[1] for row in counts}
        return [SourceLine(row, firing.get(row.id, 0)) for row in rows]

    async def names(self, actor: Actor) -> list[str]:
        """Names of senders' sources, for those who may manage them; others see none."""
        try:
            guild_id = await self._manager(actor, "alert:source.list")
        except Forbidden:
            return []
        async with self._database.session() as session:
            wanted = select(AlertSource.name).where(_of(guild_id), AlertSource.own.is_(False)).order_by(AlertSource.name)
            return list(await session.scalars(wanted))

    async def named(self, actor: Actor, name: str, event: str) -> AlertSource:
        """A sender's source by its name, for those who may manage it. Raises MissingPermission, NotFound."""
        guild_id = await self._manager(actor, event)
        async with self._database.session() as session:
            wanted = select(AlertSource).where(_of(guild_id), AlertSource.own.is_(False))
            row = await session.scalar(wanted.where(func.lower(AlertSource.name) == name.strip().lower()))
        if row is None:
            raise NotFound("There is no source of that name here.", hint="`/alert source list` shows them.")
        return row

    async def set_own_channel(self, actor: Actor, channel_id: int) -> AlertSource:
        """Where Aerie's own alerts of the guild go."""
        guild_id = await self._manager(actor, "alert:channel")
        row = await self.own(guild_id)
        await self._set_channel(row, channel_id)
        await self._activity.write(actor, "alert:channel", metadata={"channel": channel_id})
        return row

    async def mention(self, actor: Actor, severity: AlertSeverity, role_id: int | None) -> None:
        """Call a role for every new alert of a severity; None calls nobody any more."""
        guild_id = await self._manager(actor, "alert:mention")
        async with self._database.begin() as session:
            await session.execute(delete(AlertMention).where(AlertMention.guild_id == guild_id, AlertMention.severity == severity.value))
            if role_id is not None:
                session.add(AlertMention(guild_id=guild_id, severity=severity.value, role_id=role_id))
        await self._activity.write(actor, "alert:mention", metadata={"severity": severity.value, "role": role_id})

    # Aerie itself

    async def by_token(self, token: str) -> AlertSource:
        """The source a token belongs to. Raises NotFound, in the same words whatever is wrong with it."""
        unknown = NotFound("There is no such webhook.", hint="Copy the address anew: `/alert source rotate` shows a fresh one.")
        if not _TOKEN.fullmatch(token):
            raise unknown
        digest, now = _hash(token), self._clock.monotonic()
        known = self._known.get(digest)
        if known is not None and now - known[0] < KNOWN_SECONDS:
            return known[1]
        self._known.pop(digest, None)
        async with self._database.session() as session:
            row = await session.scalar(select(AlertSource).where(AlertSource.token_hash == digest))
        if row is None or not hmac.compare_digest(row.token_hash or "", digest):
            raise unknown
        hide(token)
        self._known[digest] = (now, row)
        return row

    def signed_well(self, source: AlertSource, body: bytes, signature: str) -> bool:
        """Whether a body carries the signature its source asks for: `sha256=` and the hex HMAC of the body."""
        if source.signing_sealed is None:
            return True
        wanted = hmac.new(self._seal.open(source.signing_sealed).encode(), body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(f"sha256={wanted}".encode(), signature.strip().lower().encode("utf-8", "replace"))

    async def own(self, guild_id: int) -> AlertSource:
        """The guild's source of Aerie's own alerts, made when it is first needed."""
        wanted = select(AlertSource).where(_of(guild_id), AlertSource.own.is_(True))
        async with self._database.session() as session:
            if (row := await session.scalar(wanted)) is not None:
                return row
        row = AlertSource(guild_id=guild_id, name=OWN_NAME, own=True, created_by="system:Aerie", created_at=self._clock.now())
        try:
            async with self._database.begin() as session:
                session.add(row)
        except IntegrityError:
            async with self._database.session() as session:
                return (await session.scalars(wanted)).one()
        return row

    async def fallback_channel(self, guild_id: int, server_id: int | None) -> int | None:
        """Where the server's console is shown, else its card; without a server, any console of the guild."""
        async with self._database.session() as session:
            for kind in (ConsoleBridge, ServerCard):
                found = await session.scalar(_newest_channel(kind, guild_id, server_id))
                if found is not None:
                    return found
        return None

    async def roles(self, guild_ids: set[int]) -> dict[tuple[int, str], int]:
        """Roles by guild and severity."""
        async with self._database.session() as session:
            rows = await session.scalars(select(AlertMention).where(AlertMention.guild_id.in_(guild_ids)))
            return {(row.guild_id, row.severity): row.role_id for row in rows}

    async def broke(self, source_id: int, reason: str) -> bool:
        """Its channel takes no messages. Answers whether that is news."""
        async with self._database.begin() as session:
            row = await session.get(AlertSource, source_id, with_for_update=True)
            if row is None:
                return False
            news = not row.broken
            row.broken, row.broken_at = reason[:191], self._clock.now()
        return news

    async def mended(self, source_id: int) -> None:
        """Its channel takes messages again, or is to be tried again at once."""
        async with self._database.begin() as session:
            await session.execute(update(AlertSource).where(AlertSource.id == source_id).values(broken="", broken_at=None))

    async def _set_channel(self, row: AlertSource, channel_id: int) -> None:
        async with self._database.begin() as session:
            await session.execute(
                update(AlertSource).where(AlertSource.id == row.id).values(channel_id=channel_id, broken="", broken_at=None)
            )
            waiting = update(Alert).where(Alert.source_id == row.id, Alert.message_id.is_(None))
            await session.execute(waiting.values(channel_id=None))
        row.channel_id = channel_id
        self._known.clear()

    async def _manager(self, actor: Actor, event: str) -> int:
        await self._access.require_in_guild(actor, USER_UPDATE, event=event)
        return _guild(actor)


def _newest_channel(kind: type[ConsoleBridge] | type[ServerCard], guild_id: int, server_id: int | None) -> Select[int]:
    wanted = select(kind.channel_id).where(kind.guild_id == guild_id).order_by(kind.id.desc()).limit(1)
    return wanted if server_id is None else wanted.where(kind.server_id == server_id)


def _of(guild_id: int) -> ColumnElement[bool]:
    return AlertSource.guild_id == guild_id


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= 60 or not name.isprintable():
        raise Invalid("A source's name must have 1 to 60 printable characters.")
    if name.lower() == OWN_NAME.lower():
        raise Invalid(f"{OWN_NAME} is the name of Aerie's own alerts.", hint="Choose another name.")
    return name


def _guild(actor: Actor) -> int:
    if actor.guild_id is None:
        raise Invalid("This works in a Discord server only.", hint="Run it in a channel of the guild it is for.")
    return actor.guild_id
