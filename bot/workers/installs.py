"""Messages that follow an installation: creating, the installer's last lines, ready or failed. One follower per draft that became a server.

What to follow stands in the database, so a restart of the bot goes on where it was. Must never wait for ever, nor edit oftener than every
3 s.
"""

import asyncio
import logging
from typing import Any

import discord

from bot.client import AerieClient
from bot.ui.making import failed_view, last_lines, ready_view
from bot.ui.text import clip, duration, plain, sentence
from bot.workers.streams import Streams
from bot.workers.writes import Priority, Writes
from core.clock import Clock
from core.errors import AerieError, NotFound
from core.events import ServerDeleted, ServerInstallEnded
from core.models.draft import Draft
from core.models.server import Server
from core.protocol.socket import Outbound
from core.services.build import Services
from core.services.drafts import Order
from core.supervise import Supervisor
from core.vocabulary import ServerStatus

log = logging.getLogger(__name__)

LOOK_EVERY = 5.0  # s between two looks at which drafts there are
EDIT_GAP = 3.0  # s between two edits of one message
ROW_EVERY = 2.0  # s between two looks at the server's row
UNMADE = 60.0  # s after which a server that is not there will not be made any more
REMIND_EVERY = 20.0  # s without news after which the node is asked whether it knows of the server
EVENT_LATE = 5.0  # s an event may come after its row
LONGEST = 4 * 3600.0  # s an installation is followed
TRIES = 30
"""Of the last edit, when Discord is down."""


