"""Requests for a restart, the votes for them, and the rules they stand under. A request outlives its server, so that its message can end.

Every change of a request is a conditional UPDATE that also raises `version`; nobody writes one by reading it first and trusting that.
"""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db.model import OPTIONS, Base, Dated, Numbered, Snowflake
from core.db.types import Json, LongText


class RequestPolicy(Numbered, Base):
    """What differs from the rules above it: a server's own before its game's (the egg), before the guild's, before Aerie's.

    None in a column means: as the next one says.
    """

    __tablename__ = "request_policies"
    __table_args__ = (UniqueConstraint("guild_id", "scope"), OPTIONS)

    guild_id: Mapped[int] = mapped_column(Snowflake, ForeignKey("guilds.id", ondelete="CASCADE"))
    scope: Mapped[str] = mapped_column(String(32))
    """`guild`, `egg:<id>` or `server:<id>`."""
    egg_id: Mapped[int | None] = mapped_column(ForeignKey("eggs.id", ondelete="CASCADE"), index=True)
    server_id: Mapped[int | None] = mapped_column(ForeignKey("servers.id", ondelete="CASCADE"), index=True)
    enabled: Mapped[bool | None]
    quorum: Mapped[int | None]
    """Votes that pass a request, the asker's among them."""
    duration: Mapped[int | None]
    """Seconds a request stays open."""
    cooldown: Mapped[int | None]
    """Seconds from the end of one request to the next."""
    countdown: Mapped[list[int] | None] = mapped_column(Json)
    """Seconds before the restart at which players are warned, falling."""
    command: Mapped[str | None] = mapped_column(LongText)
    """Console line with `{message}` or `{seconds}`; empty: nobody is warned."""
    channel_id: Mapped[int | None] = mapped_column(Snowflake)
    when_offline: Mapped[str | None] = mapped_column(String(8))
    """`start` or `end`: what becomes of a request whose server is offline by then."""
    patience: Mapped[int | None]
    """Seconds to wait for a node that is away."""


class Request(Numbered, Dated, Base):
    """One request and all that is known of its way. The rules it was asked under are kept with it."""

    __tablename__ = "requests"
    __table_args__ = (
        Index(None, "server_id", "finished_at"),
        {**OPTIONS, "sqlite_autoincrement": True},
    )  # old buttons must not meet new ids

    guild_id: Mapped[int] = mapped_column(Snowflake, ForeignKey("guilds.id", ondelete="CASCADE"), index=True)
    server_id: Mapped[int | None] = mapped_column(ForeignKey("servers.id", ondelete="SET NULL"))
    server_uuid: Mapped[str] = mapped_column(String(36))
    server_name: Mapped[str]
    open_for: Mapped[int | None] = mapped_column(unique=True)
    """The server's id until the request has ended: one open request per server, by the database's own word."""
    asker_id: Mapped[int] = mapped_column(Snowflake)
    asker_name: Mapped[str]
    reason: Mapped[str] = mapped_column(LongText, default="")
    state: Mapped[str] = mapped_column(String(16))
    """A core.vocabulary.RequestState."""
    version: Mapped[int] = mapped_column(default=1)
    """Raised by every change."""

    quorum: Mapped[int]
    ends_at: Mapped[datetime]
    """When voting ends."""
    countdown: Mapped[list[int]] = mapped_column(Json)
    command: Mapped[str] = mapped_column(LongText, default="")
    when_offline: Mapped[str] = mapped_column(String(8))
    patience: Mapped[int]

    decided_by: Mapped[int | None] = mapped_column(Snowflake)
    """The moderator who approved or vetoed."""
    decided_name: Mapped[str] = mapped_column(default="")
    restart_at: Mapped[datetime | None]
    warned: Mapped[int | None]
    """The last warning that was given, in seconds before the restart."""
    call_off: Mapped[bool] = mapped_column(default=False)
    """The game was warned and is still to be told that nothing happens."""
    signal: Mapped[str] = mapped_column(String(16), default="")
    """The core.vocabulary.PowerSignal that is sent."""
    signal_id: Mapped[str] = mapped_column(String(64), default="")
    sending_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    looked_at: Mapped[datetime | None]
    """When the server was first seen as it must not stay, such as offline after a restart."""
    stuck_since: Mapped[datetime | None]
    stuck_why: Mapped[str] = mapped_column(LongText, default="")
    finished_at: Mapped[datetime | None] = mapped_column(index=True)
    took: Mapped[int | None]
    """Seconds from the signal to running."""
    outcome: Mapped[str] = mapped_column(LongText, default="")
    """Why it did not end as asked, as people read it."""

    channel_id: Mapped[int | None] = mapped_column(Snowflake)
    """Where its message is or shall be; None when every place was closed to us."""
    asked_in: Mapped[int | None] = mapped_column(Snowflake)
    message_id: Mapped[int | None] = mapped_column(Snowflake)
    posts: Mapped[int] = mapped_column(default=0)
    shown: Mapped[int] = mapped_column(default=0)
    """The version its message shows."""
    worker: Mapped[str | None] = mapped_column(String(36))
    """The process that carries it on and writes its message, while `worker_until` lies ahead."""
    worker_until: Mapped[datetime | None]

    ballots: Mapped[list["Ballot"]] = relationship(lazy="raise", cascade="all, delete-orphan", order_by="Ballot.id", passive_deletes=True)


class Ballot(Numbered, Base):
    """One person's vote."""

    __tablename__ = "ballots"
    __table_args__ = (UniqueConstraint("request_id", "user_id"), OPTIONS)

    request_id: Mapped[int] = mapped_column(ForeignKey("requests.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(Snowflake)
    user_name: Mapped[str]
    at: Mapped[datetime]
