"""/backup: make, list, restore, download, lock and delete backups of game servers. Parses, calls, shows; decides nothing."""

from typing import Literal

import discord
from discord import app_commands

from bot.client import AerieClient
from bot.ui import backups
from bot.ui.asker import actor_of
from bot.ui.autocomplete import ServerOption
from bot.ui.text import plain

Interaction = discord.Interaction[AerieClient]

READ = ServerOption("backup.read")
CREATE = ServerOption("backup.create")
RESTORE = ServerOption("backup.restore")
DELETE = ServerOption("backup.delete")
DOWNLOAD = ServerOption("backup.download")
LONGEST_NAME = 100


class BackupCommands(app_commands.Group):
    """Backups of game servers"""

    def __init__(self) -> None:
        super().__init__(name="backup", description="Keep copies of game servers' files, and put them back")

    @app_commands.command(description="Make a backup of a server's files; it may run meanwhile")
    @app_commands.describe(
        server="Which server", name="What to call it", ignore="What to leave out, as in .gitignore, parted by blanks: *.log cache/"
    )
    async def create(
        self,
        interaction: Interaction,
        server: app_commands.Transform[str, CREATE],
        name: app_commands.Range[str, 1, LONGEST_NAME] = "",
        ignore: app_commands.Range[str, 1, 1000] = "",
    ) -> None:
        await interaction.response.defer(thinking=True)
        await backups.make(interaction, server, name, "\n".join(ignore.split()))

    @app_commands.command(name="list", description="A server's backups, newest first")
    @app_commands.describe(server="Which server")
    async def show_all(self, interaction: Interaction, server: app_commands.Transform[str, READ]) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        found, rows = await interaction.client.services.backups.of(actor_of(interaction), server)
        await interaction.edit_original_response(content=backups.listed(found, rows))

    @app_commands.command(description="Put a backup back; asks before it does")
    @app_commands.describe(server="Which server", backup="Which backup", files="Replace all, or keep what the backup does not hold")
    @app_commands.autocomplete(backup=backups.offered)
    async def restore(
        self,
        interaction: Interaction,
        server: app_commands.Transform[str, RESTORE],
        backup: app_commands.Range[str, 1, 100],
        files: Literal["replace all", "keep others"] = "replace all",
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        services, actor = interaction.client.services, actor_of(interaction)
        found = await services.access.server(actor, server, "backup.restore", event="server:backup.restore")
        row = await services.backups.one(actor, found.uuid, backup, "backup.restore", event="server:backup.restore")
        words, view = backups.question(found, row, truncate=files == "replace all")
        await interaction.edit_original_response(content=words, view=view)

    @app_commands.command(description="An address from which a backup can be downloaded once; only you see it")
    @app_commands.describe(server="Which server", backup="Which backup")
    @app_commands.autocomplete(backup=backups.offered)
    async def download(
        self, interaction: Interaction, server: app_commands.Transform[str, DOWNLOAD], backup: app_commands.Range[str, 1, 100]
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        url = await interaction.client.services.backups.download(actor_of(interaction), server, backup)
        words = f"[Download the backup](<{url}>) · works once, within 15 minutes, wherever the node can be reached."
        await interaction.edit_original_response(content=words)

    @app_commands.command(description="Keep a backup from being deleted, or no longer")
    @app_commands.describe(server="Which server", backup="Which backup", locked="Whether it is locked from now on")
    @app_commands.autocomplete(backup=backups.offered)
    async def lock(
        self,
        interaction: Interaction,
        server: app_commands.Transform[str, DELETE],
        backup: app_commands.Range[str, 1, 100],
        locked: bool = True,
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        row = await interaction.client.services.backups.lock(actor_of(interaction), server, backup, locked=locked)
        state = "locked: it cannot be deleted" if row.locked else "no longer locked"
        await interaction.edit_original_response(content=f"**{plain(row.name, 80)}** is {state}.")

    @app_commands.command(description="Delete a backup for good")
    @app_commands.describe(server="Which server", backup="Which backup")
    @app_commands.autocomplete(backup=backups.offered)
    async def delete(
        self, interaction: Interaction, server: app_commands.Transform[str, DELETE], backup: app_commands.Range[str, 1, 100]
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        row = await interaction.client.services.backups.delete(actor_of(interaction), server, backup)
        await interaction.edit_original_response(content=f"**{plain(row.name, 80)}** is deleted.")
