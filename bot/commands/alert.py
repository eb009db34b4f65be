"""/alert: who may report alerts, where Aerie's own go, who is called for them, and what is silenced. For managers, but for the list."""

from datetime import timedelta

import discord
from discord import app_commands

from bot.client import AerieClient
from bot.ui.alerts import alert_list, channel_trouble
from bot.ui.asker import actor_of
from bot.ui.autocomplete import fitting, in_time
from bot.ui.text import CONTENT, clip, plain
from core.clock import unix
from core.errors import Forbidden, Invalid
from core.models.alert import AlertSource
from core.protocol.alerts import AlertBatch, AlertItem, fingerprint
from core.services.alert_sources import NewSource, SourceLine
from core.vocabulary import AlertSender, AlertSeverity, AlertStatus

Interaction = discord.Interaction[AerieClient]

TEST_SECONDS = 10.0
"""After which a test alert resolves itself."""
_SEVERITIES = [app_commands.Choice(name=severity.value, value=severity.value) for severity in AlertSeverity]
_RIGHTS = "Give me View Channel and Send Messages there, then try again."
_TIMES = {"no longer": 0, "15 minutes": 15, "1 hour": 60, "4 hours": 240, "1 day": 1440, "1 week": 10080}
_LASTING = [app_commands.Choice(name=name, value=minutes) for name, minutes in _TIMES.items()]


class SourceOption(app_commands.Transformer):
    """A source by its name; the service looks it up and checks the right again."""

    async def transform(self, interaction: discord.Interaction, value: str, /) -> str:
        if not 1 <= len(value.strip()) <= 100:
            raise Invalid("That is not a source's name.", hint="Choose one of the suggestions, or see `/alert source list`.")
        return value.strip()

    async def autocomplete(  # type: ignore[override]  # discord.py types the value per option kind
        self, interaction: Interaction, value: str, /
    ) -> list[app_commands.Choice[str]]:
        return fitting([(name, name) for name in await in_time(self._names(interaction))], value)

    async def _names(self, interaction: Interaction) -> list[str]:
        return await interaction.client.services.alert_sources.names(actor_of(interaction))


SOURCE = SourceOption()


