"""Cards of alerts fit Discord's limits and carry nothing that acts, whatever a sender wrote."""

from datetime import UTC, datetime
from typing import Any

import discord
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.ui.alerts import alert_list, card, digest
from bot.ui.text import CONTENT, LAYOUT_TEXT
from core.models.alert import Alert, AlertSource
from core.protocol.alerts import LABEL_NAME, LABEL_VALUE, MOST_LABELS, TEXT, TITLE, clean

AT = datetime(2026, 1, 1, tzinfo=UTC)
SOURCE = AlertSource(id=1, guild_id=1, name="*" * 60)


def a_row(words: str = "x", **changes: Any) -> Alert:
    row = Alert(
        id=2**31 - 1, source_id=1, guild_id=1, status="firing", severity="critical", title=clean(words * TITLE, TITLE) or "-",
        text=clean(words * TEXT, TEXT, lines=True), value=clean(words * 200, 120), url="https://x.example/" + "a" * 400,
        labels={clean(f"{n}{words * LABEL_NAME}", LABEL_NAME): clean(words * LABEL_VALUE, LABEL_VALUE) for n in range(MOST_LABELS)},
        started_at=AT, last_at=AT, count=9, episodes=3, acknowledged_by=2**63 - 1, acknowledged_at=AT,
    )  # fmt: skip
    for name, value in changes.items():
        setattr(row, name, value)
    row.source = SOURCE
    return row


def fits(view: discord.ui.LayoutView) -> bool:
    return view.content_length() <= LAYOUT_TEXT and len(list(view.walk_children())) <= 40


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(["*", "_", "@everyone ", "```", "\n", "<@123456789012345678>", "[a](b)", "👩‍🚀", "|", "\\"])
    | st.text(min_size=1, max_size=8)
)
def test_any_words_fit_and_call_nobody(words: str) -> None:
    row = a_row(words)
    view = card(row, SOURCE, 2**63 - 1, AT)
    assert fits(view)
    text = "".join(item.content for item in view.walk_children() if isinstance(item, discord.ui.TextDisplay))
    assert "@everyone" not in text and "<@123456789012345678>" not in text
    assert fits(digest([row] * 500, {1: "*" * 60}, 2**63 - 1))
    assert len(alert_list([row] * 25)) <= CONTENT


def test_every_button_outlives_the_bot() -> None:
    for row in (a_row(), a_row(status="resolved", resolved_at=AT, url="")):
        buttons = [item for item in card(row, SOURCE).walk_children() if isinstance(item, discord.ui.Button)]
        assert all(button.custom_id or button.url for button in buttons)
        assert bool(buttons) == (row.status == "firing")
