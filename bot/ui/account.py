"""A person's own account as only they see it: how to sign in to SFTP, the password shown once, their keys; and its buttons and form.

Buttons carry no secret and no name: they act for whoever presses them.
"""

import re
from enum import StrEnum
from typing import Any, Self

import discord

from bot.client import AerieClient
from bot.ui import errors
from bot.ui.asker import actor_of
from bot.ui.buttons import VERSION
from bot.ui.text import CONTENT, clip, plain
from core.clock import unix
from core.models.server import Server
from core.models.user import SshKey, User
from core.permissions import FILE_SFTP
from core.services.build import Services

Interaction = discord.Interaction[AerieClient]

KEY_FORM = f"{VERSION}:ssh-key"
SERVERS_SHOWN = 15


class Own(StrEnum):
    """What a button does to one's own account; part of custom_ids already posted, so never rename one."""

    NEW_PASSWORD = "sftp-new"  # noqa: S105
    REVOKE_PASSWORD = "sftp-revoke"  # noqa: S105


class AccountButton(discord.ui.DynamicItem[discord.ui.Button[Any]], template=rf"{VERSION}:own:(?P<act>sftp-new|sftp-revoke)"):
    """One act on the presser's own account."""

    def __init__(self, act: Own, *, disabled: bool = False) -> None:
        label = "New password" if act is Own.NEW_PASSWORD else "Revoke"
        style = discord.ButtonStyle.primary if act is Own.NEW_PASSWORD else discord.ButtonStyle.danger
        super().__init__(discord.ui.Button(label=label, style=style, disabled=disabled, custom_id=f"{VERSION}:own:{act.value}"))
        self.act = act

    @classmethod
    async def from_custom_id(cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /) -> Self:
        return cls(Own(match["act"]))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        try:
            await interaction.response.defer()
            await interaction.edit_original_response(**await pressed(interaction, self.act))
        except Exception as error:  # noqa: BLE001 — discord.py would swallow it and the person would see "interaction failed"
            await errors.tell(interaction, error)


async def own(interaction: Interaction) -> User:
    """The asker's account, made at their first use of it."""
    return await interaction.client.services.users.of(actor_of(interaction), interaction.user.name)


async def pressed(interaction: Interaction, act: Own) -> dict[str, Any]:
    """Make or revoke the password, and the message as it is then."""
    services, actor = interaction.client.services, actor_of(interaction)
    user = await own(interaction)
    if act is Own.NEW_PASSWORD:
        user, password = await services.credentials.new_password(actor, user)
        return await sftp(interaction, user, password)
    return await sftp(interaction, await services.credentials.revoke_password(actor, user))


async def sftp(interaction: Interaction, user: User, password: str = "") -> dict[str, Any]:
    """How to sign in, as fields of a message only its owner sees; `password` when it was made just now."""
    services = interaction.client.services
    servers = await services.access.visible(actor_of(interaction), FILE_SFTP)
    lines = ["**SFTP** for your game servers' files", *_servers(services, user, servers), _password(user, password)]
    lines.append("-# SSH keys work too: `/account ssh-key add`.")
    view = discord.ui.View(timeout=None)
    view.add_item(AccountButton(Own.NEW_PASSWORD))
    view.add_item(AccountButton(Own.REVOKE_PASSWORD, disabled=user.password_hash is None))
    return {"content": clip("\n".join(lines), CONTENT), "view": view}


def _servers(services: Services, user: User, servers: list[Server]) -> list[str]:
    if not servers:
        return ["You may not use SFTP on any server here: it needs the permission `file.sftp`, which managers have (`/access grant`)."]
    lines = []
    for server in servers[:SERVERS_SHOWN]:
        host, port = services.nodes.sftp(server.node)
        lines.append(f"**{plain(server.name, 50)}**: host `{host}`, port `{port}`, user name `{user.username}.{server.short}`")
    if len(servers) > SERVERS_SHOWN:
        lines.append(f"… and {len(servers) - SERVERS_SHOWN} more; the user name is `{user.username}.` and a server's short id.")
    return lines


def _password(user: User, password: str) -> str:
    if password:
        return f"Password: ||`{password}`||\nIt is shown this once and works until you make a new one or revoke it."
    if user.password_hash is None or user.password_at is None:
        return "You have no password now: nobody signs in with one."
    return f"Your password was made <t:{unix(user.password_at)}:R> and cannot be shown again. A new one ends the old one and its sessions."


def keys(found: list[SshKey]) -> str:
    """A person's SSH keys."""
    if not found:
        return "You have no SSH keys. `/account ssh-key add` takes one."
    lines = [
        f"**{plain(key.name, 60)}** · {key.public_key.partition(' ')[0]} · `SHA256:{key.fingerprint}` · <t:{unix(key.created_at)}:R>"
        for key in found
    ]
    return clip("\n".join(lines), CONTENT)


def key_form() -> discord.ui.Modal:
    """Where a key is pasted."""
    form = discord.ui.Modal(title="Add an SSH key", custom_id=KEY_FORM, timeout=600)
    name: discord.ui.TextInput[Any] = discord.ui.TextInput(custom_id="name", max_length=100, required=False)
    key: discord.ui.TextInput[Any] = discord.ui.TextInput(custom_id="key", max_length=4000, style=discord.TextStyle.paragraph)
    form.add_item(
        discord.ui.Label(text="Name", description="How you tell it from your others; its comment if you leave it out", component=name)
    )
    form.add_item(discord.ui.Label(text="Public key", description="The line in the file that ends in .pub", component=key))
    return form


async def key_sent(interaction: Interaction, _: str, fields: dict[str, str]) -> None:
    """The form came back."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    services, actor = interaction.client.services, actor_of(interaction)
    user = await own(interaction)
    row = await services.credentials.add_key(actor, user, fields.get("key", ""), fields.get("name", ""))
    await interaction.edit_original_response(
        content=f"The key **{plain(row.name, 60)}** is yours now: `SHA256:{row.fingerprint}`. `/account sftp` shows where it works."
    )
