"""Alerts received and kept: a row is committed before a sender is answered, and requests that come together share one transaction.

Reports of one trouble meet in one row by source and fingerprint; firing again after it was resolved takes the row up again. What Discord
must show is read from here by bot/workers/alert_relay.py. Must never lose a report that was answered, nor wait for Discord.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload
from sqlalchemy.orm.attributes import flag_modified

from core.actor import Actor
from core.clock import Clock
from core.db.engine import Database
from core.errors import Invalid, LimitReached, NotConfigured, NotFound, ServiceDown
from core.fanout import Fanout
from core.models.alert import Alert, AlertSilence, AlertSource
from core.permissions import ACTIVITY_READ, CONTROL_CONSOLE, USER_UPDATE
from core.protocol.alerts import AlertBatch, AlertItem
from core.services.access import Access
from core.services.activity import ActivityLog
from core.vocabulary import AlertStatus

log = logging.getLogger(__name__)

MOST_PER_SOURCE = 5_000
"""Different alerts kept for one source."""
SAME_MESSAGE = timedelta(hours=1)
"""An alert that fires again so soon after its message was posted is shown in that one; later it gets a new one."""
KEEP = timedelta(days=30)
"""How long resolved alerts are kept."""
RETRY_BROKEN = timedelta(minutes=10)
LONGEST_SILENCE = timedelta(days=30)
TRIES = 4
_FIRING, _RESOLVED = AlertStatus.FIRING.value, AlertStatus.RESOLVED.value


@dataclass(frozen=True, slots=True)
class Received:
    """What became of one body: alerts that are now known, of them newly firing, and what was left out."""

    accepted: int
    opened: int
    left_out: int


@dataclass(eq=False)
class _Request:
    source: AlertSource
    batch: AlertBatch
    channel_id: int | None
    done: asyncio.Future[Received]


class Alerts:
    def __init__(self, database: Database, access: Access, activity: ActivityLog, clock: Clock) -> None:
        self._database = database
        self._access = access
        self._activity = activity
        self._clock = clock
        self._turn = asyncio.Lock()
        self._waiting: list[_Request] = []
        self._last_heard: dict[int, datetime] = {}
        self.changed: Fanout[int] = Fanout()
        """Guilds in which this process changed alerts; a relay looks at once."""

    async def receive(self, source: AlertSource, batch: AlertBatch, *, channel_id: int | None = None) -> Received:
        """Keep what a source reports; when this returns, it is committed. Raises LimitReached, NotConfigured (database away).

        Whoever gets the turn writes for all who wait: requests in a burst share a transaction. `channel_id` is where a message goes that
        must not go to the source's own channel.
        """
        mine = _Request(source, batch, channel_id, asyncio.get_running_loop().create_future())
        mine.done.add_done_callback(lambda done: done.cancelled() or done.exception())  # its asker may have left
        self._waiting.append(mine)
        try:
            async with self._turn:
                if not mine.done.done():
                    await self._write_all()
        finally:
            if mine in self._waiting:
                self._waiting.remove(mine)
        return mine.done.result()

    async def _write_all(self) -> None:
        """Write what waits; alone when that fails, so that one bad request does not spoil the others."""
        requests, self._waiting = self._waiting, []
        try:
            await self._write(requests)
        except LimitReached:
            for request in requests:
                try:
                    await self._write([request])
                except (LimitReached, NotConfigured) as error:
                    request.done.set_exception(error)
        except NotConfigured as error:
            for request in requests:
                request.done.set_exception(error)
        finally:  # cancelled half-way: whoever is next in turn writes the rest
            self._waiting[:0] = [request for request in requests if not request.done.done()]

    async def _write(self, requests: Sequence[_Request]) -> None:
        for attempt in range(1, TRIES + 1):
            try:
                async with self._database.begin() as session:
                    results = await self._merge(session, requests)
                break
            except (DBAPIError, OSError) as error:
                # another process wrote the same rows: a unique key, a deadlock. Then these are read anew.
                if attempt == TRIES:
                    log.warning("alerts could not be kept: %s", getattr(error, "orig", None) or error)
                    raise ServiceDown("The database does not answer.", hint="Send it again in a minute.") from error
                await self._clock.sleep(0.02 * attempt)
        for request, result in zip(requests, results, strict=True):
            request.done.set_result(result)
        for guild_id in {request.source.guild_id for request in requests}:
            self.changed.publish(guild_id)

    async def _merge(self, session: AsyncSession, requests: Sequence[_Request]) -> list[Received]:
        rows = await self._known(session, requests)
        now, fresh = self._clock.now(), list[Alert]()
        results = []
        for request in requests:
            opened = 0
            for item in request.batch.alerts:
                key = (request.source.id, item.fingerprint)
                row = rows.get(key)
                if row is None and item.status is AlertStatus.FIRING:
                    row = rows[key] = _new(request.source, item, request.channel_id, now)
                    fresh.append(row)
                    opened += 1
                elif row is not None:
                    opened += _take(row, item, request.channel_id, now)
            results.append(Received(len(request.batch.alerts), opened, request.batch.left_out))
        if fresh:
            await self._check_room(session, fresh)
            session.add_all(fresh)
        await self._heard(session, {request.source.id for request in requests}, now)
        return results

    async def _heard(self, session: AsyncSession, source_ids: set[int], now: datetime) -> None:
        """Remember when the sources were last heard, to the second."""
        stale = [one for one in sorted(source_ids) if now - self._last_heard.get(one, now - timedelta(days=1)) >= timedelta(seconds=1)]
        if stale:
            self._last_heard.update(dict.fromkeys(stale, now))
            await session.execute(update(AlertSource).where(AlertSource.id.in_(stale)).values(last_at=now))

    async def _known(self, session: AsyncSession, requests: Sequence[_Request]) -> dict[tuple[int, str], Alert]:
        wanted: dict[int, set[str]] = {}
        for request in requests:
            wanted.setdefault(request.source.id, set()).update(item.fingerprint for item in request.batch.alerts)
        rows: dict[tuple[int, str], Alert] = {}
        for source_id in sorted(wanted):
            for some in _slices(sorted(wanted[source_id]), 500):
                found = select(Alert).where(Alert.source_id == source_id, Alert.fingerprint.in_(some)).order_by(Alert.id).with_for_update()
                rows.update(((source_id, row.fingerprint), row) for row in await session.scalars(found))
        return rows

    async def _check_room(self, session: AsyncSession, fresh: Iterable[Alert]) -> None:
        more: dict[int, int] = {}
        for row in fresh:
            more[row.source_id] = more.get(row.source_id, 0) + 1
        for source_id, count in more.items():
            kept = await session.scalar(select(func.count()).select_from(Alert).where(Alert.source_id == source_id)) or 0
            if kept + count > MOST_PER_SOURCE:
                raise LimitReached(
                    f"This source has {kept} different alerts; at most {MOST_PER_SOURCE} are kept.",
                    hint="Resolve some, or give alerts a `key` that stays the same for the same trouble.",
                )

    # People

    async def recent(self, actor: Actor, most: int = 25) -> list[Alert]:
        """The guild's alerts, firing ones first, then by how new they are; their source loaded. Needs `activity.read`."""
        await self._access.require_in_guild(actor, ACTIVITY_READ, event="alert:list")
        wanted = select(Alert).options(selectinload(Alert.source)).where(Alert.guild_id == _guild(actor))
        async with self._database.session() as session:
            return list(await session.scalars(wanted.order_by(Alert.status, Alert.last_at.desc(), Alert.id.desc()).limit(most)))

    async def acknowledge(self, actor: Actor, alert_id: int) -> Alert:
        """Say that somebody looks after it. The first one stays; needs `control.console` on the guild. Raises NotFound."""
        await self._access.require_in_guild(actor, CONTROL_CONSOLE, event="alert:acknowledge")
        async with self._turn, self._database.begin() as session:
            row = await self._mine(session, actor, alert_id)
            if row.acknowledged_by is not None or row.status == _RESOLVED:
                return row
            row.acknowledged_by, row.acknowledged_at = actor.discord_id or 0, self._clock.now()
            _touch(row)
        self.changed.publish(row.guild_id)
        await self._activity.write(actor, "alert:acknowledge", metadata={"alert": alert_id, "title": row.title})
        return row

    async def silence(self, actor: Actor, lasting: timedelta, *, source_name: str | None = None, alert_id: int | None = None) -> datetime:
        """Open no new message for one alert (needs `control.console`), a source or the whole guild (`user.update`); answers until when.

        Zero ends it. What was posted is still edited.
        """
        if lasting < timedelta(0) or lasting > LONGEST_SILENCE:
            raise Invalid(f"A silence lasts from 1 minute to {LONGEST_SILENCE.days} days.", hint="0 ends it.")
        needed = CONTROL_CONSOLE if alert_id is not None else USER_UPDATE
        await self._access.require_in_guild(actor, needed, event="alert:silence")
        guild_id, now = _guild(actor), self._clock.now()
        async with self._turn, self._database.begin() as session:
            source_id = await self._source_id(session, guild_id, source_name)
            if alert_id is not None:
                _touch(await self._mine(session, actor, alert_id))
            same = [AlertSilence.guild_id == guild_id, AlertSilence.source_id == source_id, AlertSilence.alert_id == alert_id]
            await session.execute(delete(AlertSilence).where(or_(and_(*same), AlertSilence.until < now)))
            if lasting:
                session.add(
                    AlertSilence(
                        guild_id=guild_id,
                        source_id=source_id,
                        alert_id=alert_id,
                        until=now + lasting,
                        created_by=actor.label[:191],
                        created_at=now,
                    )
                )
        self.changed.publish(guild_id)
        await self._activity.write(
            actor, "alert:silence", metadata={"source": source_name, "alert": alert_id, "minutes": round(lasting.total_seconds() / 60)}
        )
        return now + lasting

    async def _source_id(self, session: AsyncSession, guild_id: int, name: str | None) -> int | None:
        if name is None:
            return None
        wanted = select(AlertSource.id).where(AlertSource.guild_id == guild_id, func.lower(AlertSource.name) == name.strip().lower())
        found = await session.scalar(wanted)
        if found is None:
            raise NotFound("There is no source of that name here.", hint="`/alert source list` shows them.")
        return found

    async def _mine(self, session: AsyncSession, actor: Actor, alert_id: int) -> Alert:
        wanted = select(Alert).where(Alert.id == alert_id, Alert.guild_id == _guild(actor)).with_for_update()
        row = await session.scalar(wanted)
        if row is None:
            raise NotFound("This alert is not known any more.", hint="Its source was removed, or it was resolved long ago.")
        return row

    # The relay

    async def outstanding(self, most: int = 500) -> list[Alert]:
        """Alerts whose message is behind, new ones first, their source loaded; not those silenced before they had a message."""
        now = self._clock.now()
        await self._forget_silenced(now)
        open_channel = or_(AlertSource.broken_at.is_(None), AlertSource.broken_at < now - RETRY_BROKEN)
        wanted = (
            select(Alert)
            .join(AlertSource, AlertSource.id == Alert.source_id)
            .options(selectinload(Alert.source))
            .where(Alert.behind.is_(True), open_channel, or_(Alert.message_id.is_not(None), ~_silenced(now)))
            .where(or_(Alert.channel_id.is_not(None), AlertSource.channel_id.is_not(None)))
            .order_by(Alert.message_id.is_not(None), Alert.status.desc(), Alert.id)
            .limit(most)
        )
        async with self._database.session() as session:
            return list(await session.scalars(wanted))

    async def _forget_silenced(self, now: datetime) -> None:
        """What was resolved in silence, before anybody saw it, needs no message any more."""
        unseen = select(Alert.id).where(Alert.behind.is_(True), Alert.message_id.is_(None), Alert.status == _RESOLVED, _silenced(now))
        async with self._database.session() as session:
            ids = list(await session.scalars(unseen.limit(500)))
        if ids:
            async with self._database.begin() as session:
                await session.execute(update(Alert).where(Alert.id.in_(ids), Alert.status == _RESOLVED).values(behind=False))

    async def silences(self, alert_ids: Sequence[int]) -> dict[int, datetime]:
        """Until when single alerts are silenced."""
        async with self._database.session() as session:
            wanted = select(AlertSilence).where(AlertSilence.alert_id.in_(alert_ids), AlertSilence.until > self._clock.now())
            return {row.alert_id: row.until for row in await session.scalars(wanted) if row.alert_id is not None}

    async def in_message(self, message_id: int) -> list[Alert]:
        """Alerts that one message stands for, their source loaded."""
        async with self._database.session() as session:
            wanted = select(Alert).options(selectinload(Alert.source)).where(Alert.message_id == message_id).order_by(Alert.id)
            return list(await session.scalars(wanted))

    async def posted(self, alerts: Sequence[Alert], channel_id: int, message_id: int, *, digest: bool = False, shown: bool = True) -> None:
        """Remember the message of these alerts as they are shown in it. What changed meanwhile stays behind; unless `shown`, all does."""
        ids = [row.id for row in alerts]
        async with self._database.begin() as session:
            where = {"channel_id": channel_id, "message_id": message_id, "message_at": self._clock.now(), "digest": digest}
            await session.execute(update(Alert).where(Alert.id.in_(ids)).values(**where))
            if shown:
                await self._mark(session, alerts)

    async def shown(self, alerts: Sequence[Alert]) -> None:
        """The message of these alerts shows them as they are in these rows."""
        async with self._database.begin() as session:
            await self._mark(session, alerts)

    async def message_gone(self, alerts: Sequence[Alert]) -> None:
        """Somebody deleted the message: firing ones get a new one, resolved ones are done with."""
        ids = [row.id for row in alerts]
        async with self._database.begin() as session:
            nowhere = {"message_id": None, "channel_id": None, "digest": False}
            await session.execute(update(Alert).where(Alert.id.in_(ids)).values(**nowhere))
            await session.execute(update(Alert).where(Alert.id.in_(ids), Alert.status == _RESOLVED).values(behind=False))

    async def prune(self) -> None:
        """Forget what was resolved long ago."""
        async with self._database.begin() as session:
            old = self._clock.now() - KEEP
            await session.execute(delete(Alert).where(Alert.status == _RESOLVED, Alert.resolved_at < old))
            await session.execute(delete(AlertSilence).where(AlertSilence.until < self._clock.now()))

    async def firing_own(self) -> list[Alert]:
        """Aerie's own alerts that fire, in every guild."""
        wanted = select(Alert).join(AlertSource, AlertSource.id == Alert.source_id)
        async with self._database.session() as session:
            return list(await session.scalars(wanted.where(AlertSource.own.is_(True), Alert.status == _FIRING)))

    async def _mark(self, session: AsyncSession, alerts: Sequence[Alert]) -> None:
        by_revision: dict[int, list[int]] = {}
        for row in alerts:
            by_revision.setdefault(row.revision, []).append(row.id)
        for revision, ids in by_revision.items():
            same = update(Alert).where(Alert.id.in_(ids), Alert.revision == revision)
            await session.execute(same.values(shown=revision, behind=False))


