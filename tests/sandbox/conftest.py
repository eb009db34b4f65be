"""A sandbox, and the unmodified discord.py client pointed at it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import discord
import pytest
import yarl
from discord import app_commands

from sandbox.app import Sandbox, SandboxConfig, running
from sandbox.person import Person


class Bot(discord.Client):
    """A plain client with a command tree; what it hears is kept."""

    def __init__(self, intents: discord.Intents, **options: object) -> None:
        super().__init__(intents=intents, max_messages=None, **options)  # type: ignore[arg-type]
        self.tree = app_commands.CommandTree(self)
        self.is_up = asyncio.Event()
        self.heard: list[discord.Message] = []
        self.resumes = 0

    async def on_ready(self) -> None:
        self.is_up.set()

    async def on_resumed(self) -> None:
        self.resumes += 1

    async def on_message(self, message: discord.Message) -> None:
        self.heard.append(message)


StartBot = Callable[..., AbstractAsyncContextManager[Bot]]


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    """A sandbox with the demo community."""
    async with running(SandboxConfig()) as app:
        yield app


@pytest.fixture
def start_bot(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> StartBot:
    """Starts a client: `async with start_bot(set_up) as bot`; `set_up(bot)` adds commands before they are synced."""
    monkeypatch.setattr(discord.http.Route, "BASE", box.api_url)
    monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(box.gateway_url))

    @asynccontextmanager
    async def start(
        set_up: Callable[[Bot], object] | None = None, *, intents: discord.Intents | None = None, sync: bool = True, **options: object
    ) -> AsyncIterator[Bot]:
        bot = Bot(intents or discord.Intents(guilds=True, guild_messages=True), **options)
        if set_up is not None:
            set_up(bot)
        await bot.login(box.token)
        if sync and bot.tree.get_commands():
            await bot.tree.sync()
        task = asyncio.create_task(bot.connect())
        try:
            async with asyncio.timeout(10):
                waiter = asyncio.create_task(bot.is_up.wait())
                await asyncio.wait([waiter, task], return_when=asyncio.FIRST_COMPLETED)
                waiter.cancel()
            if task.done():
                task.result()
            yield bot
        finally:
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
