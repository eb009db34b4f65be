"""People: who has a name of their own in Aerie, the keys they sign in with, and what Discord last said of each member of a guild.

A Discord member needs no user row to use the bot; services/users.py makes one when something must be kept of them.
"""

from datetime import datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db.model import OPTIONS, Base, Dated, Named, Numbered, Snowflake
from core.db.types import Json, LongText
from core.models.node import Node


class User(Numbered, Named, Dated, Base):
    __tablename__ = "users"

    name: Mapped[str]
    """What people see; follows the name shown in Discord."""
    username: Mapped[str] = mapped_column(String(64), unique=True)
    """What they sign in with: lower-case letters, digits, `_` and `-`. Given once, never changed by us."""
    email: Mapped[str | None]
    discord_id: Mapped[int | None] = mapped_column(Snowflake, unique=True)
    root_admin: Mapped[bool] = mapped_column(default=False)
    external_id: Mapped[str | None] = mapped_column(unique=True)
    """What another system calls them; REST finds them by it."""
    first_name: Mapped[str] = mapped_column(default="")
    last_name: Mapped[str] = mapped_column(default="")
    language: Mapped[str] = mapped_column(String(8), default="en")
    updated_at: Mapped[datetime | None]
    password_hash: Mapped[str | None] = mapped_column(String(255))
    """Argon2id of the password for SFTP; None: none was made, or it was revoked."""
    password_at: Mapped[datetime | None]
    password_version: Mapped[int] = mapped_column(default=0)
    """Counts renewals and revocations, so that of two at once only one wins."""


class SshKey(Numbered, Dated, Base):
    """A public key its user may sign in to SFTP with."""

    __tablename__ = "ssh_keys"
    __table_args__ = (UniqueConstraint("user_id", "fingerprint"), OPTIONS)

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str]
    fingerprint: Mapped[str] = mapped_column(String(64))
    """SHA-256 in base64 without padding and without the `SHA256:` before it."""
    public_key: Mapped[str] = mapped_column(LongText)
    """One line of an authorized_keys file: algorithm and base64, no comment."""


class Member(Base):
    """A guild's member as Discord last described them; rights over servers are computed from this when nobody is interacting."""

    __tablename__ = "members"

    guild_id: Mapped[int] = mapped_column(Snowflake, primary_key=True, autoincrement=False)
    discord_id: Mapped[int] = mapped_column(Snowflake, primary_key=True, autoincrement=False)
    name: Mapped[str]
    roles: Mapped[list[int]] = mapped_column(Json)
    admin: Mapped[bool]
    """Holds Administrator or Manage Server."""
    seen_at: Mapped[datetime]


class Farewell(Numbered, Dated, Base):
    """What a node is still to be told: end this user's sessions. Gone once the node has heard it."""

    __tablename__ = "farewells"

    node_id: Mapped[int] = mapped_column(ForeignKey("nodes.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int]
    user_uuid: Mapped[str] = mapped_column(String(36))
    servers: Mapped[list[str]]
    """Uuids; never empty."""

    node: Mapped[Node] = relationship(lazy="raise")
