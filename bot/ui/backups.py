"""Backups as people see them: the list, the question before a restore, and how a backup or restore goes on.

A restore's button carries server and backup in its id, so it outlives the bot; rights are checked again when it is pressed.
"""

import asyncio
import logging
import re
from contextlib import AsyncExitStack
from typing import Any, Self

import discord
from discord import app_commands

from bot.client import AerieClient
from bot.ui import errors
from bot.ui.asker import actor_of
from bot.ui.autocomplete import fitting, in_time
from bot.ui.buttons import VERSION, Act, ServerButton
from bot.ui.text import CONTENT, clip, plain, size
from core.clock import unix
from core.events import Event, ServerBackupEnded, ServerRestoreEnded
from core.fanout import Listener
from core.models.backup import Backup
from core.models.server import Server

log = logging.getLogger(__name__)

Interaction = discord.Interaction[AerieClient]

WATCHED_SECONDS = 14 * 60.0
"""An interaction's answer can be edited for fifteen minutes."""
MOST_SHOWN = 15
OVER, INSTEAD = "k", "r"
"""Ways of a restore in its button's id: newer files kept, or everything replaced."""


def named(backup: Backup) -> str:
    """How one is called in an option or a line: name, size, state."""
    if backup.pending:
        return f"{backup.name} · being made"
    if not backup.successful:
        return f"{backup.name} · failed"
    return f"{backup.name} · {size(backup.bytes)}{' · locked' if backup.locked else ''}"


def listed(server: Server, rows: list[Backup]) -> str:
    """The newest first, as one message."""
    if not rows:
        return f"**{plain(server.name, 80)}** has no backups yet. `/backup create` makes one."
    kept = sum(row.successful or row.pending for row in rows)
    lines = [f"**Backups of {plain(server.name, 80)}** · {kept} of {server.backup_limit}"]
    for row in rows[:MOST_SHOWN]:
        sign = "⏳" if row.pending else "✅" if row.successful else "❌"
        what = "being made" if row.pending else size(row.bytes) if row.successful else "failed"
        lock = " 🔒" if row.locked else ""
        lines.append(f"{sign} **{plain(row.name, 60)}**{lock} · {what} · <t:{unix(row.created_at)}:R> · {plain(row.made_by, 32)}")
    if len(rows) > MOST_SHOWN:
        lines.append(f"… and {len(rows) - MOST_SHOWN} older ones")
    return clip("\n".join(lines), CONTENT)


