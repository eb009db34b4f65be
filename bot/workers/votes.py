"""Restart requests go on by themselves: deadlines, countdown, signal, outcome, and the one message of each.

Any number of processes run this; each request is held by one of them at a time (services.request_desk), and what must happen once is
claimed in the database besides. Everything it knows is in the database, so it goes on where a dead process stopped. Must never write a
message of a request it does not hold.
"""

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import discord

from bot.client import AerieClient
from bot.ui.requests import board
from bot.workers.writes import Priority, Writes
from core.clock import Clock
from core.errors import AerieError
from core.models.vote import Request
from core.services.build import Services

log = logging.getLogger(__name__)

TICK = 1.0  # s between two looks at what is due
HOLD = 30  # s that a process keeps a request without a sign of life; a step takes 20 at most
PRUNE_EVERY = timedelta(hours=1)
BACK_OFF = timedelta(seconds=20)
"""A message that could not be written is tried again after so long."""
NOTHING_LEFT = timedelta(hours=1)
CHANNEL_GONE = {10003, 10004, 50001, 50013}
"""Unknown channel or guild, missing access or permissions."""
MESSAGE_GONE = {10008}


class RequestWorker:
    """`run` is the worker; `look` makes it look at once."""

    def __init__(self, client: AerieClient, services: Services, writes: Writes, clock: Clock) -> None:
        self._client = client
        self._services = services
        self._writes = writes
        self._clock = clock
        self._name = str(uuid4())
        self._wake = asyncio.Event()
        self._busy: set[int] = set()
        self._writing: set[int] = set()
        self._due: dict[int, tuple[int, datetime]] = {}
        self._write_after: dict[int, datetime] = {}
        self._bodies: dict[int, list[Any]] = {}
        self._pruned: datetime | None = None

    def look(self) -> None:
        """Look at once: something was pressed or asked for here."""
        self._due.clear()
        self._wake.set()

    async def run(self) -> None:
        """Look, do what is due, rest a moment; for ever. Lets go of its requests when it is stopped."""
        try:
            while True:
                self._wake.clear()
                await self._round()
                try:
                    async with asyncio.timeout(TICK):
                        await self._wake.wait()
                except TimeoutError:
                    pass
        finally:
            await self._services.request_desk.release(self._name)

    async def _round(self) -> None:
        now = self._clock.now()
        requests = await self._services.request_desk.due()
        known = {request.id for request in requests}
        for kept in (self._due, self._write_after, self._bodies):
            for request_id in kept.keys() - known:
                kept.pop(request_id)
        for request in requests:
            if request.id not in self._busy and self._wanted(request, now):
                self._busy.add(request.id)
                self._client.tasks.spawn(f"request {request.id}", self._attend(request))
        if self._pruned is None or now - self._pruned >= PRUNE_EVERY:
            self._pruned = now
            if gone := await self._services.votes.prune():
                log.info("%d old restart requests were forgotten", gone)

    def _wanted(self, request: Request, now: datetime) -> bool:
        """Whether there is anything to do now, or the hold on it must be renewed."""
        version, moment = self._due.get(request.id, (-1, now))
        if version != request.version or now >= moment or self._to_write(request, now):
            return True
        return request.worker != self._name or request.worker_until is None or request.worker_until - now < timedelta(seconds=HOLD / 2)

    def _to_write(self, request: Request, now: datetime) -> bool:
        return (
            request.id not in self._writing
            and request.shown < request.version
            and now >= self._write_after.get(request.id, now)
            and self._client.is_ready()
        )

    async def _attend(self, request: Request) -> None:
        try:
            if not await self._services.request_desk.hold(request, self._name, HOLD):
                return
            moment = await self._services.restarts.step(request.id)
            after = await self._services.votes.get(request.id)
            if after.version == request.version:
                self._due[request.id] = (after.version, moment or self._clock.now() + NOTHING_LEFT)
            else:
                self._wake.set()
            if self._to_write(after, self._clock.now()):
                self._writing.add(request.id)
                self._client.tasks.spawn(f"message of request {request.id}", self._write(request.id))
        except AerieError as error:
            log.warning("request %d does not go on for now: %s", request.id, error)
            self._due[request.id] = (request.version, self._clock.now() + BACK_OFF)
        finally:
            self._busy.discard(request.id)

    async def _write(self, request_id: int) -> None:
        """Apart from the steps: a slow Discord must not hold up a countdown."""
        try:
            request = await self._services.votes.get(request_id)
            if request.worker == self._name and request.shown < request.version:
                await self._show(request)
        finally:
            self._writing.discard(request_id)
            self._wake.set()

    async def _show(self, request: Request) -> None:
        """Post the message, or edit it to what is true now."""
        desk = self._services.request_desk
        if request.channel_id is None:
            await desk.showing(request.id, request.version)
            return
        try:
            if request.message_id is None:
                # Discord may answer with the first version that a dead process posted under this nonce: a later one is edited in
                shown = request.version if request.version == 1 else 0
                await desk.posted(request.id, await self._post(request, request.channel_id), shown)
            else:
                await self._edit(request, request.channel_id, request.message_id)
                await desk.showing(request.id, request.version)
        except discord.HTTPException as error:
            if error.code in CHANNEL_GONE | MESSAGE_GONE:
                log.info("the message of request %d has no place any more (%s)", request.id, error.code)
                self._bodies.pop(request.id, None)
                await desk.displaced(request, channel_gone=error.code in CHANNEL_GONE)
            else:
                self._again_later(request, error)
        except (discord.RateLimited, AerieError, OSError, TimeoutError) as error:
            self._again_later(request, error)

    async def _post(self, request: Request, channel_id: int) -> int:
        """The nonce lets Discord drop a second one when the first was posted by a process that died before it could say so."""
        channel, view = self._client.get_partial_messageable(channel_id), board(request)
        message = await self._writes.create(
            channel_id,
            lambda: channel.send(view=view, nonce=f"request {request.id}.{request.posts}", allowed_mentions=discord.AllowedMentions.none()),
            priority=Priority.ALERT,
        )
        self._bodies.pop(request.id, None)
        return message.id

    async def _edit(self, request: Request, channel_id: int, message_id: int) -> None:
        view = board(request)
        body = view.to_components()  # type: ignore[no-untyped-call]
        if self._bodies.get(request.id) == body:
            return
        message = self._client.get_partial_messageable(channel_id).get_partial_message(message_id)
        await self._writes.edit(
            channel_id,
            message_id,
            lambda: message.edit(view=view, allowed_mentions=discord.AllowedMentions.none()),
            priority=Priority.ALERT,
        )
        self._bodies[request.id] = body

    def _again_later(self, request: Request, error: Exception) -> None:
        log.info("the message of request %d could not be written, trying again in %.0f s: %s", request.id, BACK_OFF.total_seconds(), error)
        self._write_after[request.id] = self._clock.now() + BACK_OFF
