"""/account api-key: keys for one's own programs. A key is shown once, to its owner alone."""

import re

import discord
from discord import app_commands

from bot.client import AerieClient
from bot.ui.account import own
from bot.ui.asker import actor_of
from bot.ui.autocomplete import Pairs, fitting, in_time
from bot.ui.text import CONTENT, clip, code, plain
from core.clock import unix
from core.errors import Invalid
from core.models.api_key import ApiKey
from core.services.api_keys import EVERYTHING, MOST_MEMO, READ, WRITE
from core.vocabulary import KeyKind

Interaction = discord.Interaction[AerieClient]

KINDS = [
    app_commands.Choice(name="client: acts as you", value=KeyKind.CLIENT.value),
    app_commands.Choice(name="application: administers Aerie", value=KeyKind.APPLICATION.value),
]
_LETTERS = {"r": READ, "w": WRITE, "rw": READ | WRITE, "-": 0}


async def _keys(interaction: Interaction) -> Pairs:
    found = await interaction.client.services.api_keys.of(await own(interaction))
    return [(f"{key.identifier} · {key.memo or 'no memo'}", key.identifier) for key in found]


async def _offer(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    return fitting(await in_time(_keys(interaction)), typed)


class ApiKeyCommands(app_commands.Group):
    """Keys for programs"""

    def __init__(self) -> None:
        super().__init__(name="api-key", description="Keys that your programs call Aerie's REST APIs with")

    @app_commands.command(description="Make an API key; it is shown once")
    @app_commands.describe(
        memo="What it is for",
        addresses="Addresses or networks it may be used from, parted by commas; any if you leave it out",
        kind="What it opens; a client key if you leave it out",
        rights="Of an application key: everything, read, or for instance servers=rw, users=r",
    )
    @app_commands.choices(kind=KINDS)
    async def create(
        self,
        interaction: Interaction,
        memo: app_commands.Range[str, 1, MOST_MEMO],
        addresses: str | None = None,
        kind: app_commands.Choice[str] | None = None,
        rights: str | None = None,
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        chosen = KeyKind(kind.value) if kind is not None else KeyKind.CLIENT
        if rights is not None and chosen is KeyKind.CLIENT:
            raise Invalid("Only an application key has rights of its own; a client key may what you may.")
        row, secret = await interaction.client.services.api_keys.create(
            actor_of(interaction),
            await own(interaction),
            chosen,
            memo=memo,
            allowed_ips=[part for part in re.split(r"[,\s]+", addresses or "") if part],
            rights=rights_of(rights or "everything"),
        )
        lines = [
            f"Your {chosen.value} key: ||`{row.identifier}{secret}`||",
            "It is shown this once. Send it as `Authorization: Bearer …`; `/account api-key remove` ends it.",
        ]
        await interaction.edit_original_response(content="\n".join(lines))

    @app_commands.command(name="list", description="Your API keys and when they were last used")
    async def show_all(self, interaction: Interaction) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        found = await interaction.client.services.api_keys.of(await own(interaction))
        words = "\n".join(map(_line, found)) or "You have no API keys. `/account api-key create` makes one."
        await interaction.edit_original_response(content=clip(words, CONTENT))

    @app_commands.command(description="Remove an API key; it opens nothing from then on")
    @app_commands.describe(key="Which key")
    @app_commands.autocomplete(key=_offer)
    async def remove(self, interaction: Interaction, key: str) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        identifier = key.strip()[:16]
        await interaction.client.services.api_keys.remove(actor_of(interaction), await own(interaction), identifier)
        await interaction.edit_original_response(content=f"The key {code(identifier, 16)} opens nothing any more.")


def _line(key: ApiKey) -> str:
    used = f"last used <t:{unix(key.last_used_at)}:R>" if key.last_used_at is not None else "never used"
    where = f" · from {', '.join(key.allowed_ips[:3])}{' …' if len(key.allowed_ips) > 3 else ''}" if key.allowed_ips else ""
    return f"`{key.identifier}…` · {key.kind} · {plain(key.memo, 60) or 'no memo'} · {used}{where}"


def rights_of(text: str) -> dict[str, int]:
    """`everything`, `read`, or pairs such as `servers=rw, users=r`; what is not named may nothing. Raises Invalid."""
    match text.strip().lower():
        case "everything":
            return dict(EVERYTHING)
        case "read":
            return dict.fromkeys(EVERYTHING, READ)
    rights = {}
    for pair in filter(None, re.split(r"[,\s]+", text.strip().lower())):
        name, _, letters = pair.partition("=")
        if name not in EVERYTHING or letters not in _LETTERS:
            names = ", ".join(EVERYTHING)
            raise Invalid(f"{plain(pair, 40)} is no right.", hint=f"Write everything, read, or for instance servers=rw; there are {names}.")
        rights[name] = _LETTERS[letters]
    return rights
