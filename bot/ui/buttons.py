"""Buttons that outlive the bot: what one does and for which server stands in its custom_id, so a restart forgets nothing.

The id is looked up and the presser's rights are checked at every press; ids are never trusted. What a press does is in `presses.py`'s
table, which bot/app.py hands over; discord.py swallows failures of such buttons, so every one of them is caught and told here.
"""

import re
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, ClassVar, Self

import discord

from bot.client import AerieClient
from bot.ui import errors

VERSION = "ae1"


class Act(StrEnum):
    """What a button does; part of custom_ids already posted, so never rename one."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    KILL = "kill"
    CONFIRM_KILL = "kill2"
    CANCEL = "cancel"
    CONSOLE = "console"
    COMMAND = "command"
    ASK = "ask"


_LOOKS = {
    Act.START: ("Start", discord.ButtonStyle.success),
    Act.STOP: ("Stop", discord.ButtonStyle.secondary),
    Act.RESTART: ("Restart", discord.ButtonStyle.secondary),
    Act.KILL: ("Kill", discord.ButtonStyle.danger),
    Act.CONFIRM_KILL: ("Kill", discord.ButtonStyle.danger),
    Act.CANCEL: ("Cancel", discord.ButtonStyle.secondary),
    Act.CONSOLE: ("Console", discord.ButtonStyle.secondary),
    Act.COMMAND: ("Send command", discord.ButtonStyle.primary),
    Act.ASK: ("Ask for a restart", discord.ButtonStyle.secondary),
}

Interaction = discord.Interaction[AerieClient]
Press = Callable[[Interaction, str], Awaitable[None]]


class ServerButton(discord.ui.DynamicItem[discord.ui.Button[Any]], template=rf"{VERSION}:(?P<act>\w+):(?P<sid>[0-9a-z]{{8}})"):
    """One act for one server, named by the first eight characters of its uuid."""

    presses: ClassVar[dict[Act, Press]] = {}

    def __init__(self, act: Act, sid: str, *, disabled: bool = False, label: str = "") -> None:
        words, style = _LOOKS[act]
        super().__init__(discord.ui.Button(label=label or words, style=style, disabled=disabled, custom_id=f"{VERSION}:{act.value}:{sid}"))
        self.act = act
        self.sid = sid

    @classmethod
    async def from_custom_id(cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /) -> Self:
        act = Act(match["act"]) if match["act"] in list(Act) else Act.CANCEL
        made = cls(act, match["sid"])
        made.known = act.value == match["act"]
        return made

    known = True

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        try:
            if not self.known:
                await errors.say(interaction, errors.OLD_PANEL)
                return
            await self.presses[self.act](interaction, self.sid)
        except Exception as error:  # noqa: BLE001 — discord.py would swallow it and the person would see "interaction failed"
            await errors.tell(interaction, error)


async def turn(interaction: Interaction, page: Callable[[], Awaitable[dict[str, Any]]]) -> None:
    """Put another page in a message's place; `page` gives its fields. Failures are told, as everywhere here."""
    try:
        await interaction.response.defer()
        await interaction.edit_original_response(**await page())
    except Exception as error:  # noqa: BLE001 — discord.py would swallow it and the person would see "interaction failed"
        await errors.tell(interaction, error)


class OldButton(discord.ui.DynamicItem[discord.ui.Button[Any]], template=r"ae(?!1:)\w{0,8}:.{0,90}"):
    """Buttons of other versions, answered politely."""

    @classmethod
    async def from_custom_id(cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /) -> Self:
        return cls(discord.ui.Button(label="…", custom_id=match.string))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        await errors.say(interaction, errors.OLD_PANEL)
