"""Whether a database's tables are what the models say."""

import asyncio
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

import core.models.activity
import core.models.alert
import core.models.api_key
import core.models.backup
import core.models.draft
import core.models.guild
import core.models.user
import core.models.vote  # noqa: F401  each import adds its tables to the metadata
from core.db.migrate import configuration
from core.db.model import Base


async def differences(url: str) -> list[Any]:
    """What Alembic would still change, types and defaults included."""
    return await asyncio.to_thread(_compare, url.replace("+aiosqlite", "").replace("+aiomysql", "+pymysql"))


def _compare(url: str) -> list[Any]:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
            return list(compare_metadata(context, Base.metadata))
    finally:
        engine.dispose()


def downgraded(url: str) -> None:
    """Take every migration back."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            command.downgrade(configuration(connection), "base")
            connection.commit()
    finally:
        engine.dispose()
