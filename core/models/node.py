"""Machines that run servers. The secret is sealed (core/seal.py); only core/services/nodes.py opens it."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from core.db.model import Base, Dated, Named, Numbered
from core.db.types import LongText


class Node(Numbered, Named, Dated, Base):
    __tablename__ = "nodes"

    name: Mapped[str] = mapped_column(unique=True)
    url: Mapped[str] = mapped_column(String(255))
    """Address of the agent, without a trailing slash."""
    location: Mapped[str] = mapped_column(String(60), default="local")
    """Short code that games see as P_SERVER_LOCATION."""
    sftp_host: Mapped[str | None]
    """Name or address that SFTP clients use; None: the one in `url`."""
    sftp_port: Mapped[int] = mapped_column(default=2022)
    token_id: Mapped[str] = mapped_column(String(16), unique=True)
    token_sealed: Mapped[str] = mapped_column(LongText)
