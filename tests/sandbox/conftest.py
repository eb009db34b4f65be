"""A sandbox, the unmodified discord.py client pointed at it, a bare HTTP client, and people."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import discord
import pytest
import yarl
from aiohttp import ClientSession
from discord.gateway import DiscordWebSocket

from sandbox.app import Sandbox, SandboxConfig, running
from sandbox.person import Person
from tests.discord_openapi import Checker
from tests.sandbox.clients import Api, Bot, StartBot


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    """A sandbox with the demo community; whatever it accepted must fit Discord's own schema too."""
    checker = Checker()
    async with running(SandboxConfig(observers=[checker])) as app:
        yield app
    assert not checker.complaints


@pytest.fixture
async def api(box: Sandbox) -> AsyncIterator[Api]:
    """The bare client."""
    async with ClientSession() as session:
        yield Api(box, session)


@pytest.fixture
def general(box: Sandbox) -> str:
    """The id of #general."""
    return next(channel.id for channel in box.state.channels() if channel.name == "general")


@pytest.fixture
def start_bot(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> StartBot:
    """Starts the unmodified client against the sandbox."""
    monkeypatch.setattr(discord.http.Route, "BASE", box.api_url)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(box.gateway_url))

    @asynccontextmanager
    async def start(
        set_up: Callable[[Bot], object] | None = None, *, intents: discord.Intents | None = None, sync: bool = True, **options: Any
    ) -> AsyncIterator[Bot]:
        bot = Bot(intents or discord.Intents(guilds=True, guild_messages=True, dm_messages=True), **options)
        bot._connection.guild_ready_timeout = 0.1  # do not wait 2 s for more guilds
        if set_up is not None:
            set_up(bot)
        await bot.login(box.token)
        if sync and bot.tree.get_commands():
            await bot.tree.sync()
        task = asyncio.create_task(bot.connect())
        up = asyncio.create_task(bot.is_up.wait())
        try:
            await asyncio.wait([up, task], return_when=asyncio.FIRST_COMPLETED, timeout=10)
            if task.done():
                task.result()
            assert up.done(), "the client did not come up"
            yield bot
        finally:
            up.cancel()
            await bot.close()
            await asyncio.wait([task], timeout=5)
            if task.done() and not task.cancelled():
                task.exception()

    return start


@pytest.fixture
async def ada(box: Sandbox) -> AsyncIterator[Person]:
    """The owner."""
    async with Person.connect(box.url, "Ada") as person:
        yield person


@pytest.fixture
async def kim(box: Sandbox) -> AsyncIterator[Person]:
    """A plain member."""
    async with Person.connect(box.url, "Kim") as person:
        yield person
