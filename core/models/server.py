"""Game servers, their addresses and the values of their egg's variables."""

from datetime import datetime

from sqlalchemy import ForeignKey, Select, String, UniqueConstraint, select
from sqlalchemy.orm import Mapped, mapped_column, relationship, selectinload

from core.db.model import OPTIONS, Base, Dated, Named, Numbered, Snowflake
from core.db.types import LongText
from core.models.egg import Egg, EggVariable
from core.models.node import Node
from core.models.user import User


class Server(Numbered, Named, Dated, Base):
    __tablename__ = "servers"
    __table_args__ = (UniqueConstraint("guild_id", "name"), {**OPTIONS, "sqlite_autoincrement": True})  # ids are never used again

    short: Mapped[str] = mapped_column(String(8), unique=True)
    """First block of the uuid: what buttons and people use."""
    name: Mapped[str]
    description: Mapped[str] = mapped_column(LongText, default="")
    status: Mapped[str | None] = mapped_column(String(32))
    """A core.vocabulary.ServerStatus; None is a ready server."""
    guild_id: Mapped[int | None] = mapped_column(Snowflake, ForeignKey("guilds.id", ondelete="SET NULL"), index=True)
    node_id: Mapped[int] = mapped_column(ForeignKey("nodes.id"), index=True)
    egg_id: Mapped[int] = mapped_column(ForeignKey("eggs.id"), index=True)
    image: Mapped[str]
    startup: Mapped[str] = mapped_column(LongText)
    memory: Mapped[int]
    """MB (10^6 bytes); 0 is unlimited."""
    swap: Mapped[int]
    """MB on top of memory; 0 none, -1 unlimited."""
    disk: Mapped[int]
    """MiB; 0 is unlimited."""
    io: Mapped[int]
    """Block I/O weight, 10 to 1000."""
    cpu: Mapped[int]
    """Percent of one thread; 0 is unlimited."""
    threads: Mapped[str | None] = mapped_column(String(191))
    """Cpuset text such as `0,2-3`."""
    oom_disabled: Mapped[bool]
    skip_scripts: Mapped[bool] = mapped_column(default=False)
    installed_at: Mapped[datetime | None]
    external_id: Mapped[str | None] = mapped_column(String(191), unique=True)
    """What another system calls it; REST finds it by it."""
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    """The Aerie user whose it is beside its guild; only servers made by REST have one."""
    database_limit: Mapped[int] = mapped_column(default=0)
    allocation_limit: Mapped[int] = mapped_column(default=0)
    backup_limit: Mapped[int] = mapped_column(default=0)
    waits_for_node: Mapped[bool] = mapped_column(default=False)
    """Whether its node has not yet taken the order to make it; sent again until it has."""
    start_when_made: Mapped[bool] = mapped_column(default=False)
    """What that order says of starting."""

    owner: Mapped[User | None] = relationship(lazy="raise")
    node: Mapped[Node] = relationship(lazy="raise")
    egg: Mapped[Egg] = relationship(lazy="raise")
    allocation: Mapped["Allocation | None"] = relationship(
        lazy="raise", viewonly=True, uselist=False, primaryjoin="and_(Allocation.server_id == Server.id, Allocation.is_primary)"
    )
    """Its main address."""
    allocations: Mapped[list["Allocation"]] = relationship(lazy="raise", order_by="Allocation.port", passive_deletes=True)
    variables: Mapped[list["ServerVariable"]] = relationship(lazy="raise", cascade="all, delete-orphan", passive_deletes=True)


class Allocation(Numbered, Base):
    """One address of a node; free while it has no server."""

    __tablename__ = "allocations"
    __table_args__ = (UniqueConstraint("node_id", "ip", "port"), OPTIONS)

    node_id: Mapped[int] = mapped_column(ForeignKey("nodes.id", ondelete="CASCADE"))
    ip: Mapped[str] = mapped_column(String(45))
    """Address the node binds."""
    alias: Mapped[str | None] = mapped_column(String(191))
    """Address players are told, when it differs."""
    port: Mapped[int]
    notes: Mapped[str | None] = mapped_column(String(256))
    server_id: Mapped[int | None] = mapped_column(ForeignKey("servers.id", ondelete="SET NULL"), index=True)
    is_primary: Mapped[bool] = mapped_column(default=False)

    @property
    def address(self) -> str:
        """What players type, for instance 203.0.113.7:30000."""
        host = self.alias or self.ip
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


class ServerVariable(Numbered, Base):
    """A value that differs from the egg's default."""

    __tablename__ = "server_variables"
    __table_args__ = (UniqueConstraint("server_id", "egg_variable_id"), OPTIONS)

    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id", ondelete="CASCADE"))
    egg_variable_id: Mapped[int] = mapped_column(ForeignKey("egg_variables.id", ondelete="CASCADE"), index=True)
    value: Mapped[str] = mapped_column(LongText)

    variable: Mapped[EggVariable] = relationship(lazy="raise")


def whole_servers() -> Select[Server]:
    """Servers with everything the services hand out loaded: node, egg and its variables, addresses, values."""
    return select(Server).options(
        selectinload(Server.node),
        selectinload(Server.owner),
        selectinload(Server.egg).selectinload(Egg.variables),
        selectinload(Server.allocation),
        selectinload(Server.allocations),
        selectinload(Server.variables).selectinload(ServerVariable.variable),
    )
