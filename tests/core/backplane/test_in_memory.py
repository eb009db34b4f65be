"""The backplane in memory, held to the tests that Redis' passes too."""

import pytest

from core.backplane.backplane import open_backplane
from core.errors import NotConfigured
from tests.backplane_suite import *  # noqa: F403
from tests.backplane_suite import Opener


@pytest.fixture
def opener() -> Opener:
    return lambda: open_backplane("")


async def test_a_redis_that_does_not_answer_is_told_at_once() -> None:
    with pytest.raises(NotConfigured, match="Redis does not answer"):
        async with open_backplane("redis://127.0.0.1:1/0"):
            pass
    with pytest.raises(NotConfigured, match="not an address"):
        open_backplane("nonsense")
