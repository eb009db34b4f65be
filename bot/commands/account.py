"""/account: a member's own account: SFTP, SSH keys. Answers are for the asker alone; nobody manages another's account here."""

import discord
from discord import app_commands

from bot.client import AerieClient
from bot.commands.account_keys import ApiKeyCommands
from bot.ui import account
from bot.ui.account import Own, own, pressed
from bot.ui.asker import actor_of
from bot.ui.autocomplete import Pairs, fitting, in_time
from bot.ui.text import plain
from core.clock import unix
from core.permissions import FILE_SFTP

Interaction = discord.Interaction[AerieClient]


async def _keys(interaction: Interaction) -> Pairs:
    found = await interaction.client.services.credentials.keys(await own(interaction))
    return [(f"{key.name} · SHA256:{key.fingerprint}", key.fingerprint) for key in found]


async def _offer(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    return fitting(await in_time(_keys(interaction)), typed)


class SshKeyCommands(app_commands.Group):
    """Keys to sign in with"""

    def __init__(self) -> None:
        super().__init__(name="ssh-key", description="SSH keys that you sign in to SFTP with")

    @app_commands.command(description="Add an SSH key to sign in to SFTP with")
    async def add(self, interaction: Interaction) -> None:
        await interaction.response.send_modal(account.key_form())

    @app_commands.command(name="list", description="Your SSH keys")
    async def show_all(self, interaction: Interaction) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        found = await interaction.client.services.credentials.keys(await own(interaction))
        await interaction.edit_original_response(content=account.keys(found))

    @app_commands.command(description="Remove an SSH key; whoever is signed in with it is sent away")
    @app_commands.describe(key="Which key")
    @app_commands.autocomplete(key=_offer)
    async def remove(self, interaction: Interaction, key: str) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        gone = await interaction.client.services.credentials.remove_key(actor_of(interaction), await own(interaction), key)
        await interaction.edit_original_response(
            content=f"The key **{plain(gone.name, 60)}** (`SHA256:{gone.fingerprint}`) is no longer yours."
        )


class AccountCommands(app_commands.Group):
    """Your own account"""

    def __init__(self) -> None:
        super().__init__(name="account", description="Your own account: SFTP, SSH keys, API keys")
        self.add_command(ApiKeyCommands())
        self.add_command(SshKeyCommands())

    @app_commands.command(description="Where and how you sign in to SFTP; makes your password the first time")
    async def sftp(self, interaction: Interaction) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        user = await own(interaction)
        fresh = user.password_hash is None and user.password_version == 0
        if fresh and not await interaction.client.services.access.visible(actor_of(interaction), FILE_SFTP):
            fresh = False  # it would open nothing
        shown = await pressed(interaction, Own.NEW_PASSWORD) if fresh else await account.sftp(interaction, user)
        await interaction.edit_original_response(**shown)

    @app_commands.command(description="What Aerie keeps of you")
    async def info(self, interaction: Interaction) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        user = await own(interaction)
        found = await interaction.client.services.credentials.keys(user)
        made = f"made <t:{unix(user.password_at)}:R>" if user.password_at is not None else "none"
        lines = [
            f"User name: `{user.username}`",
            f"Id: `{user.uuid}`",
            f"Account made: <t:{unix(user.created_at)}:R>",
            f"Password for SFTP: {made}",
            f"SSH keys: {len(found)}",
            *(["You are an administrator of Aerie."] if interaction.client.services.api_keys.is_root(user) else []),
        ]
        await interaction.edit_original_response(content="\n".join(lines))
