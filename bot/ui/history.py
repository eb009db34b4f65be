"""One page of the activity log with buttons to the next. What a page shows is in the buttons' custom_ids, so a restart forgets nothing;
what the presser may see is asked anew at every press.
"""

import re
from dataclasses import dataclass, replace
from typing import Any, Self

import discord

from bot.client import AerieClient
from bot.ui.asker import actor_of
from bot.ui.buttons import VERSION, turn
from bot.ui.happenings import sentence_of
from core.services.activity import ActivityPage

Interaction = discord.Interaction[AerieClient]

PER_PAGE = 10
LONGEST_EVENT = 40
NOTHING = (
    "There is nothing here that you may see. Everybody sees what they did themselves, and what is done to servers they may look after."
)


@dataclass(frozen=True, slots=True)
class Ask:
    """Which page: `way` is `n` the newest, `o` older than the row `edge`, `y` younger than it. `server` is a short id."""

    way: str = "n"
    edge: int = 0
    server: str = ""
    person: int = 0
    event: str = ""

    @property
    def custom_id(self) -> str:
        return f"{VERSION}:log:{self.way}{self.edge}:{self.server}:{self.person}:{self.event}"


class PageButton(
    discord.ui.DynamicItem[discord.ui.Button[Any]],
    template=rf"{VERSION}:log:(?P<way>[noy])(?P<edge>\d{{1,12}}):(?P<server>[0-9a-z]{{0,8}}):(?P<person>\d{{1,20}}):(?P<event>[\w:.\-]{{0,40}})",
):
    """Turns the page."""

    def __init__(self, ask: Ask, label: str, *, disabled: bool = False) -> None:
        super().__init__(discord.ui.Button(label=label, custom_id=ask.custom_id, disabled=disabled))
        self.ask = ask

    @classmethod
    async def from_custom_id(cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /) -> Self:
        return cls(Ask(match["way"], int(match["edge"]), match["server"], int(match["person"]), match["event"]), "…")

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        await turn(interaction, lambda: shown(interaction, self.ask))


async def shown(interaction: Interaction, ask: Ask) -> dict[str, Any]:
    """The page as fields of a message. Raises AerieError when the asker may not see it."""
    page = await interaction.client.services.history.page(
        actor_of(interaction),
        server=ask.server or None,
        person=ask.person or None,
        event=ask.event,
        before=ask.edge if ask.way == "o" else None,
        after=ask.edge if ask.way == "y" else None,
        most=PER_PAGE,
    )
    if not page.rows and ask.way == "y":
        return await shown(interaction, replace(ask, way="n", edge=0))
    text = "\n".join(sentence_of(row, page.names) for row in page.rows) or NOTHING
    return {"embed": discord.Embed(title="Activity", description=text), "view": _buttons(ask, page)}


def _buttons(ask: Ask, page: ActivityPage) -> discord.ui.View:
    view = discord.ui.View(timeout=None)
    newest, oldest = (page.rows[0].id, page.rows[-1].id) if page.rows else (0, 0)
    view.add_item(PageButton(replace(ask, way="y", edge=newest), "Newer", disabled=not page.newer))
    view.add_item(PageButton(replace(ask, way="o", edge=oldest), "Older", disabled=not page.older))
    view.add_item(PageButton(replace(ask, way="n", edge=0), "Newest"))
    return view