class SourceCommands(app_commands.Group):
    """Who may report alerts here"""

    def __init__(self) -> None:
        super().__init__(name="source", description="Monitoring systems that may report alerts here")

    @app_commands.command(description="Make an address that a monitoring system can report alerts to")
    @app_commands.describe(
        name="What it is called here",
        channel="Where its alerts are shown; this channel if you leave it out",
        signed="Bodies must be signed",
    )
    async def create(
        self,
        interaction: Interaction,
        name: app_commands.Range[str, 1, 60],
        channel: discord.TextChannel | None = None,
        signed: bool = False,
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        made = await interaction.client.services.alert_sources.create(
            actor_of(interaction), name, _place(interaction, channel), signed=signed
        )
        await interaction.edit_original_response(content=_secret(interaction, made))

    @app_commands.command(name="list", description="Sources, their channels, and which of them have trouble")
    async def show_all(self, interaction: Interaction) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        lines = await interaction.client.services.alert_sources.lines(actor_of(interaction))
        words = "\n".join(_line(line) for line in lines) or "There are no sources yet. `/alert source create` makes one."
        await interaction.edit_original_response(content=clip(words, CONTENT))

    @app_commands.command(description="Forget a source and its alerts; its address ends at once")
    @app_commands.describe(source="Which source")
    async def remove(self, interaction: Interaction, source: app_commands.Transform[str, SOURCE]) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        gone = await interaction.client.services.alert_sources.remove(actor_of(interaction), source)
        await interaction.edit_original_response(content=f"**{plain(gone.name, 80)}** is removed; its address answers nobody any more.")

    @app_commands.command(description="Give a source a new address; the old one ends at once")
    @app_commands.describe(source="Which source")
    async def rotate(self, interaction: Interaction, source: app_commands.Transform[str, SOURCE]) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        made = await interaction.client.services.alert_sources.rotate(actor_of(interaction), source)
        await interaction.edit_original_response(content=_secret(interaction, made))

    @app_commands.command(description="Show a source's new alerts in another channel")
    @app_commands.describe(source="Which source", channel="Where; this channel if you leave it out")
    async def move(
        self, interaction: Interaction, source: app_commands.Transform[str, SOURCE], channel: discord.TextChannel | None = None
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        place = _place(interaction, channel)
        moved = await interaction.client.services.alert_sources.move(actor_of(interaction), source, place)
        await _mended(interaction.client, moved)
        await interaction.edit_original_response(content=f"New alerts of **{plain(moved.name, 80)}** are shown in <#{place}>.")

    @app_commands.command(description="Send a test alert as this source; it resolves itself")
    @app_commands.describe(source="Which source")
    async def test(self, interaction: Interaction, source: app_commands.Transform[str, SOURCE]) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        client = interaction.client
        row = await client.services.alert_sources.named(actor_of(interaction), source, "alert:source.test")
        await client.services.alert_sources.mended(row.id)
        await _mended(client, row)
        item = AlertItem(
            fingerprint("test", str(interaction.id)),
            f"Test of {row.name}",
            severity=AlertSeverity.INFO,
            text=f"{interaction.user.display_name} asked for it. Nothing is wrong; it resolves itself.",
        )
        await client.services.alerts.receive(row, AlertBatch(AlertSender.AERIE, (item,)))
        client.tasks.spawn("test alert", _end_test(client, row, item))
        await interaction.edit_original_response(content=f"A test alert is on its way to <#{row.channel_id}>.")


class AlertCommands(app_commands.Group):
    """Alerts"""

    def __init__(self) -> None:
        super().__init__(name="alert", description="Alerts of monitoring systems and of Aerie itself")
        self.add_command(SourceCommands())

    @app_commands.command(description="Where Aerie's own alerts go: crashes, lost nodes, full disks")
    @app_commands.describe(channel="Where; this channel if you leave it out")
    async def channel(self, interaction: Interaction, channel: discord.TextChannel | None = None) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        place = _place(interaction, channel)
        await interaction.client.services.alert_sources.set_own_channel(actor_of(interaction), place)
        await interaction.edit_original_response(content=f"Aerie's own alerts are shown in <#{place}>.")

    @app_commands.command(name="list", description="What fires now, and what did lately")
    async def show_all(self, interaction: Interaction) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        rows = await interaction.client.services.alerts.recent(actor_of(interaction))
        await interaction.edit_original_response(content=alert_list(rows))

    @app_commands.command(description="Call a role for every new alert of a severity")
    @app_commands.describe(severity="For which alerts", role="Which role; nobody if you leave it out")
    @app_commands.choices(severity=_SEVERITIES)
    async def mention(self, interaction: Interaction, severity: app_commands.Choice[str], role: discord.Role | None = None) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        if role is not None and role.is_default():
            raise Invalid("Everybody cannot be called for alerts.", hint="Choose a role that people can take and leave.")
        await interaction.client.services.alert_sources.mention(
            actor_of(interaction), AlertSeverity(severity.value), role.id if role is not None else None
        )
        who = f"{role.mention} is" if role is not None else "Nobody is"
        words = f"{who} called for new alerts that are {severity.value}."
        if role is not None and not role.mentionable and not interaction.app_permissions.mention_everyone:
            words += " But Discord will not call it yet: let anyone mention this role, in its settings."
        await interaction.edit_original_response(content=words)

    @app_commands.command(description="Open no new messages for a while; alerts are kept and listed all the same")
    @app_commands.describe(lasting="For how long", source="Which source; all of them, Aerie's own too, if you leave it out")
    @app_commands.choices(lasting=_LASTING)
    async def silence(
        self, interaction: Interaction, lasting: app_commands.Choice[int], source: app_commands.Transform[str, SOURCE] | None = None
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        alerts = interaction.client.services.alerts
        until = await alerts.silence(actor_of(interaction), timedelta(minutes=lasting.value), source_name=source)
        what = f"**{plain(source, 80)}**" if source else "All alerts"
        words = f"{what}: no new messages until <t:{unix(until)}:f>." if lasting.value else f"{what}: new messages are opened again."
        await interaction.edit_original_response(content=words)


def _place(interaction: Interaction, channel: discord.TextChannel | None) -> int:
    """The channel that is meant. Raises Forbidden when we may not write there, as far as Discord says so here."""
    if channel is None and not interaction.app_permissions.send_messages:
        raise Forbidden("I may not write in this channel.", hint=_RIGHTS)
    place = channel.id if channel is not None else interaction.channel_id
    assert place is not None
    return place


def _secret(interaction: Interaction, made: NewSource) -> str:
    """The address, shown this once."""
    origin = interaction.client.services.nodes.origin
    lines = [
        f"**{plain(made.source.name, 80)}** reports to <#{made.source.channel_id}>. Its address, shown this once; keep it secret:",
        f"```\n{origin}/webhooks/{made.token}\n```",
    ]
    if made.signing_key:
        lines += [
            "Each body must carry `X-Aerie-Signature: sha256=` and its HMAC-SHA-256 in hex with this key:",
            f"```\n{made.signing_key}\n```",
        ]
    lines.append("`/alert source test` shows whether it works from here; docs/alerts.md has the set-up for each sender.")
    return "\n".join(lines)


def _line(line: SourceLine) -> str:
    source = line.source
    where = (
        f"<#{source.channel_id}>" if source.channel_id is not None else "where the server's console is shown; `/alert channel` sets a place"
    )
    parts = [f"**{plain(source.name, 60)}** → {where}", f"{line.firing} firing"]
    parts.append(f"last heard <t:{unix(source.last_at)}:R>" if source.last_at is not None else "never heard")
    if source.signing_sealed is not None:
        parts.append("signed")
    if source.broken:
        parts.append(f"⚠️ nothing can be shown: {plain(source.broken, 150)}")
    return " · ".join(parts)


async def _mended(client: AerieClient, source: AlertSource) -> None:
    """End Aerie's own alert that this source's channel takes nothing."""
    own = await client.services.alert_sources.own(source.guild_id)
    await client.services.alerts.receive(own, channel_trouble(source))


async def _end_test(client: AerieClient, row: AlertSource, item: AlertItem) -> None:
    await client.clock.sleep(TEST_SECONDS)
    done = AlertItem(item.fingerprint, item.title, AlertStatus.RESOLVED, item.severity, item.text)
    await client.services.alerts.receive(row, AlertBatch(AlertSender.AERIE, (done,)))
