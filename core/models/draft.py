"""Servers in the making, as people see them in Discord: what was asked for so far, and the message that shows it.

A row lives from `/server create` (or a reinstallation) until its message has told how the installation ended.
"""

from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from core.db.model import Base, Dated, Numbered, Snowflake


class Draft(Numbered, Dated, Base):
    __tablename__ = "drafts"

    code: Mapped[str] = mapped_column(String(8), unique=True)
    """What its buttons name it by."""
    guild_id: Mapped[int] = mapped_column(Snowflake, ForeignKey("guilds.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int] = mapped_column(Snowflake)
    """The Discord user who began it."""
    channel_id: Mapped[int | None] = mapped_column(Snowflake)
    message_id: Mapped[int | None] = mapped_column(Snowflake)
    server_uuid: Mapped[str | None] = mapped_column(String(36), index=True)
    """The server it became; from then on the message follows that server's installation."""
    order: Mapped[dict[str, Any]]
    """A core.services.drafts.Order as JSON."""
