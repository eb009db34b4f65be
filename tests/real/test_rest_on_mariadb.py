"""The REST APIs once more, on MariaDB."""

import secrets
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.bot.api.keyring import Ring, keyring
from tests.bot.api.test_application_api import (
    test_a_server_is_made_where_it_was_told,
    test_users_have_the_panels_fields_and_rules,
)
from tests.bot.api.test_client_api import test_api_keys_by_rest, test_what_is_done_is_written_down_with_the_callers_address
from tests.bot.api.test_pydactyl import test_an_administrator_builds_from_nothing

__all__ = [
    "test_a_server_is_made_where_it_was_told",
    "test_an_administrator_builds_from_nothing",
    "test_api_keys_by_rest",
    "test_users_have_the_panels_fields_and_rules",
    "test_what_is_done_is_written_down_with_the_callers_address",
]

pytestmark = pytest.mark.real


@pytest.fixture
async def ring(mariadb_url: str) -> AsyncIterator[Ring]:
    """The floor of the REST tests, in a database of this test's own."""
    name = f"aerie_test_{secrets.token_hex(6)}"
    given = make_url(mariadb_url)
    engine = create_engine(given.set(drivername="mysql+pymysql"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        async with keyring(given.set(drivername="mysql+aiomysql", database=name).render_as_string(hide_password=False)) as ready:
            yield ready
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}"))
        engine.dispose()
