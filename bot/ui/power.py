"""A power action as people see it: refused in one sentence, or answered at once and the answer edited as the server goes on.

Commands and buttons both come here. Edits are at least 2.5 s apart and the latest words win; nothing waits for ever. Must never decide
who may do what: services do.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import discord

from bot.client import AerieClient
from bot.ui.asker import actor_of
from bot.ui.story import Story
from core.actor import Actor
from core.clock import Clock
from core.errors import AerieError
from core.events import Event
from core.fanout import Listener
from core.services.build import Services
from core.services.power import PERMISSIONS, Sent
from core.vocabulary import PowerSignal

log = logging.getLogger(__name__)

EDIT_GAP = 2.5  # s between two edits of one answer
FIRST_EDIT = 0.7  # s from the answer to its first edit
FIRST_ANSWER = 1.0  # s to wait for the node before answering anyway; Discord gives 3
EDITS_END = 14 * 60.0  # s; an interaction's token lives 15 min
STORY_END = 60 * 60.0  # s after which an outcome is no longer waited for
LOOK = 1.0  # s between two looks at the node while no event comes

Edit = Callable[[str], Awaitable[None]]


async def act(
    interaction: discord.Interaction[AerieClient], ref: str, signal: PowerSignal, *, private: bool = False, confirmed: bool = False
) -> None:
    """Send a signal and tell how it goes in the answer, seen by all or by the asker alone.

    With `confirmed`, the pressed question is closed first and the answer is a new message.
    Raises AerieError before anything was answered; later failures are told in the answer.
    """
    client = interaction.client
    services, clock = client.services, client.clock
    actor = actor_of(interaction)
    server = await services.access.server(actor, ref, PERMISSIONS[signal], event=f"server:power.{signal.value}")
    began = clock.monotonic()
    async with AsyncExitStack() as stack:
        events = await stack.enter_async_context(services.power.watching(server))
        story = Story(server.name, server.uuid, signal, services.live.of(server.uuid).state)
        sending = client.tasks.spawn(f"send {signal} to {server.uuid[:8]}", _send(services, actor, server.uuid, signal))
        await asyncio.wait({sending}, timeout=FIRST_ANSWER)
        if sending.done() and isinstance(refusal := sending.result(), AerieError):
            raise refusal
        if confirmed:
            await interaction.response.edit_message(content="Confirmed.", view=None)
            answer = await interaction.followup.send(story.text, ephemeral=private, wait=True)
            place = _Place(interaction, private, answer)
        else:
            await interaction.response.send_message(story.text, ephemeral=private)
            place = _Place(interaction, private)
        telling = _tell(stack.pop_all(), story, events, sending, place, services, clock, began)
        client.tasks.spawn(f"story of {signal} of {server.uuid[:8]}", telling)


async def _send(services: Services, actor: Actor, ref: str, signal: PowerSignal) -> Sent | AerieError:
    """An error is an answer here: the supervisor would log a raised one as a failure of ours."""
    try:
        return await services.power.send(actor, ref, signal)
    except AerieError as error:
        return error


class _Place:
    """Where the story is told: the interaction's own answer, and its channel once Discord no longer lets us edit that."""

    def __init__(self, interaction: discord.Interaction[AerieClient], private: bool, answer: discord.WebhookMessage | None = None) -> None:
        self._interaction = interaction
        self._private = private
        self._answer = answer
        self.gone = False

    async def edit(self, words: str) -> None:
        if self.gone:
            return
        try:
            if self._answer is not None:
                await self._answer.edit(content=words)
            else:
                await self._interaction.edit_original_response(content=words)
        except discord.RateLimited:
            log.info("an answer's edit waits: Discord asks us to slow down")
        except discord.HTTPException as error:
            if error.status in (401, 403, 404):
                self.gone = True  # deleted by somebody, or the token is too old: nobody reads it
            log.info("an answer could not be edited: %s", error)

    async def post(self, words: str) -> None:
        """An ordinary message that mentions the asker; not for private stories."""
        channel = self._interaction.channel_id
        if self._private or channel is None:
            return
        user = self._interaction.user
        mention = discord.AllowedMentions(users=[discord.Object(user.id)], everyone=False, roles=False)
        try:
            await self._interaction.client.get_partial_messageable(channel).send(f"{user.mention} {words}", allowed_mentions=mention)
        except (discord.HTTPException, discord.RateLimited) as error:
            log.info("the end of a story could not be posted: %s", error)


async def _tell(
    stack: AsyncExitStack,
    story: Story,
    events: Listener[Event],
    sending: asyncio.Task[Sent | AerieError],
    place: _Place,
    services: Services,
    clock: Clock,
    began: float,
) -> None:
    async with stack:
        try:
            result = await sending
            if isinstance(result, AerieError):
                story.failed(result)
            else:
                story.signal_id = result.signal_id
            await _follow(story, events, place, services, clock, began)
        except asyncio.CancelledError:
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await place.edit(f"{story.text}\n-# Aerie restarts; `/server info` shows how it went on.")
            raise


async def _follow(story: Story, events: Listener[Event], place: _Place, services: Services, clock: Clock, began: float) -> None:
    shown, edited = story.text if not story.done else "", clock.monotonic() - EDIT_GAP + FIRST_EDIT
    editable = True
    while True:
        now = clock.monotonic()
        if story.text != shown and (not editable or now - edited >= EDIT_GAP):
            shown, edited = story.text, now
            if editable:
                await place.edit(shown)
            elif story.done:
                await place.post(shown)
        if story.done and story.text == shown:
            return
        await _hear(story, events, services, clock, began, LOOK if story.text == shown else max(0.05, min(LOOK, edited + EDIT_GAP - now)))
        passed = clock.monotonic() - began
        if passed > STORY_END:
            story.give_up(passed, "I no longer watch it; `/server info` shows its state.")
        elif passed > EDITS_END and editable and not story.done:
            editable = False
            await place.edit(f"{story.text}\n-# This takes long; the outcome will follow as a new message.")


async def _hear(story: Story, events: Listener[Event], services: Services, clock: Clock, began: float, wait: float) -> None:
    """Take what comes within `wait` seconds, then look at the node: without it no event will ever come."""
    try:
        async with asyncio.timeout(wait):
            batch = await events.drain()
    except TimeoutError:
        batch = []
    else:
        if not batch and not story.done:
            story.give_up(clock.monotonic() - began, "Aerie stopped listening; `/server info` shows its state.")
    for event in batch:
        story.hear(event, clock.monotonic() - began)
    live = services.live.of(story.server_uuid)
    if not live.node_up:
        story.node_lost(live.node_reason)
    elif story.interrupted and live.state is not None:
        story.saw(live.state, clock.monotonic() - began, live.reason)
