"""Backups on MariaDB: what differs between databases, such as locks and long texts; SQLite passes all of the suite."""

import secrets
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.backup_suite import (  # noqa: F401
    server,
    stage,
    test_a_backup_is_begun_reported_and_listed,
    test_a_restore_holds_the_server_until_its_end_is_told,
    test_bak_7_a_node_speaks_for_its_own_servers_alone,
    test_quo_7_the_limit_holds_however_many_ask_at_once,
)

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
