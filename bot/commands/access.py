"""/access: who may do what with which server. Grants go to roles or members, one word each (core.permissions.PRESETS)."""

import discord
from discord import app_commands

from bot.client import AerieClient
from bot.ui.asker import actor_of
from bot.ui.autocomplete import SERVER
from bot.ui.text import CONTENT, clip, plain
from core.actor import Actor
from core.models.guild import Grant
from core.permissions import PRESETS, USER_UPDATE
from core.services.build import Services

Interaction = discord.Interaction[AerieClient]

LEVELS = {
    "viewer": "viewer: sees servers and their consoles",
    "operator": "operator: also starts, stops and restarts them",
    "moderator": "moderator: also types at the console",
    "manager": "manager: may do everything with them",
}
CHOICES = [app_commands.Choice(name=LEVELS.get(preset, preset), value=preset) for preset in PRESETS]


class AccessCommands(app_commands.Group):
    """Who may do what"""

    def __init__(self) -> None:
        super().__init__(name="access", description="Who may do what with game servers")

    @app_commands.command(description="Let a role or a member use game servers")
    @app_commands.describe(who="A role or a member", level="What they may do", server="Which server; all of them if you leave it out")
    @app_commands.choices(level=CHOICES)
    async def grant(
        self,
        interaction: Interaction,
        who: discord.Member | discord.Role,
        level: app_commands.Choice[str],
        server: app_commands.Transform[str, SERVER] | None = None,
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        actor, services = actor_of(interaction), interaction.client.services
        named = await _named(services, actor, server)
        await services.guilds.grant(actor, preset=level.value, server_ref=server, **_of(who))
        await interaction.edit_original_response(content=f"{who.mention} is now {level.value} of {named}.")

    @app_commands.command(description="Take back what a role or a member was granted")
    @app_commands.describe(who="A role or a member", server="Which server; the grant for all of them if you leave it out")
    async def revoke(
        self, interaction: Interaction, who: discord.Member | discord.Role, server: app_commands.Transform[str, SERVER] | None = None
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        actor, services = actor_of(interaction), interaction.client.services
        named = await _named(services, actor, server)
        taken = await services.guilds.revoke(actor, server_ref=server, **_of(who))
        words = "is no longer granted anything" if taken else "was granted nothing"
        await interaction.edit_original_response(content=f"{who.mention} {words} on {named}.")

    @app_commands.command(name="list", description="Everything that was granted here")
    async def show_all(self, interaction: Interaction) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        grants = await interaction.client.services.guilds.grants(actor_of(interaction))
        lines = [_line(grant) for grant in grants]
        lines.append("The owner of this community, and who may manage it, may do everything.")
        await interaction.edit_original_response(content=clip("\n".join(lines), CONTENT))


EVERYWHERE = "all servers of this community"


def _of(who: discord.Member | discord.Role) -> dict[str, int]:
    return {"role_id": who.id} if isinstance(who, discord.Role) else {"user_id": who.id}


async def _named(services: Services, actor: Actor, ref: str | None) -> str:
    """The server in words. Raises NotFound and MissingPermission before anything is changed."""
    if ref is None:
        return EVERYWHERE
    server = await services.access.server(actor, ref, USER_UPDATE, event="guild:grant")
    return f"**{plain(server.name, 80)}**"


def _line(grant: Grant) -> str:
    who = f"<@&{grant.role_id}>" if grant.role_id is not None else f"<@{grant.user_id}>"
    where = f"**{plain(grant.server.name, 80)}**" if grant.server is not None else EVERYWHERE
    return f"{who} is {grant.preset} of {where}"
