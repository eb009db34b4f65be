"""/request: members ask for a restart, and vote on it. Parses, calls, shows; decides nothing."""

import discord
from discord import app_commands

from bot.client import AerieClient
from bot.ui.asker import actor_of
from bot.ui.autocomplete import SERVER
from bot.ui.requests import ask, listed
from bot.ui.text import plain

Interaction = discord.Interaction[AerieClient]


class RequestCommands(app_commands.Group):
    """Ask for a restart"""

    def __init__(self) -> None:
        super().__init__(name="request", description="Ask for a game server's restart, by vote")

    @app_commands.command(description="Ask for a restart: a message collects votes, and enough of them restart the server")
    @app_commands.describe(server="Which server", reason="Why, for those who vote")
    async def restart(
        self,
        interaction: Interaction,
        server: app_commands.Transform[str, SERVER],
        reason: app_commands.Range[str, 1, 200] = "",
    ) -> None:
        await ask(interaction, server, reason)

    @app_commands.command(name="list", description="Requests for servers you may see, those under way first")
    async def show_all(self, interaction: Interaction) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        requests = await interaction.client.services.votes.recent(actor_of(interaction))
        await interaction.edit_original_response(content=listed(requests))

    @app_commands.command(description="Take your own request back while it is voted on")
    @app_commands.describe(server="Which server")
    async def cancel(self, interaction: Interaction, server: app_commands.Transform[str, SERVER]) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        client, actor = interaction.client, actor_of(interaction)
        request = await client.services.votes.open_for(actor, server)
        await client.services.votes.cancel(actor, request.id)
        if client.request_changed is not None:
            client.request_changed()
        await interaction.edit_original_response(
            content=f"Your request for a restart of **{plain(request.server_name, 80)}** is cancelled."
        )
