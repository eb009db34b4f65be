"""The demo's MariaDB and Redis: in its own folder, the same data at the second start, gone after the block; plain stores without them."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from core.db.engine import Database
from demo import cast
from demo.folder import Folder
from demo.stores import stored
from setup import databases, processes
from setup.databases import Missing
from setup.debian import which

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def any_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests run beside these: no port is preferred."""
    monkeypatch.setattr(cast, "ports", lambda named=cast.ports: dict.fromkeys(named(), 0))


async def _run(url: str, words: str) -> object:
    async with Database(url) as database, database.begin() as session:
        result = await session.execute(text(words))
        return result.scalar() if result.returns_rows else None  # type: ignore[attr-defined]


@pytest.mark.usefixtures("mariadb_url", "redis_url")
async def test_a_second_start_goes_on_with_the_same_data(tmp_path: Path) -> None:
    if any(which(*names) is None for programs in databases.PROGRAMS.values() for names in programs):
        pytest.skip("MariaDB and Redis run elsewhere; this needs their programs here")
    folder = Folder(tmp_path)
    remembered = folder.remember()
    async with stored(folder, remembered) as stores:
        assert not stores.missing
        assert stores.database_url.startswith("mysql+aiomysql://")
        await _run(stores.database_url, "CREATE TABLE kept (number INT)")
        await _run(stores.database_url, "INSERT INTO kept VALUES (41)")
    assert not list((tmp_path / "processes").glob("*.json"))
    async with stored(folder, folder.remember()) as stores:
        assert await _run(stores.database_url, "SELECT number + 1 FROM kept") == 42
        pids = [processes.remembered(tmp_path / "processes" / f"{name}.json") for name in ("mariadb", "redis")]
        assert all(pids)
    assert [processes.started_at(pid) for pid in pids if pid] == [None, None]


async def test_without_them_the_demo_keeps_its_things_in_a_file_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise Missing("mariadb cannot be found")

    monkeypatch.setattr(databases, "install", none)
    folder = Folder(tmp_path)
    async with stored(folder, await asyncio.to_thread(folder.remember)) as stores:
        assert stores.missing == "mariadb cannot be found"
        assert stores.database_url == f"sqlite+aiosqlite:///{tmp_path / 'aerie.sqlite3'}"
        assert stores.backplane_url == ""
