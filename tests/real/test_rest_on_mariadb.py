"""The REST APIs once more, on MariaDB."""

from collections.abc import AsyncIterator

import pytest

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
async def ring(database_url: str) -> AsyncIterator[Ring]:
    """The floor of the REST tests, on MariaDB."""
    async with keyring(database_url) as ready:
        yield ready
