"""Alerts: where they come from, how each one stands, who is called for which severity, what is not to be shown for a while.

One row per trouble and source (`fingerprint`): firing again takes the row up again. While Discord does not show the newest `revision`, the
row is `behind`; that is how a restart finds its outstanding work.
"""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db.model import OPTIONS, Base, Dated, Numbered, Snowflake
from core.db.types import LongText


class AlertSource(Numbered, Dated, Base):
    """Somebody who may report alerts into one channel; Aerie itself is one per guild (`own`), without a token."""

    __tablename__ = "alert_sources"
    __table_args__ = (UniqueConstraint("guild_id", "name"), OPTIONS)

    guild_id: Mapped[int] = mapped_column(Snowflake, ForeignKey("guilds.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(64))
    own: Mapped[bool] = mapped_column(default=False)
    channel_id: Mapped[int | None] = mapped_column(Snowflake)
    """None only for Aerie's own, which then go where the server's console is shown."""
    token_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    """SHA-256 of the token in hex; the token itself is kept nowhere."""
    signing_sealed: Mapped[str | None] = mapped_column(LongText)
    """The key that bodies must be signed with, when they must."""
    created_by: Mapped[str]
    creator_id: Mapped[int | None] = mapped_column(Snowflake)
    """The Discord member who made it: told when its channel is gone."""
    last_at: Mapped[datetime | None]
    broken: Mapped[str] = mapped_column(String(191), default="")
    """Why its channel takes no messages, in words; empty while it does."""
    broken_at: Mapped[datetime | None]


class Alert(Numbered, Base):
    """One trouble of one source."""

    __tablename__ = "alerts"
    __table_args__ = (UniqueConstraint("source_id", "fingerprint"), Index(None, "guild_id", "last_at"), OPTIONS)

    source_id: Mapped[int] = mapped_column(ForeignKey("alert_sources.id", ondelete="CASCADE"))
    guild_id: Mapped[int] = mapped_column(Snowflake, ForeignKey("guilds.id", ondelete="CASCADE"))
    fingerprint: Mapped[str] = mapped_column(String(32))
    status: Mapped[str] = mapped_column(String(16))
    severity: Mapped[str] = mapped_column(String(16))
    title: Mapped[str] = mapped_column(LongText)
    text: Mapped[str] = mapped_column(LongText)
    value: Mapped[str]
    url: Mapped[str] = mapped_column(LongText)
    labels: Mapped[dict[str, str]]
    occurrence: Mapped[str] = mapped_column(default="")
    """The last happening that was counted, for Aerie's own alerts."""
    started_at: Mapped[datetime]
    """When it began to fire this time, by the sender's word or ours."""
    last_at: Mapped[datetime]
    resolved_at: Mapped[datetime | None]
    count: Mapped[int]
    """Reports while it fired, all times together."""
    episodes: Mapped[int]
    """How often it began to fire."""
    acknowledged_by: Mapped[int | None] = mapped_column(Snowflake)
    acknowledged_at: Mapped[datetime | None]
    channel_id: Mapped[int | None] = mapped_column(Snowflake)
    """Where its message is; before there is one, where it must go if not to the source's channel."""
    message_id: Mapped[int | None] = mapped_column(Snowflake, index=True)
    message_at: Mapped[datetime | None]
    digest: Mapped[bool] = mapped_column(default=False)
    """Shown as one line of a message that stands for many."""
    revision: Mapped[int]
    shown: Mapped[int]
    """The revision that Discord shows."""
    behind: Mapped[bool] = mapped_column(default=True, index=True)
    """Whether the two differ."""

    source: Mapped[AlertSource] = relationship(lazy="raise")


class AlertMention(Numbered, Base):
    """The role that is called for a severity."""

    __tablename__ = "alert_mentions"
    __table_args__ = (UniqueConstraint("guild_id", "severity"), OPTIONS)

    guild_id: Mapped[int] = mapped_column(Snowflake, ForeignKey("guilds.id", ondelete="CASCADE"))
    severity: Mapped[str] = mapped_column(String(16))
    role_id: Mapped[int] = mapped_column(Snowflake)


class AlertSilence(Numbered, Dated, Base):
    """What opens no message until a moment: a guild's alerts, a source's, or a single one."""

    __tablename__ = "alert_silences"

    guild_id: Mapped[int] = mapped_column(Snowflake, ForeignKey("guilds.id", ondelete="CASCADE"), index=True)
    source_id: Mapped[int | None] = mapped_column(ForeignKey("alert_sources.id", ondelete="CASCADE"), index=True)
    alert_id: Mapped[int | None] = mapped_column(ForeignKey("alerts.id", ondelete="CASCADE"), index=True)
    until: Mapped[datetime]
    created_by: Mapped[str]
