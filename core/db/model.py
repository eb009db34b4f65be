"""The declarative base: names of constraints, ids, uuids, timestamps. Relationships raise unless they were asked for.

Rows leave the services detached and fully loaded, so nothing above can query by accident.
"""

from datetime import datetime
from typing import Any, ClassVar
from uuid import uuid4

from sqlalchemy import BigInteger, Integer, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from core.db.types import Json, UtcDateTime

Snowflake = BigInteger
"""A Discord id."""

OPTIONS = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
"""Table options; tables with constraints of their own end their `__table_args__` with these."""


class Base(DeclarativeBase):
    """Base of every table."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        dict[str, Any]: Json,
        dict[str, str]: Json,
        list[str]: Json,
        list[Any]: Json,
        str: String(191),
    }
    __table_args__: Any = OPTIONS


class Numbered:
    """A row with a number for a name."""

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True, sort_order=-10)


class Named:
    """A row with a uuid the outside world knows it by."""

    uuid: Mapped[str] = mapped_column(String(36), unique=True, default=lambda: str(uuid4()), sort_order=-9)


class Dated:
    """When a row was made; given by the service, from its clock."""

    created_at: Mapped[datetime] = mapped_column(UtcDateTime, sort_order=90)
