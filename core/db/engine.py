"""Engine, sessions, transactions, and every difference between MariaDB and SQLite. Nothing else may know which of them runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import StaticPool

from core.errors import NotConfigured


def check_url(url: str) -> None:
    """Raises NotConfigured unless the address is one of the two we run on."""
    try:
        driver = make_url(url).drivername
    except ArgumentError:
        driver = ""
    if driver not in ("sqlite+aiosqlite", "mysql+aiomysql", "mariadb+aiomysql"):
        raise NotConfigured(
            "The setting database.url is not an address of a database Aerie knows.",
            hint="Use sqlite+aiosqlite:///aerie.sqlite3 or mysql+aiomysql://user:password@host/name.",
        )


def _make_engine(url: str) -> AsyncEngine:
    check_url(url)
    parsed = make_url(url)
    if parsed.drivername.startswith("sqlite"):
        options: dict[str, Any] = {"connect_args": {"timeout": 15}}
        if parsed.database in (None, "", ":memory:"):
            options["poolclass"] = StaticPool
        engine = create_async_engine(url, **options)
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        return engine
    if "charset" not in parsed.query:
        parsed = parsed.update_query_dict({"charset": "utf8mb4"})
    return create_async_engine(
        parsed,
        pool_pre_ping=True,
        pool_recycle=1800,
        pool_size=10,
        max_overflow=10,
        pool_timeout=10,
        isolation_level="READ COMMITTED",
        connect_args={"connect_timeout": 5, "init_command": "SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES'"},
    )


def _prepare_sqlite(connection: Any, _: object) -> None:
    """Foreign keys count, readers do not wait for the writer, a writer waits 15 s for another."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


class Database:
    """The database of the control plane. `async with Database(url) as database:` or `open` and `close`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = _make_engine(url)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)

    def __repr__(self) -> str:
        return f"Database({self.label})"

    @property
    def label(self) -> str:
        """The address without its password."""
        return make_url(self.url).render_as_string(hide_password=True)

    @property
    def engine(self) -> AsyncEngine:
        return self._engine

    async def open(self) -> None:
        """See that the database answers. Raises NotConfigured when it does not."""
        path = make_url(self.url).database
        if self._engine.dialect.name == "sqlite" and path and path != ":memory:":
            await asyncio.to_thread(Path(path).parent.mkdir, parents=True, exist_ok=True)
        try:
            await self.ping()
        except (DBAPIError, OSError) as error:
            cause = str(getattr(error, "orig", None) or error)
            raise NotConfigured(
                f"The database {self.label} does not answer: {cause}.", hint="Start it, or correct database.url; `aerie doctor` checks it."
            ) from error

    async def ping(self) -> None:
        """Ask the database for one number. Raises the driver's error when it cannot."""
        async with self._engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self._engine.dispose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A session for reading. What it read stays usable after it has closed."""
        async with self._sessions() as session:
            yield session

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """A session in a transaction: committed at the end, rolled back by an exception. Never call a node inside."""
        async with self._sessions() as session, session.begin():
            yield session
