"""discord.py answers interactions against the sandbox, and people see what they would see at Discord."""

import discord
from discord import app_commands

from sandbox.app import Sandbox
from sandbox.person import Person


async def test_a_command_is_answered_in_its_channel(box: Sandbox, start_bot, ada: Person, kim: Person) -> None:
    def set_up(bot):
        @bot.tree.command(description="Says hello")
        @app_commands.describe(name="whom to greet")
        async def hello(interaction: discord.Interaction, name: str) -> None:
            await interaction.response.send_message(f"Hello {name}!")

    async with start_bot(set_up):
        asked = await ada.run("hello", channel="general", name="Kim")
        answer = await ada.answer(asked)
        assert answer["content"] == "Hello Kim!"
        assert answer["interaction_metadata"]["name"] == "hello"
        seen = await kim.wait_for(lambda message: message["content"] == "Hello Kim!")
        assert seen["id"] == answer["id"]


async def test_a_deferred_answer_is_thinking_until_it_is_edited(box: Sandbox, start_bot, ada: Person) -> None:
    def set_up(bot):
        @bot.tree.command(description="Takes a while")
        async def slow(interaction: discord.Interaction) -> None:
            await interaction.response.defer(ephemeral=True)
            await interaction.edit_original_response(content="done")

    async with start_bot(set_up):
        asked = await ada.run("slow")
        answer = await ada.answer(asked)
        assert answer["content"] == "done"
        assert answer["ephemeral_for"] == ada.me["id"]
        assert any(frame["type"] == "message_create" and frame["message"]["thinking"] for frame in ada.frames)
