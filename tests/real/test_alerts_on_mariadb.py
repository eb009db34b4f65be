"""The alerts' tests, once more on MariaDB."""

import secrets
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.alert_suite import *  # noqa: F403

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
