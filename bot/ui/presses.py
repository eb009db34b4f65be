"""What each persistent button and form does: look the server up, call one service, show what came of it.

Everything a press needs is in its custom_id; nothing is remembered between presses.
"""

from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import discord

from bot.ui import errors, making
from bot.ui.account import KEY_FORM, key_sent
from bot.ui.asker import actor_of
from bot.ui.buttons import VERSION, Act, Interaction, Press, ServerButton
from bot.ui.cards import kill_question
from bot.ui.console import snapshot
from bot.ui.power import act
from bot.ui.requests import ask
from bot.ui.text import clip, code, plain
from core import permissions
from core.errors import Conflict
from core.permissions import CONNECT, CONTROL_CONSOLE, CONTROL_RESTART, CONTROL_STOP
from core.vocabulary import PowerSignal

CONFIRM_WITHIN = timedelta(seconds=60)
SNAPSHOT_LINES = 20
LONGEST_LINE = 512
FORM = f"{VERSION}:line:"

Form = Callable[[Interaction, str, dict[str, str]], Awaitable[None]]


def _signal(signal: PowerSignal) -> Press:
    async def press(interaction: Interaction, sid: str) -> None:
        await act(interaction, sid, signal, private=True)

    return press


async def ask_to_kill(interaction: Interaction, ref: str) -> None:
    """Ask the asker alone whether to kill. Raises AerieError when they may not."""
    server = await interaction.client.services.access.server(actor_of(interaction), ref, CONTROL_STOP, event="server:power.kill")
    await interaction.response.send_message(
        f"Kill **{plain(server.name, 80)}**? It ends at once, without saving. The question stands for 60 s.",
        view=kill_question(server),
        ephemeral=True,
    )


async def _kill(interaction: Interaction, sid: str) -> None:
    asked = interaction.message
    if asked is None or interaction.client.clock.now() - asked.created_at > CONFIRM_WITHIN:
        await interaction.response.edit_message(content="That question is too old. Ask again with `/server kill`.", view=None)
        return
    await act(interaction, sid, PowerSignal.KILL, confirmed=True)


async def _cancel(interaction: Interaction, sid: str) -> None:
    await interaction.response.edit_message(content="Nothing was done.", view=None)


async def _console(interaction: Interaction, sid: str) -> None:
    """The last lines, for the asker alone, with a way to type."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    services, actor = interaction.client.services, actor_of(interaction)
    lines = await services.console.tail(actor, sid, SNAPSHOT_LINES)
    view = discord.ui.View(timeout=None)
    view.add_item(ServerButton(Act.COMMAND, sid))
    await interaction.edit_original_response(content=snapshot(lines), view=view)


async def _command(interaction: Interaction, sid: str) -> None:
    server = await interaction.client.services.access.server(actor_of(interaction), sid, CONTROL_CONSOLE)
    form = discord.ui.Modal(title=clip(f"Console of {server.name}", 45), custom_id=FORM + sid, timeout=600)
    field: discord.ui.TextInput[Any] = discord.ui.TextInput(custom_id="line", max_length=LONGEST_LINE, required=True)
    form.add_item(discord.ui.Label(text="Command", description="One line, as you would type it at the console", component=field))
    await interaction.response.send_modal(form)


async def _ask(interaction: Interaction, sid: str) -> None:
    """For members who may not restart it themselves."""
    services, actor = interaction.client.services, actor_of(interaction)
    server = await services.access.server(actor, sid, CONNECT, event="server:request.ask")
    if permissions.allows(await services.access.permissions(actor, server), CONTROL_RESTART):
        raise Conflict(f"You may restart {server.name} yourself.", hint="Press Restart, or ask everybody with `/request restart`.")
    await ask(interaction, sid)


PRESSES: dict[Act, Press] = {
    Act.START: _signal(PowerSignal.START),
    Act.STOP: _signal(PowerSignal.STOP),
    Act.RESTART: _signal(PowerSignal.RESTART),
    Act.KILL: ask_to_kill,
    Act.CONFIRM_KILL: _kill,
    Act.CANCEL: _cancel,
    Act.CONSOLE: _console,
    Act.COMMAND: _command,
    Act.ASK: _ask,
}


async def _typed(interaction: Interaction, sid: str, fields: dict[str, str]) -> None:
    await interaction.response.defer(ephemeral=True, thinking=True)
    line = fields.get("line", "")
    await interaction.client.services.console.send(actor_of(interaction), sid, line)
    await interaction.edit_original_response(content=f"Sent {code(f'> {line}', 300)}")


FORMS: dict[str, Form] = {
    FORM: _typed,
    KEY_FORM: key_sent,
    making.FORM: making.filled,
    making.DELETE_FORM: making.deletion,
}
"""What a form does, by how its custom_id begins; it is given the rest of the custom_id and what was filled in."""


async def submitted(interaction: Interaction) -> None:
    """A form was sent, perhaps one opened before the bot was restarted."""
    data: dict[str, Any] = dict(interaction.data or {})
    custom_id = str(data.get("custom_id", ""))
    try:
        for start, form in FORMS.items():
            if custom_id.startswith(start):
                await form(interaction, custom_id.removeprefix(start), dict(_fields(data.get("components", []))))
                return
        await errors.say(interaction, errors.OLD_FORM)
    except Exception as error:  # noqa: BLE001 — on_interaction's failures reach nobody
        await errors.tell(interaction, error)


def _fields(components: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for item in components:
        inner = [item["component"]] if "component" in item else item.get("components", [])
        if inner:
            yield from _fields(inner)
        elif "value" in item:
            yield str(item.get("custom_id", "")), str(item["value"])
        elif item.get("values"):
            yield str(item.get("custom_id", "")), str(item["values"][0])
