"""/egg: the recipes of games. Parses, calls, shows; who may change them, services decide."""

import io

import discord
from discord import app_commands

from bot.client import AerieClient
from bot.ui.asker import actor_of
from bot.ui.choosing import EGG
from bot.ui.text import CONTENT, clip, code, plain
from core.errors import Invalid
from core.permissions import ALL
from core.protocol.egg import MOST_BYTES
from core.protocol.egg_export import FORMATS

Interaction = discord.Interaction[AerieClient]

KINDS = [app_commands.Choice(name={"PTDL_v2": "Pterodactyl", "PLCN_v3": "Pelican"}[kind], value=kind) for kind in FORMATS]


class EggCommands(app_commands.Group):
    """Recipes of games"""

    def __init__(self) -> None:
        super().__init__(name="egg", description="Eggs: the recipes of games")

    @app_commands.command(name="import", description="Take an egg file of Pterodactyl or Pelican; a known egg is brought up to date")
    @app_commands.describe(file="The egg, JSON or YAML, up to 1 MB", replace="Bring this egg up to date, whatever the file is called")
    async def take(
        self, interaction: Interaction, file: discord.Attachment, replace: app_commands.Transform[str, EGG] | None = None
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        services, actor = interaction.client.services, actor_of(interaction)
        await services.access.require_builder(actor, event="egg:import")
        if file.size > MOST_BYTES:
            raise Invalid("This file is larger than 1 MB.", hint="Eggs are a few kilobytes; is it the right file?")
        made = await services.eggs.take(actor, await file.read(), replace=replace)
        egg = made.egg
        words = [f"🥚 **{plain(egg.name, 80)}** was {'imported' if made.created else 'brought up to date'}: {_size(len(egg.variables))}."]
        if made.servers:
            words.append(f"{made.servers} server{' uses' if made.servers == 1 else 's use'} it; what changed counts from their next start.")
        words += [f"-# {plain(note, 200)}" for note in made.notes[:8]]
        words.append("`/server create` makes a server of it.")
        await interaction.edit_original_response(content=clip("\n".join(words), CONTENT))

    @app_commands.command(name="list", description="Every egg there is")
    async def show_all(self, interaction: Interaction) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        services = interaction.client.services
        await services.access.require_in_guild(actor_of(interaction), ALL, event="egg:list")
        eggs = await services.eggs.all()
        lines = [f"**{plain(egg.name, 60)}** · {_size(len(egg.variables))}" for egg in eggs[:40]]
        if len(eggs) > 40:
            lines.append(f"-# and {len(eggs) - 40} more; `/egg info` finds them by name")
        await interaction.edit_original_response(
            content=clip("\n".join(lines), CONTENT) or "There are no eggs yet. `/egg import` takes one."
        )

    @app_commands.command(description="What an egg holds")
    @app_commands.describe(egg="Which egg", export="Also hand it out as a file")
    @app_commands.choices(export=KINDS)
    async def info(
        self, interaction: Interaction, egg: app_commands.Transform[str, EGG], export: app_commands.Choice[str] | None = None
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        services = interaction.client.services
        await services.access.require_in_guild(actor_of(interaction), ALL, event="egg:info")
        found = await services.eggs.find(egg)
        used = await services.eggs.used_by(found)
        lines = [
            f"### 🥚 {plain(found.name, 80)}",
            plain(found.description, 400),
            f"**From** {plain(found.author, 80) or 'nobody'} · {found.version} · used by {used} server{'' if used == 1 else 's'}",
            "**Images** " + ", ".join(code(image, 80) for image in list(found.docker_images.values())[:6]),
            f"**Start** {code(found.startup, 300)}",
            f"**Stop** {code(found.stop, 60)}" if found.stop else "**Stop** the image's own signal",
            "**Install script** yes" if found.script.strip() else "**Install script** none",
        ]
        lines += [f"- {plain(variable.name, 50)} ({code(variable.env_variable, 60)})" for variable in found.variables[:20]]
        files = []
        if export is not None:
            _, body, lost = await services.eggs.export(found.id, export.value)
            lines += [f"-# {plain(words, 200)}" for words in lost[:5]]
            files = [discord.File(io.BytesIO(body), f"egg-{found.id}.json")]
        await interaction.edit_original_response(content=clip("\n".join(line for line in lines if line), CONTENT), attachments=files)

    @app_commands.command(description="Forget an egg that no server uses")
    @app_commands.describe(egg="Which egg")
    async def delete(self, interaction: Interaction, egg: app_commands.Transform[str, EGG]) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        gone = await interaction.client.services.eggs.delete(actor_of(interaction), egg)
        await interaction.edit_original_response(content=f"The egg **{plain(gone.name, 80)}** is deleted.")


def _size(variables: int) -> str:
    return f"{variables} variable{'' if variables == 1 else 's'}"
