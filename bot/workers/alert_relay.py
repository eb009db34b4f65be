"""Alerts in their channels: one message each, edited until they are resolved; what is outstanding is read from the rows at every pass.

Many at once: a channel gets so many new messages a minute, the rest share one that counts them. A channel that is gone or closed is told
to who manages it once, and tried again later. Several processes take turns by a lock; a nonce keeps Discord from posting one twice. All
writes go through bot/workers/writes.py.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Sequence
from datetime import datetime, timedelta

import discord

from bot.client import AerieClient
from bot.ui.alerts import card, channel_trouble, digest
from bot.workers.writes import Priority, Writes
from core.clock import Clock
from core.errors import AerieError
from core.models.alert import Alert
from core.services.build import Services
from core.vocabulary import AlertStatus

log = logging.getLogger(__name__)

LOOK_EVERY = 2.0  # s; other processes take alerts too
PASS_SECONDS = 30.0  # one pass begins no new write after this
LOCK_SECONDS = 120.0
STORM = 60
"""New messages in one channel per minute; beyond it, alerts share one."""
REPEAT_GAP = 15.0  # s between two edits of an alert that merely goes on
OLD = timedelta(minutes=55)
OLD_GAP = 2.5  # s between edits of messages older than an hour, which have a limit of their own
PRUNE_EVERY = 3600.0
STALE = 10.0
"""Seconds after which an answer to a new message is one that was posted earlier, under the same nonce, by a process that then died."""
UNKNOWN_MESSAGE = 10008
CLOSED = {
    10003: "its channel was deleted",
    10004: "Aerie is not in this community any more",
    50001: "Aerie may not see its channel",
    50013: "Aerie may not write in its channel",
    50083: "its thread is archived",
}


class AlertRelay:
    """`run` is the worker."""

    def __init__(self, client: AerieClient, services: Services, writes: Writes, clock: Clock) -> None:
        self._client = client
        self._services = services
        self._writes = writes
        self._clock = clock
        self._created: defaultdict[int, deque[float]] = defaultdict(deque)
        self._edited: dict[int, float] = {}
        self._told: dict[int, tuple[str, int | None, bool]] = {}
        """What each alert's message showed last: status, who looks after it, whether it is silenced."""
        self._pruned = float("-inf")

    async def run(self) -> None:
        """Bring messages up to date; runs for ever."""
        with self._services.alerts.changed.listen(1000) as changed:
            while True:
                try:
                    async with asyncio.timeout(LOOK_EVERY):
                        await changed.drain()
                except TimeoutError:
                    pass
                if self._client.is_ready():
                    await self._take_turn()

    async def _take_turn(self) -> None:
        try:
            async with self._services.backplane.lock("alerts.relay", LOCK_SECONDS) as held:
                if held:
                    await self._pass()
        except AerieError as error:
            log.warning("alerts could not be shown now, trying again: %s", error)

    async def _pass(self) -> None:
        rows = await self._services.alerts.outstanding()
        if self._clock.monotonic() - self._pruned > PRUNE_EVERY:
            self._pruned = self._clock.monotonic()
            await self._services.alerts.prune()
        if not rows:
            return
        ends = self._clock.monotonic() + PASS_SECONDS
        fresh: defaultdict[int, list[Alert]] = defaultdict(list)
        standing: defaultdict[int, list[Alert]] = defaultdict(list)
        for row in rows:
            channel_id = row.channel_id or row.source.channel_id
            if channel_id is not None:
                (fresh if row.message_id is None else standing)[channel_id].append(row)
        roles = await self._services.alert_sources.roles({row.guild_id for row in rows})
        silences = await self._services.alerts.silences([row.id for row in rows])
        async with asyncio.TaskGroup() as group:
            for channel_id, some in fresh.items():
                group.create_task(self._open(channel_id, some, roles, ends))
            for channel_id, some in standing.items():
                group.create_task(self._follow(channel_id, some, silences, ends))

    # New messages

    async def _open(self, channel_id: int, rows: Sequence[Alert], roles: dict[tuple[int, str], int], ends: float) -> None:
        room = self._room(channel_id)
        single, rest = rows[:room], rows[room:]
        if len(rest) == 1:
            single, rest = rows, rows[:0]
        for row in single:
            if self._clock.monotonic() > ends:
                return
            if not await self._post(channel_id, [row], _role(roles, row)):
                return
        if rest and self._clock.monotonic() <= ends:
            await self._post(channel_id, rest, None)

    def _room(self, channel_id: int) -> int:
        """How many messages of their own are left in this minute."""
        made, now = self._created[channel_id], self._clock.monotonic()
        while made and now - made[0] >= 60.0:
            made.popleft()
        return max(0, STORM - len(made))

    async def _post(self, channel_id: int, rows: Sequence[Alert], role_id: int | None) -> bool:
        """Post one message for these alerts. Answers whether the channel takes more."""
        first, many = rows[0], len(rows) > 1
        view = digest(rows, {row.source_id: row.source.name for row in rows}) if many else card(first, first.source, role_id)
        channel = self._client.get_partial_messageable(channel_id)
        called = discord.AllowedMentions(everyone=False, users=False, roles=[discord.Object(role_id)] if role_id is not None else False)
        nonce = f"al{first.id}.{first.episodes}{'d' if many else ''}"
        try:
            message = await self._writes.create(
                channel_id, lambda: channel.send(view=view, allowed_mentions=called, nonce=nonce[:25]), priority=Priority.ALERT
            )
        except discord.HTTPException as error:
            return await self._failed(channel_id, rows, error)
        except (discord.RateLimited, OSError, TimeoutError, AerieError) as error:
            log.info("an alert could not be posted, trying again: %s", error)
            return False
        self._created[channel_id].append(self._clock.monotonic())
        stale = (self._clock.now() - message.created_at).total_seconds() > STALE
        await self._services.alerts.posted(rows, channel_id, message.id, digest=many, shown=not stale)
        if first.source.broken:
            await self._services.alert_sources.mended(first.source_id)
        if not stale:
            self._edited[message.id] = self._clock.monotonic()
            self._remember(rows, False)
        return True

    # Messages that stand

    async def _follow(self, channel_id: int, rows: Sequence[Alert], silences: dict[int, datetime], ends: float) -> None:
        done: set[int] = set()
        for row in rows:
            if self._clock.monotonic() > ends:
                return
            if row.message_id is None or row.message_id in done or not self._due(row, row.id in silences):
                continue
            done.add(row.message_id)
            if not await self._edit(channel_id, row, silences.get(row.id)):
                return

    def _due(self, row: Alert, silenced: bool) -> bool:
        """Whether a change is worth an edit now: a new standing at once, a mere repetition after a while."""
        standing = (row.status, row.acknowledged_by, silenced)
        waited = self._clock.monotonic() - self._edited.get(row.message_id or 0, float("-inf"))
        return self._told.get(row.id) != standing or waited >= REPEAT_GAP

    async def _edit(self, channel_id: int, row: Alert, silenced: datetime | None) -> bool:
        message_id = row.message_id
        assert message_id is not None
        rows = await self._services.alerts.in_message(message_id) if row.digest else [row]
        view = digest(rows, {one.source_id: one.source.name for one in rows}) if row.digest else card(row, row.source, None, silenced)
        message = self._client.get_partial_messageable(channel_id).get_partial_message(message_id)
        try:
            await self._writes.edit(
                channel_id,
                message_id,
                lambda: message.edit(view=view, allowed_mentions=discord.AllowedMentions.none()),
                priority=Priority.ALERT,
            )
        except discord.HTTPException as error:
            if error.code == UNKNOWN_MESSAGE:
                await self._services.alerts.message_gone(rows)
                return True
            return await self._failed(channel_id, rows if not row.digest else [row], error)
        except (discord.RateLimited, OSError, TimeoutError) as error:
            log.info("an alert could not be edited, trying again: %s", error)
            return False
        await self._services.alerts.shown(rows)
        self._edited[message_id] = self._clock.monotonic()
        self._remember(rows, silenced is not None)
        if row.message_at is not None and self._clock.now() - row.message_at > OLD:
            await self._clock.sleep(OLD_GAP)
        return True

    def _remember(self, rows: Sequence[Alert], silenced: bool) -> None:
        if len(self._told) > 20_000:
            self._told.clear()
            self._edited.clear()
        self._told.update({row.id: (row.status, row.acknowledged_by, silenced) for row in rows})

    # Channels that are closed

    async def _failed(self, channel_id: int, rows: Sequence[Alert], error: discord.HTTPException) -> bool:
        """What to do when Discord refuses a message. Answers whether the channel takes others."""
        reason = CLOSED.get(error.code)
        if reason is None and error.status == 400:
            log.error("Discord does not take alert %s: %s", rows[0].id, error)
            await self._services.alerts.shown(rows)  # it would refuse it again and again
            return True
        if reason is None:
            log.info("an alert could not be shown, trying again: %s", error)
            return False
        log.warning("alerts cannot be shown in channel %s: %s", channel_id, reason)
        for row in {row.source_id: row for row in rows}.values():
            if row.source.channel_id != channel_id:
                await self._services.alerts.message_gone([row])  # it stood in an older channel
            elif await self._services.alert_sources.broke(row.source_id, reason):
                await self._tell_managers(row, reason)
        return False

    async def _tell_managers(self, row: Alert, reason: str) -> None:
        """Once: in the channel of Aerie's own alerts, else to whoever made the source."""
        own = await self._services.alert_sources.own(row.guild_id)
        if own.id != row.source_id and own.channel_id is not None and not own.broken:
            await self._services.alerts.receive(own, channel_trouble(row.source, reason))
            return
        guild = await self._services.guilds.get(row.guild_id)
        creator = row.source.creator_id or (guild.owner_id if guild else None)
        if creator is None:
            return
        try:
            user = await self._client.fetch_user(creator)
            item = channel_trouble(row.source, reason).alerts[0]
            await user.send(f"{item.title}. {item.text}", allowed_mentions=discord.AllowedMentions.none())
        except (discord.DiscordException, OSError, TimeoutError) as error:
            log.info("nobody could be told of it: %s", error)


def _role(roles: dict[tuple[int, str], int], row: Alert) -> int | None:
    return roles.get((row.guild_id, row.severity)) if row.status == AlertStatus.FIRING else None
