"""What is offered while somebody types, and the server option: what is taken when they send.

Offers only servers the asker has the needed right on, never more than 25, and never fails: a failed offer is an empty one. What is sent may
be anything typed by hand, so services look it up and check the right again.
"""

import asyncio
import logging
from collections.abc import Awaitable
from typing import TypeVar

import discord
from discord import app_commands

from bot.client import AerieClient
from bot.ui.asker import actor_of
from bot.ui.cards import state_of
from bot.ui.text import CHOICE, CHOICES, clip
from core.errors import AerieError, Invalid
from core.models.server import Server
from core.permissions import ACTIVITY_READ, CONNECT, CONTROL_CONSOLE, CONTROL_RESTART, CONTROL_START, CONTROL_STOP
from core.services.live import Live

log = logging.getLogger(__name__)

PATIENCE = 2.0  # s; Discord forgets the question after 3
LONGEST_REF = 191  # characters of a server's name in the database


Pairs = list[tuple[str, str]]
"""Labels and values."""
Found = TypeVar("Found")


async def in_time(found: Awaitable[list[Found]]) -> list[Found]:
    """What there is to offer; nothing when that fails or takes too long for Discord."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await found
    except (AerieError, TimeoutError) as error:
        log.info("nothing to offer: %s", error)
    except Exception:
        log.exception("offering failed")
    return []


def fitting(pairs: Pairs, typed: str) -> list[app_commands.Choice[str]]:
    """At most 25 whose label holds what was typed, those that begin with it first."""
    wanted = typed.strip().casefold()
    found = [pair for pair in pairs if wanted in pair[0].casefold()]
    found.sort(key=lambda pair: not pair[0].casefold().startswith(wanted))
    return [app_commands.Choice(name=clip(label, CHOICE), value=value) for label, value in found[:CHOICES]]


class ServerOption(app_commands.Transformer):
    """A server named by id, short id or name; the value is text that `services.access.server` understands."""

    def __init__(self, permission: str = CONNECT) -> None:
        super().__init__()
        self.permission = permission

    async def transform(self, interaction: discord.Interaction, value: str, /) -> str:
        ref = value.strip()
        if not ref or len(ref) > LONGEST_REF:
            raise Invalid("That is not a server's name.", hint="Choose one of the suggestions, or see `/server list`.")
        return ref

    async def autocomplete(  # type: ignore[override]  # discord.py types the value per option kind
        self, interaction: discord.Interaction[AerieClient], value: str, /
    ) -> list[app_commands.Choice[str]]:
        live = interaction.client.services.live
        return [choice(server, live.of(server.uuid)) for server in matching(await in_time(self._servers(interaction)), value)]

    async def _servers(self, interaction: discord.Interaction[AerieClient]) -> list[Server]:
        return await interaction.client.services.access.visible(actor_of(interaction), self.permission)


def choice(server: Server, live: Live) -> app_commands.Choice[str]:
    """`name · state`; the value is the short id."""
    state = f" · {state_of(live)}"
    return app_commands.Choice(name=clip(server.name, CHOICE - len(state)) + state, value=server.short)


def matching(servers: list[Server], typed: str) -> list[Server]:
    """Names that begin with what was typed, then names or ids that hold it; at most 25."""
    wanted = typed.strip().casefold()

    def rank(server: Server) -> int:
        name = server.name.casefold()
        if name.startswith(wanted):
            return 0
        return 1 if wanted in name or server.uuid.startswith(wanted) else 2

    found = [server for server in servers if rank(server) < 2]
    return sorted(found, key=lambda server: (rank(server), server.name.casefold()))[:CHOICES]


SERVER = ServerOption()
SERVER_TO_START = ServerOption(CONTROL_START)
SERVER_TO_STOP = ServerOption(CONTROL_STOP)
SERVER_TO_RESTART = ServerOption(CONTROL_RESTART)
SERVER_TO_AUDIT = ServerOption(ACTIVITY_READ)
SERVER_TO_TYPE_AT = ServerOption(CONTROL_CONSOLE)
SERVER_TO_MANAGE = ServerOption("*")
SERVER_TO_REINSTALL = ServerOption("settings.reinstall")
SERVER_TO_RENAME = ServerOption("settings.rename")
