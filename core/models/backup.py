"""Backups of servers, as the control plane knows them; the archives lie on their nodes."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from core.db.model import OPTIONS, Base, Dated, Named, Numbered
from core.db.types import LongText


class Backup(Numbered, Named, Dated, Base):
    """One that is being made, was made, or failed: `completed_at` is None while it is being made."""

    __tablename__ = "backups"
    __table_args__ = OPTIONS

    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    ignored: Mapped[str] = mapped_column(LongText, default="")
    """Patterns of what is left out, a line each."""
    adapter: Mapped[str] = mapped_column(String(16), default="wings")
    """Where the archive lies: `wings` is the node's own disk."""
    checksum: Mapped[str | None]
    """As `sha1:hex`."""
    bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    successful: Mapped[bool] = mapped_column(default=False)
    locked: Mapped[bool] = mapped_column(default=False)
    """Not to be deleted, by nobody and nothing."""
    made_by: Mapped[str] = mapped_column(default="")
    completed_at: Mapped[datetime | None]

    @property
    def pending(self) -> bool:
        """Whether it is being made."""
        return self.completed_at is None
