"""The services' tests, once more on MariaDB."""

import asyncio

import pytest

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


async def test_upgraded_mariadb_equals_the_models(database_url: str) -> None:
    await asyncio.gather(upgrade(database_url), upgrade(database_url))
    assert await differences(database_url) == []


async def test_mariadb_without_a_key_is_refused(database_url: str) -> None:
    with pytest.raises(NotConfigured, match=r"security\.key is missing"):
        async with opened(database_url):
            pass
