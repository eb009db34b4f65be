"""/activity: who did what, page by page, for the asker alone. Decides nothing: services.history says what they may see."""

import discord
from discord import app_commands

from bot.client import AerieClient
from bot.ui.asker import actor_of
from bot.ui.autocomplete import SERVER_TO_AUDIT
from bot.ui.happenings import WORDS
from bot.ui.history import LONGEST_EVENT, Ask, shown
from bot.ui.text import CHOICE, CHOICES, clip
from core.errors import Invalid
from core.permissions import ACTIVITY_READ

Interaction = discord.Interaction[AerieClient]


async def _events(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """Events by their words or their names."""
    wanted = typed.strip().casefold()
    fitting = [(words.did.format(it="a server"), event) for event, words in WORDS.items()]
    found = sorted(choice for choice in fitting if wanted in choice[0].casefold() or wanted in choice[1])
    return [app_commands.Choice(name=clip(name, CHOICE), value=event) for name, event in found[:CHOICES]]


@app_commands.command(name="activity", description="Who did what with game servers, and what came of it; only you see it")
@app_commands.describe(
    server="Of this server; everything you may see if you leave it out", person="Done by this person", event="What was done"
)
@app_commands.autocomplete(event=_events)
async def activity(
    interaction: Interaction,
    server: app_commands.Transform[str, SERVER_TO_AUDIT] | None = None,
    person: discord.User | discord.Member | None = None,
    event: str | None = None,
) -> None:
    await interaction.response.defer(ephemeral=True, thinking=True)
    short = ""
    if server is not None:
        found = await interaction.client.services.access.server(actor_of(interaction), server, ACTIVITY_READ, event="server:activity.read")
        short = found.short
    wanted = (event or "").strip()
    if len(wanted) > LONGEST_EVENT or not all(sign.isalnum() or sign in ":._-" for sign in wanted) or not wanted.isascii():
        raise Invalid("That is not the name of an event.", hint="Choose one of the suggestions.")
    ask = Ask(server=short, person=person.id if person is not None else 0, event=wanted)
    await interaction.edit_original_response(**await shown(interaction, ask))