async def offered(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """Backups of the server that was chosen before; the value is the backup's id."""

    async def found() -> list[tuple[str, str]]:
        ref = getattr(interaction.namespace, "server", None)
        if not ref:
            return []
        _, rows = await interaction.client.services.backups.of(actor_of(interaction), str(ref))
        return [(named(row), row.uuid) for row in rows]

    return fitting(await in_time(found()), typed)


class RestoreButton(
    discord.ui.DynamicItem[discord.ui.Button[Any]],
    template=rf"{VERSION}:bk(?P<way>[{OVER}{INSTEAD}]):(?P<sid>[0-9a-z]{{8}}):(?P<backup>[0-9a-f]{{32}})",
):
    """Restore one backup, as was asked."""

    def __init__(self, way: str, sid: str, backup: str) -> None:
        made: discord.ui.Button[Any] = discord.ui.Button(
            label="Restore", style=discord.ButtonStyle.danger, custom_id=f"{VERSION}:bk{way}:{sid}:{backup.replace('-', '')}"
        )
        super().__init__(made)
        self.way = way
        self.sid = sid
        self.backup = backup

    @classmethod
    async def from_custom_id(cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /) -> Self:
        raw = match["backup"]
        return cls(match["way"], match["sid"], "-".join((raw[:8], raw[8:12], raw[12:16], raw[16:20], raw[20:])))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        try:
            await restore(interaction, self.sid, self.backup, truncate=self.way == INSTEAD)
        except Exception as error:  # noqa: BLE001 — discord.py would swallow it and the person would see "interaction failed"
            await errors.tell(interaction, error)


def question(server: Server, backup: Backup, *, truncate: bool) -> tuple[str, discord.ui.View]:
    """What a restore will do, and the button that does it."""
    view = discord.ui.View(timeout=None)
    view.add_item(RestoreButton(INSTEAD if truncate else OVER, server.short, backup.uuid))
    view.add_item(ServerButton(Act.CANCEL, server.short))
    files = (
        "All its present files are **replaced** by the backup's."
        if truncate
        else "The backup's files go **over** the present ones; files it does not hold stay."
    )
    words = (
        f"Restore **{plain(backup.name, 80)}** of **{plain(server.name, 80)}** (made <t:{unix(backup.created_at)}:R>)?\n"
        f"The server is stopped first. {files} An Aerie node keeps a safety copy of what is there now."
    )
    return words, view


async def make(interaction: Interaction, ref: str, name: str, ignored: str) -> None:
    """Begin a backup and tell its end in the same answer. Raises AerieError before anything was answered."""
    client = interaction.client
    actor = actor_of(interaction)
    server = await client.services.access.server(actor, ref, "backup.create", event="server:backup.start")
    async with AsyncExitStack() as stack:
        events = await stack.enter_async_context(client.services.live.watching(server.uuid))
        row = await client.services.backups.create(actor, server.uuid, name=name, ignored=ignored)
        shown = plain(server.name, 80)
        await interaction.edit_original_response(content=f"⏳ Backing up **{shown}** …")
        ends = {
            True: f"✅ **{shown}** is backed up as **{plain(row.name, 80)}**.",
            False: f"❌ The backup of **{shown}** failed. The server's console says why.",
        }
        client.tasks.spawn(f"story of backup {row.uuid[:8]}", _tell(stack.pop_all(), interaction, events, row.uuid, ends))


async def restore(interaction: Interaction, sid: str, backup: str, *, truncate: bool) -> None:
    """Begin a restore on a pressed question and tell its end in the question's place."""
    await interaction.response.defer()
    client, actor = interaction.client, actor_of(interaction)
    server = await client.services.access.server(actor, sid, "backup.restore", event="server:backup.restore")
    async with AsyncExitStack() as stack:
        events = await stack.enter_async_context(client.services.live.watching(server.uuid))
        row = await client.services.backups.restore(actor, server.uuid, backup, truncate=truncate)
        shown, called = plain(server.name, 80), plain(row.name, 80)
        await interaction.edit_original_response(content=f"⏳ Restoring **{called}** to **{shown}** …", view=None)
        ends = {
            True: f"✅ **{shown}** is as it was in **{called}**. Start it when you like.",
            False: f"❌ **{called}** could not be restored; **{shown}** has the files it had. Its console says why.",
        }
        client.tasks.spawn(f"story of restore {row.uuid[:8]}", _tell(stack.pop_all(), interaction, events, row.uuid, ends))


async def _tell(
    stack: AsyncExitStack, interaction: Interaction, events: Listener[Event], backup: str, ends: dict[bool, str]
) -> None:
    """Edit the answer once the backup or restore has ended, or say that it takes long."""
    async with stack:
        words = "It takes longer than Discord lets me tell here; `/backup list` shows how it ends."
        try:
            async with asyncio.timeout(WATCHED_SECONDS):
                async for event in events:
                    if isinstance(event, ServerBackupEnded | ServerRestoreEnded) and event.backup_uuid == backup:
                        words = ends[event.successful]
                        if isinstance(event, ServerBackupEnded) and event.successful:
                            words += f" {size(event.bytes)}."
                        break
        except TimeoutError:
            pass
        try:
            await interaction.edit_original_response(content=words)
        except (discord.HTTPException, discord.RateLimited) as error:
            log.info("the end of a backup could not be told: %s", error)
