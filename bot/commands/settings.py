"""/settings: how Aerie behaves in this community. Parses, calls, shows; decides nothing."""

import re

import discord
from discord import app_commands

from bot.client import AerieClient
from bot.ui.asker import actor_of
from bot.ui.autocomplete import SERVER
from bot.ui.text import CONTENT, clip, code, duration, plain
from core.errors import Invalid
from core.models.server import Server
from core.services.request_rules import END, START, Rules, RulesChange

Interaction = discord.Interaction[AerieClient]

NONE = "none"
OFFLINE = [app_commands.Choice(name="start it", value=START), app_commands.Choice(name="end the request", value=END)]


class SettingsCommands(app_commands.Group):
    """How Aerie behaves here"""

    def __init__(self) -> None:
        super().__init__(name="settings", description="How Aerie behaves in this community")

    @app_commands.command(description="Show or set the rules of restart requests")
    @app_commands.describe(
        server="Rules of this server; the community's if you leave it out",
        same_game="Rules of every server here that plays the same game",
        enabled="Whether members may ask",
        quorum="Votes that pass a request, the asker's included",
        minutes="Minutes a request stays open",
        cooldown="Minutes from one request to the next",
        countdown="Seconds before the restart at which players are warned, such as: 60 30 10, or: none",
        command="Console line that warns players, such as: say {message}, or: none",
        channel="Where requests are posted",
        offline="What becomes of a request whose server is offline by then",
        patience="Minutes to wait for a node that is away",
        reset="Forget what was set at this level before",
    )
    @app_commands.choices(offline=OFFLINE)
    async def requests(
        self,
        interaction: Interaction,
        server: app_commands.Transform[str, SERVER] | None = None,
        same_game: bool = False,
        enabled: bool | None = None,
        quorum: app_commands.Range[int, 1, 100] | None = None,
        minutes: app_commands.Range[int, 1, 1440] | None = None,
        cooldown: app_commands.Range[int, 0, 10080] | None = None,
        countdown: app_commands.Range[str, 1, 100] | None = None,
        command: app_commands.Range[str, 1, 200] | None = None,
        channel: discord.TextChannel | None = None,
        offline: app_commands.Choice[str] | None = None,
        patience: app_commands.Range[int, 0, 60] | None = None,
        reset: bool = False,
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        change = RulesChange(
            enabled=enabled,
            quorum=quorum,
            duration=None if minutes is None else minutes * 60,
            cooldown=None if cooldown is None else cooldown * 60,
            countdown=None if countdown is None else _seconds(countdown),
            command="" if command is not None and command.strip().casefold() == NONE else command,
            channel_id=None if channel is None else channel.id,
            when_offline=None if offline is None else offline.value,
            patience=None if patience is None else patience * 60,
        )
        rules, actor = interaction.client.services.request_rules, actor_of(interaction)
        if change == RulesChange() and not reset:
            subject, now = await rules.show(actor, server, same_game=same_game)
        else:
            subject, now = await rules.change(actor, change, server, same_game=same_game, reset=reset)
        await interaction.edit_original_response(content=_shown(subject, now, same_game))


def _seconds(text: str) -> list[int]:
    """`60 30 10`, `60, 30, 10` or `none`. Raises Invalid."""
    if text.strip().casefold() == NONE:
        return []
    words = re.split(r"[\s,;]+", text.strip(" ,;"))
    if not all(word.isascii() and word.isdigit() and len(word) <= 5 for word in words):
        raise Invalid("A countdown is a list of seconds.", hint="For instance: 60 30 10")
    return [int(word) for word in words]


def _shown(server: Server | None, rules: Rules, same_game: bool) -> str:
    whose = "this community" if server is None else f"**{plain(server.name, 80)}**"
    if server is not None and same_game:
        whose = f"every server here that plays {plain(server.egg.name, 80)}"
    warnings = ", ".join(f"{one} s" for one in rules.countdown) or "no countdown"
    lines = [
        f"Restart requests of {whose}: {'allowed' if rules.enabled else 'not allowed'}.",
        f"**Votes needed** {rules.quorum}, within {duration(rules.duration)}",
        f"**Next request** {duration(rules.cooldown)} after the last",
        f"**Countdown** {warnings}",
        f"**Warning** {code(rules.command, 200)}" if rules.command else "**Warning** none: players are not told in the game",
        f"**Posted in** <#{rules.channel_id}>" if rules.channel_id is not None else "**Posted** where it is asked for",
        f"**Offline by then** {'the server is started' if rules.when_offline == START else 'the request ends'}",
        f"**Node away** waits {duration(rules.patience)}",
    ]
    return clip("\n".join(lines), CONTENT)
