"""The audit log. Rows are written once; only the outcome of a pending action is filled in later. They outlive what they tell of."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from core.db.model import OPTIONS, Base, Numbered, Snowflake
from core.db.types import LongText


class Activity(Numbered, Base):
    __tablename__ = "activities"
    __table_args__ = (Index(None, "server_id", "at"), Index(None, "guild_id", "at"), OPTIONS)

    at: Mapped[datetime]
    event: Mapped[str]
    """As the panel names them: `server:power.start`."""
    outcome: Mapped[str] = mapped_column(String(16))
    actor_kind: Mapped[str] = mapped_column(String(16))
    actor: Mapped[str]
    """Actor.label: kind and id."""
    actor_name: Mapped[str]
    discord_id: Mapped[int | None] = mapped_column(Snowflake)
    guild_id: Mapped[int | None] = mapped_column(Snowflake)
    server_id: Mapped[int | None] = mapped_column(ForeignKey("servers.id", ondelete="SET NULL"))
    server_uuid: Mapped[str | None] = mapped_column(String(36))
    node_id: Mapped[int | None]
    origin: Mapped[str]
    """Where from: a channel, an IP address."""
    reason: Mapped[str] = mapped_column(LongText, default="")
    """Why it was refused or failed, as it was told to the person."""
    details: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)
    digest: Mapped[str | None] = mapped_column(String(64), unique=True)
    """Of a node's entry: what makes the same entry, reported twice, one row."""
