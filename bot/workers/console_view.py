"""One console in one channel: a live message edited in place, and in a flood a log file every fifteen seconds.

The message is an ordinary one, so that replies to it reach us with their text. It is edited only when what it shows changed, posted anew
when Discord's limits for old messages draw near or somebody deleted it, and left alone when the channel is closed to us. Every write goes
through `Writes`. Must never hold up the reader of the console, and never lose a line without counting it.
"""

import asyncio
import gzip
import io
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import discord

from bot.ui import ansi
from bot.ui.ansi import Level
from bot.ui.buttons import Act, ServerButton
from bot.ui.text import CONTENT, clip, plain
from bot.workers.transcript import SHOWN, LogFile, Shot, Transcript
from bot.workers.writes import Priority, Writes, slowed_down
from core.actor import Actor
from core.clock import Clock, unix
from core.errors import AerieError, LimitReached
from core.fanout import Listener
from core.models.guild import ConsoleBridge
from core.protocol.socket import ConsoleBatch, ConsolePlace
from core.services.build import Services

log = logging.getLogger(__name__)

BLOCK = 1850
"""Characters of lines in one message; the rest of 2,000 is for header and account."""
FILE_BYTES = 9 * 1024 * 1024
GZIP_ABOVE = 8 * 1024 * 1024
PLACE_EVERY = 5.0
"""Seconds between two times that it is remembered how far a console has got: after a kill so much may be shown twice."""
PLACE_LIMIT = 5.0
UNKNOWN_MESSAGE = 10008
GONE = {10003, 10004}
"""Unknown channel, unknown guild."""


@dataclass(frozen=True)
class Pace:
    """Every waiting time of a live view, in seconds, so that tests need not wait as long."""

    interval: float = 2.0
    """Between two edits of one message, at least."""
    views_per_second: float = 25.0
    """Edits per second that all live views together may ask for."""
    file_every: float = 15.0
    file_soonest: float = 5.0
    """When half of what may be held waits for a file."""
    repost_after: float = 50 * 60
    """Before Discord's stricter limit for messages older than an hour."""
    look_every: float = 1.0
    """Between two looks at the server's state while nothing is written."""
    stop_after: float = 0.0
    """Without anybody's action; 0 never stops."""


class Consoles(Protocol):
    """Where lines come from (bot/workers/streams.py)."""

    def console(self, uuid: str, place: ConsolePlace | None = None) -> Listener[ConsoleBatch]: ...