class Installs:
    """`run` is the worker; `look` wakes it."""

    def __init__(self, client: AerieClient, services: Services, streams: Streams, writes: Writes, tasks: Supervisor, clock: Clock) -> None:
        self._client = client
        self._services = services
        self._streams = streams
        self._writes = writes
        self._tasks = tasks
        self._clock = clock
        self._followed: dict[int, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()

    def look(self) -> None:
        """Look at once: a server was made or is installed again."""
        self._streams.look()
        self._wake.set()

    async def run(self) -> None:
        """Follow every draft that became a server."""
        while True:
            self._wake.clear()
            for row in await self._services.drafts.followed():
                known = self._followed.get(row.id)
                if known is None or known.done():
                    self._followed[row.id] = self._tasks.spawn(f"install of {row.code}", self._follow(row))
            self._followed = {number: task for number, task in self._followed.items() if not task.done()}
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _follow(self, row: Draft) -> None:
        order = Order.model_validate(row.order)
        assert row.server_uuid is not None
        server = await self._made(row.server_uuid)
        if server is None:
            await self._end(row, f"❌ **{plain(order.name, 80)}** was not made. Begin again with `/server create`.", None)
            return
        words, view = await _Follower(self, row, server, order.reinstall).told()
        await self._end(row, words, view)

    async def _made(self, uuid: str) -> Server | None:
        began = self._clock.monotonic()
        while True:
            try:
                return await self._services.servers.get(uuid)
            except NotFound:
                if self._clock.monotonic() - began > UNMADE:
                    return None
            await self._clock.sleep(1.0)

    async def edit(self, row: Draft, words: str, view: discord.ui.View | None) -> bool:
        """Show words in the draft's message; answers False when it is worth another try, so not when the message is gone or refused."""
        if row.channel_id is None or row.message_id is None:
            return True
        channel = row.channel_id
        message = self._client.get_partial_messageable(channel).get_partial_message(row.message_id)
        try:
            await self._writes.edit(channel, ("install", row.id), lambda: message.edit(content=words, view=view), priority=Priority.PANEL)
        except discord.HTTPException as error:
            log.info("an installation's message could not be edited: %s", error)
            return error.status in (400, 403, 404)
        except (
            discord.DiscordException,
            OSError,
            TimeoutError,
            RuntimeError,
            AttributeError,
        ) as error:
            log.info("an installation's message waits: %s", error)
            return False
        return True

    async def _end(self, row: Draft, words: str, view: discord.ui.View | None) -> None:
        """The last edit must arrive: it is tried again while Discord is down."""
        for _ in range(TRIES):
            if await self.edit(row, words, view):
                break
            await self._clock.sleep(10.0)
        await self._services.drafts.told(row.id)

    @property
    def parts(self) -> tuple[Services, Streams, Clock]:
        return self._services, self._streams, self._clock


class _Follower:
    """One installation's story. `told` edits the message as it goes on and answers the last words and buttons."""

    def __init__(self, installs: Installs, row: Draft, server: Server, reinstall: bool) -> None:
        self._installs = installs
        self._services, self._streams, self._clock = installs.parts
        self._row = row
        self._server = server
        self._reinstall = reinstall
        self._name = f"**{plain(server.name, 80)}**"
        self._lines: list[str] = []
        self._begun = self._gone = False
        self._heard = self._clock.monotonic()

    async def told(self) -> tuple[str, Any]:
        began = shown_at = self._clock.monotonic()
        shown, was_lost = "", False
        async with self._services.live.watching(self._server.uuid) as events:
            with self._streams.installing(self._server.uuid) as news:
                while True:
                    if (server := await self._ended_server()) is not None or self._gone:
                        return await self._heard_end(events, news) or await self._end_of(server)
                    words = self._words()
                    now = self._clock.monotonic()
                    if words != shown and now - shown_at >= EDIT_GAP:
                        shown_at = now
                        if await self._installs.edit(self._row, words, None):
                            shown = words
                    lost = not self._services.live.of(self._server.uuid).node_up
                    if (was_lost and not lost) or now - self._heard > REMIND_EVERY:
                        await self._remind()
                    was_lost = lost
                    if now - began > LONGEST:
                        return f"⌛ {self._name} is still being installed; I no longer watch it. `/server info` shows its state.", None
                    if (end := await self._listen(events, news)) is not None:
                        return end

    async def _listen(self, events: Any, news: Any) -> tuple[str, Any] | None:
        """Take what comes within two seconds."""
        try:
            async with asyncio.timeout(ROW_EVERY):
                batch = await events.drain()
        except TimeoutError:
            batch = []
        try:
            async with asyncio.timeout(0.01):
                for event, text in await news.drain():
                    self._heard = self._clock.monotonic()
                    self._begun = self._begun or event == Outbound.INSTALL_STARTED
                    if event == Outbound.INSTALL_OUTPUT:
                        self._lines = [*self._lines, text][-30:]
        except TimeoutError:
            pass
        for event in batch:
            if isinstance(event, ServerInstallEnded):
                return await self._finished(event.successful, event.reason)
            if isinstance(event, ServerDeleted):
                return f"🗑️ {self._name} was deleted while it was being installed.", None
        return None

    async def _ended_server(self) -> Server | None:
        """The server, once its row says that it is no longer being installed."""
        try:
            server = await self._services.servers.get(self._server.uuid)
        except NotFound:
            self._gone = True
            return None
        self._server = server
        return None if server.status == ServerStatus.INSTALLING or server.waits_for_node else server

    async def _heard_end(self, events: Any, news: Any) -> tuple[str, Any] | None:
        """The event follows the row within a moment, and knows the reason."""
        until = self._clock.monotonic() + EVENT_LATE
        while self._clock.monotonic() < until:
            if (end := await self._listen(events, news)) is not None:
                return end
        return None

    async def _end_of(self, server: Server | None) -> tuple[str, Any]:
        """What the database says, for ends this process did not hear of, such as those before it was started."""
        if server is None:
            return f"🗑️ {self._name} was deleted while it was being installed.", None
        failed = server.status in (ServerStatus.INSTALL_FAILED, ServerStatus.REINSTALL_FAILED)
        if not failed and server.installed_at is None:
            return await self._finished(False, "The node started anew meanwhile, so its files may be incomplete.")
        past = await self._services.activity.recent(server, 10)
        reasons = [row.reason for row in past if row.event in ("server:install", "server:reinstall") and row.reason]
        return await self._finished(not failed, reasons[0] if failed and reasons else "")

    async def _finished(self, successful: bool, reason: str) -> tuple[str, Any]:
        took = duration((self._clock.now() - self._row.created_at).total_seconds())
        if successful:
            address = f" Players join at `{self._server.allocation.address}`." if self._server.allocation else ""
            return f"🟢 {self._name} is ready, {took}.{address}", ready_view(self._server.short)
        why = sentence(plain(reason, 600)) if reason else "Its node gave no reason; the installer's last lines may."
        return clip(f"❌ {self._name} could not be installed. {why}{last_lines(self._lines)}", 1990), failed_view(self._server.short)

    def _words(self) -> str:
        live = self._services.live.of(self._server.uuid)
        node = plain(self._server.node.name, 60)
        if self._server.waits_for_node:
            return f"⏳ {self._name} waits for its node {node}, which could not take it yet; it is made as soon as the node is back."
        if not live.node_up:
            return f"🔌 {self._name}: the node {node} does not answer; the installation goes on or begins when it is back."
        if self._lines:
            return clip(f"🏗️ {self._name} is being installed …{last_lines(self._lines)}", 1990)
        if self._begun:
            return f"🏗️ {self._name}: fetching the image of its installer …"
        return f"🏗️ {self._name} is being {'installed again' if self._reinstall else 'created'} on {node} …"

    async def _remind(self) -> None:
        self._heard = self._clock.monotonic()
        try:
            await self._services.servers.remind(self._server.uuid)
        except AerieError as error:
            log.info("the node of %s could not be reminded: %s", self._server.short, error)
