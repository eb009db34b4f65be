"""The chat page in a real browser, with a small bot behind it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sandbox.app import Sandbox
from tests.sandbox.clients import Bot, StartBot
from tests.sandbox.page.bot import set_up
from tests.sandbox.page.driver import Tab, browser, chromium


@pytest.fixture
def profile() -> Iterator[Path]:
    """A fresh browser profile."""
    with TemporaryDirectory(prefix="aerie-page-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
async def tab(profile: Path) -> AsyncIterator[Tab]:
    """A browser's tab."""
    if chromium() is None:
        pytest.skip("there is no Chromium here; install the package chromium to run the page's tests")
    async with browser(profile) as opened:
        yield opened


@pytest.fixture
async def bot(start_bot: StartBot) -> AsyncIterator[Bot]:
    """The bot of these tests, online."""
    async with start_bot(set_up) as started:
        yield started


@pytest.fixture
async def page(box: Sandbox, bot: Bot, tab: Tab) -> Tab:
    """The page as Ada, the owner, with the bot online."""
    await tab.open(f"{box.url}/?as=Ada")
    return tab
