"""Engine, sessions, transactions, and every difference between MariaDB and SQLite. Nothing else may know which of them runs."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import StaticPool

from core.errors import NotConfigured, ServiceDown

PATIENT, BRIEF = 8.0, 2.0
"""Seconds a server may take to give a working connection; the brief limit holds once it has not kept the other."""

_GONE = {1040, 1053, 1077, 1152, 1927, 2002, 2003, 2006, 2013, 2055}
"""MariaDB's and its driver's numbers for a server that is full, stopping, cannot be reached, or has hung up."""


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


def is_gone(error: DBAPIError) -> bool:
    """Whether this failure means that the server is away, rather than that it minds what it was asked."""
    arguments = getattr(error.orig, "args", ())
    return error.connection_invalidated or bool(arguments and arguments[0] in _GONE)


def away(url: str, error: BaseException) -> ServiceDown:
    """A server at `url` that cannot be reached; its password is left out."""
    cause = str(getattr(error, "orig", None) or error) or "no answer in time"
    return ServiceDown(
        f"The database {make_url(url).render_as_string(hide_password=True)} does not answer: {cause}.",
        hint="See that it runs and that database.url names its host and port; `aerie doctor` checks it.",
    )


class Database:
    """The database of the control plane. `async with Database(url) as database:` or `open` and `close`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = _make_engine(url)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)
        self._hangs = False

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
        """See that the database answers. Raises ServiceDown when it is away, NotConfigured when it does not let us in."""
        path = make_url(self.url).database
        if self._engine.dialect.name == "sqlite" and path and path != ":memory:":
            await asyncio.to_thread(Path(path).parent.mkdir, parents=True, exist_ok=True)
        try:
            await self.ping()
        except ServiceDown as error:
            raise away(self.url, error.__cause__ or error) from error
        except (DBAPIError, OSError) as error:
            cause = str(getattr(error, "orig", None) or error)
            raise NotConfigured(
                f"The database {self.label} does not answer: {cause}.", hint="Start it, or correct database.url; `aerie doctor` checks it."
            ) from error

    async def ping(self) -> None:
        """Ask the database for one number. Raises ServiceDown when it is away, else the driver's error."""
        with self._told():
            async with self._patience(), self._engine.connect() as connection:
                await connection.execute(text("SELECT 1"))

    async def awake(self) -> None:
        """See within two seconds that a server answers: for people, who are to be told before Discord gives up. Raises ServiceDown."""
        if self._engine.dialect.name == "sqlite":
            return
        with self._told():
            async with asyncio.timeout(BRIEF):
                await self.ping()

    def _patience(self) -> asyncio.Timeout:
        """A limit for a server to give a connection. A file has its own: it waits for other writers."""
        if self._engine.dialect.name == "sqlite":
            return asyncio.timeout(None)
        return asyncio.timeout(BRIEF if self._hangs else PATIENT)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn a driver's words for a server that is away into ours; all other failures pass."""
        try:
            yield
        except TimeoutError as error:
            self._hangs = True
            raise _down() from error
        except PoolTimeout as error:
            raise _down() from error
        except DBAPIError as error:
            if self._engine.dialect.name == "sqlite" or not is_gone(error):
                raise
            raise _down() from error
        self._hangs = False

    async def _connected(self, session: AsyncSession) -> None:
        """Take a connection that works, within the limit."""
        with self._told():
            async with self._patience():
                await session.connection()

    async def close(self) -> None:
        await self._engine.dispose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A session for reading. What it read stays usable after it has closed. Raises ServiceDown."""
        with self._lost():
            async with self._sessions() as session:
                await self._connected(session)
                yield session

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """A session in a transaction: committed at the end, rolled back by an exception. Never call a node inside. Raises ServiceDown."""
        with self._lost():
            async with self._sessions() as session, session.begin():
                await self._connected(session)
                yield session

    @contextmanager
    def _lost(self) -> Iterator[None]:
        """A server that went away in the middle of the work."""
        try:
            yield
        except DBAPIError as error:
            if self._engine.dialect.name == "sqlite" or not is_gone(error):
                raise
            raise ServiceDown(
                "The database went away in the middle of this: it may not have been done.",
                hint="Aerie goes on by itself once it is back; look then, and try again.",
            ) from error


def _down() -> ServiceDown:
    return ServiceDown(
        "The database does not answer just now, so this cannot be done.",
        hint="Aerie goes on by itself once it is back; try again in a minute.",
    )
