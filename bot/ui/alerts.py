"""How alerts look: one card each, one for many in a storm, the list, and the buttons beneath, which outlive the bot.

Everything a sender wrote is shown as plain words: no markup, no mention, no link but the one button. Pure but for the presses.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Self

import discord

from bot.client import AerieClient
from bot.ui import errors
from bot.ui.asker import actor_of
from bot.ui.text import CONTENT, clip, plain
from core.clock import unix
from core.models.alert import Alert, AlertSource
from core.protocol.alerts import AlertBatch, AlertItem, fingerprint
from core.vocabulary import AlertSender, AlertSeverity, AlertStatus

COLOURS = {AlertSeverity.CRITICAL: 0xED4245, AlertSeverity.WARNING: 0xFAA61A, AlertSeverity.INFO: 0x5865F2}
RESOLVED_COLOUR = 0x3BA55C
ICONS = {AlertSeverity.CRITICAL: "🔴", AlertSeverity.WARNING: "🟠", AlertSeverity.INFO: "🔵"}
DIGEST_LINES = 20
LABELS_SHOWN = 10
BUTTON_SILENCE = timedelta(hours=1)
_ACTS = {"ack": ("Acknowledge", discord.ButtonStyle.primary), "hush": ("Silence 1 h", discord.ButtonStyle.secondary)}
_HIDDEN_LABELS = {"alertname", "severity", "__alert_rule_uid__", "grafana_folder"}


class AlertButton(discord.ui.DynamicItem[discord.ui.Button[Any]], template=r"al1:(?P<act>ack|hush):(?P<id>\d{1,10})"):
    """One act for one alert, named by its number; the presser's rights are checked at every press."""

    def __init__(self, act: str, alert_id: int, *, disabled: bool = False) -> None:
        words, style = _ACTS[act]
        super().__init__(discord.ui.Button(label=words, style=style, disabled=disabled, custom_id=f"al1:{act}:{alert_id}"))
        self.act = act
        self.alert_id = alert_id

    @classmethod
    async def from_custom_id(cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /) -> Self:
        return cls(match["act"], int(match["id"]))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        try:
            await _pressed(interaction, self.act, self.alert_id)
        except Exception as error:  # noqa: BLE001 — discord.py would swallow it and the person would see "interaction failed"
            await errors.tell(interaction, error)


async def _pressed(interaction: discord.Interaction[AerieClient], act: str, alert_id: int) -> None:
    await interaction.response.defer(ephemeral=True, thinking=True)
    actor, alerts = actor_of(interaction), interaction.client.services.alerts
    if act == "ack":
        row = await alerts.acknowledge(actor, alert_id)
        if row.acknowledged_by == actor.discord_id:
            words = "You look after it now; the message says so."
        elif row.acknowledged_by:
            words = f"<@{row.acknowledged_by}> looks after it already."
        else:
            words = "It is resolved already; nothing needs to be done."
    else:
        until = await alerts.silence(actor, BUTTON_SILENCE, alert_id=alert_id)
        words = f"It opens no new message until <t:{unix(until)}:t>. `/alert list` shows it all the same."
    await interaction.edit_original_response(content=words)


def card(row: Alert, source: AlertSource, role_id: int | None = None, silenced: datetime | None = None) -> discord.ui.LayoutView:
    """One alert as it stands. `role_id` is called, when the message is new."""
    view = discord.ui.LayoutView(timeout=None)
    if role_id is not None:
        view.add_item(discord.ui.TextDisplay(f"<@&{role_id}>"))
    container: discord.ui.Container[discord.ui.LayoutView] = discord.ui.Container(accent_colour=discord.Colour(_colour(row)))
    container.add_item(discord.ui.TextDisplay(f"### {icon(row)} {plain(row.title, 220)}\n{_standing(row)}"))
    if row.text:
        container.add_item(discord.ui.TextDisplay(_block(row.text)))
    if facts := _facts(row):
        container.add_item(discord.ui.TextDisplay(clip("\n".join(facts), 1200)))
    container.add_item(discord.ui.TextDisplay(clip(_small(row, source, silenced), 300)))
    if (buttons := _row(row)) is not None:
        container.add_item(buttons)
    view.add_item(container)
    return view