class LiveView:
    """The worker of one attached console. `broken` says why it gave up, for good."""

    def __init__(
        self,
        row: ConsoleBridge,
        client: discord.Client,
        services: Services,
        consoles: Consoles,
        writes: Writes,
        clock: Clock,
        pace: Pace,
        *,
        colours: bool,
        views: Callable[[], int],
        on_broken: Callable[["LiveView"], Awaitable[None]],
    ) -> None:
        self.row = row
        self.server = row.server
        self.channel_id = row.channel_id
        self.transcript = Transcript(colours=colours)
        self.broken = ""
        self.gone = False
        self.message_ids: list[int] = [row.message_id] if row.message_id else []
        """Messages of this console, the newest last: replies to any of them are commands."""
        self._client = client
        self._channel = client.get_partial_messageable(row.channel_id, guild_id=row.guild_id)
        self._services = services
        self._consoles = consoles
        self._writes = writes
        self._clock = clock
        self._pace = pace
        self._colours = colours
        self._views = views
        self._on_broken = on_broken
        self._message_id = row.message_id
        self._adopted = row.message_id is not None
        self._content = ""
        self._last_shot: Shot | None = None
        self._lines: list[str] = []
        self._remembered = asyncio.Event()
        self._last_line = clock.now()
        self._changed = asyncio.Event()
        self._written_at = float("-inf")
        self._file_at: float | None = None
        self._action_at = clock.monotonic()
        self._stopped = False
        self._place_at = clock.monotonic()
        self._kept_place: tuple[int, str] | None = None

    @property
    def interval(self) -> float:
        """Seconds between two edits of this message now."""
        return max(self._pace.interval, self._views() / self._pace.views_per_second)

    def touch(self) -> None:
        """Somebody uses this view."""
        self._action_at = self._clock.monotonic()
        if self._stopped:
            self._stopped = False
            self._content = ""
        self._changed.set()

    async def run(self) -> None:
        """Read and show until cancelled or broken."""
        try:
            async with asyncio.TaskGroup() as both:
                reader = both.create_task(self._read())
                await self._show()
                reader.cancel()
        finally:
            await self._keep_place()
            self.transcript.give_up()

    async def _keep_place(self) -> None:
        """Have it remembered how far this console has got: a later bot goes on there."""
        self._place_at = self._clock.monotonic()
        place = (self.transcript.settled, self.transcript.boot)
        if not self.transcript.boot or place == self._kept_place:
            return
        try:
            async with asyncio.timeout(PLACE_LIMIT):
                await self._services.guilds.remember_place(self.row.id, *place)
        except (AerieError, TimeoutError) as error:
            log.info("how far the console of %s has got cannot be remembered: %s", self.server.name, error)
        else:
            self._kept_place = place

    async def finish(self, why: str) -> None:
        """The last edit: the view ends here."""
        if self._message_id is not None and not self.broken and self._last_shot is not None:
            await self._close_message(self._message_id, why)

    async def _read(self) -> None:
        place = self._place()
        with self._consoles.console(self.server.uuid, place) as listener:
            if not self._remembered.is_set():
                await self._remember(place)
            while batches := await listener.drain(50):
                for batch in batches:
                    if self.transcript.take(batch, self._clock.monotonic()) or batch.dropped:
                        self._last_line = self._clock.now()
                        self._changed.set()
                    await asyncio.sleep(0)  # a flood must not hold up interactions

    def _place(self) -> ConsolePlace | None:
        """How far this console had got when it was last shown; None when nobody knows."""
        if self.transcript.boot and self.transcript.last:
            return ConsolePlace(after=self.transcript.last, boot=self.transcript.boot)
        return ConsolePlace(after=self.row.last_seq, boot=self.row.boot) if self.row.boot and self.row.last_seq is not None else None

    async def _remember(self, place: ConsolePlace | None) -> None:
        """Show what was written before what comes now, if the node can tell."""
        try:
            lines = await self._services.console.tail(Actor.system("live console"), self.server.uuid, SHOWN, place)
        except AerieError as error:
            log.info("the last lines of %s are not known: %s", self.server.name, error)
        else:
            self.transcript.prime(lines)
        finally:
            if place is not None and place.after is not None:
                self.transcript.resume(place.after, place.boot)
            self._remembered.set()
            self._changed.set()

    async def _show(self) -> None:
        try:
            async with asyncio.timeout(3):
                await self._remembered.wait()
        except TimeoutError:
            pass
        while not self.broken:
            try:
                if self._client.is_ready() and not self._client.is_closed():
                    await self._step()
            except (discord.HTTPException, discord.RateLimited) as error:
                await self._failed(error)
            except (
                OSError,
                aiohttp.ClientError,
                TimeoutError,
                AerieError,
            ) as error:  # out of reach: the next step tries again
                log.info("the console of %s cannot be shown just now: %s", self.server.name, error)
            if self._clock.monotonic() - self._place_at >= PLACE_EVERY:
                await self._keep_place()
            await self._wait()

    async def _wait(self) -> None:
        """Until there is something to show, but not before the interval has passed."""
        self._changed.clear()
        try:
            async with asyncio.timeout(self._pace.look_every):
                await self._changed.wait()
        except TimeoutError:
            pass
        if (pause := self._written_at + self.interval - self._clock.monotonic()) > 0:
            await self._clock.sleep(pause)

    async def _step(self) -> None:
        now = self._clock.monotonic()
        flood = self.transcript.look(now)
        self._file_at = (self._file_at if self._file_at is not None else now + self._pace.file_every) if flood else None
        if self._pace.stop_after and not self._stopped and now - self._action_at > self._pace.stop_after:
            self._stopped = True
            await self._edit(self._compose(self._lines_shown(), None, "stopped, nobody used it; reply here to go on"))
        if self._stopped:
            self.transcript.give_up()
            return
        await self._refresh()
        soon = (
            self.transcript.crowded and self._file_at is not None and now > self._file_at - self._pace.file_every + self._pace.file_soonest
        )
        if self._file_at is not None and (now >= self._file_at or soon):
            await self._attach()
            self._file_at = self._clock.monotonic() + self._pace.file_every

    def _lines_shown(self) -> list[str]:
        """What the message shows now."""
        return self._lines

    async def _refresh(self) -> None:
        """Bring the live message up to date, if what it shows changed."""
        shot = self.transcript.shot(BLOCK - 16)
        took = False
        try:
            if self._last_shot is not None and not shot.new and self._last_shot.last == shot.last:
                content = self._compose(shot.lines, self._last_shot)
            else:
                content = self._compose(shot.lines, shot)
            if content != self._content or self._message_id is None:
                took = await self._put(content)
            else:
                took = True
        finally:
            if took:
                self.transcript.taken(shot)
                self._lines = shot.lines
                if shot.new or self._last_shot is None:
                    self._last_shot = shot
            else:
                self.transcript.refused(shot)

    async def _put(self, content: str) -> bool:
        """Edit, or post when there is no message or it grew old."""
        if self._message_id is not None:
            age = (self._clock.now() - discord.utils.snowflake_time(self._message_id)).total_seconds()
            if age < self._pace.repost_after:
                try:
                    return await self._edit(content)
                except discord.NotFound as error:
                    if error.code != UNKNOWN_MESSAGE:
                        raise
                    log.info("the live console of %s was deleted; posting it anew", self.server.name)
                    self._message_id = None
        old = self._message_id
        view = discord.ui.View(timeout=None)
        view.add_item(ServerButton(Act.COMMAND, self.server.short))
        nobody = discord.AllowedMentions.none()
        sent = await self._writes.create(
            self.channel_id,
            lambda: self._channel.send(content, view=view, allowed_mentions=nobody, silent=True),
            priority=Priority.LIVE,
            size=len(content),
        )
        self._message_id, self._content, self._adopted = sent.id, content, True
        self.message_ids = [*self.message_ids[-20:], sent.id]
        self._written_at = self._clock.monotonic()
        await self._services.guilds.remember_message(self.row.id, sent.id)
        if old is not None:
            await self._close_message(old, "goes on in the message below")
        return True

    async def _edit(self, content: str) -> bool:
        message_id = self._message_id
        if message_id is None:
            return False
        message = self._channel.get_partial_message(message_id)
        nobody = discord.AllowedMentions.none()
        done = await self._writes.edit(self.channel_id, message_id, lambda: message.edit(content=content, allowed_mentions=nobody))
        self._written_at = self._clock.monotonic()
        if done is None:
            return False
        self._content = content
        return True

    async def _close_message(self, message_id: int, why: str) -> None:
        """Leave a message as it is, without its button, saying why it does not move any more."""
        content = self._compose(self._lines_shown(), None, why)
        message = self._channel.get_partial_message(message_id)
        try:
            await self._writes.edit(self.channel_id, message_id, lambda: message.edit(content=content, view=None))
        except (discord.HTTPException, discord.RateLimited) as error:
            log.info("an old live console could not be closed: %s", error)

    def _compose(self, lines: list[str], shot: Shot | None, end: str = "") -> str:
        """Header, block and account; at most one message long."""
        live = self._services.live.of(self.server.uuid)
        state = end or ("node not reachable" if not live.node_up else live.state.value if live.state else "state unknown")
        head = f"**{plain(self.server.name, 60)}** · {state}"
        if self.transcript.last:
            first = shot.first if shot else self._last_shot.first if self._last_shot else self.transcript.last
            last = shot.last if shot else self.transcript.last
            head += f" · {f'#{last:,}' if first == last else f'#{first:,}–#{last:,}'} · <t:{unix(self._last_line)}:R>"
        body = ansi.block(lines or ["(nothing yet)"], colours=self._colours)
        return clip(f"{head}\n{body}{self._account(shot)}", CONTENT)

    def _account(self, shot: Shot | None) -> str:
        if shot is None or (missing := shot.new - shot.told) <= 0:
            return ""
        told = f"\n-# shown {shot.told:,} of {shot.new:,}"
        if shot.flood:
            waits = missing - shot.lost
            return (
                told
                + (f" · {waits:,} lines go into a file" if waits > 0 else "")
                + (f" · {shot.lost:,} lines skipped" if shot.lost else "")
            )
        return f"{told} · {missing:,} lines skipped (#{shot.missing_from:,}–#{shot.missing_to:,})"

    async def _attach(self) -> None:
        """Post everything since the last file."""
        file = self.transcript.cut_file()
        if file is None:
            return
        data, packed, missing = await asyncio.to_thread(_packed, file.parts)
        name = f"console-{_slug(self.server.name)}-{file.first}-{file.last}.log{'.gz' if packed else ''}"
        content = self._summary(file, missing)
        nobody = discord.AllowedMentions.none()
        try:
            sent = await self._writes.create(
                self.channel_id,
                lambda: self._channel.send(
                    content, file=discord.File(io.BytesIO(data), name), allowed_mentions=nobody, silent=True, suppress_embeds=True
                ),
                size=len(data),
            )
        except discord.HTTPException as error:
            if not slowed_down(error) and error.status < 500:
                self.transcript.not_posted(file)
            raise
        except LimitReached:
            self.transcript.not_posted(file)
            raise
        self.transcript.posted(file, missing)
        self.message_ids = [*self.message_ids[:-1], sent.id, *self.message_ids[-1:]]

    def _summary(self, file: LogFile, missing: int) -> str:
        counted = " · ".join(f"{file.levels[level]:,} {level.value}" for level in Level if file.levels[level])
        head = f"**{plain(self.server.name, 60)}** · {file.lines:,} lines (#{file.first:,}–#{file.last:,}) · {counted}"
        head += f"\n-# the first {missing:,} lines did not fit into the file" if missing else ""
        shown: list[str] = []
        room = CONTENT - len(head) - 40
        for line in reversed(file.problems):
            line = ansi.clean(line, colours=self._colours)
            if len(line) + 1 > room:
                break
            room -= len(line) + 1
            shown.append(line)
        return head + ("\n" + ansi.block(shown[::-1], colours=self._colours) if shown else "")

    async def _failed(self, error: discord.HTTPException | discord.RateLimited) -> None:
        """Slow-downs and Discord's own failures pass; a channel closed to us does not."""
        self._written_at = self._clock.monotonic()
        if slowed_down(error) or isinstance(error, discord.RateLimited) or error.status >= 500:
            log.info("the console of %s waits: %s", self.server.name, error)
            return
        if isinstance(error, (discord.Forbidden, discord.NotFound)):
            self.gone = error.code in GONE
            self.broken = "the channel is gone" if self.gone else "Discord does not let me write there"
            log.warning("the console of %s in channel %s stops: %s (%s)", self.server.name, self.channel_id, self.broken, error)
            await self._on_broken(self)
            return
        log.error("Discord does not take the console of %s: %s", self.server.name, error)
        await self._clock.sleep(30.0)


def _packed(parts: list[str]) -> tuple[bytes, bool, int]:
    """The file's bytes, packed when it is big, and how many parts at its beginning had to go. Runs in a thread."""
    data, missing = _bytes(parts), 0
    if len(data) <= GZIP_ABOVE:
        return data, False, 0
    while len(packed := gzip.compress(data, 4)) > FILE_BYTES and missing < len(parts) - 1:
        missing += max((len(parts) - missing) // 3, 1)
        data = _bytes(parts[missing:])
    return packed, True, missing


def _bytes(parts: list[str]) -> bytes:
    """In few steps: each one may keep the event loop from running."""
    return b"".join("".join(parts[at : at + 500]).encode("utf-8", "replace") for at in range(0, len(parts), 500))


def _slug(name: str) -> str:
    """A name fit for a file."""
    return "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in name.lower()).strip("-")[:40] or "server"
