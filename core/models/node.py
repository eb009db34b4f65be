"""Machines that run servers. The secret is sealed (core/seal.py); only core/services/nodes.py opens it."""

from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from core.db.model import Base, Dated, Named, Numbered
from core.db.types import LongText


class Location(Numbered, Dated, Base):
    """Where nodes stand. Nodes name theirs by its short code."""

    __tablename__ = "locations"

    short: Mapped[str] = mapped_column(String(60), unique=True)
    long: Mapped[str] = mapped_column(String(191), default="")


class Node(Numbered, Named, Dated, Base):
    __tablename__ = "nodes"

    name: Mapped[str] = mapped_column(unique=True)
    url: Mapped[str] = mapped_column(String(255))
    """Address of the agent, without a trailing slash."""
    location: Mapped[str] = mapped_column(String(60), default="local")
    """Short code that games see as P_SERVER_LOCATION."""
    memory: Mapped[int] = mapped_column(default=0)
    """MB that servers may be given here together; 0 is what the machine has."""
    disk: Mapped[int] = mapped_column(default=0)
    """MiB that servers may be given here together; 0 sets no limit."""
    sftp_host: Mapped[str | None]
    """Name or address that SFTP clients use; None: the one in `url`."""
    sftp_port: Mapped[int] = mapped_column(default=2022)
    description: Mapped[str] = mapped_column(LongText, default="")
    public: Mapped[bool] = mapped_column(default=True)
    """Whether servers are put there without naming it."""
    maintenance: Mapped[bool] = mapped_column(default=False)
    """People's programs are kept away from its servers."""
    behind_proxy: Mapped[bool] = mapped_column(default=False)
    """Something before it ends TLS."""
    memory_overallocate: Mapped[int] = mapped_column(default=0)
    disk_overallocate: Mapped[int] = mapped_column(default=0)
    """Percent that may be given away beyond what there is; -1 is unlimited."""
    upload_size: Mapped[int] = mapped_column(default=100)
    """MiB of one upload."""
    base_directory: Mapped[str] = mapped_column(default="/var/lib/aerie/volumes")
    """Where its servers' files lie."""
    updated_at: Mapped[datetime | None]
    token_id: Mapped[str] = mapped_column(String(16), unique=True)
    token_sealed: Mapped[str] = mapped_column(LongText)

    @property
    def host(self) -> str:
        """Name or address of the agent."""
        return urlsplit(self.url).hostname or self.name

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def port(self) -> int:
        """Port of the agent."""
        return urlsplit(self.url).port or (443 if self.scheme == "https" else 80)
