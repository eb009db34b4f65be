"""A bot that uses what the page must show: options, autocompletion, buttons, selects, forms, private answers, silence."""

import asyncio

import discord
from discord import app_commands, ui

from tests.sandbox.clients import Bot

SERVERS = ("Luanti", "Lobby", "Freeciv")


class Form(ui.Modal, title="Send a command"):
    """A form with a text that is required and a select that is not."""

    command: ui.Label["Form"] = ui.Label(text="Command", component=ui.TextInput(custom_id="command", max_length=40))
    whom: ui.Label["Form"] = ui.Label(text="Tell whom", component=ui.UserSelect(custom_id="whom", required=False, min_values=0))

    async def on_submit(self, interaction: discord.Interaction) -> None:
        assert isinstance(self.command.component, ui.TextInput)
        await interaction.response.send_message(f"Sent {self.command.component.value} to the console")


class Card(ui.LayoutView):
    """A card with parts of version 2."""

    def __init__(self, presses: int = 0) -> None:
        super().__init__(timeout=None)
        box: ui.Container[Card] = ui.Container(accent_colour=0x35A86C)
        refresh: ui.Button[Card] = ui.Button(label="Refresh", custom_id="refresh")
        box.add_item(ui.Section(ui.TextDisplay("## Luanti"), ui.TextDisplay(f"pressed {presses} times"), accessory=refresh))
        box.add_item(ui.Separator())
        silent: ui.Button[Card] = ui.Button(label="Silent", style=discord.ButtonStyle.danger, custom_id="silent")
        box.add_item(ui.ActionRow(silent))
        choose: ui.Select[Card] = ui.Select(
            custom_id="choose", placeholder="Another server", options=[discord.SelectOption(label=name) for name in SERVERS]
        )
        box.add_item(ui.ActionRow(choose))
        self.add_item(box)


def set_up(bot: Bot) -> None:
    """Adds the commands and answers the card's components."""
    presses = 0
    server = app_commands.Group(name="server", description="Game servers")

    @server.command(description="Restart a game server")
    @app_commands.describe(name="Which server")
    async def restart(interaction: discord.Interaction, name: str, quickly: bool = False) -> None:
        await interaction.response.defer(thinking=True)
        await asyncio.sleep(0.3)
        await interaction.edit_original_response(content=f"{name} is running again ({quickly})")

    @restart.autocomplete("name")
    async def _names(_interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        return [app_commands.Choice(name=f"{one} · offline", value=one.lower()) for one in SERVERS if current.lower() in one.lower()]

    @bot.tree.command(description="Only for your eyes")
    async def secret(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("This is between us", ephemeral=True)

    @bot.tree.command(description="Opens a form")
    async def form(interaction: discord.Interaction) -> None:
        await interaction.response.send_modal(Form())

    bot.tree.add_command(server)

    async def on_interaction(interaction: discord.Interaction) -> None:
        nonlocal presses
        if interaction.type is not discord.InteractionType.component or interaction.data is None:
            return
        name = interaction.data.get("custom_id")
        if name == "refresh":
            presses += 1
            await interaction.response.edit_message(view=Card(presses))
        elif name == "choose":
            await interaction.response.send_message(f"Chose {interaction.data.get('values')}", ephemeral=True)

    bot.event(on_interaction)
