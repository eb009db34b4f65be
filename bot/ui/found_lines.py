"""A page of old console lines for one reader, with buttons to the next. What a page shows is in the buttons' custom_ids, so a restart
forgets nothing; whether the presser may read it is asked anew at every press.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

import discord

from bot.client import AerieClient
from bot.ui import ansi
from bot.ui.asker import actor_of
from bot.ui.buttons import VERSION, turn
from bot.ui.text import CONTENT, clip, code, fence, plain
from core.protocol.history import HistoryLine
from core.services.console import MOST_SOUGHT, Finding

Interaction = discord.Interaction[AerieClient]

PER_PAGE = 12
CUSTOM_ID = 100
"""Characters of a button's id (Discord)."""
LONGEST = 120
"""Characters of a line: a page of the longest lines still fits into a message, so that none is passed over."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Which page. `server` is a short id, `since` milliseconds since 1970 or 0, `cursor` from the page before."""

    server: str
    since: int = 0
    cursor: str = ""
    text: str = ""

    @property
    def custom_id(self) -> str:
        return f"{VERSION}:old:{self.server}:{self.since}:{self.cursor}:{self.text}"


class LinesButton(
    discord.ui.DynamicItem[discord.ui.Button[Any]],
    template=rf"{VERSION}:old:(?P<server>[0-9a-z]{{1,8}}):(?P<since>\d{{1,13}}):(?P<cursor>[\d.]{{0,30}}):(?P<text>.{{0,{MOST_SOUGHT}}})",
):
    """Turns the page."""

    def __init__(self, ask: Ask, label: str, *, disabled: bool = False) -> None:
        super().__init__(discord.ui.Button(label=label, custom_id=ask.custom_id, disabled=disabled))
        self.ask = ask

    @classmethod
    async def from_custom_id(cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /) -> Self:
        return cls(Ask(match["server"], int(match["since"]), match["cursor"], match["text"]), "…")

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        await turn(interaction, lambda: shown(interaction, self.ask))


async def shown(interaction: Interaction, ask: Ask) -> dict[str, Any]:
    """The page as fields of a message. Raises AerieError when the asker may not see it."""
    since = datetime.fromtimestamp(ask.since / 1000, UTC) if ask.since else None
    found = await interaction.client.services.console.search(
        actor_of(interaction), ask.server, ask.text, since=since, cursor=ask.cursor, lines=PER_PAGE
    )
    ask = replace(ask, server=found.server.short)
    view = discord.ui.View(timeout=None)
    older, newest = replace(ask, cursor=found.page.cursor or "0"), replace(ask, cursor="")
    if len(older.custom_id.encode("utf-16-le")) <= 2 * CUSTOM_ID:  # many signs outside the usual planes leave no room for a button
        view.add_item(LinesButton(older, "Older lines", disabled=found.page.cursor is None))
        view.add_item(LinesButton(newest, "Newest lines"))
    return {"content": page_of(found, ask), "view": view, "allowed_mentions": discord.AllowedMentions.none()}


def page_of(found: Finding, ask: Ask) -> str:
    """Header and block, within one message; the oldest line first, as one reads a console."""
    sought = f" with {code(ask.text, MOST_SOUGHT)}" if ask.text else ""
    lines = found.page.lines[::-1]
    name = f"**{plain(found.server.name, 60)}**"
    if not lines:
        more = ""
        if found.page.partial:
            more = " so far; there was too much to look through at once: `Older lines` goes on."
        return f"{name} · no {'more ' if ask.cursor else ''}lines{sought}{more or '.'}"
    first, last = lines[0].time // 1000, lines[-1].time // 1000
    span = f"<t:{first}:f>" if first // 60 == last // 60 else f"<t:{first}:f> – <t:{last}:t>"
    if first // 86400 != last // 86400:
        span = f"<t:{first}:f> – <t:{last}:f>"
    head = f"{name} · {len(lines)} {'line' if len(lines) == 1 else 'lines'}{sought} · {span} (times below in UTC)"
    tail = "\n-# There was too much to look through at once; `Older lines` goes on." if found.page.partial else ""
    return head + "\n" + fence([_shown(line) for line in lines], CONTENT - len(head) - len(tail) - 1) + tail


def _shown(line: HistoryLine) -> str:
    moment = datetime.fromtimestamp(line.time / 1000, UTC)
    return clip(f"{moment:%H:%M:%S} {ansi.clean(line.text, colours=False)}", LONGEST)
