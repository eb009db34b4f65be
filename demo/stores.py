"""The demo's MariaDB and Redis, its own, in its folder; SQLite and memory where they cannot be had.

`async with stored(folder, remembered) as stores:` ends them again. A second start goes on with the same files.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from demo.folder import Folder, Remembered
from setup import databases
from setup.databases import Missing, Place

DATABASE = "aerie"


@dataclass(frozen=True)
class Stores:
    """Where the control plane keeps its things; `missing` says why that is a file and memory, if it is."""

    database_url: str
    backplane_url: str = ""
    missing: str = ""


def plain(folder: Folder, missing: str) -> Stores:
    """SQLite and memory."""
    return Stores(f"sqlite+aiosqlite:///{folder.database}", "", missing)


@asynccontextmanager
async def stored(folder: Folder, remembered: Remembered) -> AsyncIterator[Stores]:
    """MariaDB and Redis for the length of the block, or plain stores that say why not."""
    mariadb, redis = _place(folder, "mariadb"), _place(folder, "redis")
    try:
        try:
            stores = await asyncio.to_thread(_start, folder, remembered, mariadb, redis)
        except Missing as error:
            stores = plain(folder, str(error))
        yield stores
    finally:
        await asyncio.gather(*(asyncio.to_thread(place.end) for place in (mariadb, redis)))


def _start(folder: Folder, remembered: Remembered, mariadb: Place, redis: Place) -> Stores:
    """Raises Missing."""
    ports, password = remembered.ports, remembered.secrets["mariadb"]
    mariadb.log.parent.mkdir(parents=True, exist_ok=True)
    databases.install(["mariadb", "redis"], "for the demo", folder.root / "logs" / "setup.log")
    databases.start_mariadb(mariadb, ports["mariadb"], password, DATABASE, keep=True)
    databases.start_redis(redis, ports["redis"])
    return Stores(databases.mariadb_url(ports["mariadb"], password, DATABASE), databases.redis_url(ports["redis"]))


def _place(folder: Folder, name: str) -> Place:
    return Place(folder.root / name, folder.root / "logs" / f"{name}.log", folder.root / "processes" / f"{name}.json")
