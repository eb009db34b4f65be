"""The services' tests, once more on MariaDB."""

import asyncio
import secrets
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, make_url, text

from core.db.migrate import upgrade
from core.errors import NotConfigured
from core.services.build import opened
from tests.accounts_suite import *  # noqa: F403
from tests.egg_suite import *  # noqa: F403
from tests.migrated import differences
from tests.server_making_suite import *  # noqa: F403
from tests.service_suite import *  # noqa: F403
from tests.vote_suite import *  # noqa: F403

pytestmark = pytest.mark.real


@pytest.fixture
def database_url(mariadb_url: str) -> Iterator[str]:
    """A database of this test's own."""
    name = f"aerie_test_{secrets.token_hex(6)}"
    given = make_url(mariadb_url)
    engine = create_engine(given.set(drivername="mysql+pymysql"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield given.set(drivername="mysql+aiomysql", database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}"))
        engine.dispose()


async def test_upgraded_mariadb_equals_the_models(database_url: str) -> None:
    await asyncio.gather(upgrade(database_url), upgrade(database_url))
    assert await differences(database_url) == []


async def test_mariadb_without_a_key_is_refused(database_url: str) -> None:
    with pytest.raises(NotConfigured, match=r"security\.key is missing"):
        async with opened(database_url):
            pass
