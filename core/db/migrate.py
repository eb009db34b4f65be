"""Brings the tables up to date: one Alembic history for MariaDB and SQLite, run in a thread, one process at a time."""

import asyncio
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from core.db.engine import away, check_url, is_gone
from core.errors import NotConfigured

_SCRIPTS = Path(__file__).resolve().parents[2] / "migrations"
_LOCK_WAIT = 60  # seconds
_DRIVERS = {"sqlite+aiosqlite": "sqlite", "mysql+aiomysql": "mysql+pymysql", "mariadb+aiomysql": "mysql+pymysql"}


async def upgrade(url: str) -> None:
    """Bring the database at `url` to the newest revision; nothing happens when it is there. Raises ServiceDown, NotConfigured."""
    check_url(url)
    await asyncio.to_thread(_upgrade, url)


async def lag(url: str) -> int | None:
    """How many revisions the database at `url` is behind; None when it is at one that this Aerie does not know.

    Changes nothing. Raises SQLAlchemyError when the database cannot be asked.
    """
    return await asyncio.to_thread(_lag, url)


def configuration(connection: Connection) -> Config:
    """Alembic's configuration for work on an open connection."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    return config


def _lag(url: str) -> int | None:
    parsed = make_url(url)
    engine = create_engine(parsed.set(drivername=_DRIVERS[parsed.drivername]))
    try:
        with engine.connect() as connection:
            standing = MigrationContext.configure(connection).get_current_revision()
            history = [script.revision for script in ScriptDirectory.from_config(configuration(connection)).walk_revisions()]
    finally:
        engine.dispose()
    if standing is None:
        return len(history)
    return history.index(standing) if standing in history else None


def _upgrade(url: str) -> None:
    parsed = make_url(url)
    driver = _DRIVERS[parsed.drivername]
    if driver == "sqlite" and parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed.set(drivername=driver))
    try:
        with engine.connect() as connection, _alone(connection):
            command.upgrade(configuration(connection), "head")
            connection.commit()
    except DBAPIError as error:
        if driver != "sqlite" and is_gone(error):
            raise away(url, error) from error
        raise NotConfigured(
            f"The database {parsed.render_as_string(hide_password=True)} cannot be brought up to date: {error.orig}.",
            hint="Start it, correct database.url, or give its user the right to change tables.",
        ) from error
    finally:
        engine.dispose()


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Hold the database's own lock, so that two processes starting together do not both make tables."""
    if connection.dialect.name == "sqlite":
        path = connection.engine.url.database
        if not path or path == ":memory:":
            yield
            return
        with Path(f"{path}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        return
    if connection.scalar(text("SELECT GET_LOCK('aerie.migrate', :wait)"), {"wait": _LOCK_WAIT}) != 1:
        raise NotConfigured("Another process has been changing the tables for a minute.", hint="Wait for it to end, then start again.")
    connection.commit()
    try:
        yield
    finally:
        connection.execute(text("SELECT RELEASE_LOCK('aerie.migrate')"))
