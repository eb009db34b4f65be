"""A sandbox, the unmodified discord.py client pointed at it, a bare HTTP client, and people."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import discord
import orjson
import pytest
import yarl
from aiohttp import ClientSession, FormData
from discord import app_commands
from discord.gateway import DiscordWebSocket

from sandbox.app import Sandbox, SandboxConfig, running
from sandbox.person import Person
from tests.discord_openapi import Checker


class Bot(discord.Client):
    """A plain client with a command tree; what it hears is kept."""

    def __init__(self, intents: discord.Intents, **options: Any) -> None:
        super().__init__(intents=intents, max_messages=None, **options)
        self.tree = app_commands.CommandTree(self)
        self.is_up = asyncio.Event()
        self.heard: list[discord.Message] = []
        self.resumes = 0
        self.readies = 0

    async def on_ready(self) -> None:
        self.readies += 1
        self.is_up.set()

    async def on_resumed(self) -> None:
        self.resumes += 1

    async def on_message(self, message: discord.Message) -> None:
        self.heard.append(message)

    def text_channel(self, name: str = "general") -> discord.TextChannel:
        """A text channel by name."""
        found = next(channel for channel in self.get_all_channels() if channel.name == name)
        assert isinstance(found, discord.TextChannel)
        return found


class StartBot(Protocol):
    """`async with start_bot(set_up) as bot`; `set_up(bot)` adds commands before they are synced."""

    def __call__(
        self, set_up: Callable[[Bot], object] | None = None, *, intents: discord.Intents | None = None, sync: bool = True, **options: Any
    ) -> AbstractAsyncContextManager[Bot]: ...


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: Any
    headers: dict[str, str]


class Api:
    """A bare client of the REST API with the bot's token."""

    def __init__(self, box: Sandbox, session: ClientSession) -> None:
        self._box = box
        self._session = session

    async def __call__(
        self, method: str, path: str, body: Any = None, *, files: dict[str, bytes] | None = None, headers: dict[str, str] | None = None
    ) -> Reply:
        sent: dict[str, Any] = {}
        all_headers = {"Authorization": f"Bot {self._box.token}", **(headers or {})}
        if files:
            form = FormData(quote_fields=False)
            form.add_field("payload_json", orjson.dumps(body or {}).decode())
            for index, (name, data) in enumerate(files.items()):
                form.add_field(f"files[{index}]", data, filename=name, content_type="application/octet-stream")
            sent["data"] = form
        elif body is not None:
            sent["data"] = orjson.dumps(body)
            all_headers["Content-Type"] = "application/json"
        async with self._session.request(method, self._box.api_url + path, headers=all_headers, **sent) as answer:
            raw = await answer.read()
            is_json = answer.headers.get("Content-Type") == "application/json"
            return Reply(answer.status, orjson.loads(raw) if is_json and raw else raw.decode(), dict(answer.headers))


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
