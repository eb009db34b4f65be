"""Consoles into channels and back: one live view per attached console, and replies to it typed at the game as the member who wrote them.

Every line typed goes through `services.console.send`, which checks the member's rights and writes the activity. Must never write to Discord
but through `Writes`, and never answer twice to a message that Discord delivers twice.
"""

import asyncio
import logging
from collections import deque

import discord

from bot.client import AerieClient
from bot.ui import errors
from bot.ui.asker import author_of
from bot.ui.text import clip, plain
from bot.workers.console_view import Consoles, LiveView, Pace
from bot.workers.transcript import Counts
from bot.workers.writes import Priority, Writes
from core.bot_settings import ConsoleSection
from core.clock import Clock
from core.errors import AerieError
from core.models.guild import ConsoleBridge as Row
from core.services.build import Services

log = logging.getLogger(__name__)

LOOK_EVERY = 30.0  # s between two looks at which consoles are attached
ACCEPTED = "✅"
_NO_WORDS = (
    "I cannot read that: Discord shows me the words of a reply only when its ping is on (@ ON). "
    "Reply again with it, or use `/console send`."
)
_WHICH = "Several consoles are shown here. Reply to the message of the one you mean."


class ConsoleBridge:
    """`run` is the worker. `attach` and `detach` take rows as core.services.guilds gives them, their server loaded."""

    def __init__(
        self,
        client: AerieClient,
        services: Services,
        streams: Consoles,
        settings: ConsoleSection,
        clock: Clock,
        writes: Writes | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._client = client
        self._services = services
        self._streams = streams
        self._settings = settings
        self._clock = clock
        self._pace = pace or Pace(interval=settings.interval, stop_after=settings.idle_minutes * 60)
        self._views: dict[int, LiveView] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._ended = Counts()
        self._handled: deque[int] = deque(maxlen=1000)
        self._told: set[int] = set()
        self.writes = writes or Writes(clock)

    @property
    def counts(self) -> Counts:
        """What became of every console line since the start, over all channels."""
        total = Counts()
        total += self._ended
        for view in self._views.values():
            total += view.transcript.counts
        return total

    @property
    def broken(self) -> dict[int, str]:
        """Channels that are closed to us, by id of the binding."""
        return {row_id: view.broken for row_id, view in self._views.items() if view.broken}

    def view(self, row_id: int) -> LiveView | None:
        return self._views.get(row_id)

    async def run(self) -> None:
        """Show every attached console; look now and then for what other processes attached or detached."""
        try:
            while True:
                await self._client.wait_until_ready()
                try:
                    await self._reconcile()
                except AerieError as error:
                    log.warning("the attached consoles cannot be read: %s", error)
                await self._clock.sleep(LOOK_EVERY)
        finally:
            for row_id in list(self._views):
                self._end(row_id)

    async def _reconcile(self) -> None:
        rows = {row.id: row for row in await self._services.guilds.consoles()}
        for row_id in self._views.keys() - rows.keys():
            self._end(row_id)
        for row in rows.values():
            if row.id not in self._views:
                await self.attach(row)

    async def attach(self, row: Row) -> None:
        """Show this console from now on."""
        self._end(row.id)
        view = LiveView(
            row,
            self._client,
            self._services,
            self._streams,
            self.writes,
            self._clock,
            self._pace,
            colours=self._settings.colours,
            views=lambda: sum(not one.broken for one in self._views.values()),
            on_broken=self._give_up,
        )
        self._views[row.id] = view
        self._tasks[row.id] = self._client.tasks.run(f"console {row.server.short} in {row.channel_id}", view.run)

    async def detach(self, row: Row) -> None:
        """Show it no longer; its last message stays and says so."""
        view = self._views.get(row.id)
        self._end(row.id)
        if view is not None:
            await view.finish("no longer shown here")

    def _end(self, row_id: int) -> None:
        view, task = self._views.pop(row_id, None), self._tasks.pop(row_id, None)
        if task is not None:
            task.cancel()
            self._client.tasks.health.pop(task.get_name().partition("/")[2], None)
        if view is not None:
            view.transcript.give_up()
            self._ended += view.transcript.counts

    async def _give_up(self, view: LiveView) -> None:
        """A channel is closed to us: tell the community's owner, once, and never knock again until somebody attaches anew."""
        if view.gone:
            await self._services.guilds.forget_console(view.row.id)
        if view.row.id in self._told:
            return
        self._told.add(view.row.id)
        guild = self._client.get_guild(view.row.guild_id)
        if guild is None or guild.owner_id is None:
            return
        next_step = (
            ""
            if view.gone
            else " Give me View Channel, Send Messages and Attach Files there, then `/console detach` and `/console attach`."
        )
        words = f"I no longer show the console of **{plain(view.server.name, 80)}** in <#{view.channel_id}>: {view.broken}.{next_step}"
        try:
            private = await self._client.create_dm(discord.Object(guild.owner_id))
            await self.writes.create(private.id, lambda: private.send(words), priority=Priority.ALERT)
        except (discord.HTTPException, discord.RateLimited) as error:
            log.info("the owner of guild %s could not be told: %s", guild.id, error)

    # What people type

    async def on_message(self, message: discord.Message) -> None:
        """A reply to a live message, or a mention where one console is shown, is a line for the game."""
        if message.id in self._handled or (view := self._meant(message)) is None:
            return
        self._handled.append(message.id)
        actor = author_of(message)
        if actor is None:
            return
        if isinstance(view, str):
            await self._answer(message, view)
            return
        line = self._words(message)
        if not line:
            await self._answer(message, _NO_WORDS)
            return
        view.touch()
        try:
            await self._services.console.send(actor, view.server.uuid, line)
        except Exception as error:  # noqa: BLE001 — errors.py is one of the three places that render; nobody else would tell the person
            await self._answer(message, errors.sentence_of(error))
            return
        await self._accept(message)

    def _meant(self, message: discord.Message) -> LiveView | str | None:
        """The console a message is for; a sentence when that is not clear; None when it is for none."""
        if message.author.bot or message.guild is None:
            return None
        here = [view for view in self._views.values() if view.channel_id == message.channel.id and not view.broken]
        reference = message.reference.message_id if message.reference is not None else None
        if reference is not None:
            found = next((view for view in here if reference in view.message_ids), None)
            if found is not None:
                return found
        me = self._client.user
        if not here or me is None or reference is not None or not message.content.startswith((f"<@{me.id}>", f"<@!{me.id}>")):
            return None
        return here[0] if len(here) == 1 else _WHICH

    def _words(self, message: discord.Message) -> str:
        """What was written, without the mention it may begin with."""
        words, me = message.content, self._client.user
        for mention in (f"<@{me.id}>", f"<@!{me.id}>") if me is not None else ():
            words = words.removeprefix(mention)
        return words.strip()

    async def _accept(self, message: discord.Message) -> None:
        try:
            await self.writes.react(message.channel.id, lambda: message.add_reaction(ACCEPTED))
        except (discord.HTTPException, discord.RateLimited) as error:
            log.info("a reaction could not be given: %s", error)
            await self._answer(message, "Sent.")

    async def _answer(self, message: discord.Message, words: str) -> None:
        nobody = discord.AllowedMentions.none()
        try:
            await self.writes.create(
                message.channel.id,
                lambda: message.reply(clip(words, 500), mention_author=False, allowed_mentions=nobody),
                priority=Priority.ALERT,
            )
        except (discord.HTTPException, discord.RateLimited, AerieError) as error:
            log.info("a reply could not be given: %s", error)
