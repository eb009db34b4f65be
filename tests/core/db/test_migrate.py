"""The table history: from nothing to today's models on SQLite, and back again."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from core.db.engine import Database
from core.db.migrate import upgrade
from core.errors import NotConfigured
from tests.migrated import differences, downgraded


async def test_upgraded_sqlite_equals_the_models(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/deep/er/aerie.sqlite3"
    await upgrade(url)
    await upgrade(url)
    assert await differences(url) == []


async def test_the_first_migration_goes_back_too(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/aerie.sqlite3"
    await upgrade(url)
    await asyncio.to_thread(downgraded, f"sqlite:///{tmp_path}/aerie.sqlite3")
    engine = create_engine(f"sqlite:///{tmp_path}/aerie.sqlite3")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()


async def test_processes_that_start_together_make_the_tables_once(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/aerie.sqlite3"
    await asyncio.gather(*(upgrade(url) for _ in range(4)))
    assert await differences(url) == []


@pytest.mark.parametrize("url", ["postgresql://x/y", "sqlite:///x", "nonsense", "mysql+pymysql://a/b"])
async def test_an_address_of_another_database_is_refused(url: str) -> None:
    with pytest.raises(NotConfigured, match="not an address"):
        await upgrade(url)
    with pytest.raises(NotConfigured, match="not an address"):
        Database(url)


async def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    for call in (
        Database("mysql+aiomysql://ada:s3cretword@127.0.0.1:1/aerie").open,
        lambda: upgrade("mysql+aiomysql://ada:s3cretword@127.0.0.1:1/aerie"),
    ):
        with pytest.raises(NotConfigured) as caught:
            await call()
        assert "s3cretword" not in str(caught.value)
        assert "127.0.0.1" in str(caught.value)