def digest(rows: Sequence[Alert], source_names: Mapping[int, str], role_id: int | None = None) -> discord.ui.LayoutView:
    """One message for the alerts beyond what a channel takes in a minute."""
    view = discord.ui.LayoutView(timeout=None)
    if role_id is not None:
        view.add_item(discord.ui.TextDisplay(f"<@&{role_id}>"))
    resolved = sum(row.status == AlertStatus.RESOLVED for row in rows)
    colour = RESOLVED_COLOUR if resolved == len(rows) else max((_colour(row) for row in rows), default=0)
    container: discord.ui.Container[discord.ui.LayoutView] = discord.ui.Container(accent_colour=discord.Colour(colour))
    names = ", ".join(sorted({plain(source_names.get(row.source_id, "?"), 60) for row in rows})[:5])
    container.add_item(discord.ui.TextDisplay(f"### +{len(rows)} more alerts\nof {names} · {resolved} of {len(rows)} resolved"))
    lines = [clip(f"{icon(row)} {plain(row.title, 100)}", 130) for row in rows[:DIGEST_LINES]]
    if len(rows) > DIGEST_LINES:
        lines.append(f"-# and {len(rows) - DIGEST_LINES} more: `/alert list`")
    container.add_item(discord.ui.TextDisplay("\n".join(lines) or "-"))
    view.add_item(container)
    return view


def alert_list(rows: Sequence[Alert]) -> str:
    """The newest alerts, in one message."""
    if not rows:
        return "No alerts are known here. `/alert source create` makes an address that a monitoring system can report to."
    lines = [
        f"{icon(row)} **{plain(row.title, 80)}** · {row.status} · {plain(row.source.name, 40)} · <t:{unix(row.last_at)}:R>"
        + (f" · looked after by <@{row.acknowledged_by}>" if row.acknowledged_by else "")
        for row in rows
    ]
    kept: list[str] = []
    for line in lines:
        if len("\n".join([*kept, line])) > CONTENT - 40:
            kept.append(f"-# and {len(lines) - len(kept)} more")
            break
        kept.append(line)
    return "\n".join(kept)


def channel_trouble(source: AlertSource, reason: str = "") -> AlertBatch:
    """Aerie's own alert that a source's channel takes nothing; without a reason, that it does again."""
    item = AlertItem(
        fingerprint("channel", str(source.id)),
        f"Alerts of {source.name} cannot be shown" + (f": {reason}" if reason else ""),
        AlertStatus.FIRING if reason else AlertStatus.RESOLVED,
        text="They are kept. `/alert source move` gives them another channel; `/alert source list` shows this too." if reason else "",
        occurrence="channel",
    )
    return AlertBatch(AlertSender.AERIE, (item,))


def icon(row: Alert) -> str:
    return "✅" if row.status == AlertStatus.RESOLVED else ICONS[AlertSeverity(row.severity)]


def _colour(row: Alert) -> int:
    return RESOLVED_COLOUR if row.status == AlertStatus.RESOLVED else COLOURS[AlertSeverity(row.severity)]


def _standing(row: Alert) -> str:
    began = f"<t:{unix(row.started_at)}:R>"
    if row.status == AlertStatus.RESOLVED and row.resolved_at is not None:
        return f"**Resolved** <t:{unix(row.resolved_at)}:R>, began {began}"
    return f"**{AlertSeverity(row.severity).value.capitalize()}**, firing since {began}"


def _block(text: str) -> str:
    """Somebody else's lines, each made harmless."""
    lines = [plain(line, 400) for line in text.split("\n")[:25]]
    return clip("\n".join(lines), 1500).rstrip("\\") or "-"


def _facts(row: Alert) -> list[str]:
    facts = [f"**Value** {plain(row.value, 120)}"] if row.value else []
    labels = [(key, value) for key, value in row.labels.items() if key not in _HIDDEN_LABELS]
    facts += [f"**{plain(key, 60)}** {plain(value, 120)}" for key, value in labels[:LABELS_SHOWN]]
    return facts


def _small(row: Alert, source: AlertSource, silenced: datetime | None) -> str:
    parts = [plain(source.name, 60)]
    if row.count > 1:
        parts.append(f"reported {row.count} times")
    if row.episodes > 1:
        parts.append(f"began {row.episodes} times")
    if row.acknowledged_by and row.acknowledged_at is not None:
        parts.append(f"<@{row.acknowledged_by}> looks after it since <t:{unix(row.acknowledged_at)}:t>")
    if silenced is not None:
        parts.append(f"silenced until <t:{unix(silenced)}:t>")
    return "-# " + " · ".join(parts)


def _row(row: Alert) -> discord.ui.ActionRow[Any] | None:
    buttons: list[Any] = []
    if row.status == AlertStatus.FIRING:
        buttons += [AlertButton("ack", row.id, disabled=row.acknowledged_by is not None), AlertButton("hush", row.id)]
    if row.url:
        buttons.append(discord.ui.Button(label="Open", url=row.url))
    if not buttons:
        return None
    made: discord.ui.ActionRow[Any] = discord.ui.ActionRow()
    for button in buttons:
        made.add_item(button)
    return made
