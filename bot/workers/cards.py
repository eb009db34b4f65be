"""Live server cards: each posted card is edited when its server changed, at most every five seconds, the latest state wins.

A channel gets at most one edit per two seconds, which also suits messages older than an hour; a mere change of load waits longer. Edits
go through the one scheduler of writes. Cards that people deleted, or that we may not see any more, are forgotten.
"""

import asyncio
import logging
from typing import Any

import discord

from bot.client import AerieClient
from bot.ui.cards import card
from bot.workers.writes import Priority, Writes
from core.clock import Clock
from core.errors import AerieError
from core.models.guild import ServerCard
from core.models.server import Server
from core.services.build import Services
from core.services.live import Live

log = logging.getLogger(__name__)

CARD_GAP = 5.0  # s between two edits of one card
LOAD_GAP = 15.0  # s when only its load changed
CHANNEL_GAP = 2.0  # s between two edits in one channel
TICK = 0.25  # s
REFRESH = 30.0  # s between two looks at which cards and servers there are
BACK_OFF = 20.0  # s a channel is left alone when Discord asks for it
GONE = {10003, 10008, 50001, 10004}
"""Unknown channel, message, guild; missing access."""


class Cards:
    """`run` is the worker. Cards posted by this process are found at the next look, or at once after `look`."""

    def __init__(self, client: AerieClient, services: Services, writes: Writes, clock: Clock) -> None:
        self._client = client
        self._writes = writes
        self._services = services
        self._clock = clock
        self._cards: dict[int, ServerCard] = {}
        self._servers: dict[int, Server] = {}
        self._shown: dict[int, list[Any]] = {}
        self._gist: dict[int, object] = {}
        self._busy: set[int] = set()
        self._edited: dict[int, float] = {}
        self._channel_free: dict[int, float] = {}
        self._dirty: dict[int, None] = {}
        self._look = asyncio.Event()

    def look(self) -> None:
        """Look at once which cards there are."""
        self._look.set()

    async def run(self) -> None:
        """Render what changed; runs for ever."""
        with self._services.live.changed.listen(10_000) as changed:
            looked = float("-inf")
            while True:
                now = self._clock.monotonic()
                if self._look.is_set() or now - looked >= REFRESH or changed.dropped:
                    self._look.clear()
                    changed.dropped = 0
                    looked = now
                    await self._load()
                try:
                    async with asyncio.timeout(TICK if self._dirty else 1.0):
                        self._mark(set(await changed.drain()))
                except TimeoutError:
                    pass
                if self._client.is_ready():
                    self._write_due()

    async def _load(self) -> None:
        """Read cards and servers anew; every card is checked once."""
        cards = await self._services.guilds.cards(None)
        self._cards = {one.message_id: one for one in cards}
        self._servers = {server.id: server for server in await self._services.servers.all()}
        for kept in (self._shown, self._edited, self._gist):
            for message_id in kept.keys() - self._cards.keys():
                del kept[message_id]
        self._dirty.update(dict.fromkeys(self._cards))

    def _mark(self, uuids: set[str]) -> None:
        ids = {server.id for server in self._servers.values() if server.uuid in uuids}
        self._dirty.update({message_id: None for message_id, one in self._cards.items() if one.server_id in ids})

    def _write_due(self) -> None:
        now = self._clock.monotonic()
        for message_id in list(self._dirty):
            one = self._cards.get(message_id)
            server = self._servers.get(one.server_id) if one is not None else None
            if one is None or server is None:
                del self._dirty[message_id]
                continue
            live = self._services.live.of(server.uuid)
            gist = _gist(live)
            gap = CARD_GAP if self._gist.get(message_id) != gist else LOAD_GAP
            waited = now - self._edited.get(message_id, float("-inf"))
            if message_id in self._busy or now < self._channel_free.get(one.channel_id, 0.0) or waited < gap:
                continue
            del self._dirty[message_id]
            self._gist[message_id] = gist
            view = card(server, live)
            body = view.to_components()  # type: ignore[no-untyped-call]
            if self._shown.get(message_id) != body:
                self._edited[message_id] = now
                self._channel_free[one.channel_id] = now + CHANNEL_GAP
                self._busy.add(message_id)
                self._client.tasks.spawn(f"card {message_id}", self._edit(one, view, body))

    async def _edit(self, one: ServerCard, view: discord.ui.LayoutView, body: list[Any]) -> None:
        message = self._client.get_partial_messageable(one.channel_id).get_partial_message(one.message_id)
        try:
            await self._writes.edit(
                one.channel_id,
                one.message_id,
                lambda: message.edit(view=view, allowed_mentions=discord.AllowedMentions.none()),
                priority=Priority.PANEL,
            )
            self._shown[one.message_id] = body
        except discord.HTTPException as error:
            if error.code in GONE:
                log.info("a card in channel %s is gone (%s); it is forgotten", one.channel_id, error.code)
                self._cards.pop(one.message_id, None)
                await self._services.guilds.forget_card(one.message_id)
                return
            self._again_later(one, error)
        except (discord.RateLimited, AerieError, OSError, TimeoutError) as error:
            self._again_later(one, error)
        finally:
            self._busy.discard(one.message_id)

    def _again_later(self, one: ServerCard, error: Exception) -> None:
        log.info("a card could not be edited, trying again in %.0f s: %s", BACK_OFF, error)
        self._channel_free[one.channel_id] = self._clock.monotonic() + BACK_OFF
        self._dirty[one.message_id] = None


def _gist(live: Live) -> object:
    """What a reader must see soon; the load may wait."""
    players = live.stats.aerie_players if live.stats is not None else None
    return live.state, live.reason, live.node_up, tuple(players or ())
