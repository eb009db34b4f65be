"""What belongs to a Discord guild: who may do what, which channel shows which console, which message is which server's card."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db.model import OPTIONS, Base, Dated, Numbered, Snowflake
from core.models.server import Server


class Guild(Dated, Base):
    __tablename__ = "guilds"

    id: Mapped[int] = mapped_column(Snowflake, primary_key=True, autoincrement=False)
    """Discord's id."""
    name: Mapped[str]
    owner_id: Mapped[int] = mapped_column(Snowflake)


class Grant(Numbered, Dated, Base):
    """Permissions given to a role or to a member, on one server or on all of the guild's."""

    __tablename__ = "grants"

    guild_id: Mapped[int] = mapped_column(Snowflake, ForeignKey("guilds.id", ondelete="CASCADE"), index=True)
    role_id: Mapped[int | None] = mapped_column(Snowflake)
    user_id: Mapped[int | None] = mapped_column(Snowflake)
    """A Discord user; exactly one of role and user is set."""
    server_id: Mapped[int | None] = mapped_column(ForeignKey("servers.id", ondelete="CASCADE"), index=True)
    """None means every server of the guild."""
    preset: Mapped[str] = mapped_column(String(32))
    """A word of core.permissions.PRESETS, or `custom`."""
    permissions: Mapped[list[str]]
    granted_by: Mapped[str]

    server: Mapped[Server | None] = relationship(lazy="raise")


class ConsoleBridge(Numbered, Dated, Base):
    """A channel that shows a server's console."""

    __tablename__ = "console_bridges"
    __table_args__ = (UniqueConstraint("channel_id", "server_id"), OPTIONS)

    guild_id: Mapped[int] = mapped_column(Snowflake, ForeignKey("guilds.id", ondelete="CASCADE"), index=True)
    channel_id: Mapped[int] = mapped_column(Snowflake)
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id", ondelete="CASCADE"), index=True)
    message_id: Mapped[int | None] = mapped_column(Snowflake)
    """The live message, once there is one."""
    last_seq: Mapped[int | None] = mapped_column(BigInteger)
    """The newest line that was shown or told as skipped, by the numbers of the node; None where it has no such numbers."""
    boot: Mapped[str] = mapped_column(String(32), default="")
    """The count of the node's that this number belongs to."""
    attached_by: Mapped[str]

    server: Mapped[Server] = relationship(lazy="raise")


class ServerCard(Numbered, Dated, Base):
    """A message that shows a server's state and is edited in place."""

    __tablename__ = "server_cards"

    guild_id: Mapped[int] = mapped_column(Snowflake, ForeignKey("guilds.id", ondelete="CASCADE"), index=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id", ondelete="CASCADE"), index=True)
    channel_id: Mapped[int] = mapped_column(Snowflake)
    message_id: Mapped[int] = mapped_column(Snowflake, unique=True)

    server: Mapped[Server] = relationship(lazy="raise")


class CommandHash(Base):
    """Hash of the command tree last synced to Discord, by scope (`global` or a guild's id)."""

    __tablename__ = "command_hashes"

    scope: Mapped[str] = mapped_column(String(64), primary_key=True)
    hash: Mapped[str] = mapped_column(String(128))
    updated_at: Mapped[datetime]