def _new(source: AlertSource, item: AlertItem, channel_id: int | None, now: datetime) -> Alert:
    return Alert(
        source_id=source.id,
        guild_id=source.guild_id,
        fingerprint=item.fingerprint,
        status=_FIRING,
        severity=item.severity.value,
        title=item.title,
        text=item.text,
        value=item.value,
        url=item.url,
        labels=item.labels,
        occurrence=item.occurrence,
        started_at=item.starts_at or now,
        last_at=now,
        count=1,
        episodes=1,
        channel_id=channel_id,
        digest=False,
        revision=1,
        shown=0,
        behind=True,
    )


def _take(row: Alert, item: AlertItem, channel_id: int | None, now: datetime) -> int:
    """Let a row follow a report. Answers 1 when it began to fire again."""
    if item.status is AlertStatus.RESOLVED:
        if row.status == _FIRING:
            row.status, row.resolved_at, row.last_at = _RESOLVED, now, now
            row.title, row.text = item.title or row.title, item.text or row.text
            _touch(row)
        return 0
    if row.status == _FIRING:
        if item.occurrence and item.occurrence == row.occurrence:
            return 0
        row.count, row.last_at, row.occurrence = row.count + 1, now, item.occurrence
        _describe(row, item)
        _touch(row)
        return 0
    told_late = item.starts_at is not None and row.resolved_at is not None and item.starts_at <= row.resolved_at
    if item.occurrence and item.occurrence == row.occurrence and told_late:
        return 0
    row.status, row.resolved_at, row.started_at, row.last_at = _FIRING, None, item.starts_at or now, now
    row.count, row.episodes, row.occurrence = row.count + 1, row.episodes + 1, item.occurrence
    row.acknowledged_by = row.acknowledged_at = None
    if row.message_id is not None and (row.digest or row.message_at is None or now - row.message_at > SAME_MESSAGE):
        row.message_id, row.channel_id, row.digest = None, channel_id, False
    _describe(row, item)
    _touch(row)
    return 1


def _describe(row: Alert, item: AlertItem) -> None:
    row.title, row.text, row.value, row.url = item.title, item.text, item.value, item.url
    row.severity, row.labels = item.severity.value, item.labels


def _touch(row: Alert) -> None:
    """Written even where it was behind when read: on SQLite the relay may have marked it as shown since."""
    row.revision, row.behind = row.revision + 1, True
    flag_modified(row, "behind")


def _silenced(now: datetime) -> ColumnElement[bool]:
    """Whether a silence covers the alert of the outer query."""
    whole = and_(AlertSilence.source_id.is_(None), AlertSilence.alert_id.is_(None))
    covers = or_(whole, AlertSilence.source_id == Alert.source_id, AlertSilence.alert_id == Alert.id)
    return exists().where(AlertSilence.guild_id == Alert.guild_id, AlertSilence.until > now, covers)


def _slices(values: list[str], size: int) -> Iterable[list[str]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _guild(actor: Actor) -> int:
    return actor.guild_id if actor.guild_id is not None else -1
