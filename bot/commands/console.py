"""/console: read a game server's console, find old lines, type at it, and show it live in a channel."""

import discord
from discord import app_commands

from bot.client import AerieClient
from bot.ui.asker import actor_of
from bot.ui.autocomplete import SERVER, SERVER_TO_TYPE_AT
from bot.ui.console import snapshot
from bot.ui.found_lines import Ask, shown
from bot.ui.text import code
from core.errors import Forbidden
from core.services.console import MOST_SOUGHT

Interaction = discord.Interaction[AerieClient]

_RIGHTS = "Give me View Channel, Send Messages and Attach Files here, then try again."


class ConsoleCommands(app_commands.Group):
    """Game consoles"""

    def __init__(self) -> None:
        super().__init__(name="console", description="Read a game server's console and type at it")

    @app_commands.command(description="Type one line at a server's console")
    @app_commands.describe(server="Which server", line="The line, without a leading slash unless the game wants one")
    async def send(
        self,
        interaction: Interaction,
        server: app_commands.Transform[str, SERVER_TO_TYPE_AT],
        line: app_commands.Range[str, 1, 512],
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        await interaction.client.services.console.send(actor_of(interaction), server, line)
        await interaction.edit_original_response(content=f"Sent {code(f'> {line}', 300)}")

    @app_commands.command(description="The last lines of a server's console, for you alone")
    @app_commands.describe(server="Which server", lines="How many lines at most")
    async def tail(
        self,
        interaction: Interaction,
        server: app_commands.Transform[str, SERVER],
        lines: app_commands.Range[int, 1, 100] = 25,
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        found = await interaction.client.services.console.tail(actor_of(interaction), server, lines)
        await interaction.edit_original_response(content=snapshot(found))

    @app_commands.command(description="Find old lines of a server's console, for you alone")
    @app_commands.describe(
        server="Which server", text="Part of the lines, in any case; all lines if you leave it out", since="30m, 2h, 3d, or a date (UTC)"
    )
    async def search(
        self,
        interaction: Interaction,
        server: app_commands.Transform[str, SERVER],
        text: app_commands.Range[str, 1, MOST_SOUGHT] | None = None,
        since: app_commands.Range[str, 1, 40] | None = None,
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        moment = interaction.client.services.console.moment(since or "")
        ask = Ask(server, int(moment.timestamp() * 1000) if moment else 0, text=(text or "").strip())
        await interaction.edit_original_response(**await shown(interaction, ask))

    @app_commands.command(description="Show a server's console live in a channel")
    @app_commands.describe(server="Which server", channel="Where; this channel if you leave it out")
    async def attach(
        self, interaction: Interaction, server: app_commands.Transform[str, SERVER_TO_TYPE_AT], channel: discord.TextChannel | None = None
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        client, place = interaction.client, channel.id if channel else interaction.channel_id
        if channel is None and not interaction.app_permissions.send_messages:
            raise Forbidden("I may not write in this channel.", hint=_RIGHTS)
        assert place is not None
        bridge = await client.services.guilds.attach_console(actor_of(interaction), server, place)
        if client.console_attached is not None:
            await client.console_attached(bridge)
        await interaction.edit_original_response(
            content=f"The console is now live in <#{place}>. Who may type at it can reply to its message there."
        )

    @app_commands.command(description="Stop showing a server's console in a channel")
    @app_commands.describe(server="Which server", channel="Where; every channel if you leave it out")
    async def detach(
        self, interaction: Interaction, server: app_commands.Transform[str, SERVER_TO_TYPE_AT], channel: discord.TextChannel | None = None
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        client = interaction.client
        bridges = await client.services.guilds.detach_console(actor_of(interaction), server, channel.id if channel else None)
        for bridge in bridges:
            if client.console_detached is not None:
                await client.console_detached(bridge)
        places = ", ".join(f"<#{bridge.channel_id}>" for bridge in bridges)
        await interaction.edit_original_response(content=f"The console is no longer shown in {places}.")
